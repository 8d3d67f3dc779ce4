import { Element } from 'ltx'
import { Jid } from '../jid.js'
import { NS } from '../namespaces.js'
import { Stanza } from '../stanza/stanza.js'
import type { Outcome } from './effects.js'
import { invitation } from './invitations.js'
import { closeIfEmpty, remove } from './leave.js'
import { type Occupant, sessionJids } from './occupants.js'
import { type Announcement, announce, type Notice, type Status, showOccupants } from './presence.js'
import { type Affiliation, isAtLeast, type Role, roleAfter } from './privileges.js'
import type { RoomState } from './state.js'

/*
 * What becomes of occupants when roles and affiliations change; whether they may is asked elsewhere. XEP-0045 §5.1.3, §5.2.2
 */

export type Change =
  | { readonly kind: 'role'; readonly occupant: Occupant; readonly role: Role; readonly reason?: string | undefined }
  | {
      readonly kind: 'affiliation'
      /** Bare JID in canonical form. */
      readonly jid: string
      readonly affiliation: Affiliation
      readonly reason?: string | undefined
      /** What the user is called, for those who are told of somebody who is not inside. */
      readonly nick?: string | undefined
    }

/** Makes the changes, in their order; who is to be told is in the answer, in the same order. */
export function applyChanges(
  state: RoomState,
  outcome: Outcome,
  changes: readonly Change[],
  actor: string | undefined,
): Announcement[] {
  const isInhabited = state.occupants.size > 0
  const told = changes.flatMap(change =>
    change.kind === 'role'
      ? changeRole(state, outcome, change, actor)
      : changeAffiliation(state, outcome, change, actor),
  )
  if (isInhabited) closeIfEmpty(state, outcome)
  return told
}

function changeRole(
  state: RoomState,
  outcome: Outcome,
  { occupant, role, reason }: Change & { kind: 'role' },
  actor: string | undefined,
): Announcement[] {
  // An earlier change may have put him out or made him another.
  const now = state.occupants.withNick(occupant.nick)
  if (now === undefined) return []
  const notice = { reason, actor }
  if (role === 'none') return [remove(state, outcome, now, { ...notice, statuses: [307] })]
  return [become(state, outcome, now, role, notice)]
}

/** The occupant goes on with another role, or his affiliation is another. */
function become(state: RoomState, outcome: Outcome, before: Occupant, role: Role, notice: Notice): Announcement {
  const occupant = { ...before, role }
  state.occupants.put(occupant)
  outcome.changed.add('occupants')
  const announcement = announce(state, occupant, notice, state.isShown(before))
  const gainsSight = state.seesJids(occupant) && !state.seesJids(before)
  if (!gainsSight) return announcement
  return {
    own: told => {
      announcement.own(told)
      showOccupants(state, told, occupant, sessionJids(occupant))
    },
    others: announcement.others,
  }
}

function changeAffiliation(
  state: RoomState,
  outcome: Outcome,
  change: Change & { kind: 'affiliation' },
  actor: string | undefined,
): Announcement[] {
  const { jid, affiliation, reason } = change
  const affected = isDomain(jid)
    ? state.occupants.all().filter(({ user }) => user.domain === jid)
    : state.occupants.ofUser(jid)
  const before = new Map(affected.map(({ nick, user }) => [nick, state.affiliationOf(user)]))
  state.affiliations.set(jid, affiliation, reason)
  outcome.changed.add('affiliations')
  const notice = { reason, actor }
  const told = affected.map(occupant => settle(state, outcome, occupant, before.get(occupant.nick)!, notice))
  return affected.length === 0 ? [announceAbsent(state, change)] : told
}

const isDomain = (jid: string) => !jid.includes('@')

/** Sees to it that an occupant has the role that his affiliation gives, or is inside no more. */
function settle(
  state: RoomState,
  outcome: Outcome,
  occupant: Occupant,
  was: Affiliation,
  notice: Notice,
): Announcement {
  const affiliation = state.affiliationOf(occupant.user)
  const status = statusOfRemoval(affiliation, state)
  if (status !== undefined) return remove(state, outcome, occupant, { ...notice, statuses: [status] })
  const role = roleAfter(occupant.role, was, affiliation, state.config)
  return become(state, outcome, occupant, role, notice)
}

/** Why somebody with this affiliation cannot stay. XEP-0045 §9.1, §9.4 */
function statusOfRemoval(affiliation: Affiliation, { config }: RoomState): Status | undefined {
  if (affiliation === 'outcast') return 301
  return config.isMembersOnly && !isAtLeast(affiliation, 'member') ? 321 : undefined
}

/** Who is not inside: occupants hear of it, those only who see real JIDs; and a new member of a members-only room is invited. XEP-0045 §9.3 */
function announceAbsent(
  state: RoomState,
  { jid, affiliation, reason, nick }: Change & { kind: 'affiliation' },
): Announcement {
  const message = new Element('message', { from: state.jid.text })
  const x = message.c('x', { xmlns: NS.mucUser })
  const item = x.c('item', { affiliation, jid, nick, role: 'none' })
  if (reason) item.c('reason').t(reason)
  return {
    own: outcome => inviteMember(state, outcome, jid, affiliation, reason),
    others: outcome => {
      const watchers = state.occupants.all().filter(occupant => state.seesJids(occupant))
      outcome.broadcast(Stanza.fromElement(message), watchers.flatMap(sessionJids))
    },
  }
}

function inviteMember(
  state: RoomState,
  outcome: Outcome,
  jid: string,
  affiliation: Affiliation,
  reason: string | undefined,
): void {
  if (!state.config.isMembersOnly || affiliation !== 'member' || isDomain(jid)) return
  const invite = new Element('invite')
  if (reason) invite.c('reason').t(reason)
  outcome.send(invitation(state, state.jid, invite), Jid.parse(jid)!)
}

/** Non-members leave a room that has become members-only. XEP-0045 §10.2 */
export function removeNonMembers(
  state: RoomState,
  outcome: Outcome,
  wasShown: ReadonlyMap<string, boolean>,
): Announcement[] {
  return state.occupants
    .all()
    .filter(({ user }) => !isAtLeast(state.affiliationOf(user), 'member'))
    .map(occupant => remove(state, outcome, occupant, { statuses: [322], isSeen: wasShown.get(occupant.nick)! }))
}
