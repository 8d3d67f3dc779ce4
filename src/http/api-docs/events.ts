import { z } from 'zod'
import type { ChatMessageJson, RoomMessageJson } from '../../protocols/message-json.js'
import type { ApiDescription } from '../rest/description.js'

/*
 * What the stream of server-sent events is documented as. It is no resource: nothing of a request is validated but its credentials. spec/sse.md
 */

/** Where it is mounted usually. */
export const eventsPath = '/api/sse'

const timestamp = z.int().meta({ description: 'Microseconds since 1970.' })
const id = z.string().meta({ description: 'As its sender called it.' })

const chatMessage = z
  .object({
    from: z.string(),
    to: z.string(),
    id,
    body: z.string().exactOptional(),
    timestamp,
    properties: z.record(z.string(), z.string()).exactOptional(),
  })
  .meta({ id: 'chatMessageEvent' }) satisfies z.ZodType<ChatMessageJson>

const roomMessage = z
  .discriminatedUnion('type', [
    z.object({
      type: z.literal('message'),
      room: z.string().meta({ description: 'Id of the room.' }),
      from: z.string().meta({ description: "The sender's bare JID." }),
      id,
      timestamp,
      body: z.string().exactOptional(),
      markable: z.literal(true).exactOptional(),
      chat_marker: z
        .object({ type: z.enum(['received', 'displayed', 'acknowledged']), id: z.string() })
        .exactOptional(),
    }),
    z.object({
      type: z.literal('affiliation'),
      room: z.string().meta({ description: 'Id of the room.' }),
      from: z.string().meta({ description: 'JID of the room.' }),
      id,
      timestamp,
      user: z.string().meta({ description: 'Whose affiliation changed.' }),
      affiliation: z.enum(['owner', 'member', 'none']),
    }),
  ])
  .meta({ id: 'roomMessageEvent' }) satisfies z.ZodType<RoomMessageJson>

/** One event, its data parsed. */
const event = z.discriminatedUnion('event', [
  z.object({
    id: z.string().meta({ description: 'Counts from 1 in each stream.' }),
    event: z.literal('message'),
    data: chatMessage,
  }),
  z.object({ id: z.string(), event: z.literal('room.message'), data: roomMessage }),
])

export const eventsDescription: ApiDescription = {
  tag: 'Events',
  variants: [
    {
      binds: [],
      operations: {
        GET: {
          description: 'Shows what comes for the account, for as long as it is read: the stream is a session of XMPP.',
          responses: {
            200: { description: 'Events.', schema: event, type: 'text/event-stream' },
            503: { description: 'Something else is to be answered on the connection first.' },
          },
        },
      },
    },
  ],
}
