import { type Element, parse } from 'ltx'
import { describe, expect, it } from 'vitest'
import {
  acknowledgement,
  enabled,
  failed,
  handledTooMany,
  readManagement,
  resumed,
} from '../../../src/protocols/stream/management.js'

const ns = "xmlns='urn:xmpp:sm:3'"
const read = (xml: string) => readManagement(parse(xml) as Element)

describe('the elements of a client (XEP-0198)', () => {
  it.each([
    [`<enable ${ns}/>`, { type: 'enable', resume: false, max: undefined }],
    [`<enable ${ns} resume='1' max='60'/>`, { type: 'enable', resume: true, max: 60 }],
    [`<enable ${ns} resume='true' max='soon'/>`, { type: 'enable', resume: true, max: undefined }],
    [`<enable ${ns} resume='no'/>`, { type: 'enable', resume: false, max: undefined }],
    [`<resume ${ns} h='4294967295' previd='a&amp;b'/>`, { type: 'resume', h: 4294967295, previd: 'a&b' }],
    [`<r ${ns}/>`, { type: 'request' }],
    [`<a ${ns} h=' 007 '/>`, { type: 'acknowledgement', h: 7 }],
    [`<sm:a xmlns:sm='urn:xmpp:sm:3' h='0'/>`, { type: 'acknowledgement', h: 0 }],
    ["<active xmlns='urn:xmpp:csi:0'/>", undefined],
  ])('%s', (xml, expected) => {
    expect(read(xml)).toEqual(expected)
  })

  it.each([
    [`<a ${ns}/>`, 'policy-violation'],
    [`<a ${ns} h=''/>`, 'policy-violation'],
    [`<a ${ns} h='1.5'/>`, 'policy-violation'],
    [`<a ${ns} h='0x1'/>`, 'policy-violation'],
    [`<a ${ns} h='4294967296'/>`, 'policy-violation'],
    [`<resume ${ns} previd='x'/>`, 'policy-violation'],
    [`<resume ${ns} h='1'/>`, 'policy-violation'],
    ["<r xmlns='urn:xmpp:sm:2'/>", 'invalid-namespace'],
    ["<a h='1'/>", 'invalid-namespace'],
  ])('%s breaks the stream with %s (§3.5)', (xml, condition) => {
    expect(read(xml)).toMatchObject({ type: 'broken', error: { condition } })
  })
})

describe('the elements of the server (XEP-0198)', () => {
  it('are written as the schema wants them', () => {
    expect(enabled(undefined)).toBe(`<enabled ${ns}/>`)
    expect(enabled({ id: `a'&<`, max: 5 })).toBe(`<enabled ${ns} id='a&apos;&amp;&lt;' resume='true' max='5'/>`)
    expect(acknowledgement(7)).toBe(`<a ${ns} h='7'/>`)
    expect(resumed('x', 7)).toBe(`<resumed ${ns} previd='x' h='7'/>`)
    const condition = "<item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>"
    expect(failed('item-not-found')).toBe(`<failed ${ns}>${condition}</failed>`)
    expect(failed('item-not-found', 0)).toBe(`<failed ${ns} h='0'>${condition}</failed>`)
    expect(handledTooMany(10, 8)).toMatchObject({
      condition: 'undefined-condition',
      specific: `<handled-count-too-high ${ns} h='10' send-count='8'/>`,
    })
  })
})
