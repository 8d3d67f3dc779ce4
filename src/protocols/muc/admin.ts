import { Element } from 'ltx'
import { StanzaError } from '../errors.js'
import { Jid } from '../jid.js'
import { NS } from '../namespaces.js'
import { iqResult, type Stanza } from '../stanza/stanza.js'
import { Affiliations } from './affiliations.js'
import { applyChanges, type Change } from './changes.js'
import type { Outcome } from './effects.js'
import { type Occupant, shownSession } from './occupants.js'
import {
  checkAffiliation,
  checkAffiliationList,
  checkRole,
  isAffiliation,
  isAtLeast,
  isRole,
  roleAfter,
  type Standing,
} from './privileges.js'
import type { RoomState } from './state.js'

/*
 * Lists of roles and affiliations, and their changes. XEP-0045 §8.2 to §8.5, §9, §10.3 to §10.8
 */

/** An IQ get with a `<query/>` of muc#admin. */
export function sendList(state: RoomState, iq: Stanza, outcome: Outcome): void {
  outcome.send(iqResult(iq, list(state, iq.from!, itemsIn(iq))), iq.from!)
}

function itemsIn(iq: Stanza): Element[] {
  const items = iq.element.getChild('query', NS.mucAdmin)!.getChildren('item')
  if (items.length === 0) throw new StanzaError('bad-request', 'there is no item')
  return items
}

/** An IQ set with a `<query/>` of muc#admin. */
export function administer(state: RoomState, iq: Stanza, outcome: Outcome): void {
  const changes = itemsIn(iq).map(item => readChange(state, item))
  checkChanges(state, iq.from!, changes)
  const actor = state.occupants.withSession(iq.from!)?.nick
  const told = applyChanges(state, outcome, changes, actor)
  // Who is put out hears of it first, then the one who did it, then everybody else. XEP-0045 §8.2, §9.1
  for (const { own } of told) own(outcome)
  outcome.send(iqResult(iq), iq.from!)
  for (const { others } of told) others(outcome)
}

// ---- lists

function list(state: RoomState, asker: Jid, items: readonly Element[]): Element {
  const { affiliation, role } = items[0]!.attrs
  const query = new Element('query', { xmlns: NS.mucAdmin })
  if (isAffiliation(affiliation) && affiliation !== 'none') {
    checkAffiliationList(state.standing(asker), affiliation, state.config)
    for (const entry of state.affiliations.with(affiliation)) {
      // Without the role of who is inside, which may stand here (§9.5): Converse.js 14 takes the nick for it.
      const nick = state.occupants.ofUser(entry.jid)[0]?.nick ?? entry.nick
      const item = query.c('item', { affiliation, jid: entry.jid, nick })
      if (entry.reason !== undefined) item.c('reason').t(entry.reason)
    }
    return query
  }
  if (!isRole(role) || role === 'none') throw new StanzaError('bad-request', 'which list is wanted?')
  checkRoleList(state, asker)
  for (const occupant of state.occupants.ofRole(role)) addOccupant(query, state, occupant)
  return query
}

function checkRoleList(state: RoomState, asker: Jid): void {
  const { affiliation, role } = state.standing(asker)
  if (role === 'moderator' || isAtLeast(affiliation, 'admin')) return
  throw new StanzaError('forbidden', 'this list is not for you')
}

function addOccupant(query: Element, state: RoomState, occupant: Occupant): void {
  query.c('item', {
    nick: occupant.nick,
    role: occupant.role,
    affiliation: state.affiliationOf(occupant.user),
    jid: shownSession(occupant).jid.text,
  })
}

// ---- changes

function readChange(state: RoomState, item: Element): Change {
  const { affiliation, role, jid, nick } = item.attrs
  const reason = item.getChildText('reason') ?? undefined
  if ((affiliation === undefined) === (role === undefined)) {
    throw new StanzaError('bad-request', 'an item changes either a role or an affiliation')
  }
  if (role !== undefined) {
    if (!isRole(role)) throw new StanzaError('bad-request', 'there is no such role')
    return { kind: 'role', occupant: occupantAt(state, nick, jid), role, reason }
  }
  if (!isAffiliation(affiliation)) throw new StanzaError('bad-request', 'there is no such affiliation')
  return { kind: 'affiliation', jid: userAt(state, jid, nick), affiliation, reason, nick }
}

function occupantAt({ occupants }: RoomState, nick: string | undefined, jid: string | undefined): Occupant {
  const session = jid === undefined ? undefined : Jid.parse(jid)
  const found = nick === undefined ? session && occupants.withSession(session) : occupants.withNick(nick)
  if (found === undefined) throw new StanzaError('item-not-found', 'nobody here has this nick')
  return found
}

/** The bare JID, also of who is called by his nick. XEP-0045 §9.1 */
function userAt({ occupants }: RoomState, jid: string | undefined, nick: string | undefined): string {
  if (jid === undefined) {
    const occupant = occupants.withNick(nick ?? '')
    if (occupant === undefined) throw new StanzaError('item-not-found', 'nobody here has this nick')
    return occupant.user.text
  }
  const parsed = Jid.parse(jid)
  if (parsed === undefined) throw new StanzaError('jid-malformed', 'this is no address')
  return parsed.bareText
}

/** All of them, or none: throws for the first that may not be. */
function checkChanges(state: RoomState, actor: Jid, changes: readonly Change[]): void {
  const standing = state.standing(actor)
  const draft = new Affiliations(state.affiliations.all())
  for (const change of changes) {
    if (change.kind === 'role') {
      checkRole(standing, drafted(state, draft, change.occupant), change.role)
    } else {
      const current = draft.at(change.jid)?.affiliation ?? 'none'
      const isOwnBan = change.affiliation === 'outcast' && change.jid === actor.bareText
      // Before the rest: an admin may ban no admin, but is to hear this. XEP-0045 §9.1
      if (isOwnBan && isAtLeast(standing.affiliation, 'admin')) throw new StanzaError('conflict', 'nobody bans himself')
      checkAffiliation(standing.affiliation, current, change.affiliation)
      draft.set(change.jid, change.affiliation)
    }
  }
  checkOwned(state, draft)
}

/** What an occupant will be by what stands above in the same list. */
function drafted(state: RoomState, draft: Affiliations, { user, role }: Occupant): Standing {
  const was = state.affiliationOf(user)
  const affiliation = draft.at(user.text)?.affiliation ?? 'none'
  return { affiliation, role: affiliation === was ? role : roleAfter(role, was, affiliation, state.config) }
}

/** Every room has an owner. XEP-0045 §10.4 */
export function checkOwned({ affiliations }: RoomState, draft: Affiliations): void {
  if (affiliations.ownerCount > 0 && draft.ownerCount === 0) {
    throw new StanzaError('conflict', 'the last owner stays the owner')
  }
}
