import { expect, it } from 'vitest'
import { DocumentReader } from '../../../src/protocols/xml/document-reader.js'
import { serialize } from '../../../src/protocols/xml/serialize.js'

const text = `\ufeff<?xml version='1.0'?>
<a xmlns='urn:a' xmlns:p="urn:p" note="a > b">
  <b><c p:d='1'>ż &amp; <![CDATA[<x>]]></c>
    <p:c/></b >
  <b/><c>
</c>
</a>
`

/** What a reader makes of the text in pieces of that many bytes. */
function read(size: number): string[] {
  const reader = new DocumentReader({ element: 1_000 }, (_, __, name) => name === 'a' || name === 'b')
  const bytes = Buffer.from(text)
  const parts: string[] = []
  for (let at = 0; at < bytes.length; at += size) {
    reader.feed(bytes.subarray(at, at + size))
    for (let part = reader.next(); part !== undefined; part = reader.next()) {
      const what = part.kind === 'end' ? '' : ` {${part.ns}}${part.name} ${serialize(part.element)}`
      parts.push(`${part.kind === 'end' ? '' : `${reader.line} `}${part.kind}${what}`)
    }
  }
  reader.finish()
  return parts
}

it('a document is the same in pieces of any size, and every part knows its line', () => {
  const whole = read(10_000)
  const declared = 'xmlns="urn:a" xmlns:p="urn:p"'
  expect(whole).toEqual([
    `2 start {urn:a}a <a ${declared} note="a &gt; b"/>`,
    '3 start {urn:a}b <b/>',
    `3 element {urn:a}c <c p:d="1" xmlns:p="urn:p" xmlns="urn:a">ż &amp; &lt;x&gt;</c>`,
    `4 element {urn:p}c <p:c xmlns:p="urn:p" xmlns="urn:a"/>`,
    'end',
    '5 start {urn:a}b <b/>',
    'end',
    `5 element {urn:a}c <c xmlns="urn:a">\n</c>`,
    'end',
  ])
  for (let size = 1; size < 40; size++) expect(read(size), `${size} bytes each`).toEqual(whole)
})
