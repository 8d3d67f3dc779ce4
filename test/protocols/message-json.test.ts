import { describe, expect, it } from 'vitest'
import { Jid } from '../../src/protocols/jid.js'
import { chatMessageJson, roomMessageJson } from '../../src/protocols/message-json.js'
import { parseXml } from '../support/xml.js'

const markers = 'urn:xmpp:chat-markers:0'
const properties = (content: string) =>
  `<properties xmlns="http://www.jivesoftware.com/xmlns/xmpp/properties">${content}</properties>`
const chat = (content: string, timestamp = 1) =>
  chatMessageJson(parseXml(`<message type="chat" from="a@x/1" to="b@y" id="i">${content}</message>`, 'jabber:client'), {
    timestamp,
  })
const said = (content: string, from = 'tea@rooms.x/hare@x', room = false) =>
  roomMessageJson(
    parseXml(`<message type="groupchat" from="${from}" to="b@y" id="i">${content}</message>`, 'jabber:client'),
    { timestamp: 2, room },
  )

describe('a chat message as JSON', () => {
  it('has its members in the order of the examples (RM-3, S-8)', () => {
    expect(JSON.stringify(chat('<body>tea?</body>', 1606112000123456))).toBe(
      '{"from":"a@x/1","to":"b@y","id":"i","body":"tea?","timestamp":1606112000123456}',
    )
  })

  it('has no body where the message has none, and an empty one where that is empty (RM-6, S-11)', () => {
    expect(chat(`<displayed xmlns="${markers}" id="1"/>`)).not.toHaveProperty('body')
    expect(chat('<body/>')).toMatchObject({ body: '' })
  })

  it('takes addresses that are known better, and lives without any', () => {
    const bare = parseXml('<message/>', 'jabber:client')
    expect(chatMessageJson(bare, { timestamp: 1 })).toEqual({ from: '', to: '', id: '', timestamp: 1 })
    const [from, to] = [Jid.parse('c@z')!, Jid.parse('d@z/2')!]
    expect(chatMessageJson(bare, { from, to, timestamp: 1 })).toMatchObject({ from: 'c@z', to: 'd@z/2' })
  })

  it('has properties as texts, the last of a name, and leaves out what is none (RM-4)', () => {
    const property = (name: string, value: string) => `<property>${name}${value}</property>`
    const found = chat(
      properties(
        [
          property('<name>a</name>', '<value type="string">x</value>'),
          property('<name>b</name>', '<value type="integer">07</value>'),
          property('<name>a</name>', '<value>y</value>'),
          property('<name>__proto__</name>', '<value>z</value>'),
          property('<name/>', '<value/>'),
          property('<name>lost</name>', ''),
          property('', '<value>nameless</value>'),
          '<property/>',
          '<other/>',
          'text',
        ].join(''),
      ),
    ).properties
    expect(JSON.stringify(found)).toBe('{"a":"y","b":"07","__proto__":"z","":""}')
    for (const none of ['', '<property/>']) expect(chat(properties(none))).not.toHaveProperty('properties')
    expect(
      chat('<properties xmlns="other"><property><name>a</name><value>x</value></property></properties>'),
    ).not.toHaveProperty('properties')
  })
})

describe('what happens in a room as JSON', () => {
  it('is a message of its sender, by the bare JID (RX-3, S-9)', () => {
    const message = { type: 'message', id: 'i', from: 'hare@x', timestamp: 2, body: 'hi' }
    expect(said('<body>hi</body>')).toEqual(message)
    expect(JSON.stringify(said('<body>hi</body>', undefined, true))).toBe(
      '{"type":"message","room":"tea","id":"i","from":"hare@x","timestamp":2,"body":"hi"}',
    )
  })

  it('names an occupant of another room by its JID there', () => {
    expect(said('<body/>', 'tea@conference.x/March Hare')).toMatchObject({ from: 'tea@conference.x/March Hare' })
    expect(said('<body/>', 'tea@conference.x/hare')).toMatchObject({ from: 'tea@conference.x/hare' })
  })

  it.each(['received', 'displayed', 'acknowledged'])('shows the marker %s (RX-3)', type => {
    expect(said(`<${type} xmlns="${markers}" id="m"/>`)).toEqual({
      type: 'message',
      id: 'i',
      from: 'hare@x',
      timestamp: 2,
      chat_marker: { type, id: 'm' },
    })
    expect(said(`<${type} xmlns="other" id="m"/>`)).not.toHaveProperty('chat_marker')
  })

  it('says what may be marked (RX-3)', () => {
    expect(said(`<body>hi</body><markable xmlns="${markers}"/>`)).toMatchObject({ body: 'hi', markable: true })
  })

  it('is the first change of an affiliation, said by the room (RX-3, S-9)', () => {
    const change = `<x xmlns="urn:xmpp:muclight:0#affiliations"><prev-version>1</prev-version><version>2</version>
      <user affiliation="member">a@x</user><user affiliation="none">b@x</user></x><body/>`
    expect(said(change, 'tea@rooms.x', true)).toEqual({
      type: 'affiliation',
      room: 'tea',
      id: 'i',
      from: 'tea@rooms.x',
      timestamp: 2,
      user: 'a@x',
      affiliation: 'member',
    })
    // An occupant cannot make one up.
    expect(said(change)).toMatchObject({ type: 'message', from: 'hare@x' })
    const odd = '<x xmlns="urn:xmpp:muclight:0#affiliations"><user affiliation="king">a@x</user></x>'
    expect(said(odd, 'tea@rooms.x')).toMatchObject({ type: 'message' })
  })

  it('is an empty message where the configuration changes (RX-4)', () => {
    const change = '<x xmlns="urn:xmpp:muclight:0#configuration"><subject>s</subject></x><body/>'
    expect(said(change, 'tea@rooms.x')).toEqual({
      type: 'message',
      id: 'i',
      from: 'tea@rooms.x',
      timestamp: 2,
      body: '',
    })
  })
})
