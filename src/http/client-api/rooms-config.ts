import { configureLightRoom, mayConfigure } from '../../operations/light-rooms.js'
import type { OperationServices } from '../../operations/services.js'
import type { Jid } from '../../protocols/jid.js'
import { noContent } from '../rest/answer.js'
import { type DescribedHandler, described } from '../rest/description.js'
import { operation, resourceHandler } from '../rest/resource.js'
import { clientResource } from './authorize.js'
import { mustBeThere, permitted, roomIn, roomParameter, roomsOf, roomTexts, told } from './rooms-access.js'

/*
 * `mongoose_client_api_rooms_config`. spec/rest-client.md §5
 */

/** The configuration of a room: changes it. */
export function createRoomConfigHandler(services: OperationServices): DescribedHandler {
  const operations = {
    PUT: operation<Jid, typeof roomTexts>({
      description: 'Changes what a room is called and what it is about.',
      responses: {
        204: { description: 'It is done, and everybody in the room is told.' },
        403: { description: 'The user is not in the room, or may not.' },
        404: { description: 'There is no such room.' },
      },
      body: roomTexts,
      permit(call) {
        const rooms = roomsOf(services, call)
        return permitted(services, call, (room, user) => mayConfigure(rooms, room, user))
      },
      async handle(call) {
        const { user, body } = call
        await told(configureLightRoom(roomsOf(services, call), roomIn(services, call), user, body))
        return noContent
      },
    }),
  }
  const resource = clientResource(services, { operations, exists: call => mustBeThere(services, call) })
  return described(resourceHandler(resource), {
    tag: 'Rooms',
    parameters: { id: roomParameter },
    variants: [{ binds: ['id'], operations }],
  })
}
