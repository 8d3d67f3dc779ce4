import { z } from 'zod'
import { createLightRoom, lightRoomsOfUser } from '../../operations/light-rooms.js'
import type { OperationServices } from '../../operations/services.js'
import type { Jid } from '../../protocols/jid.js'
import type { HttpHandler } from '../app.js'
import { ok, Refused } from '../rest/answer.js'
import { type DescribedHandler, described } from '../rest/description.js'
import { operation, resourceHandler } from '../rest/resource.js'
import { clientResource } from './authorize.js'
import { permitted, roomFound, roomIn, roomParameter, roomsOf, roomTexts, told } from './rooms-access.js'

/*
 * `mongoose_client_api_rooms`: rooms of light group chat. spec/rest-client.md §4
 */

const roomId = z
  .object({ id: z.string().meta({ description: 'What the room is called in paths.', example: 'croquet' }) })
  .meta({ id: 'roomId', description: 'Which room it is.' })
const listedRoom = z
  .object({
    id: z.string().meta({ description: 'What the room is called in paths.', example: 'croquet' }),
    name: z.string().meta({ description: 'What the room is called.' }),
    subject: z.string().meta({ description: 'What is talked about.' }),
  })
  .meta({ id: 'listedRoom', description: 'A room that the account is in.' })
const room = z
  .object({
    name: z.string().meta({ description: 'What the room is called.' }),
    subject: z.string().meta({ description: 'What is talked about.' }),
    participants: z
      .array(
        z.object({
          user: z.string().meta({ description: 'Bare JID.', example: 'alice@wonder.test' }),
          role: z.enum(['owner', 'member']).meta({ description: 'An owner lets others in.' }),
        }),
      )
      .meta({ description: 'Who is in it.' }),
  })
  .meta({ id: 'room', description: 'A room, with who is in it.' })

/** The user's rooms: shows and makes them. */
export function createRoomsHandler(services: OperationServices): DescribedHandler {
  const POST = operation<Jid, typeof roomTexts>({
    description: 'Makes a room, which the user owns. The server chooses the id.',
    responses: { 200: { description: 'The room is there.', schema: roomId } },
    body: roomTexts,
    async handle(call) {
      const { user, body, bindings, ctx } = call
      // It would be kind to use it, but clients have come to expect another room. RR-5
      if (bindings.has('id')) {
        services.emit('http.ignored', { method: ctx.method, path: ctx.path, text: 'the id of a room to be made' })
      }
      return ok({ id: (await told(createLightRoom(roomsOf(services, call), { owner: user, ...body }))).local })
    },
  })
  const all = {
    GET: operation<Jid>({
      description: 'Shows the rooms that the user is in.',
      responses: { 200: { description: 'The rooms.', schema: z.array(listedRoom) } },
      async handle(call) {
        const found = await lightRoomsOfUser(roomsOf(services, call), call.user)
        return ok(found.map(({ jid, name, subject }) => ({ id: jid.local, name, subject })))
      },
    }),
    POST,
    // The method is that of the resource, but a room has an id. RR-4
    PUT: operation<Jid>({
      description: 'There is nothing to make.',
      responses: { 404: { description: 'Always.' } },
      handle: () => {
        throw new Refused(404)
      },
    }),
  }
  const one = {
    GET: operation<Jid>({
      description: 'Shows a room that the user is in.',
      responses: {
        200: { description: 'The room.', schema: room },
        403: { description: 'The user is not in it.' },
        404: { description: 'There is no such room.' },
      },
      permit: call => permitted(services, call),
      async handle(call) {
        const found = await roomFound(services, call)
        if (found === undefined) throw new Refused(404)
        const { name, subject, occupants } = found
        const participants = occupants.map(({ jid, affiliation }) => ({ user: jid, role: affiliation }))
        return ok({ name, subject, participants })
      },
    }),
    POST,
    PUT: operation<Jid, typeof roomTexts>({
      description: 'Makes a room of this id, which the user owns.',
      responses: { 201: { description: 'The room is there.', schema: roomId } },
      body: roomTexts,
      async handle(call) {
        const wanted = { owner: call.user, room: roomIn(services, call), ...call.body }
        const { local } = await told(createLightRoom(roomsOf(services, call), wanted))
        return { status: 201, json: { id: local } }
      },
    }),
  }
  const list = resourceHandler(
    clientResource(services, { operations: all, exists: call => roomsOf(services, call) !== undefined }),
  )
  const single = resourceHandler(
    clientResource(services, {
      operations: one,
      exists: async call => (await roomFound(services, call)) !== undefined,
    }),
  )
  const handler: HttpHandler = (ctx, asked) => (asked.bindings.has('id') ? single : list)(ctx, asked)
  return described(handler, {
    tag: 'Rooms',
    parameters: { id: roomParameter },
    variants: [
      { binds: [], operations: { GET: all.GET, POST } },
      { binds: ['id'], operations: { GET: one.GET, PUT: one.PUT } },
    ],
  })
}
