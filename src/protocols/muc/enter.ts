import type { Element } from 'ltx'
import { StanzaError } from '../errors.js'
import type { Jid } from '../jid.js'
import { NS } from '../namespaces.js'
import type { Stanza } from '../stanza/stanza.js'
import type { Outcome } from './effects.js'
import { type HistoryRequest, readHistoryRequest } from './history.js'
import { tellNotInside } from './leave.js'
import type { Occupant, Session } from './occupants.js'
import { announce, announceDeparture, avatarPresence, payloadOf, type Status, showOccupants } from './presence.js'
import { type Affiliation, initialRole, isAtLeast } from './privileges.js'
import type { RoomState } from './state.js'
import { subjectStanza } from './subject.js'
import { avatarHash } from './vcard.js'

/*
 * Available presence: entering, changing the nick, and being otherwise than before. XEP-0045 §7.2, §7.6, §7.7
 */

/** Presence without a type. Throws what keeps its sender out. */
export function appear(state: RoomState, presence: Stanza, outcome: Outcome): void {
  const nick = nickIn(presence)
  const x = presence.element.getChild('x', NS.muc)
  const occupant = state.occupants.withSession(presence.from!)
  if (occupant !== undefined && nick !== occupant.nick) changeNick(state, presence, occupant, nick, outcome)
  // Who says again that he enters has lost track, and gets all of it anew.
  else if (x !== undefined) enter(state, presence, x, nick, outcome)
  else if (occupant === undefined) tellNotInside(presence, outcome)
  else update(state, presence, occupant, outcome)
}

/** An account enters by itself, without a client; `presence` is from its bare JID. Throws what keeps it out. */
export function enterAsAccount(state: RoomState, presence: Stanza, outcome: Outcome): void {
  enter(state, presence, presence.element.getChild('x', NS.muc)!, presence.to!.resource, outcome)
}

/** XEP-0045 §7.2.1 */
function nickIn(presence: Stanza): string {
  const { resource } = presence.to!
  if (presence.from!.isBare) throw new StanzaError('bad-request', 'a client enters, not an account')
  if (resource.trim() === '') throw new StanzaError('jid-malformed', 'who enters says under which nick')
  return resource
}

function enter(state: RoomState, presence: Stanza, x: Element, wanted: string, outcome: Outcome): void {
  const user = presence.from!.bare
  const request = readHistoryRequest(x.getChild('history'), state.surroundings.now())
  const nick = nickFor(state, user, wanted)
  if (!state.isNew) checkEntry(state, presence.from!, nick, x.getChildText('password') ?? undefined)
  const isCreation = state.isNew
  if (isCreation) create(state, user, outcome)
  const occupant = seat(state, presence, nick)
  outcome.changed.add('occupants')
  showOccupants(state, outcome, occupant, [presence.from!])
  const ownStatuses = statusesOfEntry(state, isCreation, nick !== wanted)
  const entry = announce(state, occupant, { ownStatuses })
  entry.others(outcome)
  entry.own(outcome)
  sendPast(state, outcome, presence.from!, request)
}

/** Who has a nick of his own gets it, where nicks are locked down. XEP-0045 §7.2.1, §7.10 */
function nickFor(state: RoomState, user: Jid, wanted: string): string {
  return (state.config.hasLockedNicks ? state.affiliations.at(user.text)?.nick : undefined) ?? wanted
}

/** XEP-0045 §7.2.5 to §7.2.11 */
function checkEntry(state: RoomState, session: Jid, nick: string, password: string | undefined): void {
  const { config } = state
  const user = session.bare
  const affiliation = state.affiliationOf(user)
  if (affiliation === 'outcast') throw new StanzaError('forbidden', 'you are banned from this room')
  if (state.isLocked && affiliation !== 'owner') throw new StanzaError('item-not-found', 'the room is not open yet')
  if (config.isMembersOnly && !isAtLeast(affiliation, 'member')) {
    throw new StanzaError('registration-required', 'this room is for members only')
  }
  checkNick(state, user, nick)
  const own = state.occupants.withNick(nick)
  if (own !== undefined && !config.mayShareNick && !own.sessions.every(({ jid }) => jid.equals(session))) {
    throw new StanzaError('conflict', 'you are in the room with this nick already')
  }
  if (own === undefined) checkSpace(state, affiliation)
  const isExempt = state.surroundings.isServiceAdmin(user)
  if (config.isPasswordProtected && !isExempt && password !== config.password) {
    throw new StanzaError('not-authorized', 'this room wants a password')
  }
}

/** A nick is one user's at a time, and always that of whom it is registered to. XEP-0045 §7.2.8 */
function checkNick(state: RoomState, user: Jid, nick: string): void {
  const inside = state.occupants.withNick(nick)
  const holder = state.affiliations.holderOf(nick) ?? user.text
  if ((inside !== undefined && !inside.user.equals(user)) || holder !== user.text) {
    throw new StanzaError('conflict', 'this nick is somebody else’s')
  }
}

function checkSpace({ occupants, config, limits }: RoomState, affiliation: Affiliation): void {
  const extra = isAtLeast(affiliation, 'admin') ? limits.adminThreshold : 0
  if (occupants.size >= config.maxUsers + extra) {
    throw new StanzaError('service-unavailable', 'the room is full', 'wait')
  }
}

/** XEP-0045 §10.1 */
function create(state: RoomState, owner: Jid, outcome: Outcome): void {
  state.isNew = false
  state.isLocked = true
  state.affiliations.set(owner.text, 'owner')
  for (const part of ['config', 'affiliations'] as const) outcome.changed.add(part)
}

/** Puts the session in; what it was with before under this nick stays. */
function seat(state: RoomState, presence: Stanza, nick: string): Occupant {
  const session = sessionOf(presence)
  const shared = state.occupants.withNick(nick)
  const user = session.jid.bare
  const occupant: Occupant = {
    nick,
    jid: state.nickJid(nick),
    user,
    id: shared?.id ?? state.occupantId(user),
    role: shared?.role ?? initialRole(state.affiliationOf(user), state.config),
    sessions: [...(shared?.sessions ?? []).filter(({ jid }) => !jid.equals(session.jid)), session],
  }
  state.occupants.put(occupant)
  return occupant
}

const sessionOf = (presence: Stanza): Session => ({ jid: presence.from!, presence: payloadOf(presence) })

function statusesOfEntry({ config }: RoomState, isCreation: boolean, isRenamed: boolean): Status[] {
  const statuses: Status[] = []
  if (config.whois === 'anyone') statuses.push(100)
  if (config.isLogged) statuses.push(170)
  if (isCreation) statuses.push(201)
  if (isRenamed) statuses.push(210)
  return statuses
}

/** The avatar, the history and the subject, in this order and before anything that happens. XEP-0045 §7.2.13 to §7.2.15 */
function sendPast(state: RoomState, outcome: Outcome, session: Jid, request: HistoryRequest): void {
  const hash = avatarHash(state.vcard)
  if (hash !== undefined) outcome.send(avatarPresence(state.jid, hash), session)
  for (const message of state.history.select(request, state.config.maxHistory)) outcome.send(message, session)
  outcome.send(subjectStanza(state), session)
}

/** XEP-0045 §7.7 */
function update(state: RoomState, presence: Stanza, occupant: Occupant, outcome: Outcome): void {
  const updated = withSession(occupant, sessionOf(presence))
  state.occupants.put(updated)
  const change = announce(state, updated)
  change.others(outcome)
  change.own(outcome)
}

const withSession = (occupant: Occupant, session: Session): Occupant => ({
  ...occupant,
  sessions: [...occupant.sessions.filter(({ jid }) => !jid.equals(session.jid)), session],
})

/** The session goes on under another nick; others that share the old one keep it. XEP-0045 §7.6 */
function changeNick(state: RoomState, presence: Stanza, old: Occupant, nick: string, outcome: Outcome): void {
  checkNickChange(state, old, nick)
  const session = sessionOf(presence)
  const rest = old.sessions.filter(({ jid }) => !jid.equals(session.jid))
  // One nick becomes two.
  if (rest.length > 0 && !state.occupants.withNick(nick)) checkSpace(state, state.affiliationOf(old.user))
  const farewell = { newNick: nick, statuses: [303] as const, payload: [] }
  const departure = announceDeparture(state, { ...old, sessions: [session] }, farewell)
  state.occupants.remove(old.nick)
  outcome.changed.add('occupants')
  departure.own(outcome)
  if (rest.length === 0) departure.others(outcome)
  else state.occupants.put({ ...old, sessions: rest })
  const shared = state.occupants.withNick(nick)
  const renamed = shared
    ? withSession(shared, session)
    : { ...old, nick, jid: state.nickJid(nick), sessions: [session] }
  state.occupants.put(renamed)
  // Whoever went from the old nick sees it again, as one among others.
  const staying = state.occupants.withNick(old.nick)
  if (staying !== undefined) announce(state, staying).others(outcome)
  const arrival = announce(state, renamed)
  arrival.others(outcome)
  arrival.own(outcome)
}

function checkNickChange(state: RoomState, occupant: Occupant, nick: string): void {
  const { config } = state
  if (occupant.role === 'visitor' && !config.mayVisitorsChangeNick) {
    throw new StanzaError('not-allowed', 'visitors keep their nicks')
  }
  checkNick(state, occupant.user, nick)
  if (nickFor(state, occupant.user, nick) !== nick) throw new StanzaError('not-acceptable', 'nicks are locked down')
  if (!config.mayShareNick && state.occupants.withNick(nick) !== undefined) {
    throw new StanzaError('conflict', 'you are in the room with this nick already')
  }
}
