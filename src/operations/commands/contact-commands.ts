import { z } from 'zod'
import type { Jid } from '../../protocols/jid.js'
import { acceptSubscription, addContact, contacts, removeContact, subscribe } from '../contacts.js'
import type { OperationServices } from '../services.js'
import { type Command, CommandError, command, jid, text } from './command.js'

const caller = jid('JID of the account.', 'dora@wonder.test')
const contact = jid('JID of the contact.', 'hatter@wonder.test')

const rosterEntry = z
  .object({
    jid: z.string().meta({ description: 'Its bare JID.', example: 'hatter@wonder.test' }),
    subscription: z
      .enum(['none', 'to', 'from', 'both'])
      .meta({ description: "Whose presence is seen: `to`: the contact's, `from`: the account's." }),
    ask: z.enum(['none', 'out', 'in', 'both']).meta({ description: 'Whose request waits for an answer.' }),
  })
  .meta({ id: 'rosterEntry', description: 'An entry of a roster.' })

const unknownCaller = {
  denied: 'An account is no contact of its own, or its roster is full.',
  not_found: 'There is no such account.',
}

/** Rosters. spec/rest-admin.md */
export const contactCommands: readonly Command[] = [
  command({
    name: 'list_contacts',
    category: 'contacts',
    action: 'read',
    description: 'Shows all contacts of an account, those too that have only asked to be.',
    arguments: { caller },
    result: z.array(rosterEntry),
    run: (services, given) => contacts(services, given.caller.bare),
  }),
  command({
    name: 'add_contact',
    category: 'contacts',
    action: 'create',
    description: 'Adds a contact to the roster of an account.',
    arguments: { caller, jid: contact },
    identifiers: ['caller'],
    refusals: unknownCaller,
    run: async (services, given) => addContact(services, await accountOf(services, given.caller), given.jid),
  }),
  command({
    name: 'subscription',
    category: 'contacts',
    action: 'update',
    description: "Asks a contact for its presence, or lets it see the account's.",
    arguments: { caller, jid: contact, action: text('`subscribe` or `subscribed`.', 'subscribe') },
    identifiers: ['caller', 'jid'],
    refusals: unknownCaller,
    async run(services, { caller, jid, action }) {
      const change = subscriptionChanges.get(action)
      if (change === undefined) throw new CommandError('bad_request', 'invalid action')
      await change(services, await accountOf(services, caller), jid)
    },
  }),
  command({
    name: 'delete_contact',
    category: 'contacts',
    action: 'delete',
    description: 'Removes a contact from the roster of an account.',
    arguments: { caller, jid: contact },
    refusals: { not_found: 'The roster has no such contact.' },
    async run(services, { caller, jid }) {
      if (!(await removeContact(services, caller.bare, jid))) throw new CommandError('not_found')
    },
  }),
  command({
    name: 'delete_contacts',
    category: 'contacts',
    subcategory: 'multiple',
    action: 'delete',
    description: 'Removes several contacts. No path can hold a list, so that REST never gets here.',
    arguments: { caller, jids: z.array(contact).meta({ description: 'JIDs of the contacts.' }) },
    async run(services, { caller, jids }) {
      for (const jid of jids) await removeContact(services, caller.bare, jid)
    },
  }),
  command({
    name: 'set_subscription',
    category: 'contacts',
    subcategory: 'manage',
    action: 'update',
    description: 'Makes two accounts see each other, or ends that.',
    arguments: { caller, jid: contact, action: text('`connect` or `disconnect`.', 'connect') },
    identifiers: ['caller', 'jid'],
    refusals: unknownCaller,
    async run(services, { caller, jid, action }) {
      const change = pairChanges.get(action)
      if (change === undefined) throw new CommandError('bad_request', 'invalid action')
      await change(services, await accountOf(services, caller), await accountOf(services, jid))
    },
  }),
]

const subscriptionChanges = new Map([
  ['subscribe', subscribe],
  ['subscribed', acceptSubscription],
])
const pairChanges = new Map([
  ['connect', connect],
  ['disconnect', disconnect],
])

/** What is there already stays as it is. Not atomic: a failure leaves what was done before it. A-16 */
async function connect(services: OperationServices, one: Jid, other: Jid): Promise<void> {
  for (const [account, contact] of bothWays(one, other)) {
    await subscribe(services, account, contact)
    await acceptSubscription(services, contact, account)
  }
}

async function disconnect(services: OperationServices, one: Jid, other: Jid): Promise<void> {
  for (const [account, contact] of bothWays(one, other)) await removeContact(services, account, contact)
}

const bothWays = (one: Jid, other: Jid): [Jid, Jid][] => [
  [one, other],
  [other, one],
]

/** Nobody gets a roster before there is an account. */
async function accountOf({ accounts }: OperationServices, jid: Jid): Promise<Jid> {
  const isAccount = jid.local !== '' && (await accounts.exists(jid.local, jid.domain))
  if (!isAccount) throw new CommandError('not_found', `there is no account ${jid.bareText}`)
  return jid.bare
}
