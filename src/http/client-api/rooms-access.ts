import { z } from 'zod'
import {
  affiliationIn,
  type LightRoomDetails,
  lightRoom,
  lightRoomJid,
  lightRoomsOf,
} from '../../operations/light-rooms.js'
import type { OperationServices } from '../../operations/services.js'
import { type StanzaCondition, StanzaError } from '../../protocols/errors.js'
import type { Jid } from '../../protocols/jid.js'
import { Refused } from '../rest/answer.js'
import type { Call } from '../rest/resource.js'

/*
 * What the handlers of rooms have in common: which room a path means, and who may. spec/rest-client.md §4 to §7
 */

/** What the id in a path is, for the documents. */
export const roomParameter = 'Id of the room, or its JID.'

/** What a room is called, and what it is about. */
export const roomTexts = z
  .object({
    name: z.string().meta({ description: 'What the room is called.', example: 'Lawn' }),
    subject: z.string().meta({ description: 'What is talked about.', example: 'flamingos' }),
  })
  .meta({ id: 'roomTexts', description: 'What a room says of itself.' })

/** The rooms of the caller's host. Throws `Refused` with 404 where there are none. */
export function roomsOf(services: OperationServices, { user }: Call<Jid>) {
  const rooms = lightRoomsOf(services, user.domain)
  if (rooms === undefined) throw new Refused(404)
  return rooms
}

/** The room that the path names, which need not be there. Throws `Refused`: 404 where it names none, 400 for what can be none. */
export function roomIn(services: OperationServices, call: Call<Jid>): Jid {
  const id = call.bindings.get('id')
  if (id === undefined) throw new Refused(404)
  const jid = lightRoomJid(roomsOf(services, call), id)
  if (jid === undefined) throw new Refused(400, 'invalid_room_id')
  return jid
}

/** What there is of that room. */
export function roomFound(services: OperationServices, call: Call<Jid>): Promise<LightRoomDetails | undefined> {
  return lightRoom(roomsOf(services, call), roomIn(services, call))
}

/** For `Resource.exists`: 404, whatever the method, where that room is not. RC-7 */
export async function mustBeThere(services: OperationServices, call: Call<Jid>): Promise<true> {
  if ((await roomFound(services, call)) === undefined) throw new Refused(404)
  return true
}

/** The room, for whom `may` lets. Throws `Refused` with 403 for anybody else. */
export async function permitted(
  services: OperationServices,
  call: Call<Jid>,
  may: (room: LightRoomDetails, user: Jid) => boolean = isParticipant,
): Promise<void> {
  const room = await roomFound(services, call)
  if (room === undefined) throw new Refused(404)
  if (!may(room, call.user)) throw new Refused(403)
}

const isParticipant = (room: LightRoomDetails, user: Jid) => affiliationIn(room, user) !== undefined

export const isOwner = (room: LightRoomDetails, user: Jid) => affiliationIn(room, user) === 'owner'

const statuses: Partial<Record<StanzaCondition, number>> = {
  'item-not-found': 404,
  'not-allowed': 403,
  'policy-violation': 413,
  'resource-constraint': 503,
}

/** What a client would be refused, as a status: 400 unless another is meant. */
export async function told<Result>(work: Promise<Result>): Promise<Result> {
  try {
    return await work
  } catch (error) {
    if (error instanceof StanzaError) throw new Refused(statuses[error.condition] ?? 400)
    throw error
  }
}
