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
    from: z.string().meta({ description: "The sender's JID." }),
    to: z.string().meta({ description: 'The JID that it was sent to.' }),
    id,
    body: z.string().meta({ description: 'The text, if there is one.' }).exactOptional(),
    timestamp,
    properties: z
      .record(z.string(), z.string())
      .meta({ description: 'What applications say beside the text.' })
      .exactOptional(),
  })
  .meta({ id: 'chatMessageEvent', description: 'A message for the account.' }) satisfies z.ZodType<ChatMessageJson>

const roomMessage = z
  .discriminatedUnion('type', [
    z.object({
      type: z.literal('message').meta({ description: 'Somebody wrote.' }),
      room: z.string().meta({ description: 'Id of the room.' }),
      from: z.string().meta({ description: "The sender's bare JID." }),
      id,
      timestamp,
      body: z.string().meta({ description: 'The text, if there is one.' }).exactOptional(),
      markable: z.literal(true).meta({ description: 'Who reads it is asked to say so.' }).exactOptional(),
      chat_marker: z
        .object({
          type: z
            .enum(['received', 'displayed', 'acknowledged'])
            .meta({ description: 'What became of the message. XEP-0333' }),
          id: z.string().meta({ description: 'Of the message that it is about.' }),
        })
        .meta({ description: 'What became of another message.' })
        .exactOptional(),
    }),
    z.object({
      type: z.literal('affiliation').meta({ description: 'Somebody came, left or became another.' }),
      room: z.string().meta({ description: 'Id of the room.' }),
      from: z.string().meta({ description: 'JID of the room.' }),
      id,
      timestamp,
      user: z.string().meta({ description: 'Whose affiliation changed.' }),
      affiliation: z.enum(['owner', 'member', 'none']).meta({ description: 'What the user is now.' }),
    }),
  ])
  .meta({
    id: 'roomMessageEvent',
    description: 'What was said or happened in a room.',
  }) satisfies z.ZodType<RoomMessageJson>

const eventId = z.string().meta({ description: 'Counts from 1 in each stream.' })

/** One event, its data parsed. */
const event = z.discriminatedUnion('event', [
  z.object({
    id: eventId,
    event: z.literal('message').meta({ description: 'Of the kind chat.' }),
    data: chatMessage.meta({ description: 'The message.' }),
  }),
  z.object({
    id: eventId,
    event: z.literal('room.message').meta({ description: 'Of a room that the account is in.' }),
    data: roomMessage.meta({ description: 'What was said or happened.' }),
  }),
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
