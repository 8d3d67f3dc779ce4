import { describe, expect, it } from 'vitest'
import { Stanza } from '../../../src/protocols/stanza/stanza.js'
import { HeldStanzas } from '../../../src/protocols/stream/client-state.js'

const parse = (xml: string) => Stanza.parse(xml)
const presence = (from: string, show = '') => parse(`<presence from='${from}'>${show}</presence>`)
const message = (children: string, type = 'chat') => parse(`<message from='a@b/c' type='${type}'>${children}</message>`)
const composing = "<composing xmlns='http://jabber.org/protocol/chatstates'/>"
const displayed = "<displayed xmlns='urn:xmpp:chat-markers:0' id='x'/>"
const markable = "<markable xmlns='urn:xmpp:chat-markers:0'/>"
const thread = '<thread>t</thread>'
const stanzaId = "<stanza-id xmlns='urn:xmpp:sid:0' id='1' by='b'/>"
const hint = "<no-store xmlns='urn:xmpp:hints'/>"

describe('what is held for an inactive client (XEP-0352 §4)', () => {
  it.each([
    ['presence', presence('a@b/c')],
    ['unavailable presence', parse("<presence type='unavailable' from='a@b/c'/>")],
    ['a chat state', message(composing)],
    ['a chat state with what goes along', message(composing + thread + stanzaId + hint)],
    ['a chat state of a room', message(composing, 'groupchat')],
    ['a marker', message(displayed)],
  ])('%s waits', (_, stanza) => {
    expect(new HeldStanzas(20).hold(stanza)).toBe(true)
  })

  it.each([
    ['a message with a body', message('<body>x</body>')],
    ['a chat state beside a body', message(`${composing}<body>x</body>`)],
    ['the subject of a room', message('<subject/>', 'groupchat')],
    ['a message that wants to be marked', message(markable)],
    ['a message of something unknown', message(`${composing}<x xmlns='urn:x'/>`)],
    ['a message of nothing', message('')],
    ['an error', message(composing, 'error')],
    ['a request for a subscription', parse("<presence type='subscribe' from='a@b'/>")],
    ['an error of presence', parse("<presence type='error' from='a@b'/>")],
    ['an IQ', parse("<iq type='get' id='1' from='a@b'/>")],
  ])('%s does not wait', (_, stanza) => {
    expect(new HeldStanzas(20).hold(stanza)).toBe(false)
  })

  it('is the last presence of each sender, in the order in which these came', () => {
    const held = new HeldStanzas(20)
    held.hold(presence('a@b/1', '<show>away</show>'))
    held.hold(message(composing))
    held.hold(presence('a@b/2'))
    held.hold(presence('a@b/1', '<show>dnd</show>'))
    expect(held.size).toBe(3)
    expect(held.take().map(stanza => `${stanza.kind} ${stanza.from?.text}`)).toEqual([
      'message a@b/c',
      'presence a@b/2',
      'presence a@b/1',
    ])
    expect(held.take()).toEqual([])
  })

  it('is no more than the limit; one that takes the place of another of its sender still fits', () => {
    const held = new HeldStanzas(2)
    expect(held.hold(presence('a@b/1'))).toBe(true)
    expect(held.hold(presence('a@b/2'))).toBe(true)
    expect(held.hold(presence('a@b/2', '<show>away</show>'))).toBe(true)
    expect(held.hold(presence('a@b/3'))).toBe(false)
    expect(held.size).toBe(2)
    expect(new HeldStanzas(0).hold(presence('a@b/1'))).toBe(false)
  })
})
