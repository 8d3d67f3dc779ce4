import { describe, expect, it } from 'vitest'
import { bare, coven, crone, hag, hecate, NS_USER, refusal, TestRoom, wiccarocks } from '../../support/room.js'

const presence = (nick: string, x: string, type = '') =>
  `<presence from="${coven}/${nick}"${type && ` type="${type}"`}><x xmlns="${NS_USER}">${x}</x></presence>`

describe('entering a room (XEP-0045 §7.2)', () => {
  it('XEP-0045 examples 18, 20, 21: who enters sees the others, and all see him; only he has status 110', () => {
    const test = new TestRoom({ affiliations: { [wiccarocks]: 'admin' } })
    test.enters(crone, 'firstwitch')
    test.enters(wiccarocks, 'secondwitch')
    test
      .enters(hag, 'thirdwitch')
      .shows(
        hag,
        presence('firstwitch', '<item affiliation="owner" role="moderator"/>'),
        presence('secondwitch', '<item affiliation="admin" role="moderator"/>'),
        presence('thirdwitch', '<item affiliation="none" role="participant"/><status code="110"/>'),
        `<message from="${coven}" type="groupchat"><subject/></message>`,
      )
      .shows(crone, presence('thirdwitch', `<item affiliation="none" role="participant" jid="${hag}"/>`))
      .hides(crone, presence('thirdwitch', '<status code="110"/>'))
  })

  it('XEP-0045 example 19: without a nick nobody enters', () => {
    const test = new TestRoom()
    const join = `<presence from="${hag}" to="${coven}"><x xmlns="http://jabber.org/protocol/muc"/></presence>`
    expect(refusal(test, () => test.take(join))).toBe('jid-malformed')
    expect(refusal(test, () => test.enters(hag, ' '))).toBe('jid-malformed')
  })

  it('XEP-0045 §7.2.4: a semi-anonymous room shows real JIDs to moderators, and to each his own', () => {
    const test = TestRoom.withWitches()
    test
      .enters(hecate, 'hecate')
      .shows(wiccarocks, presence('hecate', `<item jid="${hecate}"/>`))
      .shows(hag, presence('hecate', '<item role="participant"/>'))
      .hides(hag, presence('hecate', `<item jid="${hecate}"/>`))
      .shows(hecate, presence('hecate', `<item jid="${hecate}"/>`))
      .hides(hecate, presence('firstwitch', `<item jid="${crone}"/>`))
  })

  it('XEP-0045 examples 22, 23: a non-anonymous room shows real JIDs to all, and says so with status 100', () => {
    const test = TestRoom.withWitches({ config: { whois: 'anyone' } })
    test
      .enters(hecate, 'hecate')
      .shows(hag, presence('hecate', `<item jid="${hecate}"/>`))
      .shows(
        hecate,
        presence('firstwitch', `<item jid="${crone}"/>`),
        presence('hecate', '<status code="100"/><status code="110"/>'),
      )
  })

  it('XEP-0045 example 24, §7.2.12: a logged room says so with status 170', () => {
    const test = new TestRoom({ config: { isLogged: true } })
    test.enters(crone, 'firstwitch').shows(crone, presence('firstwitch', '<status code="170"/>'))
  })

  it('XEP-0045 examples 25, 26: a room with a password wants it', () => {
    const test = new TestRoom({ config: { isPasswordProtected: true, password: 'cauldronburn' } })
    expect(refusal(test, () => test.enters(hag, 'thirdwitch'))).toBe('not-authorized')
    expect(refusal(test, () => test.enters(hag, 'thirdwitch', '<password>burn</password>'))).toBe('not-authorized')
    test
      .enters(hag, 'thirdwitch', '<password>cauldronburn</password>')
      .shows(hag, presence('thirdwitch', '<status code="110"/>'))
  })

  it('XEP-0045 example 27: a members-only room is for members only', () => {
    const test = new TestRoom({ config: { isMembersOnly: true }, affiliations: { [wiccarocks]: 'member' } })
    expect(refusal(test, () => test.enters(hag, 'thirdwitch'))).toBe('registration-required')
    test.enters(wiccarocks, 'secondwitch').shows(wiccarocks, presence('secondwitch', '<item affiliation="member"/>'))
  })

  it('XEP-0045 example 28: an outcast stays out, and so do the users of an outcast server', () => {
    const test = new TestRoom({ affiliations: { [hag]: 'outcast', 'mordor.lit': 'outcast' } })
    expect(refusal(test, () => test.enters(hag, 'thirdwitch'))).toBe('forbidden')
    expect(refusal(test, () => test.enters('sauron@mordor.lit/eye', 'eye'))).toBe('forbidden')
  })

  it('XEP-0045 example 29: a nick is one user’s', () => {
    const test = TestRoom.withWitches()
    expect(refusal(test, () => test.enters(hecate, 'thirdwitch'))).toBe('conflict')
  })

  it('XEP-0045 §7.2.8: one user’s sessions share a nick, and each gets all that is said', () => {
    const test = TestRoom.withWitches()
    const phone = `${bare(hag)}/phone`
    test
      .enters(phone, 'thirdwitch')
      .shows(phone, presence('firstwitch', '<item/>'), presence('thirdwitch', '<status code="110"/>'))
    const told = test.says(phone, 'Hail')
    for (const jid of [phone, hag, crone])
      told.shows(jid, `<message from="${coven}/thirdwitch"><body>Hail</body></message>`)
    expect(test.room.occupantCount).toBe(3)
    // The others do not even notice that one of them goes.
    const gone = test.take(`<presence from="${hag}" to="${coven}/thirdwitch" type="unavailable"/>`)
    gone.shows(hag, presence('thirdwitch', '<status code="110"/>', 'unavailable'))
    expect(gone.of(crone)).toEqual([])
    const strict = TestRoom.withWitches({ config: { mayShareNick: false } })
    expect(refusal(strict, () => strict.enters(phone, 'thirdwitch'))).toBe('conflict')
  })

  it('XEP-0045 example 30: a full room lets in nobody but some admins and owners', () => {
    const test = new TestRoom({
      config: { maxUsers: 1 },
      limits: { adminThreshold: 1 },
      affiliations: { [wiccarocks]: 'admin', [hecate]: 'owner' },
    })
    test.enters(hag, 'thirdwitch')
    expect(refusal(test, () => test.enters('third@shakespeare.lit/x', 'third'))).toBe('service-unavailable')
    test.enters(wiccarocks, 'secondwitch')
    expect(refusal(test, () => test.enters(hecate, 'hecate'))).toBe('service-unavailable')
    // One more session of who is inside takes no space.
    test.enters(`${bare(hag)}/phone`, 'thirdwitch')
  })

  it('XEP-0045 example 31: nobody enters a room that its owner has not set up', () => {
    const test = new TestRoom({ isNew: true })
    test.enters(crone, 'firstwitch')
    expect(refusal(test, () => test.enters(hag, 'thirdwitch'))).toBe('item-not-found')
  })

  it('XEP-0045 examples 42, 43: presence without an `x` from outside is answered with a kick', () => {
    const test = new TestRoom()
    test
      .take(`<presence from="${hag}" to="${coven}/thirdwitch"/>`)
      .shows(hag, presence('thirdwitch', '<status code="110"/><status code="307"/><status code="333"/>', 'unavailable'))
    expect(test.room.isEmpty).toBe(true)
  })

  it('XEP-0045 §7.2.1: who enters again gets everything anew', () => {
    const test = TestRoom.withWitches()
    test
      .enters(hag, 'thirdwitch')
      .shows(
        hag,
        presence('firstwitch', '<item/>'),
        presence('thirdwitch', '<status code="110"/>'),
        '<message><subject/></message>',
      )
    expect(test.room.occupantCount).toBe(3)
  })

  it('XEP-0421: everybody’s presence has an occupant id, the same under every nick, and never one of his own making', () => {
    const test = new TestRoom()
    const forged = '<occupant-id xmlns="urn:xmpp:occupant-id:0" id="forged"/>'
    const idIn = (told: ReturnType<TestRoom['take']>) =>
      told
        .of(hag)
        .at(-1)!
        .getChildren('occupant-id')
        .map(child => child.attrs.id)
    const muc = '<x xmlns="http://jabber.org/protocol/muc"/>'
    const entered = test.take(`<presence from="${hag}" to="${coven}/thirdwitch">${muc}${forged}</presence>`)
    const [id] = entered
      .of(hag)[0]!
      .getChildren('occupant-id')
      .map(child => child.attrs.id)
    expect(id).toMatch(/^[0-9a-f]{64}$/)
    expect(idIn(test.take(`<presence from="${hag}" to="${coven}/oldhag">${forged}</presence>`))).toEqual([id])
    test.restarts()
    expect(test.room.occupantId(test.room.occupants[0]!.jids[0]!)).toBe(id)
  })

  it('XEP-0045 §7.2.3: roles whose presence is not broadcast are seen by nobody else', () => {
    const test = TestRoom.withWitches({ config: { presenceBroadcast: ['moderator'] } })
    const told = test.enters(hecate, 'hecate')
    told.shows(hecate, presence('hecate', '<status code="110"/>'))
    told.hides(hecate, presence('thirdwitch', '<item/>'))
    expect(told.of(crone)).toEqual([])
    test
      .administers(crone, '<item nick="hecate" role="moderator"/>')
      .shows(hag, presence('hecate', '<item role="moderator"/>'))
    test
      .administers(crone, '<item nick="hecate" role="participant"/>')
      .shows(hag, presence('hecate', '<item role="none"/>', 'unavailable'))
      .shows(hecate, presence('hecate', '<item role="participant"/>'))
  })
})

describe('history (XEP-0045 §7.2.13, §7.2.14)', () => {
  function spoken(): TestRoom {
    const test = TestRoom.withWitches()
    for (const body of ['one', 'two', 'three']) {
      test.says(hag, body)
      test.now += 60_000
    }
    return test
  }
  const bodies = (test: TestRoom, history: string) =>
    test
      .enters(hecate, 'hecate', history)
      .of(hecate)
      .flatMap(stanza => stanza.getChildText('body') ?? [])

  it('XEP-0045 example 33: messages come delayed, from their authors, before the subject', () => {
    const test = spoken()
    const stamp = '2026-03-01T12:00:00.000Z'
    test
      .enters(hecate, 'hecate')
      .shows(
        hecate,
        presence('hecate', '<status code="110"/>'),
        `<message from="${coven}/thirdwitch" type="groupchat"><body>one</body><occupant-id xmlns="urn:xmpp:occupant-id:0"/><delay xmlns="urn:xmpp:delay" from="${coven}" stamp="${stamp}"/></message>`,
        '<message><body>three</body></message>',
        '<message><subject/></message>',
      )
  })

  it.each([
    ['36: maxstanzas', '<history maxstanzas="2"/>', ['two', 'three']],
    ['37: seconds', '<history seconds="130"/>', ['two', 'three']],
    ['38: since the Unix era', '<history since="1970-01-01T00:00:00Z"/>', ['one', 'two', 'three']],
    ['39: none', '<history maxchars="0"/>', []],
    ['38: since', '<history since="2026-03-01T12:02:00Z"/>', ['three']],
    ['of all limits the narrowest', '<history maxstanzas="3" seconds="70"/>', ['three']],
  ])('XEP-0045 example %s', (_, history, expected) => {
    expect(bodies(spoken(), history)).toEqual(expected)
  })

  it('XEP-0045 example 35: maxchars counts whole stanzas', () => {
    const length = spoken()
      .enters(hecate, 'hecate')
      .effects.deliveries.map(({ stanza }) => stanza)
      .find(stanza => stanza.toString().includes('three'))!
      .toString().length
    expect(bodies(spoken(), `<history maxchars="${length}"/>`)).toEqual(['three'])
    expect(bodies(spoken(), `<history maxchars="${length - 1}"/>`)).toEqual([])
  })

  it.each(['maxstanzas="-1"', 'seconds="soon"', 'since="yesterday"'])('refuses <history %s/>', attribute => {
    const test = spoken()
    expect(refusal(test, () => test.enters(hecate, 'hecate', `<history ${attribute}/>`))).toBe('bad-request')
  })

  it('keeps as many messages as the operator says, and gives as many as the owner says', () => {
    const test = TestRoom.withWitches({ limits: { historySize: 3 }, config: { maxHistory: 2 } })
    for (const body of ['1', '2', '3', '4']) test.says(hag, body)
    expect(bodies(test, '')).toEqual(['3', '4'])
    expect(test.room.snapshot().history).toHaveLength(3)
    const silent = TestRoom.withWitches({ limits: { historySize: 0 } })
    silent.says(hag, '1')
    expect(bodies(silent, '')).toEqual([])
  })

  it('outlives the room’s actor', () => {
    const test = spoken()
    test.restarts()
    expect(bodies(test, '')).toEqual(['one', 'two', 'three'])
  })
})

describe('presence of occupants', () => {
  it('XEP-0045 examples 54, 55: a changed presence goes to all', () => {
    const test = TestRoom.withWitches()
    test
      .take(`<presence from="${hag}" to="${coven}/thirdwitch"><show>xa</show><status>gone</status></presence>`)
      .shows(
        crone,
        `<presence from="${coven}/thirdwitch"><show>xa</show><status>gone</status><x xmlns="${NS_USER}"><item jid="${hag}"/></x></presence>`,
      )
      .shows(hag, '<presence><show>xa</show></presence>')
    // Who comes later sees it too.
    test.enters(hecate, 'hecate').shows(hecate, `<presence from="${coven}/thirdwitch"><show>xa</show></presence>`)
  })

  it('hides the status of visitors where the room says so', () => {
    const test = TestRoom.withWitches({
      config: { mayVisitorsShowStatus: false, hasVoiceByDefault: false },
    })
    test
      .take(`<presence from="${hag}" to="${coven}/thirdwitch"><show>xa</show><status>spam</status></presence>`)
      .shows(crone, '<presence><show>xa</show></presence>')
      .hides(crone, '<presence><status>spam</status></presence>')
  })

  it('passes no `x` of a room on that an occupant made up', () => {
    const test = TestRoom.withWitches()
    const forged = `<x xmlns="${NS_USER}"><status code="307"/></x>`
    test
      .take(`<presence from="${hag}" to="${coven}/thirdwitch">${forged}</presence>`)
      .hides(crone, presence('thirdwitch', '<status code="307"/>'))
  })

  it('XEP-0045 examples 49, 50: a change of nick is a departure with status 303, and an arrival', () => {
    const test = TestRoom.withWitches()
    const told = test.take(`<presence from="${hag}" to="${coven}/oldhag"/>`)
    for (const jid of [hag, crone, wiccarocks]) {
      told.shows(
        jid,
        presence('thirdwitch', '<item nick="oldhag" role="participant"/><status code="303"/>', 'unavailable'),
        presence('oldhag', '<item role="participant"/>'),
      )
    }
    told.shows(hag, presence('oldhag', '<status code="110"/>'))
    expect(test.room.occupants.map(({ nick }) => nick).sort()).toEqual(['firstwitch', 'oldhag', 'secondwitch'])
  })

  it('XEP-0045 example 52: a nick that somebody has or has reserved is none to change to', () => {
    const test = TestRoom.withWitches()
    const register = '<field var="FORM_TYPE"><value>http://jabber.org/protocol/muc#register</value></field>'
    const nick = '<field var="muc#register_roomnick"><value>hecate</value></field>'
    test.asks(
      hecate,
      'set',
      `<query xmlns="jabber:iq:register"><x xmlns="jabber:x:data" type="submit">${register}${nick}</x></query>`,
    )
    const change = (to: string) => refusal(test, () => test.take(`<presence from="${hag}" to="${coven}/${to}"/>`))
    expect(change('firstwitch')).toBe('conflict')
    expect(change('hecate')).toBe('conflict')
    expect(change('oldhag')).toBe('nothing')
  })

  it('XEP-0045 example 53: where nicks are locked down, users have those that they registered', () => {
    const test = TestRoom.withWitches({ config: { hasLockedNicks: true } })
    const register = '<field var="FORM_TYPE"><value>http://jabber.org/protocol/muc#register</value></field>'
    const nick = '<field var="muc#register_roomnick"><value>hecate</value></field>'
    const submit = `<x xmlns="jabber:x:data" type="submit">${register}${nick}</x>`
    test.asks(hecate, 'set', `<query xmlns="jabber:iq:register">${submit}</query>`)
    test.enters(hecate, 'goddess').shows(hecate, presence('hecate', '<status code="110"/><status code="210"/>'))
    expect(refusal(test, () => test.take(`<presence from="${hecate}" to="${coven}/moon"/>`))).toBe('not-acceptable')
  })

  it('keeps visitors to their nicks where the room says so', () => {
    const test = TestRoom.withWitches({ config: { mayVisitorsChangeNick: false, hasVoiceByDefault: false } })
    expect(refusal(test, () => test.take(`<presence from="${hag}" to="${coven}/oldhag"/>`))).toBe('not-allowed')
  })

  it('one of two sessions goes on under another nick, and comes back', () => {
    const test = TestRoom.withWitches()
    const phone = `${bare(hag)}/phone`
    test.enters(phone, 'thirdwitch')
    test
      .take(`<presence from="${phone}" to="${coven}/oldhag"/>`)
      .shows(
        phone,
        presence('thirdwitch', '<status code="303"/>', 'unavailable'),
        presence('oldhag', '<status code="110"/>'),
      )
      .shows(crone, presence('oldhag', '<item/>'))
      .hides(crone, presence('thirdwitch', '<status code="303"/>', 'unavailable'))
    expect(test.room.occupantCount).toBe(4)
    test
      .take(`<presence from="${phone}" to="${coven}/thirdwitch"/>`)
      .shows(crone, presence('oldhag', '<status code="303"/>', 'unavailable'))
    expect(test.room.occupantCount).toBe(3)
  })
})

describe('leaving (XEP-0045 §7.14)', () => {
  it('XEP-0045 examples 80 to 83: who leaves is told first, with status 110, the others with his last words', () => {
    const test = TestRoom.withWitches()
    const told = test.take(
      `<presence from="${hag}" to="${coven}/thirdwitch" type="unavailable"><status>gone where the goblins go</status></presence>`,
    )
    told.shows(
      hag,
      `<presence type="unavailable"><status>gone where the goblins go</status><x xmlns="${NS_USER}"><item role="none"/><status code="110"/></x></presence>`,
    )
    told.shows(
      crone,
      `<presence from="${coven}/thirdwitch" type="unavailable"><status>gone where the goblins go</status><x xmlns="${NS_USER}"><item affiliation="none" role="none"/></x></presence>`,
    )
    expect(told.all[0]!.to).toBe(hag)
    expect(test.roleOf('thirdwitch')).toBeUndefined()
  })

  it('XEP-0045 §7.14: a temporary room ends with its last occupant, a persistent one stays', () => {
    for (const isPersistent of [true, false]) {
      const test = new TestRoom({ config: { isPersistent } })
      test.enters(hag, 'thirdwitch')
      const told = test.take(`<presence from="${hag}" to="${coven}/thirdwitch" type="unavailable"/>`)
      expect(told.effects.isDestroyed).toBe(!isPersistent)
    }
  })

  it('XEP-0045 examples 205, 206: an occupant whom nothing reaches is out, with status 333 and without 307', () => {
    const test = TestRoom.withWitches()
    const error = (condition: string) =>
      `<message from="${hag}" to="${coven}/firstwitch" type="error"><error type="cancel"><${condition} xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error></message>`
    test.take(error('not-acceptable')).shows(crone, `<message from="${coven}/thirdwitch" type="error"/>`)
    expect(test.roleOf('thirdwitch')).toBe('participant')
    test
      .take(error('remote-server-not-found'))
      .shows(crone, presence('thirdwitch', '<item role="none"/><status code="333"/>', 'unavailable'))
      .hides(crone, presence('thirdwitch', '<status code="307"/>', 'unavailable'))
      .shows(hag, presence('thirdwitch', '<status code="110"/><status code="333"/>', 'unavailable'))
    // Nothing comes of the next one.
    expect(test.take(error('remote-server-not-found')).all).toEqual([])
  })

  it('XEP-0045 example 207: at a shutdown everybody hears of himself only, with 110 and 332', () => {
    const test = TestRoom.withWitches({ config: { isPersistent: true } })
    const { deliveries, isDestroyed } = test.room.shutDown()
    expect(deliveries.map(({ to }) => to.map(String))).toEqual([[crone], [wiccarocks], [hag]])
    for (const { stanza } of deliveries) {
      expect(stanza.toString()).toMatch(
        /<item affiliation="none" role="none"[^>]*\/><status code="110"\/><status code="332"\/>/,
      )
    }
    expect([test.room.isEmpty, isDestroyed]).toEqual([true, false])
  })

  it('a room that starts again knows who was inside, and tells them to enter anew', () => {
    const test = TestRoom.withWitches({ config: { isPersistent: true } })
    test.restarts()
    expect(test.roleOf('thirdwitch')).toBe('participant')
    test.says(hag, 'still here?').shows(crone, '<message><body>still here?</body></message>')
    expect(test.room.shutDown().deliveries.flatMap(({ to }) => to.map(String))).toEqual([crone, wiccarocks, hag])
  })
})
