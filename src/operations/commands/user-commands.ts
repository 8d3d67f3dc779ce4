import { z } from 'zod'
import { StanzaError } from '../../protocols/errors.js'
import { Jid } from '../../protocols/jid.js'
import { allAccounts, changePassword, createAccount, removeAccount } from '../accounts.js'
import { type Command, CommandError, command, domain, invalidJid, text } from './command.js'

const host = domain('Domain of the account.', 'wonder.test')
const user = text('Localpart of the account.', 'dora')

/** Accounts. spec/rest-admin.md */
export const userCommands: readonly Command[] = [
  command({
    name: 'list_users',
    category: 'users',
    action: 'read',
    description: 'Shows the accounts of a host.',
    arguments: { host },
    result: z.array(z.string().meta({ example: 'dora@wonder.test' })),
    run: async (services, { host }) => (await allAccounts(services, host)).map(account => account.text),
  }),
  command({
    name: 'register_user',
    category: 'users',
    action: 'create',
    description: 'Makes an account.',
    arguments: { host, username: user, password: text('Its password.', 'cheshire') },
    identifiers: ['host'],
    result: z.string(),
    nameOf: ({ username }) => username,
    refusals: { denied: 'There is such an account.' },
    async run(services, { host, username, password }) {
      const account = accountOf(username, host)
      try {
        await createAccount(services, account, password)
      } catch (error) {
        if (!(error instanceof StanzaError)) throw error
        if (error.condition === 'conflict') throw new CommandError('denied', `User ${account.text} already registered`)
        throw new CommandError('bad_request', `Can't register user: ${error.text}`)
      }
      return `User ${account.text} successfully registered`
    },
  }),
  command({
    name: 'change_user_password',
    category: 'users',
    action: 'update',
    description: 'Gives an account another password.',
    arguments: { host, user, newpass: text('The new password.', 'grin') },
    identifiers: ['host', 'user'],
    refusals: { denied: 'The host keeps no passwords.', not_found: 'There is no such account.' },
    async run(services, { host, user, newpass }) {
      if (newpass === '') throw new CommandError('bad_request', 'empty password')
      const account = Jid.of(user, host)
      if (account === undefined || account.local === '') throw new CommandError('bad_request', 'invalid jid')
      try {
        await changePassword(services, account, newpass)
      } catch (error) {
        if (!(error instanceof StanzaError)) throw error
        if (error.condition === 'not-allowed') throw new CommandError('denied', 'password change not allowed')
        throw error
      }
    },
  }),
  command({
    name: 'unregister_user',
    category: 'users',
    action: 'delete',
    description: 'Removes an account with all that is stored of it, and ends its sessions.',
    arguments: { host, user },
    async run(services, { host, user }) {
      const account = accountOf(user, host)
      // Twice is as good as once, and where nothing is served nobody is.
      if (services.accounts.hosts.includes(account.domain)) await removeAccount(services, account)
    },
  }),
]

function accountOf(user: string, host: string): Jid {
  const account = Jid.of(user, host)
  if (account === undefined || account.local === '')
    throw new CommandError('bad_request', invalidJid(`${user}@${host}`))
  return account
}
