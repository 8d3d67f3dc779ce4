import { randomUUID } from 'node:crypto'
import { Element } from 'ltx'
import { type MucService, mucRooms } from '../modules/muc-service.js'
import { StanzaError } from '../protocols/errors.js'
import { Jid } from '../protocols/jid.js'
import { NS } from '../protocols/namespaces.js'
import { Stanza } from '../protocols/stanza/stanza.js'
import { sendElement } from './messages.js'
import type { OperationServices } from './services.js'

/*
 * Rooms of multi-user chat: what an operator does with them. XEP-0045, spec/rest-admin.md
 */

/** The rooms of a host; undefined where it has none. */
export function roomsOf(services: OperationServices, host: string): MucService | undefined {
  return services.offered(host, mucRooms)
}

/** The JID of a room by its localpart; undefined for what can be none. */
export function roomJid({ jid: { domain } }: MucService, name: string): Jid | undefined {
  return name === '' ? undefined : Jid.of(name, domain)
}

/**
 * Has an account enter a room, which it makes where there is none: open, with the default configuration. It is inside without a client,
 * and all that the room says goes to its bare JID. Its clients get the answer to the configuration too. Rejects with `locked` for a
 * room that its owner has not opened yet, and with the `StanzaError` that keeps a client out. A-23
 */
export async function makeRoom(
  { routing }: OperationServices,
  service: MucService,
  { room, owner, nick }: { room: Jid; owner: Jid; nick: string },
): Promise<'made' | 'locked'> {
  const made = await service.inRoom(
    room.local,
    found => {
      if (found.isLocked && found.affiliationOf(owner) !== 'owner') return { result: 'locked' as const }
      return { effects: found.seat(owner, nick), result: 'made' as const }
    },
    owner,
  )
  if (made === 'locked') return made
  const result = Stanza.fromElement(new Element('iq', { type: 'result', id: randomUUID(), from: room.text }))
  for (const session of routing.sessions.resources(owner.bareText)) {
    if (session.presence !== undefined) routing.deliver(session, result.addressed({ to: session.jid }))
  }
  return made
}

/** Invites somebody in somebody's name, past the room. Rejects with `item-not-found` where there is no such room. XEP-0249, A-24 */
export async function inviteToRoom(
  services: OperationServices,
  service: MucService,
  { room, from, to, reason }: { room: Jid; from: Jid; to: Jid; reason: string },
): Promise<void> {
  await service.inRoom(room.local, () => ({ result: undefined }))
  const message = new Element('message', { id: randomUUID(), from: from.text, to: to.text })
  message.c('x', { xmlns: NS.directInvitation, jid: room.text, ...(reason !== '' && { reason }) })
  await sendElement(services, from, message)
}

/**
 * Has somebody say something in a room. A bare JID is whoever of the user is inside. Who is not is told so by the room. Rejects as
 * `sendMessage` does. A-25
 */
export async function sayInRoom(
  services: OperationServices,
  service: MucService,
  { room, from, body }: { room: Jid; from: Jid; body: string },
): Promise<void> {
  const speaker = from.isBare ? await inside(service, room, from) : from
  const message = new Element('message', { type: 'groupchat', id: randomUUID(), from: speaker.text, to: room.text })
  message.c('body').t(body)
  await sendElement(services, speaker, message)
}

/** Whoever of the user is in the room; the user itself where nobody is. */
async function inside(service: MucService, room: Jid, user: Jid): Promise<Jid> {
  try {
    return await service.inRoom(room.local, ({ occupants }) => {
      const own = occupants.flatMap(({ jids }) => jids).filter(jid => jid.bareText === user.text)
      return { result: own.at(-1) ?? user }
    })
  } catch (error) {
    // The room says it to the sender.
    if (error instanceof StanzaError && error.condition === 'item-not-found') return user
    throw error
  }
}

/** Puts somebody out, in the name of a moderator if one is there. Nothing happens where nobody has the nick. Rejects with `item-not-found`. A-26 */
export function kickFromRoom(
  service: MucService,
  { room, nick, reason }: { room: Jid; nick: string; reason: string },
): Promise<void> {
  const { resource = '' } = room.withResource(nick) ?? {}
  return service.inRoom(room.local, found => {
    if (!found.occupants.some(occupant => occupant.nick === resource)) return { result: undefined }
    const moderator = found.occupants.find(({ role }) => role === 'moderator')
    return { effects: found.kick(resource, reason, moderator?.nick), result: undefined }
  })
}
