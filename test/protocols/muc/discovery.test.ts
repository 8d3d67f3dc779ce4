import { describe, expect, it } from 'vitest'
import { coven, crone, hag, hecate, refusal, TestRoom } from '../../support/room.js'

const info = (node = '') => `<query xmlns="http://jabber.org/protocol/disco#info"${node && ` node="${node}"`}/>`
const items = '<query xmlns="http://jabber.org/protocol/disco#items"/>'

const featuresOf = (test: TestRoom) =>
  test
    .asks(hecate, 'get', info())
    .of(hecate)[0]!
    .getChild('query')!
    .getChildren('feature')
    .map(feature => feature.attrs.var)

describe('what a room says of itself (XEP-0045 §6.4, §6.5)', () => {
  it('XEP-0045 examples 8, 9: what it is', () => {
    const test = TestRoom.withWitches({ config: { name: 'A Dark Cave' } })
    test
      .asks(hecate, 'get', info())
      .shows(
        hecate,
        `<iq type="result"><query xmlns="http://jabber.org/protocol/disco#info"><identity category="conference" type="text" name="A Dark Cave"/></query></iq>`,
      )
    expect(featuresOf(test)).toEqual(
      expect.arrayContaining([
        'http://jabber.org/protocol/muc',
        'http://jabber.org/protocol/muc#stable_id',
        'http://jabber.org/protocol/muc#self-ping-optimization',
        'urn:xmpp:occupant-id:0',
        'urn:xmpp:mam:2',
        'urn:xmpp:message-moderate:1',
        'urn:xmpp:message-retract:1#tombstone',
        'muc_public',
        'muc_temporary',
        'muc_open',
        'muc_moderated',
        'muc_semianonymous',
        'muc_unsecured',
      ]),
    )
  })

  it('says so of each option', () => {
    const test = TestRoom.withWitches({
      config: { isPublic: false, isPersistent: true, isModerated: false, whois: 'anyone', isArchived: false },
    })
    const features = featuresOf(test)
    for (const feature of ['muc_hidden', 'muc_persistent', 'muc_unmoderated', 'muc_nonanonymous'])
      expect(features).toContain(feature)
    expect(features).not.toContain('urn:xmpp:mam:2')
    test.room.configure({ isMembersOnly: true, isPasswordProtected: true, password: 'p' })
    expect(featuresOf(test)).toEqual(expect.arrayContaining(['muc_membersonly', 'muc_passwordprotected']))
  })

  it('XEP-0045 example 10: and more in a form, where a hidden room keeps its subject to itself', () => {
    const test = TestRoom.withWitches({ config: { description: 'The place', lang: 'en' } })
    test.take(`<message from="${hag}" to="${coven}" type="groupchat"><subject>Spells</subject></message>`)
    const field = (name: string, value: string) =>
      `<iq><query xmlns="http://jabber.org/protocol/disco#info"><x xmlns="jabber:x:data" type="result"><field var="${name}"><value>${value}</value></field></x></query></iq>`
    const told = () => test.asks(hecate, 'get', info())
    for (const [name, value] of [
      ['FORM_TYPE', 'http://jabber.org/protocol/muc#roominfo'],
      ['muc#roominfo_description', 'The place'],
      ['muc#roominfo_occupants', '3'],
      ['muc#roominfo_lang', 'en'],
      ['muc#roominfo_subject', 'Spells'],
    ] as const) {
      told().shows(hecate, field(name, value))
    }
    test.room.configure({ isPublic: false })
    told().hides(hecate, field('muc#roominfo_subject', 'Spells'))
  })

  it('XEP-0045 examples 11 to 13: who is inside, for everybody or for those inside only', () => {
    const test = TestRoom.withWitches()
    const item = (nick: string) => `<item jid="${coven}/${nick}"/>`
    const list = `<iq type="result"><query xmlns="http://jabber.org/protocol/disco#items">${item('firstwitch')}${item('thirdwitch')}</query></iq>`
    test.asks(hecate, 'get', items).shows(hecate, list)
    test.room.configure({ isListPublic: false })
    expect(test.asks(hecate, 'get', items).of(hecate)[0]!.getChild('query')!.getChildElements()).toEqual([])
    test.asks(hag, 'get', items).shows(hag, list)
  })

  it('XEP-0045 examples 218, 220: there is no list of allowed payloads, and no other node', () => {
    const test = TestRoom.withWitches()
    expect(refusal(test, () => test.asks(hag, 'get', info('http://jabber.org/protocol/muc#traffic')))).toBe(
      'service-unavailable',
    )
    expect(refusal(test, () => test.asks(hag, 'get', info('other')))).toBe('item-not-found')
  })

  it('XEP-0045 example 67: a room that is not set up yet says nothing', () => {
    const test = new TestRoom({ isNew: true })
    expect(refusal(test, () => test.asks(hag, 'get', info()))).toBe('item-not-found')
    test.enters(crone, 'firstwitch')
    expect(refusal(test, () => test.asks(hag, 'get', info()))).toBe('item-not-found')
    expect(refusal(test, () => test.asks(crone, 'get', info()))).toBe('nothing')
  })
})

describe('the face of a room (XEP-0486)', () => {
  // "avatar" in base64, and its SHA-1
  const vcard = '<vCard xmlns="vcard-temp"><PHOTO><TYPE>image/png</TYPE><BINVAL>YXZhdGFy</BINVAL></PHOTO></vCard>'
  const update = (hash: string) =>
    `<presence from="${coven}"><x xmlns="vcard-temp:x:update"><photo>${hash}</photo></x></presence>`
  const photo = '9c3bb49ffea1144231cbe02d904b8d9018744e9d'

  it('an owner sets it, all hear of it, who enters later too, and everybody may look', () => {
    const test = TestRoom.withWitches()
    const told = test.asks(crone, 'set', vcard)
    told.shows(
      hag,
      update(photo),
      '<message type="groupchat"><x xmlns="http://jabber.org/protocol/muc#user"><status code="104"/></x></message>',
    )
    test.restarts()
    test.asks(hecate, 'get', '<vCard xmlns="vcard-temp"/>').shows(hecate, `<iq type="result">${vcard}</iq>`)
    test
      .enters(hecate, 'hecate')
      .shows(hecate, `<presence from="${coven}/hecate"/>`, update(photo), '<message><subject/></message>')
    test
      .asks(hecate, 'get', info())
      .shows(
        hecate,
        `<iq><query xmlns="http://jabber.org/protocol/disco#info"><x xmlns="jabber:x:data"><field var="muc#roominfo_avatarhash"><value>${photo}</value></field></x></query></iq>`,
      )
    test
      .asks(crone, 'set', '<vCard xmlns="vcard-temp"/>')
      .shows(hag, `<presence from="${coven}"><x xmlns="vcard-temp:x:update"><photo/></x></presence>`)
  })

  it('nobody else does, and what is the same is no news', () => {
    const test = TestRoom.withWitches()
    expect(refusal(test, () => test.asks(hag, 'set', vcard))).toBe('forbidden')
    test.asks(crone, 'set', vcard)
    expect(test.asks(crone, 'set', vcard).of(hag)).toEqual([])
  })
})
