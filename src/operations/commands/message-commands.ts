import { z } from 'zod'
import type { Jid } from '../../protocols/jid.js'
import { recentMessages, sendMessage } from '../messages.js'
import type { OperationServices } from '../services.js'
import { sendStanza } from '../stanzas.js'
import { type Command, CommandError, command, count, jid, text } from './command.js'

/** Messages of one answer. A-10 */
const mostMessages = 500

const caller = jid('JID of the account.', 'dora@wonder.test')

const archiveItem = z
  .object({
    sender: z.string().meta({ description: 'JID of the sender.', example: 'dora@wonder.test/phone' }),
    timestamp: z.int().meta({ description: 'Seconds since 1970.', example: 1606112000 }),
    message_id: z.string().meta({ description: 'As its sender called it.' }),
    body: z.string().nullable().meta({ description: 'The text, if there is one.', example: 'tea?' }),
  })
  .meta({ id: 'archiveItem', description: 'A message of an archive.' })

const page = {
  before: count('Not later than this, in seconds since 1970; 0 is now.', 1606112000).default(0),
  limit: count('The newest so many; no more than 500.', 100).default(100),
}

/** Messages and other stanzas. spec/rest-admin.md */
export const messageCommands: readonly Command[] = [
  command({
    name: 'send_message',
    category: 'messages',
    action: 'create',
    description: 'Sends a message from one JID to another.',
    arguments: { caller, to: jid('JID of who gets it.', 'hatter@wonder.test'), body: text('The text.', 'tea?') },
    async run(services, { caller: from, to, body }) {
      await sendMessage(services, { from, to, body })
    },
  }),
  command({
    name: 'get_last_messages_with_everybody',
    category: 'messages',
    action: 'read',
    description: 'Shows the newest messages of an account, the oldest of them first.',
    arguments: { caller },
    optional: page,
    result: z.array(archiveItem),
    run: (services, given) => lastMessages(services, given),
  }),
  command({
    name: 'get_last_messages',
    category: 'messages',
    action: 'read',
    description: 'Shows the newest messages between an account and somebody, the oldest of them first.',
    arguments: { caller, with: jid('JID of the other.', 'hatter@wonder.test') },
    optional: page,
    result: z.array(archiveItem),
    run: (services, given) => lastMessages(services, given),
  }),
  command({
    name: 'send_stanza',
    category: 'stanzas',
    action: 'create',
    description: 'Sends a stanza as its sender would.',
    arguments: {
      stanza: text(
        'The stanza as XML, with `from` and `to`.',
        '<message from="dora@wonder.test" to="hatter@wonder.test"/>',
      ),
    },
    run: (services, { stanza }) => sendStanza(services, stanza),
  }),
]

async function lastMessages(
  services: OperationServices,
  { caller, with: contact, before, limit }: { caller: Jid; with?: Jid; before: number; limit: number },
): Promise<z.input<typeof archiveItem>[]> {
  if (limit > mostMessages) throw new CommandError('bad_request', 'message_limit_too_high')
  const found = await recentMessages(services, caller.bare, {
    limit,
    ...(contact !== undefined && { with: contact }),
    ...(before > 0 && { before: before * 1_000 }),
  })
  return found.map(({ element, from, id, at }) => ({
    sender: from.text,
    timestamp: Math.floor(at / 1_000),
    message_id: id,
    body: element.getChildText('body'),
  }))
}
