import { clone, Element } from 'ltx'
import { standalone } from '../fragment.js'
import type { Jid } from '../jid.js'
import { NS } from '../namespaces.js'
import { Stanza } from '../stanza/stanza.js'
import type { Outcome } from './effects.js'
import { type Occupant, sessionJids, shownSession } from './occupants.js'
import type { Affiliation, Role } from './privileges.js'
import type { RoomState } from './state.js'

/*
 * What a room says of its occupants. XEP-0045 §7.2.2, §7.2.3
 */

/** The status codes that presence bears. XEP-0045 §15.6.2 */
export type Status = 100 | 110 | 170 | 201 | 210 | 301 | 303 | 307 | 321 | 322 | 332 | 333

/** Why a presence is sent. */
export interface Notice {
  /** For everybody. */
  readonly statuses?: readonly Status[]
  /** For the occupant himself, besides 110. */
  readonly ownStatuses?: readonly Status[]
  readonly reason?: string | undefined
  /** The nick of who did it. */
  readonly actor?: string | undefined
  /** On the way to another nick. */
  readonly newNick?: string
}

interface Appearance extends Notice {
  readonly type?: 'unavailable'
  readonly affiliation: Affiliation
  readonly role: Role
  /** The real JID, for who may see it. */
  readonly jid?: Jid
  readonly payload: readonly Element[]
}

const foreignToRooms: readonly string[] = [NS.muc, NS.mucUser, NS.mucAdmin, NS.mucOwner, NS.occupantId]

/** What a presence says besides what only the room says: never an `<x/>` of a room, never an occupant id. XEP-0421 §4 */
export function payloadOf(presence: Stanza): Element[] {
  return presence.element
    .getChildElements()
    .filter(child => !foreignToRooms.includes(child.getNS() ?? ''))
    .map(child => (isOfStream(child) ? bare(child) : standalone(child)))
}

/** In the namespace of the stanza, whatever that is on the streams where it goes. */
const isOfStream = (child: Element) =>
  child.attrs.xmlns === undefined && !child.name.includes(':') && child.getNS() === NS.client

function bare(child: Element): Element {
  const copy = clone(child)
  copy.parent = null
  return copy
}

function presenceStanza(from: Jid, id: string, look: Appearance): Stanza {
  const presence = new Element('presence', { from: from.text, type: look.type })
  for (const child of look.payload) presence.cnode(clone(child))
  const x = presence.c('x', { xmlns: NS.mucUser })
  addItem(x, look)
  for (const code of [...new Set(look.statuses)].sort()) x.c('status', { code: String(code) })
  presence.c('occupant-id', { xmlns: NS.occupantId, id })
  return Stanza.fromElement(presence)
}

function addItem(x: Element, { affiliation, role, jid, newNick, actor, reason }: Appearance): void {
  const item = x.c('item', { affiliation, role, jid: jid?.text, nick: newNick })
  if (actor !== undefined) item.c('actor', { nick: actor })
  if (reason) item.c('reason').t(reason)
}

/** A visitor's status is nobody's business where the room says so. */
function visiblePayload(state: RoomState, occupant: Occupant): readonly Element[] {
  const { presence } = shownSession(occupant)
  if (occupant.role !== 'visitor' || state.config.mayVisitorsShowStatus) return presence
  return presence.filter(child => child.getName() !== 'status')
}

const look = (state: RoomState, occupant: Occupant): Appearance => ({
  affiliation: state.affiliationOf(occupant.user),
  role: occupant.role,
  payload: visiblePayload(state, occupant),
})

/** What was said of occupants last. They are values: it is said again to the next who enters, already serialised. */
const lastShown = new WeakMap<Occupant, Map<string, Stanza>>()

/** The presence of somebody who is inside and has done nothing new. */
function currentStanza(state: RoomState, occupant: Occupant, seesJid: boolean): Stanza {
  const key = `${seesJid} ${state.affiliationOf(occupant.user)} ${state.config.mayVisitorsShowStatus}`
  const known = lastShown.get(occupant) ?? new Map<string, Stanza>()
  const stanza = known.get(key) ?? stanzaFor(state, occupant, seesJid)
  lastShown.set(occupant, known.set(key, stanza))
  return stanza
}

/** The presence of somebody who is inside, as somebody else sees it. */
function stanzaFor(state: RoomState, occupant: Occupant, seesJid: boolean, notice: Notice = {}): Stanza {
  const jid = seesJid ? { jid: shownSession(occupant).jid } : {}
  return presenceStanza(occupant.jid, occupant.id, { ...look(state, occupant), ...notice, ...jid })
}

/** Shows a newcomer, or somebody who may see real JIDs from now on, who is inside. XEP-0045 §7.2.2 */
export function showOccupants(state: RoomState, outcome: Outcome, viewer: Occupant, to: readonly Jid[]): void {
  const seesJids = state.seesJids(viewer)
  for (const occupant of state.occupants.all()) {
    if (occupant.nick !== viewer.nick && state.isShown(occupant)) {
      outcome.broadcast(currentStanza(state, occupant, seesJids), to)
    }
  }
}

/** Occupants but one, apart by whether they see real JIDs. */
function watchers(state: RoomState, nick: string): { seeing: Jid[]; others: Jid[] } {
  const [seeing, others]: [Jid[], Jid[]] = [[], []]
  for (const watcher of state.occupants.all()) {
    if (watcher.nick !== nick) (state.seesJids(watcher) ? seeing : others).push(...sessionJids(watcher))
  }
  return { seeing, others }
}

/** What is sent of one presence: to the others first when somebody comes, to himself first when he goes. */
export interface Announcement {
  readonly own: (outcome: Outcome) => void
  readonly others: (outcome: Outcome) => void
}

const nothing = () => {}

/** An occupant is there, or is otherwise than he was. Whom the room does not show any more (`wasShown`) goes, for the others. */
export function announce(state: RoomState, occupant: Occupant, notice: Notice = {}, wasShown = false): Announcement {
  return {
    own: outcome => sendOwn(state, outcome, occupant, notice),
    others: state.isShown(occupant)
      ? outcome => sendToWatchers(state, outcome, occupant.nick, seesJid => stanzaFor(state, occupant, seesJid, notice))
      : wasShown
        ? announceDeparture(state, occupant, { ...notice, isSeen: true }).others
        : nothing,
  }
}

function sendOwn(state: RoomState, outcome: Outcome, occupant: Occupant, notice: Notice): void {
  const statuses: Status[] = [110, ...(notice.statuses ?? []), ...(notice.ownStatuses ?? [])]
  outcome.send(stanzaFor(state, occupant, true, { ...notice, statuses }), ...sessionJids(occupant))
}

function sendToWatchers(state: RoomState, outcome: Outcome, nick: string, stanza: (seesJid: boolean) => Stanza): void {
  const { seeing, others } = watchers(state, nick)
  if (seeing.length > 0) outcome.broadcast(stanza(true), seeing)
  if (others.length > 0) outcome.broadcast(stanza(false), others)
}

/** What somebody says who goes, besides what the room says of it. */
export interface Farewell extends Notice {
  readonly payload?: readonly Element[]
  /** Instead of what is kept. */
  readonly affiliation?: Affiliation
  /** The others saw him, whomever the room shows now. */
  readonly isSeen?: boolean
}

/** An occupant is gone, or goes on under another nick: nobody sees `room/nick` any more. */
export function announceDeparture(state: RoomState, occupant: Occupant, farewell: Farewell = {}): Announcement {
  const stanza = (seesJid: boolean, statuses: readonly Status[]) =>
    presenceStanza(occupant.jid, occupant.id, {
      type: 'unavailable',
      affiliation: farewell.affiliation ?? state.affiliationOf(occupant.user),
      payload: [],
      ...farewell,
      // Who changes his nick has his role yet. XEP-0045 §7.6
      role: farewell.newNick === undefined ? 'none' : occupant.role,
      statuses,
      ...(seesJid && { jid: shownSession(occupant).jid }),
    })
  const statuses = farewell.statuses ?? []
  return {
    own: outcome => {
      outcome.send(stanza(true, [110, ...statuses, ...(farewell.ownStatuses ?? [])]), ...sessionJids(occupant))
    },
    others: outcome => {
      if (!(farewell.isSeen ?? state.isShown(occupant))) return
      sendToWatchers(state, outcome, occupant.nick, seesJid => stanza(seesJid, statuses))
    },
  }
}

/** What a session is told that is not inside, though it thinks so. XEP-0045 §7.2.16 */
export function notInsideStanza(room: Jid): Stanza {
  const presence = new Element('presence', { from: room.text, type: 'unavailable' })
  const x = presence.c('x', { xmlns: NS.mucUser })
  addItem(x, { affiliation: 'none', role: 'none', payload: [], reason: 'You are not in the room.' })
  for (const code of ['110', '307', '333']) x.c('status', { code })
  return Stanza.fromElement(presence)
}

/** Each occupant hears of the end of the room once, and of nobody else's. XEP-0045 §10.9 */
export function sendDestruction(state: RoomState, outcome: Outcome, destroy: Element): void {
  for (const occupant of state.occupants.all()) {
    const presence = new Element('presence', { from: occupant.jid.text, type: 'unavailable' })
    const x = presence.c('x', { xmlns: NS.mucUser })
    addItem(x, { affiliation: 'none', role: 'none', payload: [] })
    x.cnode(clone(destroy))
    x.c('status', { code: '110' })
    presence.c('occupant-id', { xmlns: NS.occupantId, id: occupant.id })
    outcome.send(Stanza.fromElement(presence), ...sessionJids(occupant))
  }
}

/** The hash of the room's avatar. XEP-0486 §3 */
export function avatarPresence(room: Jid, hash: string): Stanza {
  const presence = new Element('presence', { from: room.text })
  presence.c('x', { xmlns: NS.vcardUpdate }).c('photo').t(hash)
  return Stanza.fromElement(presence)
}

/** A message of the room about itself. */
export function statusMessage(room: Jid, codes: readonly number[]): Stanza {
  const message = new Element('message', { from: room.text, type: 'groupchat' })
  const x = message.c('x', { xmlns: NS.mucUser })
  for (const code of codes) x.c('status', { code: String(code) })
  return Stanza.fromElement(message)
}
