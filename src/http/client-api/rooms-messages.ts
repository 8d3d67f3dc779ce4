import { z } from 'zod'
import { recentInLightRoom, sayInLightRoom } from '../../operations/light-rooms.js'
import type { OperationServices } from '../../operations/services.js'
import type { Jid } from '../../protocols/jid.js'
import { roomMessageJson } from '../../protocols/message-json.js'
import { ok } from '../rest/answer.js'
import { type DescribedHandler, described } from '../rest/description.js'
import { operation, resourceHandler } from '../rest/resource.js'
import { clientResource } from './authorize.js'
import { messagePage } from './paging.js'
import { mustBeThere, permitted, roomIn, roomParameter, told } from './rooms-access.js'

/*
 * `mongoose_client_api_rooms_messages`. spec/rest-client.md §7
 */

const wrongJson = 'Request body is not a valid JSON'
const wrongText = 'Invalid body, it must be a string'
const wrongMarker = "Invalid marker, it must be 'received', 'displayed' or 'acknowledged'"
const nothingToSay = 'No valid message elements'

const chatMarker = z
  .object(
    {
      type: z
        .enum(['received', 'displayed', 'acknowledged'], { error: wrongMarker })
        .meta({ description: 'What became of the message. XEP-0333' }),
      id: z.string({ error: wrongMarker }).meta({ description: 'Of the message that it is about.' }),
    },
    { error: wrongMarker },
  )
  .meta({ id: 'chatMarker', description: 'Says what became of a message at who read it.' })
const roomMessage = z
  .object(
    {
      body: z.string({ error: wrongText }).optional().meta({ description: 'The text.', example: 'play!' }),
      markable: z
        .boolean()
        .optional()
        .catch(undefined)
        .meta({ description: 'Whether who reads the text is asked to say so.', example: true }),
      chat_marker: chatMarker.optional().meta({ description: 'What became of another message.' }),
    },
    { error: nothingToSay },
  )
  .refine(({ body, chat_marker: marker }) => body !== undefined || marker !== undefined, { error: nothingToSay })
  .meta({ id: 'roomMessage', description: 'At least a text or a marker.' })

const sentRoomMessage = z
  .object({ id: z.uuidv4().meta({ description: 'The id that the message bears.' }) })
  .meta({ id: 'sentRoomMessage', description: 'What was sent to a room.' })
const common = {
  id: z.string().meta({ description: 'As its sender called it.' }),
  from: z.string().meta({
    description: 'Bare JID of the sender; of the room for what it says itself.',
    example: 'alice@wonder.test',
  }),
  timestamp: z.int().meta({ description: 'Milliseconds since 1970.', example: 1606112000123 }),
}
const archivedRoomMessage = z
  .discriminatedUnion('type', [
    z.object({
      type: z.literal('message').meta({ description: 'Somebody wrote.' }),
      ...common,
      body: z.string().optional().meta({ description: 'The text, if there is one.' }),
      markable: z.literal(true).optional().meta({ description: 'Who reads it is asked to say so.' }),
      chat_marker: z
        .object({
          type: z
            .enum(['received', 'displayed', 'acknowledged'])
            .meta({ description: 'What became of the message. XEP-0333' }),
          id: z.string().meta({ description: 'Of the message that it is about.' }),
        })
        .optional()
        .meta({ description: 'What became of another message.' }),
    }),
    z.object({
      type: z.literal('affiliation').meta({ description: 'Somebody came, left or became another.' }),
      ...common,
      user: z.string().meta({ description: 'Bare JID of who came, left or became another.' }),
      affiliation: z.enum(['owner', 'member', 'none']).meta({ description: 'What the user is now.' }),
    }),
  ])
  .meta({ id: 'archivedRoomMessage', description: 'What was said or happened in a room.' })

/** What is said in a room: says more, and shows that of the archive. */
export function createRoomMessagesHandler(services: OperationServices): DescribedHandler {
  const refusals = {
    403: { description: 'The user is not in the room.' },
    404: { description: 'There is no such room.' },
  }
  const operations = {
    GET: operation<Jid, z.ZodUndefined, typeof messagePage>({
      description: 'Shows the newest messages and changes of a room, the oldest of them first.',
      responses: { 200: { description: 'The messages.', schema: z.array(archivedRoomMessage) }, ...refusals },
      query: messagePage,
      permit: call => permitted(services, call),
      async handle(call) {
        const found = await recentInLightRoom(services, roomIn(services, call), call.query)
        return ok(found.map(({ element, at }) => roomMessageJson(element, { timestamp: at })))
      },
    }),
    POST: operation<Jid, typeof roomMessage>({
      description: 'Sends a message to a room.',
      responses: {
        200: { description: 'It is on its way, and in the archive.', schema: sentRoomMessage },
        413: { description: 'It is longer than a message may be.' },
        ...refusals,
      },
      body: roomMessage,
      permit: call => permitted(services, call),
      wrongBody: problem => (problem === 'no JSON' ? wrongJson : (problem.issues[0]?.message ?? nothingToSay)),
      async handle(call) {
        const { body, markable = false, chat_marker: marker } = call.body
        const message = { room: roomIn(services, call), from: call.user, body, isMarkable: markable, marker }
        return ok({ id: await told(sayInLightRoom(services, message)) })
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
