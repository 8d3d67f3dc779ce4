import { StanzaError } from '../errors.js'
import type { Jid } from '../jid.js'
import { isArchivable } from '../mam.js'
import type { Stanza } from '../stanza/stanza.js'
import type { Outcome } from './effects.js'
import { cleaned, marked, withStanzaId } from './marks.js'
import { retractOwn } from './moderation.js'
import type { Occupant } from './occupants.js'
import { hasVoice } from './privileges.js'
import type { RoomState } from './state.js'
import { checkSubjectChange, isSubjectChange } from './subject.js'

/*
 * What is said to everybody. XEP-0045 §7.4, §8.1
 * The bytes that came in go out: only what a room says itself is spliced in, once for all occupants.
 */

const archiving = { hasGroupchat: true, hasChatMarkers: true }

/** A message of type `groupchat` to the room. */
export function groupchat(state: RoomState, stanza: Stanza, outcome: Outcome): void {
  const occupant = speaker(state, stanza.from!)
  const clean = cleaned(stanza, state.jid)
  const isSubject = isSubjectChange(clean)
  if (isSubject) checkSubjectChange(state, occupant)
  else if (state.config.isModerated && !hasVoice(occupant.role)) throw new StanzaError('forbidden', 'you have no voice')
  const message = marked(clean.addressed({ from: occupant.jid }), occupant.id)
  if (isSubject) setSubject(state, message, occupant.user, outcome)
  else say(state, message, occupant.user, outcome)
}

function speaker({ occupants }: RoomState, session: Jid): Occupant {
  const occupant = occupants.withSession(session)
  if (occupant === undefined) throw new StanzaError('not-acceptable', 'only occupants are heard')
  return occupant
}

/** To everybody, and to those who come later. */
export function say(state: RoomState, message: Stanza, sender: Jid, outcome: Outcome): void {
  const now = state.surroundings.now()
  const retraction = retractOwn(state, message, sender, outcome)
  if (!retraction && !isArchivable(message, 'received', archiving)) {
    outcome.broadcast(message, state.occupants.sessions)
    return
  }
  const id = state.surroundings.newId()
  const kept = withStanzaId(message, state.jid, id)
  outcome.broadcast(kept, state.occupants.sessions)
  if (state.isArchived) outcome.archived.push({ id, at: now, stanza: kept, sender: sender.text })
  // A retraction is nothing to read; it is what made room for itself.
  if (retraction) return
  state.history.add({ id, at: now, stanza: kept, sender: sender.text })
  outcome.changed.add('history')
}

function setSubject(state: RoomState, message: Stanza, sender: Jid, outcome: Outcome): void {
  const at = state.surroundings.now()
  const id = state.isArchived ? state.surroundings.newId() : undefined
  const stanza = id === undefined ? message : withStanzaId(message, state.jid, id)
  state.subject = { stanza: stanza.compact(), at }
  outcome.changed.add('subject')
  outcome.broadcast(stanza, state.occupants.sessions)
  if (id !== undefined) outcome.archived.push({ id, at, stanza, sender: sender.text })
}
