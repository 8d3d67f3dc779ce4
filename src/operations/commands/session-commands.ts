import { z } from 'zod'
import { Jid } from '../../protocols/jid.js'
import { kick, sessionsOn } from '../sessions.js'
import { type Command, CommandError, command, domain, text } from './command.js'

const host = domain('Domain of the account.', 'wonder.test')

/** Sessions. spec/rest-admin.md A-8 */
export const sessionCommands: readonly Command[] = [
  command({
    name: 'list_sessions',
    category: 'sessions',
    action: 'read',
    description: 'Shows who is connected to a host.',
    arguments: { host },
    result: z.array(z.string().meta({ example: 'dora@wonder.test/phone' })),
    run: async (services, { host }) => sessionsOn(services, host),
  }),
  command({
    name: 'kick_session',
    category: 'sessions',
    action: 'delete',
    description: 'Ends a session.',
    arguments: { host, user: text('Localpart of the account.', 'dora'), res: text('Its resource.', 'phone') },
    refusals: { not_found: 'There is no such session.' },
    async run(services, { host, user, res }) {
      const jid = Jid.of(user, host, res)
      if (jid === undefined || !kick(services, jid)) throw new CommandError('not_found', 'no active session')
    },
  }),
]
