import fc from 'fast-check'
import type { Element } from 'ltx'
import { expect, it } from 'vitest'
import { StanzaError } from '../../../src/protocols/errors.js'
import { Jid } from '../../../src/protocols/jid.js'
import type { RoomConfig } from '../../../src/protocols/muc/config.js'
import type { Effects } from '../../../src/protocols/muc/effects.js'
import { initialRole } from '../../../src/protocols/muc/privileges.js'
import type { OccupantView } from '../../../src/protocols/muc/room.js'
import { bare, coven, crone, hag, hecate, NS_USER, TestRoom, Told, wiccarocks } from '../../support/room.js'

/*
 * Whatever happens in a room, in whatever order: its rules hold, and what each client has been told is what is.
 */

const sessions = [crone, wiccarocks, hag, hecate].flatMap(jid => [jid, `${bare(jid)}/phone`])
const session = fc.constantFrom(...sessions)
const nick = fc.constantFrom('first', 'second', 'third', 'fourth')
const affiliation = fc.constantFrom('outcast', 'none', 'member', 'admin', 'owner')
const role = fc.constantFrom('none', 'visitor', 'participant', 'moderator')
const flag = fc.constantFrom('0', '1')

/** What somebody does, as a function of the room; and how it reads in a counterexample. */
class Action {
  constructor(
    private readonly text: string,
    readonly perform: (test: TestRoom) => Effects,
  ) {}

  toString(): string {
    return this.text
  }
}

const act = (text: string, perform: (test: TestRoom) => Told | Effects) =>
  new Action(text, test => {
    const told = perform(test)
    return told instanceof Told ? told.effects : told
  })

const items = (kind: string, value: string, target: string) =>
  kind === 'role' ? `<item nick="${target}" role="${value}"/>` : `<item jid="${target}" affiliation="${value}"/>`

const roleItem = fc.tuple(nick, role).map(([target, value]) => items('role', value, target))
const affiliationItem = fc
  .tuple(session, affiliation)
  .map(([target, value]) => items('affiliation', value, bare(target)))
const anyItems = fc.array(fc.oneof(roleItem, affiliationItem), { minLength: 1, maxLength: 3 })

const register = (name: string) =>
  `<query xmlns="jabber:iq:register"><x xmlns="jabber:x:data" type="submit"><field var="FORM_TYPE"><value>http://jabber.org/protocol/muc#register</value></field><field var="muc#register_roomnick"><value>${name}</value></field></x></query>`

const error = (from: string) =>
  `<message from="${from}" to="${coven}" type="error"><error type="cancel"><gone xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error></message>`

const action = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .tuple(session, nick)
      .map(([from, to]) => act(`${from} enters as ${to}`, test => test.enters(from, to))),
  },
  fc
    .tuple(session, nick)
    .map(([from, to]) =>
      act(`${from} is now ${to}`, test =>
        test.take(`<presence from="${from}" to="${coven}/${to}"><show>away</show></presence>`),
      ),
    ),
  session.map(from =>
    act(`${from} leaves`, test => test.take(`<presence from="${from}" to="${coven}/x" type="unavailable"/>`)),
  ),
  session.map(from => act(`${from} is gone`, test => test.take(error(from)))),
  {
    weight: 4,
    arbitrary: fc
      .tuple(session, anyItems)
      .map(([from, all]) => act(`${from} sets ${all.join('')}`, test => test.administers(from, ...all))),
  },
  fc
    .tuple(
      session,
      fc.record(
        {
          'muc#roomconfig_membersonly': flag,
          'muc#roomconfig_moderatedroom': flag,
          members_by_default: flag,
          'muc#roomconfig_whois': fc.constantFrom('moderators', 'anyone'),
          'muc#roomconfig_presencebroadcast': fc.subarray(['moderator', 'participant', 'visitor']),
          'muc#roomconfig_allowmultisessions': flag,
          'muc#roomconfig_locknicks': flag,
          'muc#roomconfig_maxusers': fc.constantFrom('1', '3', '100'),
          'muc#roomconfig_roomadmins': fc.subarray(sessions.map(bare)),
          'muc#roomconfig_roomowners': fc.subarray(sessions.map(bare)),
        },
        { requiredKeys: [] },
      ),
    )
    .map(([from, fields]) =>
      act(`${from} configures ${JSON.stringify(fields)}`, test => test.configures(from, fields)),
    ),
  fc
    .tuple(session, nick)
    .map(([from, name]) => act(`${from} registers ${name}`, test => test.asks(from, 'set', register(name)))),
  session.map(from =>
    act(`${from} gives up his nick`, test =>
      test.asks(from, 'set', '<query xmlns="jabber:iq:register"><remove/></query>'),
    ),
  ),
  session.map(from => act(`${from} says something`, test => test.says(from, 'Hail'))),
  fc
    .tuple(session, session)
    .map(([from, to]) =>
      act(`${from} invites ${to}`, test =>
        test.take(
          `<message from="${from}" to="${coven}"><x xmlns="${NS_USER}"><invite to="${bare(to)}"/></x></message>`,
        ),
      ),
    ),
  fc
    .tuple(session, affiliation)
    .map(([target, value]) =>
      act(`the operator makes ${target} ${value}`, test => test.room.setAffiliation(Jid.parse(bare(target))!, value)),
    ),
)

/** What a client knows, from nothing but what it was told: `affiliation role` by nick. */
class View {
  readonly nicks = new Map<string, string>()
  /** What it is called itself; undefined while it thinks itself outside. */
  own: string | undefined

  hear(stanza: Element): void {
    const x = stanza.getChild('x', NS_USER)
    const from = Jid.parse(stanza.attrs.from)!
    if (stanza.getName() !== 'presence' || x === undefined) return
    const { affiliation, role } = x.getChild('item')!.attrs
    const codes = x.getChildren('status').map(status => status.attrs.code)
    const isOwn = codes.includes('110')
    if (stanza.attrs.type !== 'unavailable') {
      this.nicks.set(from.resource, `${affiliation} ${role}`)
      if (isOwn) this.own = from.resource
      return
    }
    expect(isOwn || this.nicks.has(from.resource), `${from.resource} was seen before he went`).toBe(true)
    this.nicks.delete(from.resource)
    if (isOwn && !codes.includes('303')) {
      this.nicks.clear()
      this.own = undefined
    }
  }
}

const lines = (entries: Iterable<readonly [string, string]>) =>
  [...entries].map(([name, seen]) => `${name}: ${seen}`).sort()

function expected(config: RoomConfig, occupants: readonly OccupantView[], own: string): string[] {
  const seen = occupants.filter(
    ({ nick, role }) => nick === own || config.presenceBroadcast.includes(role as 'visitor'),
  )
  return lines(seen.map(({ nick, affiliation, role }) => [nick, `${affiliation} ${role}`] as const))
}

function checkRules({ room }: TestRoom): void {
  const { occupants, config } = room
  for (const { nick, jids, role, affiliation } of occupants) {
    expect(new Set(jids.map(jid => jid.bareText)).size, `${nick} is one user`).toBe(1)
    expect(role, nick).not.toBe('none')
    expect(affiliation, `${nick} is inside`).not.toBe('outcast')
    if (initialRole(affiliation, config) === 'moderator') expect(role, `${nick}, ${affiliation}`).toBe('moderator')
    if (config.isMembersOnly) expect(affiliation, `${nick} in a members-only room`).not.toBe('none')
  }
  const inside = occupants.flatMap(({ jids }) => jids.map(String))
  expect(new Set(inside).size, 'no session is inside twice').toBe(inside.length)
  expect(room.affiliations().filter(({ affiliation }) => affiliation === 'owner').length).toBeGreaterThan(0)
  const registered = room.affiliations().flatMap(({ nick }) => nick ?? [])
  expect(new Set(registered).size, 'no nick is registered twice').toBe(registered.length)
}

function checkViews({ room }: TestRoom, views: ReadonlyMap<string, View>): void {
  for (const [jid, view] of views) {
    const nick = room.nickOf(Jid.parse(jid)!)
    expect(view.own, `${jid} knows his nick`).toBe(nick)
    expect(lines(view.nicks), `what ${jid} sees`).toEqual(
      nick === undefined ? [] : expected(room.config, room.occupants, nick),
    )
  }
}

/** Performs an action; what is refused changes nothing. */
function attempt(test: TestRoom, { perform }: Action): Effects | undefined {
  const before = test.state
  try {
    return perform(test)
  } catch (refused) {
    if (!(refused instanceof StanzaError)) throw refused
    expect(test.state, `after ${refused}`).toBe(before)
    return undefined
  }
}

function play(actions: readonly Action[]): void {
  const test = new TestRoom({ affiliations: { [wiccarocks]: 'admin' } })
  const views = new Map(sessions.map(jid => [jid, new View()]))
  for (const one of actions) {
    const effects = attempt(test, one)
    if (effects === undefined) continue
    const stored = new Set(effects.changed)
    for (const { to, stanza } of new Told(effects).all) views.get(to)?.hear(stanza)
    if (effects.isDestroyed) return
    checkRules(test)
    checkViews(test, views)
    // What is not told as changed need not be stored.
    if (stored.size > 0) test.restarts()
    checkViews(test, views)
  }
}

it('keeps the rules of XEP-0045 and tells every occupant what is, whatever they do', { timeout: 120_000 }, () => {
  fc.assert(fc.property(fc.array(action, { maxLength: 30 }), play), { numRuns: 300 })
})

it('says which parts of the snapshot are different', { timeout: 120_000 }, () => {
  const parts = {
    config: ['config', 'isLocked'],
    affiliations: ['affiliations'],
    subject: ['subject'],
    history: ['history'],
    occupants: ['occupants'],
    vcard: ['vcard'],
  } as const
  fc.assert(
    fc.property(fc.array(action, { maxLength: 20 }), actions => {
      const test = new TestRoom({ affiliations: { [wiccarocks]: 'admin' } })
      for (const one of actions) {
        const before = test.room.snapshot()
        const effects = attempt(test, one)
        if (effects?.isDestroyed) return
        const after = test.room.snapshot()
        for (const [part, keys] of Object.entries(parts) as [keyof typeof parts, readonly (keyof typeof after)[]][]) {
          const isSame = keys.every(key => JSON.stringify(before[key]) === JSON.stringify(after[key]))
          if (!isSame) expect(effects?.changed, `after ${one}`).toContain(part)
        }
      }
    }),
    { numRuns: 200 },
  )
})
