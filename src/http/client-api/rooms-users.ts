import { z } from 'zod'
import { addToLightRoom, removeFromLightRoom } from '../../operations/light-rooms.js'
import type { OperationServices } from '../../operations/services.js'
import { Jid } from '../../protocols/jid.js'
import { noContent, Refused } from '../rest/answer.js'
import { type DescribedHandler, described } from '../rest/description.js'
import { operation, resourceHandler } from '../rest/resource.js'
import { clientResource } from './authorize.js'
import { isOwner, mustBeThere, permitted, roomIn, roomParameter, roomsOf, told } from './rooms-access.js'

/*
 * `mongoose_client_api_rooms_users`. spec/rest-client.md §6
 */

const newMember = z
  .object({ user: z.string().meta({ description: 'JID of who is to come.', example: 'alice@wonder.test' }) })
  .meta({ id: 'newMember', description: 'Who is to be in a room.' })

/** Who is in a room: adds and removes them. */
export function createRoomUsersHandler(services: OperationServices): DescribedHandler {
  const POST = operation<Jid, typeof newMember>({
    description: 'Makes somebody a member of a room that the user owns.',
    responses: {
      204: { description: 'It is so, or cannot be: who blocks the room, or is in too many, does not come.' },
      403: { description: 'The user does not own the room.' },
      404: { description: 'There is no such room.' },
    },
    body: newMember,
    permit: call => permitted(services, call, isOwner),
    async handle(call) {
      const change = { by: call.user, user: named(call.body.user), isOwnersOnly: true }
      await told(addToLightRoom(roomsOf(services, call), roomIn(services, call), change))
      return noContent
    },
  })
  const DELETE = operation<Jid>({
    description: 'Takes somebody out of a room: the owner anybody, others themselves.',
    responses: {
      204: { description: 'That user is not in the room any more.' },
      403: { description: 'The user is not in the room, or may not.' },
      404: { description: 'There is no such room.' },
    },
    permit: call => permitted(services, call),
    async handle(call) {
      const change = { by: call.user, user: named(call.bindings.get('user')) }
      await told(removeFromLightRoom(roomsOf(services, call), roomIn(services, call), change))
      return noContent
    },
  })
  const resource = clientResource(services, {
    operations: { POST, DELETE },
    exists: call => mustBeThere(services, call),
  })
  return described(resourceHandler(resource), {
    tag: 'Rooms',
    parameters: { id: roomParameter, user: 'JID of somebody in the room.' },
    variants: [
      { binds: ['id'], operations: { POST } },
      { binds: ['id', 'user'], operations: { DELETE } },
    ],
  })
}

/** A user. Throws `Refused` with 400 for what is none. */
function named(text: string | undefined): Jid {
  const jid = Jid.parse(text ?? '')
  if (jid === undefined || jid.local === '') throw new Refused(400)
  return jid
}
