import { describe, expect, it } from 'vitest'
import { bare, coven, crone, hag, hecate, NS_USER, refusal, TestRoom, wiccarocks } from '../../support/room.js'

describe('mediated invitations (XEP-0045 §7.8.2)', () => {
  const message = (from: string, content: string) =>
    `<message from="${from}" to="${coven}" id="i1"><x xmlns="${NS_USER}">${content}</x></message>`
  const invite = (to: string, more = '') => `<invite to="${to}">${more}</invite>`

  it('XEP-0045 examples 56, 57: the room invites on behalf of an occupant, who stays as anonymous as he is', () => {
    const test = TestRoom.withWitches()
    test
      .take(message(hag, invite(bare(hecate), '<reason>Hey Hecate, this is the place for all good witches!</reason>')))
      .shows(
        bare(hecate),
        `<message from="${coven}" id="i1"><x xmlns="${NS_USER}"><invite from="${coven}/thirdwitch"><reason>Hey Hecate, this is the place for all good witches!</reason></invite></x></message>`,
      )
    test.room.configure({ whois: 'anyone', isPasswordProtected: true, password: 'cauldronburn' })
    test
      .take(message(hag, invite(bare(hecate))))
      .shows(
        bare(hecate),
        `<message><x xmlns="${NS_USER}"><invite from="${hag}"/><password>cauldronburn</password></x></message>`,
      )
  })

  it('XEP-0045 examples 63, 64: several at once, to go on with a chat', () => {
    const test = TestRoom.withWitches()
    const more = '<continue thread="e0ffe42b28561960c6b12b944a092794b9683a38"/>'
    test
      .take(message(crone, invite(hecate, more) + invite('third@shakespeare.lit')))
      .shows(hecate, `<message><x xmlns="${NS_USER}"><invite>${more}</invite></x></message>`)
      .shows('third@shakespeare.lit', `<message><x xmlns="${NS_USER}"><invite/></x></message>`)
  })

  it('XEP-0045 example 135: to a members-only room admins invite, and members where the room says so', () => {
    const test = TestRoom.withWitches({ config: { isMembersOnly: true }, affiliations: { [hag]: 'member' } })
    const attempt = () => refusal(test, () => test.take(message(hag, invite(bare(hecate)))))
    expect(attempt()).toBe('forbidden')
    test.take(message(wiccarocks, invite('third@shakespeare.lit')))
    expect(test.affiliationOf('third@shakespeare.lit')).toBe('member')
    test.room.configure({ mayInvite: true })
    expect(attempt()).toBe('nothing')
    test.enters(hecate, 'hecate')
  })

  it('XEP-0045 §9.5: to an open room it makes nobody a member', () => {
    const test = TestRoom.withWitches()
    test.take(message(crone, invite(bare(hecate)))).shows(bare(hecate), '<message/>')
    expect(test.affiliationOf(bare(hecate))).toBe('none')
  })

  it('is for occupants, to addresses, and not for outcasts', () => {
    const test = TestRoom.withWitches({ affiliations: { 'orc@mordor.lit': 'outcast' } })
    expect(refusal(test, () => test.take(message(hecate, invite(bare(hecate)))))).toBe('not-acceptable')
    expect(refusal(test, () => test.take(message(hag, '<invite/>')))).toBe('jid-malformed')
    expect(refusal(test, () => test.take(message(hag, invite(hecate) + invite('orc@mordor.lit'))))).toBe('forbidden')
  })

  it('XEP-0045 examples 58, 59: who declines is heard by who invited, by either of his addresses', () => {
    const test = TestRoom.withWitches()
    for (const to of [`${coven}/thirdwitch`, bare(hag), hag]) {
      test
        .take(message(hecate, `<decline to="${to}"><reason>Sorry, I’m too busy right now.</reason></decline>`))
        .shows(
          hag,
          `<message from="${coven}"><x xmlns="${NS_USER}"><decline from="${bare(hecate)}"><reason>Sorry, I’m too busy right now.</reason></decline></x></message>`,
        )
    }
    // The room is no way to write to anybody.
    expect(refusal(test, () => test.take(message(hecate, '<decline to="someone@else.lit"/>')))).toBe('item-not-found')
    expect(refusal(test, () => test.take(message(hecate, '<decline/>')))).toBe('item-not-found')
  })
})

describe('registration of nicks (XEP-0045 §7.10)', () => {
  const register = (payload: string) => `<query xmlns="jabber:iq:register">${payload}</query>`
  const submit = (nick: string, formType = 'http://jabber.org/protocol/muc#register') =>
    register(
      `<x xmlns="jabber:x:data" type="submit"><field var="FORM_TYPE"><value>${formType}</value></field><field var="muc#register_roomnick"><value>${nick}</value></field></x>`,
    )
  const item = `<query xmlns="http://jabber.org/protocol/disco#info" node="x-roomuser-item"/>`

  it('XEP-0045 examples 66, 70, 71, 75: a form is asked for and submitted', () => {
    const test = TestRoom.withWitches()
    test
      .asks(hag, 'get', register(''))
      .shows(
        hag,
        `<iq type="result"><query xmlns="jabber:iq:register"><x xmlns="jabber:x:data" type="form"><field var="FORM_TYPE"><value>http://jabber.org/protocol/muc#register</value></field><field var="muc#register_roomnick" type="text-single"><required/></field></x></query></iq>`,
      )
    test.asks(hag, 'set', submit('thirdwitch')).shows(hag, '<iq type="result"/>')
  })

  it('XEP-0045 example 76: who registers is a member, and all see it', () => {
    const test = TestRoom.withWitches()
    test
      .asks(hag, 'set', submit('oldhag'))
      .shows(
        crone,
        `<presence from="${coven}/thirdwitch"><x xmlns="${NS_USER}"><item affiliation="member" role="participant"/></x></presence>`,
      )
    expect(test.affiliationOf(hag)).toBe('member')
    expect(refusal(test, () => test.enters(hecate, 'oldhag'))).toBe('conflict')
  })

  it('XEP-0045 example 69: who is registered is told his nick', () => {
    const test = TestRoom.withWitches()
    test.asks(hag, 'set', submit('oldhag'))
    test.restarts()
    test
      .asks(hag, 'get', register(''))
      .shows(hag, '<iq><query xmlns="jabber:iq:register"><registered/><username>oldhag</username></query></iq>')
  })

  it('XEP-0045 example 68: not where admins make the members', () => {
    const closed = new TestRoom({ config: { isMembersOnly: true }, affiliations: { [wiccarocks]: 'member' } })
    expect(refusal(closed, () => closed.asks(hag, 'get', register('')))).toBe('not-allowed')
    expect(refusal(closed, () => closed.asks(hag, 'set', submit('x')))).toBe('not-allowed')
    expect(refusal(closed, () => closed.asks(wiccarocks, 'set', submit('x')))).toBe('nothing')
    const quiet = new TestRoom({ config: { hasVoiceByDefault: false } })
    expect(refusal(quiet, () => quiet.asks(hag, 'set', submit('x')))).toBe('not-allowed')
    const banned = new TestRoom({ affiliations: { [hag]: 'outcast' } })
    expect(refusal(banned, () => banned.asks(hag, 'set', submit('x')))).toBe('forbidden')
  })

  it('XEP-0045 example 72: a nick is one user’s', () => {
    const test = TestRoom.withWitches()
    test.asks(hag, 'set', submit('oldhag'))
    expect(refusal(test, () => test.asks(hecate, 'set', submit('oldhag')))).toBe('conflict')
    expect(refusal(test, () => test.asks(hecate, 'set', submit('firstwitch')))).toBe('conflict')
  })

  it('XEP-0045 example 74: what is no form is none', () => {
    const test = TestRoom.withWitches()
    expect(refusal(test, () => test.asks(hag, 'set', register('')))).toBe('bad-request')
    expect(refusal(test, () => test.asks(hag, 'set', submit('x', 'other')))).toBe('bad-request')
    expect(refusal(test, () => test.asks(hag, 'set', submit(' ')))).toBe('not-acceptable')
  })

  it('is given up again, and membership with it', () => {
    const test = TestRoom.withWitches()
    expect(refusal(test, () => test.asks(hag, 'set', register('<remove/>')))).toBe('registration-required')
    test.asks(hag, 'set', submit('oldhag'))
    test
      .asks(hag, 'set', register('<remove/>'))
      .shows(crone, `<presence><x xmlns="${NS_USER}"><item affiliation="none"/></x></presence>`)
    test.enters(hecate, 'oldhag')
    test.asks(crone, 'set', submit('boss'))
    test.asks(crone, 'set', register('<remove/>'))
    expect(test.affiliationOf(crone)).toBe('owner')
  })

  it('XEP-0045 §9.1: an outcast’s nick is free', () => {
    const test = TestRoom.withWitches()
    test.asks(hag, 'set', submit('oldhag'))
    test.administers(crone, `<item affiliation="outcast" jid="${bare(hag)}"/>`)
    test.enters(hecate, 'oldhag')
  })

  it('XEP-0045 examples 77, 78: each finds out which nick is reserved for him', () => {
    const test = TestRoom.withWitches()
    test.asks(hag, 'set', submit('oldhag'))
    const identity = '<identity category="conference" type="text" name="oldhag"/>'
    test
      .asks(hag, 'get', item)
      .shows(
        hag,
        `<iq><query xmlns="http://jabber.org/protocol/disco#info" node="x-roomuser-item">${identity}</query></iq>`,
      )
    expect(test.asks(hecate, 'get', item).of(hecate)[0]!.getChild('query')!.getChildElements()).toEqual([])
  })
})
