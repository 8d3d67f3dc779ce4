import { randomUUID } from 'node:crypto'
import { Element } from 'ltx'
import { lightRooms, type MucLightDomain } from '../modules/muc-light-domain.js'
import { StanzaError } from '../protocols/errors.js'
import { Jid } from '../protocols/jid.js'
import { type ChatMarkerJson, chatMarkers } from '../protocols/message-json.js'
import { affiliationOf, type Configuration } from '../protocols/muc-light.js'
import { legalText } from '../protocols/stanza/stanza.js'
import { type RecentMessage, recentMessages, sendElement } from './messages.js'
import type { OperationServices } from './services.js'

/*
 * Rooms of light group chat. Who is in them hears of a change as if an IQ had asked for it; of a new room nobody does. spec/muc-light.md §9
 */

/** What a room is called, and what it is about. */
export interface RoomTexts {
  readonly name: string
  readonly subject: string
}

/** A room among those of a user. */
export interface LightRoom extends RoomTexts {
  readonly jid: Jid
}

export interface LightRoomDetails extends RoomTexts {
  /** Bare JIDs, whether they are online or not. */
  readonly occupants: readonly { readonly jid: string; readonly affiliation: 'owner' | 'member' }[]
}

/** The rooms of a host; undefined where it has none. */
export function lightRoomsOf(services: OperationServices, host: string): MucLightDomain | undefined {
  return services.offered(host, lightRooms)
}

/** The rooms of a domain, or of the host that they belong to; undefined where it has none. A-17 */
export function lightRoomsAt(services: OperationServices, domain: string): MucLightDomain | undefined {
  const all = services.routing.hosts.flatMap(host => lightRoomsOf(services, host) ?? [])
  return all.find(({ jid }) => jid.text === domain) ?? lightRoomsOf(services, domain)
}

/** The JID of a room that is named by it, or by its localpart; undefined for what can be none. spec/rest-client.md §4 */
export function lightRoomJid({ jid: { domain } }: MucLightDomain, text: string): Jid | undefined {
  const jid = text.includes('@') ? Jid.parse(text) : Jid.of(text, domain)
  return jid?.isBare === true && jid.local !== '' && jid.domain === domain ? jid : undefined
}

/** All rooms that a user is in, by what they are called in JIDs. RR-1, A-17 */
export async function lightRoomsOfUser(rooms: MucLightDomain, user: Jid): Promise<LightRoom[]> {
  const found = await rooms.allRoomsOf(user.bareText)
  return found.map(({ jid, name, configuration }) => ({
    jid: Jid.parse(jid)!, // it came out of the store as it went in
    name,
    subject: textIn(configuration, 'subject'),
  }))
}

/** Undefined where there is no such room. RR-3 */
export async function lightRoom(rooms: MucLightDomain, room: Jid): Promise<LightRoomDetails | undefined> {
  const found = await rooms.find(room.local)
  if (found === undefined) return undefined
  const { configuration, occupants } = found
  const name = configuration.has('roomname') ? textIn(configuration, 'roomname') : room.local
  return { name, subject: textIn(configuration, 'subject'), occupants }
}

const textIn = (configuration: Configuration, field: string) => String(configuration.get(field) ?? '')

/** What the user is in the room; undefined: nothing. */
export const affiliationIn = ({ occupants }: LightRoomDetails, user: Jid) =>
  occupants.find(({ jid }) => jid === user.bareText)?.affiliation

/**
 * Makes a room, and resolves with its JID: `room`, or one that the server chooses. Rejects with `conflict` where there is one, with
 * `bad-request` for an owner who is in too many rooms and where rooms have no such texts. RR-2, RR-4, A-18
 */
export function createLightRoom(
  rooms: MucLightDomain,
  { owner, room, ...texts }: RoomTexts & { owner: Jid; room?: Jid },
): Promise<Jid> {
  const creation = { creator: owner.bareText, fields: fieldsOf(texts), occupants: [] }
  return rooms.create(creation, room?.local ?? '')
}

/** Rejects with `not-allowed` for members who may not, and with `item-not-found` for who is not in the room. RG-1, RG-3, A-19 */
export function configureLightRoom(rooms: MucLightDomain, room: Jid, user: Jid, texts: RoomTexts): Promise<void> {
  return rooms.configure(doing(room, user), () => fieldsOf(texts))
}

/** Whether a room's configuration is the user's to change. RG-1 */
export function mayConfigure({ rules }: MucLightDomain, room: LightRoomDetails, user: Jid): boolean {
  const affiliation = affiliationIn(room, user)
  return affiliation === 'owner' || (affiliation === 'member' && rules.allCanConfigure)
}

const fieldsOf = ({ name, subject }: RoomTexts) =>
  new Map([
    ['roomname', legalText(name)],
    ['subject', legalText(subject)],
  ])

const doing = (room: Jid, user: Jid) => ({ room, user: user.bareText, id: randomUUID() })

/**
 * Makes somebody a member, at the wish of somebody who is in the room. Nothing happens to who is in it, who blocks it, and where it is
 * full. Rejects with `not-allowed` for who may not add anybody, and with `item-not-found` for who is not in the room. RU-1, RU-2, A-20
 */
export async function addToLightRoom(
  rooms: MucLightDomain,
  room: Jid,
  { by, user, isOwnersOnly = false }: { by: Jid; user: Jid; isOwnersOnly?: boolean },
): Promise<void> {
  const jid = user.bareText
  try {
    await rooms.affiliate(doing(room, by), found => {
      if (isOwnersOnly && affiliationOf(found, by.bareText) !== 'owner') throw notAllowed()
      return affiliationOf(found, jid) === undefined ? [{ jid, affiliation: 'member' }] : []
    })
  } catch (error) {
    if (!(error instanceof StanzaError && error.condition === 'bad-request')) throw error
  }
}

/**
 * Takes somebody out of a room; an owner is followed by another. Nothing happens where he is not in it. Rejects with `not-allowed` for a
 * member who takes out another, and with `item-not-found` for who is not in the room. RU-3
 */
export function removeFromLightRoom(rooms: MucLightDomain, room: Jid, { by, user }: { by: Jid; user: Jid }) {
  const jid = user.bareText
  return rooms.affiliate(doing(room, by), found => {
    if (jid !== by.bareText && affiliationOf(found, by.bareText) !== 'owner') throw notAllowed()
    return affiliationOf(found, jid) === undefined ? [] : [{ jid, affiliation: 'none' }]
  })
}

const notAllowed = () => new StanzaError('not-allowed', 'only the owner may do this')

/** Ends a room, and tells everybody in it. Rejects with `not-allowed` for who does not own it, and `item-not-found`. A-22 */
export function destroyLightRoom(rooms: MucLightDomain, room: Jid, user: Jid): Promise<void> {
  return rooms.destroy(doing(room, user))
}

/** What may be said in a room: at least one of text and marker. RX-1 */
export interface RoomSaying {
  readonly body?: string | undefined
  /** Whoever reads the text may say so. XEP-0333 */
  readonly isMarkable?: boolean
  readonly marker?: ChatMarkerJson | undefined
}

/** Sends a message to a room as a client would, and resolves with its id. Rejects as `sendMessage` does. RX-2, A-21 */
export async function sayInLightRoom(
  services: OperationServices,
  { room, from, body, isMarkable, marker }: RoomSaying & { room: Jid; from: Jid },
): Promise<string> {
  const id = randomUUID()
  const element = new Element('message', { type: 'groupchat', id, from: from.text, to: room.text })
  if (body !== undefined) element.c('body').t(body)
  if (isMarkable && body !== undefined) element.c('markable', { xmlns: chatMarkers })
  if (marker !== undefined) element.c(marker.type, { xmlns: chatMarkers, id: marker.id })
  await sendElement(services, from, element)
  return id
}

/** The newest messages and changes of a room, as `recentMessages` has those of an account. RX-3 */
export function recentInLightRoom(
  services: OperationServices,
  room: Jid,
  page: { before?: number | undefined; limit: number },
): Promise<RecentMessage[]> {
  return recentMessages(services, room, page)
}
