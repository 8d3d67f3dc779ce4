import { describe, expect, it } from 'vitest'
import { bare, coven, crone, hag, hecate, NS_USER, refusal, TestRoom, wiccarocks } from '../../support/room.js'

const presence = (nick: string, x: string, type = '') =>
  `<presence from="${coven}/${nick}"${type && ` type="${type}"`}><x xmlns="${NS_USER}">${x}</x></presence>`
const admin = (items: string) =>
  `<iq type="result"><query xmlns="http://jabber.org/protocol/muc#admin">${items}</query></iq>`

describe('kicking (XEP-0045 §8.2)', () => {
  it('XEP-0045 examples 89 to 92: first the kicked one hears of it, then the moderator, then the others', () => {
    const test = TestRoom.withWitches()
    const told = test.administers(wiccarocks, '<item nick="thirdwitch" role="none"><reason>Avaunt!</reason></item>')
    const x =
      '<item affiliation="none" role="none"><actor nick="secondwitch"/><reason>Avaunt!</reason></item><status code="307"/>'
    told
      .shows(hag, presence('thirdwitch', `${x}<status code="110"/>`, 'unavailable'))
      .shows(wiccarocks, '<iq type="result"/>', presence('thirdwitch', x, 'unavailable'))
      .shows(crone, presence('thirdwitch', x, 'unavailable'))
    expect(told.all[0]!.to).toBe(hag)
    expect(told.all[1]!.stanza.getName()).toBe('iq')
    expect(test.roleOf('thirdwitch')).toBeUndefined()
  })

  it('XEP-0045 example 93: nobody kicks who stands higher, and moderators are kicked by admins only', () => {
    const test = TestRoom.withWitches({ affiliations: { [hecate]: 'member' } })
    test.enters(hecate, 'hecate')
    const kick = (from: string, nick: string) =>
      refusal(test, () => test.administers(from, `<item nick="${nick}" role="none"/>`))
    expect(kick(wiccarocks, 'firstwitch')).toBe('not-allowed')
    expect(kick(hag, 'hecate')).toBe('forbidden')
    test.administers(crone, '<item nick="thirdwitch" role="moderator"/>')
    expect(kick(hag, 'hecate')).toBe('not-allowed')
    expect(kick(hag, 'secondwitch')).toBe('not-allowed')
    expect(kick('stranger@x/y', 'hecate')).toBe('forbidden')
    expect(kick(crone, 'nobody')).toBe('item-not-found')
    expect(kick(wiccarocks, 'thirdwitch')).toBe('nothing')
  })

  it('a temporary room ends when the last one is kicked', () => {
    const test = new TestRoom()
    test.enters(hag, 'thirdwitch')
    expect(test.room.kick('thirdwitch').isDestroyed).toBe(true)
  })
})

describe('voice (XEP-0045 §8.3 to §8.6)', () => {
  const quiet = () => TestRoom.withWitches({ config: { hasVoiceByDefault: false } })

  it('XEP-0045 examples 94 to 97: a moderator gives voice', () => {
    const test = quiet()
    expect(test.roleOf('thirdwitch')).toBe('visitor')
    test
      .administers(
        wiccarocks,
        '<item nick="thirdwitch" role="participant"><reason>A worthy witch indeed!</reason></item>',
      )
      .shows(wiccarocks, '<iq type="result"/>', presence('thirdwitch', '<item role="participant"/>'))
      .shows(
        hag,
        presence(
          'thirdwitch',
          '<item role="participant"><reason>A worthy witch indeed!</reason></item><status code="110"/>',
        ),
      )
  })

  it('XEP-0045 examples 98 to 101: a moderator takes voice', () => {
    TestRoom.withWitches()
      .administers(wiccarocks, '<item nick="thirdwitch" role="visitor"/>')
      .shows(crone, presence('thirdwitch', '<item role="visitor"/>'))
  })

  it('XEP-0045 examples 102, 107: never an admin’s or an owner’s, and never that of one’s own level or above', () => {
    const test = TestRoom.withWitches({ affiliations: { [hecate]: 'member', [hag]: 'member' } })
    test.enters(hecate, 'hecate')
    test.administers(crone, '<item nick="thirdwitch" role="moderator"/>')
    const mute = (from: string, nick: string) =>
      refusal(test, () => test.administers(from, `<item nick="${nick}" role="visitor"/>`))
    expect(mute(crone, 'secondwitch')).toBe('not-allowed')
    expect(mute(wiccarocks, 'firstwitch')).toBe('not-allowed')
    expect(mute(hag, 'hecate')).toBe('not-allowed')
    expect(mute(wiccarocks, 'hecate')).toBe('nothing')
  })

  it('XEP-0045 examples 103 to 106: the list of those with voice, and its change, all at once', () => {
    const test = TestRoom.withWitches()
    test.enters(hecate, 'hecate')
    test
      .lists(wiccarocks, '<item role="participant"/>')
      .shows(
        wiccarocks,
        admin(
          `<item nick="thirdwitch" role="participant" affiliation="none" jid="${hag}"/><item nick="hecate" role="participant"/>`,
        ),
      )
    expect(refusal(test, () => test.lists(hag, '<item role="participant"/>'))).toBe('forbidden')
    const items = ['<item nick="thirdwitch" role="visitor"/>', '<item nick="firstwitch" role="visitor"/>']
    expect(refusal(test, () => test.administers(wiccarocks, ...items))).toBe('not-allowed')
    test.administers(wiccarocks, '<item nick="thirdwitch" role="visitor"/>', '<item nick="hecate" role="visitor"/>')
    expect([test.roleOf('thirdwitch'), test.roleOf('hecate')]).toEqual(['visitor', 'visitor'])
  })

  const form = (fields: string) =>
    `<x xmlns="jabber:x:data" type="submit"><field var="FORM_TYPE"><value>http://jabber.org/protocol/muc#request</value></field>${fields}</x>`
  const message = (from: string, fields: string) => `<message from="${from}" to="${coven}">${form(fields)}</message>`
  const request = '<field var="muc#role"><value>participant</value></field>'
  const answer = (allow: string) =>
    `${request}<field var="muc#jid"><value>${hag}</value></field><field var="muc#roomnick"><value>thirdwitch</value></field><field var="muc#request_allow"><value>${allow}</value></field>`

  it('XEP-0045 examples 79, 108, 109: a visitor asks all moderators for voice, and one of them gives it', () => {
    const test = quiet()
    const told = test.take(message(hag, request))
    for (const jid of [crone, wiccarocks]) {
      told.shows(
        jid,
        `<message from="${coven}"><x xmlns="jabber:x:data" type="form"><field var="FORM_TYPE"><value>http://jabber.org/protocol/muc#request</value></field><field var="muc#jid"><value>${hag}</value></field><field var="muc#roomnick"><value>thirdwitch</value></field><field var="muc#request_allow"><value>0</value></field></x></message>`,
      )
    }
    expect(test.take(message(crone, answer('0'))).all).toEqual([])
    expect(refusal(test, () => test.take(message(hag, answer('1'))))).toBe('forbidden')
    test
      .take(message(crone, answer('1')))
      .shows(hag, presence('thirdwitch', '<item role="participant"/><status code="110"/>'))
    // A second moderator is too late.
    expect(test.take(message(wiccarocks, answer('1'))).all).toEqual([])
    test.take(`<presence from="${hag}" to="${coven}/thirdwitch" type="unavailable"/>`)
    expect(refusal(test, () => test.take(message(crone, answer('1'))))).toBe('item-not-found')
  })

  it('XEP-0045 §7.13: who has voice or is not inside asks in vain, and nobody asks where that is not done', () => {
    const test = TestRoom.withWitches()
    expect(refusal(test, () => test.take(message(hag, request)))).toBe('bad-request')
    expect(refusal(test, () => test.take(message(hecate, request)))).toBe('not-acceptable')
    const closed = TestRoom.withWitches({ config: { hasVoiceByDefault: false, mayRequestVoice: false } })
    expect(refusal(closed, () => closed.take(message(hag, request)))).toBe('forbidden')
    expect(refusal(test, () => test.take(message(hag, '')))).toBe('bad-request')
  })
})

describe('banning (XEP-0045 §9.1, §9.2)', () => {
  it('XEP-0045 examples 110 to 114: the outcast goes with status 301, and does not come back', () => {
    const test = TestRoom.withWitches()
    const told = test.administers(
      crone,
      `<item affiliation="outcast" jid="${bare(hag)}"><reason>Treason</reason></item>`,
    )
    const x =
      '<item affiliation="outcast" role="none"><actor nick="firstwitch"/><reason>Treason</reason></item><status code="301"/>'
    told
      .shows(hag, presence('thirdwitch', `${x}<status code="110"/>`, 'unavailable'))
      .shows(crone, '<iq type="result"/>', presence('thirdwitch', x, 'unavailable'))
      .shows(wiccarocks, presence('thirdwitch', x, 'unavailable'))
    expect(told.all[0]!.to).toBe(hag)
    expect(refusal(test, () => test.enters(hag, 'thirdwitch'))).toBe('forbidden')
  })

  it('bans whom it knows by his nick, and a whole server', () => {
    const test = TestRoom.withWitches()
    test.administers(crone, '<item affiliation="outcast" nick="thirdwitch"/>')
    expect(test.affiliationOf(hag)).toBe('outcast')
    test.enters('orc@mordor.lit/cave', 'orc')
    test
      .administers(crone, '<item affiliation="outcast" jid="mordor.lit"/>')
      .shows(wiccarocks, presence('orc', '<status code="301"/>', 'unavailable'))
    expect(refusal(test, () => test.administers(crone, '<item affiliation="outcast" nick="nobody"/>'))).toBe(
      'item-not-found',
    )
  })

  it('XEP-0045 example 115: an admin bans no admin and no owner, and nobody himself', () => {
    const test = TestRoom.withWitches({ affiliations: { [hecate]: 'admin' } })
    const ban = (from: string, jid: string) =>
      refusal(test, () => test.administers(from, `<item affiliation="outcast" jid="${bare(jid)}"/>`))
    expect(ban(wiccarocks, crone)).toBe('not-allowed')
    expect(ban(wiccarocks, hecate)).toBe('not-allowed')
    expect(ban(hag, hecate)).toBe('forbidden')
    expect(ban(crone, crone)).toBe('conflict')
    expect(ban(crone, hecate)).toBe('nothing')
  })

  it('XEP-0045 examples 116 to 119: the list of outcasts, and its change', () => {
    const test = TestRoom.withWitches()
    test.administers(crone, `<item affiliation="outcast" jid="earl@cawdor.lit"><reason>Treason</reason></item>`)
    test
      .lists(wiccarocks, '<item affiliation="outcast"/>')
      .shows(wiccarocks, admin('<item affiliation="outcast" jid="earl@cawdor.lit"><reason>Treason</reason></item>'))
    expect(refusal(test, () => test.lists(hag, '<item affiliation="outcast"/>'))).toBe('forbidden')
    test.administers(
      wiccarocks,
      '<item affiliation="none" jid="earl@cawdor.lit"/>',
      '<item affiliation="outcast" jid="lordbanquo@shakespeare.lit"/>',
    )
    expect(test.affiliationOf('earl@cawdor.lit')).toBe('none')
    expect(test.affiliationOf('lordbanquo@shakespeare.lit')).toBe('outcast')
  })
})

describe('a list with what is allowed and what is not', () => {
  it.each([
    ['XEP-0045 §9.2: a ban of oneself', '<item affiliation="outcast" jid="wiccarocks@shakespeare.lit"/>', 'conflict'],
    ['XEP-0045 §9.2: a ban of the owner', '<item affiliation="outcast" jid="crone1@shakespeare.lit"/>', 'not-allowed'],
    ['XEP-0045 §10.3: a new owner', '<item affiliation="owner" jid="hag66@shakespeare.lit"/>', 'forbidden'],
    ['XEP-0045 §8.5: the voice of the owner', '<item role="visitor" nick="firstwitch"/>', 'not-allowed'],
    ['XEP-0045 §9.8: the owner as moderator', '<item role="participant" nick="firstwitch"/>', 'not-allowed'],
    ['no affiliation that there is', '<item affiliation="king" jid="hag66@shakespeare.lit"/>', 'bad-request'],
  ] as const)('%s: changes nothing', (_what, item, condition) => {
    const test = TestRoom.withWitches()
    const before = test.room.snapshot()
    const allowed = `<item affiliation="outcast" jid="${hag}"/>`
    expect(refusal(test, () => test.administers(wiccarocks, allowed, item))).toBe(condition)
    expect(refusal(test, () => test.administers(wiccarocks, item, allowed))).toBe(condition)
    expect(test.room.snapshot()).toEqual(before)
    // The address of a session stands for its user. XEP-0045 §9.1
    test.administers(wiccarocks, allowed)
    expect(test.affiliationOf(bare(hag))).toBe('outcast')
  })
})

describe('members (XEP-0045 §9.3 to §9.5)', () => {
  it('XEP-0045 examples 120 to 123: a new member is seen as one, and has voice', () => {
    const test = TestRoom.withWitches({ config: { hasVoiceByDefault: false } })
    test
      .administers(wiccarocks, `<item affiliation="member" jid="${hag}"><reason>A worthy witch indeed!</reason></item>`)
      .shows(crone, presence('thirdwitch', '<item affiliation="member" role="participant"/>'))
    expect(test.affiliationOf(hag)).toBe('member')
  })

  it('XEP-0045 examples 124 to 127: and who is none any more is not', () => {
    TestRoom.withWitches({ affiliations: { [hag]: 'member' } })
      .administers(wiccarocks, `<item affiliation="none" jid="${bare(hag)}"/>`)
      .shows(crone, presence('thirdwitch', '<item affiliation="none" role="participant"/>'))
  })

  it('XEP-0045 example 128: then he leaves a members-only room, with status 321', () => {
    const test = TestRoom.withWitches({ config: { isMembersOnly: true }, affiliations: { [hag]: 'member' } })
    test
      .administers(wiccarocks, `<item affiliation="none" jid="${bare(hag)}"/>`)
      .shows(
        hag,
        presence(
          'thirdwitch',
          '<item affiliation="none" role="none"/><status code="110"/><status code="321"/>',
          'unavailable',
        ),
      )
      .shows(crone, presence('thirdwitch', '<status code="321"/>', 'unavailable'))
  })

  it('XEP-0045 examples 129 to 133: the list of members, for whom it is, and its change', () => {
    const test = TestRoom.withWitches({ affiliations: { [hag]: 'member', [hecate]: 'member' } })
    test
      .lists(wiccarocks, '<item affiliation="member"/>')
      .shows(
        wiccarocks,
        admin(
          `<item affiliation="member" jid="${bare(hag)}" nick="thirdwitch"/><item affiliation="member" jid="${bare(hecate)}"/>`,
        ),
      )
    const ask = () => refusal(test, () => test.lists(hag, '<item affiliation="member"/>'))
    expect(ask()).toBe('forbidden')
    test.room.configure({ memberListFor: ['participant'] })
    expect(ask()).toBe('nothing')
    test.room.configure({ memberListFor: [], whois: 'anyone' })
    expect(ask()).toBe('nothing')
  })

  it('XEP-0045 example 134: a new member of a members-only room who is not inside is invited', () => {
    const test = TestRoom.withWitches({ config: { isMembersOnly: true }, affiliations: { [hag]: 'member' } })
    test
      .administers(crone, `<item affiliation="member" jid="${bare(hecate)}"/>`)
      .shows(bare(hecate), `<message from="${coven}"><x xmlns="${NS_USER}"><invite from="${coven}"/></x></message>`)
  })

  it('XEP-0045 example 136: who sees real JIDs hears of members who are not inside', () => {
    const test = TestRoom.withWitches()
    test
      .administers(crone, `<item affiliation="member" jid="${bare(hecate)}"/>`)
      .shows(
        wiccarocks,
        `<message from="${coven}"><x xmlns="${NS_USER}"><item affiliation="member" jid="${bare(hecate)}" role="none"/></x></message>`,
      )
      .hides(hag, '<message/>')
  })
})

describe('moderators, admins and owners (XEP-0045 §9.6 to §10.8)', () => {
  it('XEP-0045 examples 137 to 140: an admin makes a moderator, who sees real JIDs from then on', () => {
    const test = TestRoom.withWitches()
    test.enters(hecate, 'hecate')
    test
      .administers(wiccarocks, '<item nick="thirdwitch" role="moderator"/>')
      .shows(crone, presence('thirdwitch', '<item affiliation="none" role="moderator"/>'))
      .shows(hag, presence('thirdwitch', '<status code="110"/>'), presence('hecate', `<item jid="${hecate}"/>`))
    expect(refusal(test, () => test.administers(hag, '<item nick="hecate" role="moderator"/>'))).toBe('forbidden')
  })

  it('XEP-0045 examples 141 to 145: and takes it back, but not from an admin or owner', () => {
    const test = TestRoom.withWitches()
    test.administers(wiccarocks, '<item nick="thirdwitch" role="moderator"/>')
    test
      .administers(wiccarocks, '<item nick="thirdwitch" role="participant"/>')
      .shows(crone, presence('thirdwitch', '<item role="participant"/>'))
    expect(refusal(test, () => test.administers(crone, '<item nick="secondwitch" role="participant"/>'))).toBe(
      'not-allowed',
    )
  })

  it('XEP-0045 examples 146 to 150: the list of moderators, and its change', () => {
    const test = TestRoom.withWitches()
    test
      .lists(wiccarocks, '<item role="moderator"/>')
      .shows(
        wiccarocks,
        admin(
          `<item role="moderator" nick="firstwitch" affiliation="owner" jid="${crone}"/><item role="moderator" nick="secondwitch"/>`,
        ),
      )
    const items = ['<item nick="thirdwitch" role="moderator"/>', '<item nick="firstwitch" role="participant"/>']
    expect(refusal(test, () => test.administers(wiccarocks, ...items))).toBe('not-allowed')
  })

  it('XEP-0045 examples 172 to 176, 186 to 190: an owner makes owners and admins, inside or not', () => {
    const test = TestRoom.withWitches()
    test
      .administers(crone, `<item affiliation="owner" jid="${bare(hag)}"/>`)
      .shows(crone, presence('thirdwitch', '<item affiliation="owner" role="moderator"/>'))
    test
      .administers(crone, `<item affiliation="admin" jid="${bare(hecate)}"/>`)
      .shows(
        wiccarocks,
        `<message from="${coven}"><x xmlns="${NS_USER}"><item affiliation="admin" jid="${bare(hecate)}"/></x></message>`,
      )
    expect([test.affiliationOf(hag), test.affiliationOf(hecate)]).toEqual(['owner', 'admin'])
  })

  it('XEP-0045 examples 177 to 180, 191 to 195: and takes it back', () => {
    const test = TestRoom.withWitches({ affiliations: { [hag]: 'owner' } })
    test
      .administers(crone, `<item affiliation="admin" jid="${bare(hag)}"/>`)
      .shows(wiccarocks, presence('thirdwitch', '<item affiliation="admin" role="moderator"/>'))
    test
      .administers(crone, `<item affiliation="member" jid="${bare(wiccarocks)}"/>`)
      .shows(hag, presence('secondwitch', '<item affiliation="member" role="participant"/>'))
  })

  it('XEP-0045 §10.4: the last owner stays one, but one of two may go', () => {
    const test = TestRoom.withWitches()
    const resign = () =>
      refusal(test, () => test.administers(crone, `<item affiliation="admin" jid="${bare(crone)}"/>`))
    expect(resign()).toBe('conflict')
    expect(refusal(test, () => test.room.setAffiliation(test.room.occupants[0]!.jids[0]!, 'none'))).toBe('conflict')
    test.administers(crone, `<item affiliation="owner" jid="${bare(hag)}"/>`)
    expect(resign()).toBe('nothing')
  })

  it('XEP-0045 examples 181 to 185, 196 to 200: their lists are for admins to see and for owners to change', () => {
    const test = TestRoom.withWitches()
    test
      .lists(crone, '<item affiliation="owner"/>')
      .shows(crone, admin(`<item affiliation="owner" jid="${bare(crone)}" nick="firstwitch"/>`))
    test
      .lists(crone, '<item affiliation="admin"/>')
      .shows(crone, admin(`<item affiliation="admin" jid="${bare(wiccarocks)}"/>`))
    expect(refusal(test, () => test.lists(hag, '<item affiliation="owner"/>'))).toBe('forbidden')
    const change = (affiliation: string, jid: string) =>
      refusal(test, () => test.administers(wiccarocks, `<item affiliation="${affiliation}" jid="${bare(jid)}"/>`))
    expect(change('owner', hecate)).toBe('forbidden')
    expect(change('admin', hecate)).toBe('forbidden')
    expect(change('none', crone)).toBe('forbidden')
    expect(change('member', hecate)).toBe('nothing')
  })

  it.each([
    ['', 'bad-request'],
    ['<item/>', 'bad-request'],
    ['<item nick="thirdwitch" role="participant" affiliation="member"/>', 'bad-request'],
    ['<item nick="thirdwitch" role="king"/>', 'bad-request'],
    ['<item jid="a@b" affiliation="king"/>', 'bad-request'],
    ['<item jid="@" affiliation="member"/>', 'jid-malformed'],
    ['<item affiliation="member"/>', 'item-not-found'],
  ])('refuses %s with %s', (items, condition) => {
    const test = TestRoom.withWitches()
    expect(refusal(test, () => test.administers(crone, items))).toBe(condition)
  })

  it.each(['<item/>', '<item affiliation="none"/>', '<item role="none"/>'])('has no list for %s', item => {
    const test = TestRoom.withWitches()
    expect(refusal(test, () => test.lists(crone, item))).toBe('bad-request')
  })

  it('the operator’s admins are owners everywhere', () => {
    const test = TestRoom.withWitches()
    test.room.configure({ isPasswordProtected: true, password: 'p' })
    test.serviceAdmins.add(bare(hecate))
    test.enters(hecate, 'hecate').shows(hecate, presence('hecate', '<item affiliation="owner" role="moderator"/>'))
    test.administers(hecate, '<item nick="firstwitch" role="none"/>')
    expect(test.roleOf('firstwitch')).toBeUndefined()
  })
})
