import type { Element } from 'ltx'
import { describe, expect, it } from 'vitest'
import { contains, parseXml, streamReader } from './xml.js'

const matches = (xml: string, pattern: string) =>
  contains(parseXml(xml, 'jabber:client'), parseXml(pattern, 'jabber:client'))

describe('a pattern of the test client', () => {
  it('matches an element that has more attributes, text and children than it asks for', () => {
    expect(
      matches(
        '<iq id="1" type="result"><a xmlns="x">t</a><b xmlns="y"/></iq>',
        '<iq type="result"><b xmlns="y"/></iq>',
      ),
    ).toBe(true)
  })

  it('does not match another name, namespace, attribute value, text or a missing child', () => {
    expect(matches('<iq/>', '<message/>')).toBe(false)
    expect(matches('<iq xmlns="jabber:server"/>', '<iq/>')).toBe(false)
    expect(matches('<iq type="error"/>', '<iq type="result"/>')).toBe(false)
    expect(matches('<body>one</body>', '<body>two</body>')).toBe(false)
    expect(matches('<iq/>', '<iq><a/></iq>')).toBe(false)
    expect(matches('<iq><a xmlns="x"/></iq>', '<iq><a/></iq>')).toBe(false)
  })

  it('matches by namespace whatever the prefixes are', () => {
    expect(matches('<p:a xmlns:p="x" b="1"/>', '<a xmlns="x" b="1"/>')).toBe(true)
  })

  it('asks for a child of its own for each of its children, in any order', () => {
    expect(matches('<q><i j="1"/></q>', '<q><i/><i/></q>')).toBe(false)
    expect(matches('<q><i j="1"/><i/></q>', '<q><i/><i j="1"/></q>')).toBe(true)
  })
})

describe('the stream reader of the test client', () => {
  const header = '<stream:stream xmlns="jabber:client" xmlns:stream="http://etherx.jabber.org/streams" id="7">'
  const read = (chunks: Uint8Array[]) => {
    const seen: string[] = []
    const tell = (kind: string) => (element: Element) => {
      seen.push(`${kind} ${element.getName()} ${element.getNS()} ${element.getText()}`.trim())
      return element.getName() === 'success'
    }
    const reader = streamReader({ header: tell('header'), element: tell('element'), ended: () => seen.push('ended') })
    for (const chunk of chunks) reader.read(chunk)
    return seen
  }

  it('tells header, children with their namespaces, and the end, however the bytes are cut', () => {
    const bytes = Buffer.from(
      `<?xml version='1.0'?>${header} <message><body>é</body></message><stream:features>a</stream:features></stream:stream>`,
    )
    const expected = [
      'header stream http://etherx.jabber.org/streams',
      'element message jabber:client',
      'element features http://etherx.jabber.org/streams a',
      'ended',
    ]
    expect(read([bytes])).toEqual(expected)
    expect(read(Array.from(bytes, byte => Uint8Array.of(byte)))).toEqual(expected)
  })

  it('begins a new stream behind the element that ends the old one, in the same chunk too', () => {
    const seen = read([Buffer.from(`${header}<success xmlns="s"/><?xml version='1.0'?>${header}<iq/>`)])
    expect(seen.at(-1)).toBe('element iq jabber:client')
  })

  it('throws when the server sends what is not XML', () => {
    expect(() => read([Buffer.from(`${header}<a></b>`)])).toThrow('unexpected close tag')
    expect(() => read([Buffer.from(header), Uint8Array.of(0xff)])).toThrow()
  })
})
