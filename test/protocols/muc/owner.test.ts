import { describe, expect, it } from 'vitest'
import { Jid } from '../../../src/protocols/jid.js'
import { bare, coven, crone, hag, hecate, NS_USER, refusal, TestRoom, wiccarocks } from '../../support/room.js'

const owner = 'http://jabber.org/protocol/muc#owner'
const presence = (nick: string, x: string, type = '') =>
  `<presence from="${coven}/${nick}"${type && ` type="${type}"`}><x xmlns="${NS_USER}">${x}</x></presence>`
const status = (code: number) =>
  `<message from="${coven}" type="groupchat"><x xmlns="${NS_USER}"><status code="${code}"/></x></message>`
const field = (name: string, ...values: string[]) =>
  `<field var="${name}">${values.map(value => `<value>${value}</value>`).join('')}</field>`

/** A room that crone1 just made. */
function created(): TestRoom {
  const test = new TestRoom({ isNew: true })
  test.enters(crone, 'firstwitch')
  return test
}

describe('creation (XEP-0045 §10.1)', () => {
  it('XEP-0045 examples 153, 154: who enters first owns the room, and hears so with status 201', () => {
    const test = new TestRoom({ isNew: true, affiliations: { [hecate]: 'owner' } })
    expect(refusal(test, () => test.says(crone, 'Hail'))).toBe('item-not-found')
    const told = test.enters(crone, 'firstwitch')
    told.shows(
      crone,
      presence('firstwitch', '<item affiliation="owner" role="moderator"/><status code="110"/><status code="201"/>'),
    )
    expect(told.effects.changed).toContain('affiliations')
    expect([test.room.isNew, test.room.isLocked]).toEqual([false, true])
  })

  it('XEP-0045 §7.2.16: without an `x` nothing is made', () => {
    const test = new TestRoom({ isNew: true })
    test
      .take(`<presence from="${hag}" to="${coven}/thirdwitch"/>`)
      .shows(hag, presence('thirdwitch', '<status code="333"/>', 'unavailable'))
    expect(test.room.isNew).toBe(true)
  })

  it('XEP-0045 example 155: an empty form makes an instant room', () => {
    const test = created()
    test.configures(crone, {}).shows(crone, '<iq type="result"/>').hides(crone, '<message/>')
    test.enters(hag, 'thirdwitch').shows(hag, presence('thirdwitch', '<status code="110"/>'))
  })

  it('XEP-0045 examples 156, 157, 159, 160: a reserved room is set up by its owner first', () => {
    const test = created()
    const form = test.asks(crone, 'get', `<query xmlns="${owner}"/>`)
    form.shows(
      crone,
      `<iq type="result"><query xmlns="${owner}"><x xmlns="jabber:x:data" type="form">${field('FORM_TYPE', 'http://jabber.org/protocol/muc#roomconfig')}${field('muc#roomconfig_maxusers', '200')}${field('muc#roomconfig_roomowners', bare(crone))}</x></query></iq>`,
    )
    test.configures(crone, {
      'muc#roomconfig_roomname': 'A Dark Cave',
      'muc#roomconfig_maxusers': '10',
      'muc#roomconfig_passwordprotectedroom': '1',
      'muc#roomconfig_roomsecret': 'cauldronburn',
      'muc#roomconfig_roomadmins': [bare(wiccarocks), bare(hecate)],
    })
    expect(test.room.config).toMatchObject({ name: 'A Dark Cave', maxUsers: 10, password: 'cauldronburn' })
    expect([test.affiliationOf(wiccarocks), test.affiliationOf(hecate), test.affiliationOf(crone)]).toEqual([
      'admin',
      'admin',
      'owner',
    ])
    expect(test.room.isLocked).toBe(false)
  })

  it.each([
    [{ 'muc#roomconfig_passwordprotectedroom': '1', 'muc#roomconfig_roomsecret': '' }, 'not-acceptable'],
    [{ 'muc#roomconfig_roomname': 'x'.repeat(6) }, 'not-acceptable'],
    [{ 'muc#roomconfig_roomdesc': 'x'.repeat(6) }, 'not-acceptable'],
    [{ 'muc#roomconfig_roomname': ['two', 'lines'] }, 'not-acceptable'],
    [{ 'muc#roomconfig_maxusers': '201' }, 'not-acceptable'],
    [{ 'muc#roomconfig_maxusers': 'none' }, 'not-acceptable'],
    [{ 'muc#roomconfig_maxusers': '0' }, 'not-acceptable'],
    [{ 'muc#roomconfig_membersonly': 'perhaps' }, 'not-acceptable'],
    [{ 'muc#roomconfig_whois': 'none' }, 'not-acceptable'],
    [{ 'muc#roomconfig_presencebroadcast': ['moderator', 'king'] }, 'not-acceptable'],
    [{ 'muc#roomconfig_roomadmins': '@' }, 'not-acceptable'],
    [{ 'muc#roomconfig_roomowners': [] }, 'conflict'],
    [{ 'muc#maxhistoryfetch': 'all' }, 'not-acceptable'],
    [{ 'somebody#elses_field': 'x' }, 'nothing'],
  ])('XEP-0045 example 161: %j is answered with %s', (fields, condition) => {
    const test = new TestRoom({ limits: { maxName: 5, maxDescription: 5 } })
    expect(refusal(test, () => test.configures(crone, fields))).toBe(condition)
  })

  it('refuses a form that is none, or that is about something else', () => {
    const test = new TestRoom()
    const own = (payload: string) => refusal(test, () => test.owns(crone, payload))
    expect(own('')).toBe('bad-request')
    expect(own('<x xmlns="jabber:x:data" type="form"/>')).toBe('bad-request')
    expect(own(`<x xmlns="jabber:x:data" type="submit">${field('FORM_TYPE', 'other')}${field('a', 'b')}</x>`)).toBe(
      'bad-request',
    )
    expect(own(`<x xmlns="jabber:x:data" type="submit">${field('a', 'b')}${field('a', 'c')}</x>`)).toBe('bad-request')
  })

  it('only those make a room persistent who may', () => {
    const fickle = 'fickle@shakespeare.lit/x'
    const test = new TestRoom({ affiliations: { [fickle]: 'owner' } })
    const persist = (from: string) =>
      refusal(test, () => test.configures(from, { 'muc#roomconfig_persistentroom': '1' }))
    expect(persist(fickle)).toBe('not-allowed')
    expect(persist(crone)).toBe('nothing')
    // It is already.
    expect(persist(fickle)).toBe('nothing')
  })

  it('XEP-0045 example 162: who cancels does not want the room, nor who leaves before', () => {
    const cancelled = created().owns(crone, '<x xmlns="jabber:x:data" type="cancel"/>')
    expect(cancelled.effects.isDestroyed).toBe(true)
    cancelled.shows(crone, presence('firstwitch', '<destroy/>', 'unavailable'), '<iq type="result"/>')
    const left = created().take(`<presence from="${crone}" to="${coven}/firstwitch" type="unavailable"/>`)
    expect(left.effects.isDestroyed).toBe(true)
    left.shows(crone, presence('firstwitch', '<item affiliation="none" role="none"/><destroy/>', 'unavailable'))
  })
})

describe('configuration (XEP-0045 §10.2)', () => {
  it('XEP-0045 examples 163 to 166: it is for owners, and what is cancelled stays', () => {
    const test = TestRoom.withWitches()
    expect(refusal(test, () => test.asks(wiccarocks, 'get', `<query xmlns="${owner}"/>`))).toBe('forbidden')
    expect(refusal(test, () => test.configures(wiccarocks, {}))).toBe('forbidden')
    const before = test.state
    test.owns(crone, '<x xmlns="jabber:x:data" type="cancel"/>').shows(crone, '<iq type="result"/>')
    expect(test.state).toBe(before)
  })

  it.each([
    [170, { 'muc#roomconfig_enablelogging': '1' }, {}],
    [171, { 'muc#roomconfig_enablelogging': '0' }, { isLogged: true }],
    [172, { 'muc#roomconfig_whois': 'anyone' }, {}],
    [173, { 'muc#roomconfig_whois': 'moderators' }, { whois: 'anyone' as const }],
    [104, { 'muc#roomconfig_roomname': 'Heath' }, {}],
  ])('XEP-0045 example 171: all hear of a change with status %s', (code, fields, config) => {
    const test = TestRoom.withWitches({ config })
    const told = test.configures(crone, fields)
    for (const jid of [crone, wiccarocks, hag]) told.shows(jid, status(code))
    expect(told.of(hag).flatMap(stanza => stanza.getChild('x')!.getChildren('status'))).toHaveLength(1)
    // Once more, and nothing is different.
    expect(test.configures(crone, fields).of(hag)).toEqual([])
  })

  it('XEP-0045 examples 167, 168: the list of admins is whole', () => {
    const test = TestRoom.withWitches()
    test
      .configures(crone, { 'muc#roomconfig_roomadmins': bare(hag) })
      .shows(crone, presence('secondwitch', '<item affiliation="member" role="participant"/>'))
      .shows(crone, presence('thirdwitch', '<item affiliation="admin" role="moderator"/>'))
  })

  it('XEP-0045 examples 169, 170: and so is that of owners', () => {
    const test = TestRoom.withWitches()
    test
      .configures(crone, {
        'muc#roomconfig_roomowners': bare(hag),
        'muc#roomconfig_roomadmins': [bare(crone), bare(wiccarocks)],
      })
      .shows(wiccarocks, presence('firstwitch', '<item affiliation="admin" role="moderator"/>'))
      .shows(wiccarocks, presence('thirdwitch', '<item affiliation="owner" role="moderator"/>'))
    expect(test.affiliationOf(wiccarocks)).toBe('admin')
  })

  it('XEP-0045 §10.2: from a room that is members-only from now on the others go, with status 322', () => {
    const test = TestRoom.withWitches()
    test
      .configures(crone, { 'muc#roomconfig_membersonly': '1' })
      .shows(hag, presence('thirdwitch', '<item role="none"/><status code="110"/><status code="322"/>', 'unavailable'))
      .shows(wiccarocks, presence('thirdwitch', '<status code="322"/>', 'unavailable'))
    expect(test.roleOf('thirdwitch')).toBeUndefined()
  })

  it('shows and hides occupants when other roles are to be seen', () => {
    const test = TestRoom.withWitches()
    test
      .configures(crone, { 'muc#roomconfig_presencebroadcast': ['moderator'] })
      .shows(crone, presence('thirdwitch', '<item role="none"/>', 'unavailable'))
      .hides(hag, presence('thirdwitch', '<item/>', 'unavailable'))
    test
      .configures(crone, { 'muc#roomconfig_presencebroadcast': ['moderator', 'participant'] })
      .shows(crone, presence('thirdwitch', '<item role="participant"/>'))
  })

  it('every field of the form comes back as it went out', () => {
    const test = TestRoom.withWitches({ config: { name: 'Heath & Cave', maxHistory: 7, memberListFor: ['visitor'] } })
    const before = test.state
    const form = test.asks(crone, 'get', `<query xmlns="${owner}"/>`).of(crone)[0]!.getChild('query')!.getChild('x')!
    form.attrs.type = 'submit'
    const told = test.owns(crone, form.toString())
    expect(told.all).toHaveLength(1)
    expect(test.state).toBe(before)
  })

  it('a room without a limit has none after a restart', () => {
    const test = new TestRoom({ limits: { maxUsers: Infinity } })
    test.configures(crone, { 'muc#roomconfig_maxusers': 'none' })
    test.restarts()
    expect(test.room.config.maxUsers).toBe(Infinity)
    test.enters(hag, 'thirdwitch')
  })

  it('says of a value that it cannot take what it could be', () => {
    expect(() => new TestRoom().configures(crone, { 'muc#roomconfig_maxusers': 'many' })).toThrow(
      'muc#roomconfig_maxusers is a number from 1, or none',
    )
  })
})

describe('the end (XEP-0045 §10.9)', () => {
  it('XEP-0045 examples 201 to 203: each hears of it once, and where it goes on', () => {
    const test = TestRoom.withWitches()
    const destroy =
      '<destroy jid="darkcave@chat.shakespeare.lit"><reason>Macbeth doth come.</reason><password>p</password></destroy>'
    const told = test.owns(crone, destroy)
    expect(told.of(hag)).toHaveLength(1)
    told
      .shows(hag, presence('thirdwitch', `<item affiliation="none" role="none"/>${destroy}`, 'unavailable'))
      .shows(crone, presence('firstwitch', destroy, 'unavailable'), '<iq type="result"/>')
    expect([told.effects.isDestroyed, test.room.isEmpty]).toEqual([true, true])
  })

  it('XEP-0045 example 204: only owners end a room', () => {
    const test = TestRoom.withWitches()
    expect(refusal(test, () => test.owns(wiccarocks, '<destroy/>'))).toBe('forbidden')
    expect(refusal(test, () => test.owns(crone, '<destroy jid="@"/>'))).toBe('jid-malformed')
  })
})

describe('the operator', () => {
  const user = (jid: string) => Jid.parse(jid)!

  it('kicks, sets roles and affiliations, speaks, invites and ends the room', () => {
    const test = TestRoom.withWitches()
    expect(test.room.setRole('thirdwitch', 'moderator').changed).toContain('occupants')
    expect(test.roleOf('thirdwitch')).toBe('moderator')
    test.room.setAffiliation(user(hag), 'outcast', 'spam')
    expect(test.roleOf('thirdwitch')).toBeUndefined()
    expect(refusal(test, () => test.room.kick('thirdwitch'))).toBe('item-not-found')
    const said = test.room.say(user(crone), 'Hail', 'x1')
    expect(said.deliveries[0]!.stanza.toString()).toContain(`from="${coven}/firstwitch"`)
    expect(said.archived).toMatchObject([{ sender: bare(crone) }])
    expect(test.room.say(user(hecate), 'Hail', 'x2').deliveries[0]!.stanza.from!.text).toBe(coven)
    expect(test.room.invite({ from: user(crone), to: user(hecate), reason: 'come' }).deliveries[0]!.to[0]!.text).toBe(
      hecate,
    )
    expect(test.room.destroy({ reason: 'enough' }).isDestroyed).toBe(true)
  })

  it('configures, within the limits of the service', () => {
    const test = TestRoom.withWitches()
    expect(test.room.configure({ whois: 'anyone' }).deliveries[0]!.stanza.toString()).toContain('172')
    expect(refusal(test, () => test.room.configure({ isPasswordProtected: true }))).toBe('not-acceptable')
  })

  it('drops a session that is gone', () => {
    const test = TestRoom.withWitches()
    expect(test.room.drop(user(hag)).deliveries.map(({ to }) => to.map(String))).toEqual([[hag], [crone, wiccarocks]])
    expect(test.room.drop(user(hag)).deliveries).toEqual([])
  })

  it('says who may read the archive', () => {
    const test = TestRoom.withWitches({ affiliations: { [hecate]: 'member' } })
    const may = () => [hag, hecate, 'stranger@x/y'].map(jid => test.room.mayReadArchive(user(jid)))
    expect(may()).toEqual([true, true, true])
    test.room.configure({ isPasswordProtected: true, password: 'p' })
    expect(may()).toEqual([true, true, false])
    test.room.setAffiliation(user(hag), 'outcast')
    expect(may()).toEqual([false, true, false])
  })
})
