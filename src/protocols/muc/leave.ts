import { Element } from 'ltx'
import type { Jid } from '../jid.js'
import { NS } from '../namespaces.js'
import type { Stanza } from '../stanza/stanza.js'
import type { Outcome } from './effects.js'
import type { Occupant } from './occupants.js'
import {
  type Announcement,
  announce,
  announceDeparture,
  type Farewell,
  notInsideStanza,
  payloadOf,
  sendDestruction,
} from './presence.js'
import type { RoomState } from './state.js'

/*
 * How occupants go: by themselves, without a word, or put out. XEP-0045 §7.14, §8.2, §10.9, §14
 */

/** Takes an occupant out of the room with all sessions; who is told is in the answer. */
export function remove(state: RoomState, outcome: Outcome, occupant: Occupant, farewell: Farewell = {}): Announcement {
  state.occupants.remove(occupant.nick)
  outcome.changed.add('occupants')
  return announceDeparture(state, occupant, farewell)
}

/** A room that is not to stay is gone with the last occupant. XEP-0045 §7.14 */
export function closeIfEmpty(state: RoomState, outcome: Outcome): void {
  if (state.occupants.size === 0 && !state.config.isPersistent) outcome.isDestroyed = true
}

/** A session goes; its nick stays where others share it. */
export function removeSession(state: RoomState, outcome: Outcome, session: Jid, farewell: Farewell): void {
  const occupant = state.occupants.withSession(session)
  if (occupant === undefined) return
  // An owner who goes before he says how the room is to be does not want it. XEP-0045 §10.1.3
  if (state.isLocked) destroy(state, outcome, {})
  else if (occupant.sessions.length > 1) removeOneOf(state, outcome, occupant, session, farewell)
  else removeLast(state, outcome, occupant, farewell)
}

function removeLast(state: RoomState, outcome: Outcome, occupant: Occupant, farewell: Farewell): void {
  const gone = remove(state, outcome, occupant, farewell)
  gone.own(outcome)
  gone.others(outcome)
  closeIfEmpty(state, outcome)
}

function removeOneOf(state: RoomState, outcome: Outcome, occupant: Occupant, session: Jid, farewell: Farewell): void {
  const rest = occupant.sessions.filter(({ jid }) => !jid.equals(session))
  const leaving = occupant.sessions.filter(({ jid }) => jid.equals(session))
  announceDeparture(state, { ...occupant, sessions: leaving }, farewell).own(outcome)
  const staying = { ...occupant, sessions: rest }
  state.occupants.put(staying)
  outcome.changed.add('occupants')
  // What the nick is seen with was the presence of the session that left.
  if (occupant.sessions.at(-1)!.jid.equals(session)) announce(state, staying).others(outcome)
}

/** Presence of type `unavailable`. XEP-0045 §7.14 */
export function leave(state: RoomState, presence: Stanza, outcome: Outcome): void {
  removeSession(state, outcome, presence.from!, { payload: payloadOf(presence) })
}

/** Whoever asks to be seen and is not inside is told so. XEP-0045 §7.2.16 */
export function tellNotInside(presence: Stanza, outcome: Outcome): void {
  outcome.send(notInsideStanza(presence.to!), presence.from!)
}

/** The room ends. XEP-0045 §10.9 */
export function destroy(
  state: RoomState,
  outcome: Outcome,
  { alternate, reason, password }: { alternate?: Jid | undefined; reason?: string; password?: string },
): void {
  const element = new Element('destroy', { jid: alternate?.text })
  if (reason) element.c('reason').t(reason)
  if (password) element.c('password').t(password)
  sendDestruction(state, outcome, element)
  for (const { nick } of state.occupants.all()) state.occupants.remove(nick)
  outcome.changed.add('occupants')
  outcome.isDestroyed = true
}

/** Everybody out, each told of himself only; the room itself stays. XEP-0045 §14.2 */
export function shutDown(state: RoomState, outcome: Outcome, reason?: string): void {
  const farewell: Farewell = { ownStatuses: [332], reason, affiliation: 'none' }
  for (const occupant of state.occupants.all()) remove(state, outcome, occupant, farewell).own(outcome)
}

// ---- what comes back

/** Conditions that say that an occupant is not where he was. */
const unreachable = [
  'gone',
  'internal-server-error',
  'item-not-found',
  'jid-malformed',
  'recipient-unavailable',
  'redirect',
  'remote-server-not-found',
  'remote-server-timeout',
  'service-unavailable',
]

/** Whether an error says that whom it comes from is not there any more. XEP-0045 §14.1 */
export function saysUnreachable(stanza: Stanza): boolean {
  const error = stanza.element.getChildElements().find(child => child.getName() === 'error')
  const conditions = error?.getChildElements().filter(child => child.getNS() === NS.stanzaErrors) ?? []
  return conditions.some(child => unreachable.includes(child.getName()))
}
