import { StanzaError } from '../errors.js'
import type { Jid } from '../jid.js'
import { NS } from '../namespaces.js'
import { iqResult, type Stanza } from '../stanza/stanza.js'
import type { Outcome } from './effects.js'
import { cleaned, honest, marked } from './marks.js'
import { type Occupant, sessionJids, shownSession } from './occupants.js'
import { hasVoice } from './privileges.js'
import type { RoomState } from './state.js'

/*
 * What goes from one occupant to another: messages and IQs. XEP-0045 §7.5, XEP-0410
 */

/** A message to an occupant. */
export function privateMessage(state: RoomState, stanza: Stanza, outcome: Outcome): void {
  if (stanza.type === 'groupchat') throw new StanzaError('bad-request', 'group chat goes to the room')
  const sender = insider(state, stanza)
  const target = addressee(state, stanza)
  checkMayWrite(state, sender)
  const message = cleaned(stanza, state.jid).addressed({ from: sender.jid })
  const told = message.withChild(`<x xmlns="${NS.mucUser}"/>`, NS.mucUser)
  outcome.send(marked(told, sender.id), ...sessionJids(target))
}

/** An error that comes back for a private message. */
export function privateError(state: RoomState, stanza: Stanza, outcome: Outcome): void {
  const sender = state.occupants.withSession(stanza.from!)
  const target = state.occupants.withNick(stanza.to!.resource)
  if (sender === undefined || target === undefined) return
  const told = honest(stanza, state.jid).addressed({ from: sender.jid })
  outcome.send(marked(told, sender.id), ...sessionJids(target))
}

function checkMayWrite({ config }: RoomState, { role }: Occupant): void {
  const may = {
    anyone: true,
    participants: hasVoice(role),
    moderators: role === 'moderator',
    none: false,
  }
  if (!may[config.privateMessages]) throw new StanzaError('forbidden', 'private messages are not for you to send')
}

function insider({ occupants }: RoomState, stanza: Stanza): Occupant {
  const occupant = occupants.withSession(stanza.from!)
  if (occupant === undefined) throw new StanzaError('not-acceptable', 'you are not in the room')
  return occupant
}

function addressee({ occupants }: RoomState, stanza: Stanza): Occupant {
  const occupant = occupants.withNick(stanza.to!.resource)
  if (occupant === undefined) throw new StanzaError('item-not-found', 'nobody here has this nick')
  return occupant
}

/** An IQ request to an occupant: who asks after himself is answered here. XEP-0410 §3.1 */
export function privateRequest(state: RoomState, iq: Stanza, outcome: Outcome): void {
  const sender = insider(state, iq)
  const target = addressee(state, iq)
  const isPing = iq.type === 'get' && iq.payload?.ns === NS.ping
  if (isPing && target === sender) outcome.send(iqResult(iq), iq.from!)
  else ask(state, iq, sender, target, outcome)
}

function ask(state: RoomState, iq: Stanza, sender: Occupant, target: Occupant, outcome: Outcome): void {
  if (!state.config.mayQueryUsers) throw new StanzaError('not-allowed', 'occupants are not to be queried in this room')
  const to = responder(iq, target)
  if (sender.sessions.length > 1) state.remember(keyOf(to, sender.nick, iq.id), iq.from!)
  outcome.send(iq.addressed({ from: sender.jid }), to)
}

/** A vCard is the account's, whichever client is inside. */
function responder(iq: Stanza, target: Occupant): Jid {
  return iq.payload?.ns === NS.vcard ? target.user : shownSession(target).jid
}

const keyOf = (responder: Jid, nick: string, id: string | undefined) => `${responder.text}\n${nick}\n${id}`

/** The answer: to the session that asked. One that nobody can have asked for goes nowhere. */
export function privateResponse(state: RoomState, iq: Stanza, outcome: Outcome): void {
  const from = iq.from!
  const responding = state.occupants.withSession(from) ?? state.occupants.ofUser(from.text)[0]
  const requester = state.occupants.withNick(iq.to!.resource)
  if (responding === undefined || requester === undefined) return
  const key = keyOf(from, requester.nick, iq.id)
  const asked = state.requests.get(key)
  state.requests.delete(key)
  const session = requester.sessions.find(({ jid }) => asked?.equals(jid)) ?? shownSession(requester)
  outcome.send(iq.addressed({ from: responding.jid }), session.jid)
}
