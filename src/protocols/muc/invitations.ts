import { Element } from 'ltx'
import { StanzaError } from '../errors.js'
import { Jid } from '../jid.js'
import { NS } from '../namespaces.js'
import { Stanza } from '../stanza/stanza.js'
import type { Outcome } from './effects.js'
import { type Occupant, sessionJids } from './occupants.js'
import { isAtLeast } from './privileges.js'
import type { RoomState } from './state.js'

/*
 * Invitations that go through the room. XEP-0045 §7.8.2
 * Those that go from user to user (XEP-0249) never come here.
 */

/** True for a message that holds invitations or declines one. */
export function isInvitation(message: Stanza): boolean {
  const x = message.element.getChild('x', NS.mucUser)
  return x?.getChild('invite') !== undefined || x?.getChild('decline') !== undefined
}

/** Passes invitations on, or the one that is declined. */
export function mediate(state: RoomState, message: Stanza, outcome: Outcome): void {
  const x = message.element.getChild('x', NS.mucUser)!
  const decline = x.getChild('decline')
  if (decline === undefined) passInvitations(state, message, x, outcome)
  else passDecline(state, message, decline, outcome)
}

/** All of them, or none. */
function passInvitations(state: RoomState, message: Stanza, x: Element, outcome: Outcome): void {
  const inviter = state.occupants.withSession(message.from!)
  if (inviter === undefined) throw new StanzaError('not-acceptable', 'only occupants invite')
  checkMayInvite(state, inviter)
  const invitations = x.getChildren('invite').map(invite => ({ invite, to: addressIn(invite) }))
  for (const { to } of invitations) {
    if (state.affiliationOf(to) === 'outcast') throw new StanzaError('forbidden', `${to.bareText} is banned`)
  }
  for (const { invite, to } of invitations) {
    admit(state, to, outcome)
    const from = state.config.whois === 'anyone' ? message.from! : inviter.jid
    outcome.send(invitation(state, from, invite, message.id), to)
  }
}

/** Members-only rooms are for admins to open, or for members where the room says so. XEP-0045 §9.3 */
function checkMayInvite(state: RoomState, { user }: Occupant): void {
  const { isMembersOnly, mayInvite } = state.config
  if (!isMembersOnly || isAtLeast(state.affiliationOf(user), mayInvite ? 'member' : 'admin')) return
  throw new StanzaError('forbidden', 'only admins invite to this room')
}

function addressIn(invite: Element): Jid {
  const jid = Jid.parse(invite.attrs.to ?? '')
  if (jid === undefined) throw new StanzaError('jid-malformed', 'who is invited?')
  return jid
}

/** Who is invited may enter. XEP-0045 §7.8.2 */
export function admit(state: RoomState, invitee: Jid, outcome: Outcome): void {
  if (!state.config.isMembersOnly || isAtLeast(state.affiliationOf(invitee), 'member')) return
  state.affiliations.set(invitee.bareText, 'member')
  outcome.changed.add('affiliations')
}

/** What the invitee gets. */
export function invitation(state: RoomState, from: Jid, invite: Element, id?: string): Stanza {
  const { jid, config } = state
  const message = new Element('message', { from: jid.text, id })
  const x = message.c('x', { xmlns: NS.mucUser })
  const passed = x.c('invite', { from: from.text })
  const reason = invite.getChildText('reason')
  if (reason) passed.c('reason').t(reason)
  const going = invite.getChild('continue')
  if (going !== undefined) passed.c('continue', { thread: going.attrs.thread })
  if (config.isPasswordProtected) x.c('password').t(config.password)
  return Stanza.fromElement(message)
}

function passDecline(state: RoomState, message: Stanza, decline: Element, outcome: Outcome): void {
  const to = Jid.parse(decline.attrs.to ?? '')
  // Only to who is inside: the room is no way to write to anybody else.
  const sessions = to === undefined ? [] : sessionsAt(state, to)
  if (sessions.length === 0) throw new StanzaError('item-not-found', 'who invited is not in the room')
  const passed = new Element('message', { from: state.jid.text, id: message.id })
  const element = passed.c('x', { xmlns: NS.mucUser }).c('decline', { from: message.from!.bareText })
  const reason = decline.getChildText('reason')
  if (reason) element.c('reason').t(reason)
  outcome.broadcast(Stanza.fromElement(passed), sessions)
}

/** Sessions of an occupant by his address in the room, or by his real one. */
function sessionsAt({ jid, occupants }: RoomState, to: Jid): Jid[] {
  const inside = to.bareText === jid.text ? occupants.withNick(to.resource) : undefined
  const found = inside === undefined ? occupants.ofUser(to.bareText) : [inside]
  const sessions = found.flatMap(sessionJids)
  return sessions.some(session => session.equals(to)) ? [to] : sessions
}
