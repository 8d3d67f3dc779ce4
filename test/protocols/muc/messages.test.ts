import { describe, expect, it } from 'vitest'
import { bare, coven, crone, hag, hecate, NS_USER, refusal, TestRoom, wiccarocks } from '../../support/room.js'

describe('messages to everybody (XEP-0045 §7.4)', () => {
  it('XEP-0045 examples 44, 45: a message goes to all from its author’s nick, with the id that it had', () => {
    const test = TestRoom.withWitches()
    const told = test.says(hag, 'Harpier cries: ’tis time, ’tis time.')
    for (const jid of [crone, wiccarocks, hag]) {
      told.shows(
        jid,
        `<message from="${coven}/thirdwitch" to="${jid}" type="groupchat" id="m1"><body>Harpier cries: ’tis time, ’tis time.</body></message>`,
      )
    }
  })

  it('is one stanza for all occupants, and the list of them is the same until somebody comes or goes', () => {
    const test = TestRoom.withWitches()
    const [first, second] = [test.says(hag, 'one'), test.says(crone, 'two')]
    expect(first.effects.deliveries).toHaveLength(1)
    expect(second.effects.deliveries[0]!.to).toBe(first.effects.deliveries[0]!.to)
  })

  it('XEP-0045 §7.4: without voice in a moderated room nobody is heard, from outside neither', () => {
    const test = TestRoom.withWitches({ config: { hasVoiceByDefault: false } })
    expect(refusal(test, () => test.says(hag, 'I have a pilot’s thumb'))).toBe('forbidden')
    expect(refusal(test, () => test.says(hecate, 'Saucy and overbold'))).toBe('not-acceptable')
    test.room.configure({ isModerated: false })
    test.says(hag, 'in an unmoderated room').shows(crone, '<message><body>in an unmoderated room</body></message>')
  })

  it('XEP-0359, XEP-0421: it gets the ids of the room, and loses those that its author made up', () => {
    const test = TestRoom.withWitches()
    const forged =
      `<stanza-id xmlns="urn:xmpp:sid:0" by="${coven}" id="forged"/><stanza-id xmlns="urn:xmpp:sid:0" by="other@x" id="kept"/>` +
      `<occupant-id xmlns="urn:xmpp:occupant-id:0" id="forged"/><x xmlns="${NS_USER}"><status code="307"/></x>` +
      `<delay xmlns="urn:xmpp:delay" from="${coven}" stamp="2002-10-13T23:58:37Z"/>` +
      '<delay xmlns="urn:xmpp:delay" from="crone1@shakespeare.lit" stamp="2002-10-13T23:58:37Z"/>'
    for (const more of ['', forged]) {
      const [message] = test.says(hag, 'Hail', more).of(crone)
      const ids = message!.getChildren('stanza-id').filter(child => child.attrs.by === coven)
      expect(ids.map(child => child.attrs.id)).toEqual([more === '' ? 'id-1' : 'id-2'])
      expect(message!.getChildren('occupant-id').map(child => child.attrs.id)).toEqual([
        test.room.occupantId(test.room.occupants[2]!.jids[0]!),
      ])
      expect(message!.getChild('x')).toBeUndefined()
      expect(message!.getChildren('stanza-id')).toHaveLength(more === '' ? 1 : 2)
      // A one-to-one chat may be continued with its history. XEP-0045 example 62
      expect(message!.getChildren('delay')).toHaveLength(more === '' ? 0 : 1)
    }
  })

  it('goes to the archive as the occupants get it, unless the message or the room says otherwise', () => {
    const test = TestRoom.withWitches()
    const { archived } = test.says(hag, 'Hail').effects
    expect(archived).toMatchObject([{ id: 'id-1', at: test.now, sender: bare(hag) }])
    expect(archived[0]!.stanza.toString()).toContain('id="id-1"')
    const noStore = '<no-store xmlns="urn:xmpp:hints"/>'
    const unstored = test.says(hag, 'psst', noStore)
    expect(unstored.effects.archived).toEqual([])
    unstored
      .shows(crone, '<message><body>psst</body></message>')
      .hides(crone, '<message><stanza-id xmlns="urn:xmpp:sid:0"/></message>')
    const off = TestRoom.withWitches({ config: { isArchived: false } })
    const told = off.says(hag, 'Hail')
    expect(told.effects.archived).toEqual([])
    expect([...told.effects.changed]).toEqual(['history'])
  })

  it('refuses a message that says nothing, and one that is no group chat', () => {
    const test = TestRoom.withWitches()
    const message = (type: string, content: string) =>
      refusal(test, () => test.take(`<message from="${hag}" to="${coven}" type="${type}">${content}</message>`))
    expect(message('groupchat', '')).toBe('bad-request')
    const lie = `<x xmlns="${NS_USER}"/>`
    expect(message('groupchat', lie)).toBe('bad-request')
    for (const content of ['', lie]) {
      const whisper = `<message from="${hag}" to="${coven}/firstwitch" type="chat">${content}</message>`
      expect(refusal(test, () => test.take(whisper))).toBe('bad-request')
    }
    expect(message('chat', '<body>Hail</body>')).toBe('bad-request')
    expect(message('normal', '<body>Hail</body>')).toBe('bad-request')
  })
})

describe('the subject (XEP-0045 §7.2.15, §8.1)', () => {
  const subject = (text: string, from = hag, more = '') =>
    `<message from="${from}" to="${coven}" type="groupchat"><subject>${text}</subject>${more}</message>`

  it('XEP-0045 examples 84, 85, 40: a change goes to all, and to who enters later with its time, behind the history', () => {
    const test = TestRoom.withWitches()
    const told = test.take(subject('Fire Burn and Cauldron Bubble!'))
    told.shows(
      crone,
      `<message from="${coven}/thirdwitch" type="groupchat"><subject>Fire Burn and Cauldron Bubble!</subject></message>`,
    )
    expect([...told.effects.changed]).toEqual(['subject'])
    test.now += 1000
    test.says(hag, 'Hail')
    test.restarts()
    test
      .enters(hecate, 'hecate')
      .shows(
        hecate,
        '<message><body>Hail</body></message>',
        `<message from="${coven}/thirdwitch" type="groupchat"><subject>Fire Burn and Cauldron Bubble!</subject><delay xmlns="urn:xmpp:delay" from="${coven}" stamp="2026-03-01T12:00:00.000Z"/></message>`,
      )
    expect(test.room.subject).toBe('Fire Burn and Cauldron Bubble!')
  })

  it('XEP-0045 example 41: without a subject an empty one is told', () => {
    new TestRoom()
      .enters(hag, 'thirdwitch')
      .shows(hag, `<message from="${coven}" type="groupchat"><subject/></message>`)
  })

  it('XEP-0045 example 87: where occupants may not, moderators change it, and nobody from outside', () => {
    const test = TestRoom.withWitches({ config: { mayChangeSubject: false } })
    expect(refusal(test, () => test.take(subject('Mine')))).toBe('forbidden')
    expect(refusal(test, () => test.take(subject('Mine', hecate)))).toBe('not-acceptable')
    test.take(subject('Ours', wiccarocks)).shows(hag, '<message><subject>Ours</subject></message>')
    const quiet = TestRoom.withWitches({ config: { hasVoiceByDefault: false } })
    expect(refusal(quiet, () => quiet.take(subject('Mine')))).toBe('forbidden')
  })

  it('XEP-0045 example 88: an empty subject is no subject any more', () => {
    const test = TestRoom.withWitches()
    test.take(subject('Something'))
    test.take(subject(''))
    expect(test.room.subject).toBe('')
    test.enters(hecate, 'hecate').shows(hecate, '<message><subject/><delay xmlns="urn:xmpp:delay"/></message>')
  })

  it.each(['<body>Hail</body>', '<thread>t</thread>'])(
    'XEP-0045 §8.1: with %s too it is a message, and no change',
    more => {
      const test = TestRoom.withWitches()
      test.take(subject('Not one', hag, more)).shows(crone, '<message><subject>Not one</subject></message>')
      expect(test.room.subject).toBe('')
    },
  )
})

describe('private messages (XEP-0045 §7.5)', () => {
  const message = (to: string, type = 'chat', from = wiccarocks) =>
    `<message from="${from}" to="${coven}/${to}" id="p1" type="${type}"><body>I’ll give thee a wind.</body></message>`

  it('XEP-0045 examples 46, 47: it goes to every session of the one who is meant, marked as what it is', () => {
    const test = TestRoom.withWitches()
    const phone = `${bare(crone)}/phone`
    test.enters(phone, 'firstwitch')
    const told = test.take(message('firstwitch'))
    for (const jid of [crone, phone]) {
      told.shows(
        jid,
        `<message from="${coven}/secondwitch" to="${jid}" id="p1" type="chat"><body>I’ll give thee a wind.</body><x xmlns="${NS_USER}"/><occupant-id xmlns="urn:xmpp:occupant-id:0"/></message>`,
      )
    }
    expect(told.of(hag)).toEqual([])
    expect(told.effects.archived).toEqual([])
  })

  it('XEP-0045 example 48: it is no group chat', () => {
    const test = TestRoom.withWitches()
    expect(refusal(test, () => test.take(message('firstwitch', 'groupchat')))).toBe('bad-request')
  })

  it('XEP-0045 §7.5: it goes to an occupant, and from one', () => {
    const test = TestRoom.withWitches()
    expect(refusal(test, () => test.take(message('nobody')))).toBe('item-not-found')
    expect(refusal(test, () => test.take(message('firstwitch', 'chat', hecate)))).toBe('not-acceptable')
  })

  it('XEP-0421: an error that comes back for one has the occupant id of who sends it, and none of his own making', () => {
    const test = TestRoom.withWitches()
    const forged = '<occupant-id xmlns="urn:xmpp:occupant-id:0" id="forged"/>'
    const error = '<error type="cancel"><not-acceptable xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error>'
    for (const more of ['', forged]) {
      const [told] = test
        .take(`<message from="${hag}" to="${coven}/secondwitch" id="p1" type="error">${more}${error}</message>`)
        .shows(wiccarocks, `<message from="${coven}/thirdwitch" id="p1" type="error">${error}</message>`)
        .of(wiccarocks)
      const id = test.room.occupantId(test.room.occupants[2]!.jids[0]!)
      expect(told!.getChildren('occupant-id').map(child => child.attrs.id)).toEqual([id])
    }
  })

  it.each([
    ['anyone', 'nothing', 'nothing', 'nothing'],
    ['participants', 'forbidden', 'nothing', 'nothing'],
    ['moderators', 'forbidden', 'forbidden', 'nothing'],
    ['none', 'forbidden', 'forbidden', 'forbidden'],
  ] as const)(
    'allowpm %s: visitor %s, participant %s, moderator %s',
    (privateMessages, visitor, participant, moderator) => {
      const test = TestRoom.withWitches({ config: { privateMessages, hasVoiceByDefault: false } })
      const write = (from: string) => refusal(test, () => test.take(message('firstwitch', 'chat', from)))
      expect(write(hag)).toBe(visitor)
      test.administers(crone, '<item nick="thirdwitch" role="participant"/>')
      expect(write(hag)).toBe(participant)
      expect(write(wiccarocks)).toBe(moderator)
    },
  )
})

describe('IQs between occupants', () => {
  const request = (from: string, nick: string, payload: string, type = 'get') =>
    `<iq from="${from}" to="${coven}/${nick}" id="v1" type="${type}">${payload}</iq>`
  const version = '<query xmlns="jabber:iq:version"/>'
  const ping = '<ping xmlns="urn:xmpp:ping"/>'

  it('goes to the occupant, and the answer comes back, both from nicks', () => {
    const test = TestRoom.withWitches()
    test
      .take(request(hag, 'firstwitch', version))
      .shows(crone, `<iq from="${coven}/thirdwitch" id="v1" type="get">${version}</iq>`)
    test
      .take(request(crone, 'thirdwitch', version, 'result'))
      .shows(hag, `<iq from="${coven}/firstwitch" id="v1" type="result">${version}</iq>`)
  })

  it('answers go to the session that asked', () => {
    const test = TestRoom.withWitches()
    const phone = `${bare(hag)}/phone`
    test.enters(phone, 'thirdwitch')
    for (const asking of [hag, phone]) {
      test.take(request(asking, 'firstwitch', version))
      const told = test.take(request(crone, 'thirdwitch', version, 'result'))
      expect(told.all.map(({ to }) => to)).toEqual([asking])
    }
  })

  it('a vCard is asked of the account', () => {
    const test = TestRoom.withWitches()
    const vcard = '<vCard xmlns="vcard-temp"/>'
    test
      .take(request(hag, 'firstwitch', vcard))
      .shows(bare(crone), `<iq from="${coven}/thirdwitch" type="get">${vcard}</iq>`)
    test
      .take(request(bare(crone), 'thirdwitch', vcard, 'result'))
      .shows(hag, `<iq from="${coven}/firstwitch" type="result">${vcard}</iq>`)
  })

  it('nobody from outside asks or answers, and nobody is asked who is not inside', () => {
    const test = TestRoom.withWitches()
    expect(refusal(test, () => test.take(request(hecate, 'firstwitch', version)))).toBe('not-acceptable')
    expect(refusal(test, () => test.take(request(hag, 'nobody', version)))).toBe('item-not-found')
    expect(test.take(request(hecate, 'firstwitch', '', 'result')).all).toEqual([])
    expect(test.take(request(hag, 'nobody', '', 'result')).all).toEqual([])
    const closed = TestRoom.withWitches({ config: { mayQueryUsers: false } })
    expect(refusal(closed, () => closed.take(request(hag, 'firstwitch', version)))).toBe('not-allowed')
    closed.take(request(hag, 'thirdwitch', ping)).shows(hag, '<iq type="result"/>')
  })

  it('XEP-0410: a ping of oneself is answered by the room; who is not inside hears not-acceptable', () => {
    const test = TestRoom.withWitches()
    const told = test.take(request(hag, 'thirdwitch', ping))
    expect(told.all.map(({ to }) => to)).toEqual([hag])
    told.shows(hag, `<iq from="${coven}/thirdwitch" id="v1" type="result"/>`)
    expect(refusal(test, () => test.take(request(hecate, 'thirdwitch', ping)))).toBe('not-acceptable')
    // Under another nick than the client thinks.
    expect(refusal(test, () => test.take(request(hag, 'oldhag', ping)))).toBe('item-not-found')
    test.take(request(hag, 'firstwitch', ping)).shows(crone, `<iq from="${coven}/thirdwitch">${ping}</iq>`)
  })

  it('leaves to others what is asked of the room and is not its business', () => {
    const test = TestRoom.withWitches()
    expect(() => test.asks(hag, 'get', '<query xmlns="urn:xmpp:mam:2"/>')).toThrow('none of the room’s business')
    expect(refusal(test, () => test.asks(hag, 'get', '<other xmlns="http://jabber.org/protocol/disco#info"/>'))).toBe(
      'bad-request',
    )
  })
})

describe('messages that are taken back', () => {
  const retract = '<retract xmlns="urn:xmpp:message-retract:1" id="id-1"/>'
  const noted = (test: TestRoom) =>
    test
      .enters(hecate, 'hecate')
      .of(hecate)
      .map(stanza => stanza.getChildText('body'))

  it('XEP-0424: an author’s retraction is passed on, archived, and leaves a tombstone', () => {
    const test = TestRoom.withWitches()
    test.says(hag, 'too much')
    const told = test.says(hag, 'retracted', retract)
    told.shows(crone, `<message from="${coven}/thirdwitch">${retract}</message>`)
    expect(told.effects.archived).toHaveLength(1)
    const [tombstone] = told.effects.tombstones
    expect(tombstone).toMatchObject({ id: 'id-1', author: bare(hag) })
    expect(tombstone!.retracted).toBe(
      '<retracted xmlns="urn:xmpp:message-retract:1" id="m1" stamp="2026-03-01T12:00:00.000Z"/>',
    )
    expect(noted(test)).not.toContain('too much')
  })

  it('XEP-0424 §5: nobody takes back what somebody else said', () => {
    const test = TestRoom.withWitches()
    test.says(hag, 'mine')
    expect(test.says(crone, 'retracted', retract).effects.tombstones).toEqual([])
    expect(noted(test)).toContain('mine')
  })

  it.each([
    [
      'XEP-0425',
      '<moderate xmlns="urn:xmpp:message-moderate:1" id="id-1"><retract xmlns="urn:xmpp:message-retract:1"/><reason>no</reason></moderate>',
    ],
    [
      'XEP-0425 0.2',
      '<apply-to xmlns="urn:xmpp:fasten:0" id="id-1"><moderate xmlns="urn:xmpp:message-moderate:0"><retract xmlns="urn:xmpp:message-retract:0"/><reason>no</reason></moderate></apply-to>',
    ],
  ])('%s: a moderator takes back somebody’s message', (_, request) => {
    const test = TestRoom.withWitches()
    test.says(hag, 'rude')
    const told = test.asks(wiccarocks, 'set', request)
    const by = `${coven}/secondwitch`
    told
      .shows(
        hag,
        `<message from="${coven}" type="groupchat"><retract xmlns="urn:xmpp:message-retract:1" id="id-1"><moderated xmlns="urn:xmpp:message-moderate:1" by="${by}"><occupant-id xmlns="urn:xmpp:occupant-id:0"/></moderated><reason>no</reason></retract></message>`,
      )
      .shows(
        hag,
        `<message><apply-to xmlns="urn:xmpp:fasten:0" id="id-1"><moderated xmlns="urn:xmpp:message-moderate:0" by="${by}"><retract xmlns="urn:xmpp:message-retract:0"/><reason>no</reason></moderated></apply-to></message>`,
      )
      .shows(wiccarocks, '<iq type="result"/>')
    expect(told.effects.tombstones).toMatchObject([{ id: 'id-1', author: undefined }])
    expect(told.effects.archived).toMatchObject([{ id: 'id-2', sender: undefined }])
    expect(noted(test)).not.toContain('rude')
  })

  it('XEP-0425: only moderators do, and only with messages that there are', () => {
    const test = TestRoom.withWitches({ config: { isArchived: false } })
    const moderate = (from: string, id: string) =>
      refusal(test, () =>
        test.asks(
          from,
          'set',
          `<moderate xmlns="urn:xmpp:message-moderate:1" id="${id}"><retract xmlns="urn:xmpp:message-retract:1"/></moderate>`,
        ),
      )
    test.says(crone, 'Hail')
    expect(moderate(hag, 'id-1')).toBe('forbidden')
    expect(moderate(hecate, 'id-1')).toBe('forbidden')
    expect(moderate(wiccarocks, 'id-9')).toBe('item-not-found')
    const nothing = '<moderate xmlns="urn:xmpp:message-moderate:1" id="id-1"/>'
    expect(refusal(test, () => test.asks(wiccarocks, 'set', nothing))).toBe('bad-request')
    expect(moderate(wiccarocks, 'id-1')).toBe('nothing')
  })
})
