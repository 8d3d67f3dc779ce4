import { z } from 'zod'
import { recentMessages, sendMessage } from '../../operations/messages.js'
import type { OperationServices } from '../../operations/services.js'
import { StanzaError } from '../../protocols/errors.js'
import { Jid } from '../../protocols/jid.js'
import { chatMessageJson } from '../../protocols/message-json.js'
import { ok, Refused } from '../rest/answer.js'
import { type DescribedHandler, described } from '../rest/description.js'
import { type Call, operation, resourceHandler } from '../rest/resource.js'
import { clientResource } from './authorize.js'
import { messagePage } from './paging.js'

/*
 * `mongoose_client_api_messages`. spec/rest-client.md §2
 */

const message = z
  .object({
    to: z.string().meta({ description: 'JID of who gets it.', example: 'hatter@wonder.test' }),
    body: z.string().meta({ description: 'The text.', example: 'tea?' }),
  })
  .meta({ id: 'message', description: 'What is to be sent.' })

const sentMessage = z
  .object({ id: z.uuidv4().meta({ description: 'The id that the message bears.' }) })
  .meta({ id: 'sentMessage', description: 'What was sent.' })

const archivedMessage = z
  .object({
    from: z.string().meta({ description: 'JID of the sender.', example: 'dora@wonder.test/phone' }),
    to: z.string().meta({ description: 'JID of who got it.', example: 'hatter@wonder.test' }),
    id: z.string().meta({ description: 'As its sender called it.' }),
    body: z.string().optional().meta({ description: 'The text, if there is one.', example: 'tea?' }),
    timestamp: z.int().meta({ description: 'Milliseconds since 1970.', example: 1606112000123 }),
    properties: z
      .record(z.string(), z.string())
      .optional()
      .meta({ description: 'What applications say beside the text.' }),
  })
  .meta({ id: 'archivedMessage', description: 'A message of the archive.' })

/** The JID in the path; 'wrong' where there is something else. */
function withOf({ bindings }: Call<Jid>): Jid | 'wrong' | undefined {
  const text = bindings.get('with')
  return text === undefined ? undefined : (Jid.parse(text) ?? 'wrong')
}

/** Messages of the user: sends them, and shows those of the archive. */
export function createMessagesHandler(services: OperationServices): DescribedHandler {
  const operations = {
    GET: operation<Jid, z.ZodUndefined, typeof messagePage>({
      description: 'Shows the newest messages, the oldest of them first.',
      responses: { 200: { description: 'The messages.', schema: z.array(archivedMessage) } },
      query: messagePage,
      async handle(call) {
        const contact = withOf(call)
        if (contact === 'wrong') throw new Refused(404)
        const found = await recentMessages(services, call.user, { ...call.query, with: contact })
        return ok(found.map(({ element, from, to, at }) => chatMessageJson(element, { from, to, timestamp: at })))
      },
    }),
    POST: operation<Jid, typeof message>({
      description: 'Sends a message.',
      responses: {
        200: { description: 'It is on its way, and in the archives.', schema: sentMessage },
        413: { description: 'It is longer than a message may be.' },
      },
      body: message,
      async handle({ user, body }) {
        const to = Jid.parse(body.to)
        if (to === undefined) throw new Refused(400)
        try {
          return ok({ id: await sendMessage(services, { from: user, to, body: body.body }) })
        } catch (error) {
          if (error instanceof StanzaError) throw new Refused(413)
          throw error
        }
      },
    }),
  }
  const resource = clientResource(services, { operations, exists: call => withOf(call) !== 'wrong' })
  return described(resourceHandler(resource), {
    tag: 'One-to-one messages',
    parameters: { with: 'JID of whom they were exchanged with; a bare one means all of its resources.' },
    variants: [
      { binds: [], operations },
      { binds: ['with'], operations: { GET: operations.GET } },
    ],
  })
}
