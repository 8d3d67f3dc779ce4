import { z } from 'zod'
import {
  acceptSubscription,
  addContact,
  contacts,
  isContact,
  removeContact,
  subscribe,
} from '../../operations/contacts.js'
import type { OperationServices } from '../../operations/services.js'
import { StanzaError } from '../../protocols/errors.js'
import { Jid } from '../../protocols/jid.js'
import { rosterLimits } from '../../protocols/roster.js'
import type { HttpHandler } from '../app.js'
import { noContent, ok, Refused } from '../rest/answer.js'
import { type DescribedHandler, described } from '../rest/description.js'
import { type Call, operation, resourceHandler } from '../rest/resource.js'
import { clientResource } from './authorize.js'

/*
 * `mongoose_client_api_contacts`. spec/rest-client.md §3
 */

const contact = z
  .object({
    jid: z.string().meta({ description: 'Its bare JID.', example: 'hatter@wonder.test' }),
    subscription: z
      .enum(['none', 'to', 'from', 'both'])
      .meta({ description: "Whose presence is seen: `to`: the contact's, `from`: the user's." }),
    ask: z.enum(['none', 'out', 'in', 'both']).meta({ description: 'Whose request waits for an answer.' }),
  })
  .meta({ id: 'contact', description: 'An entry of the roster.' })

/** Anything else is no JID: then the one in the path counts. */
const jidMember = z
  .string()
  .optional()
  .catch(undefined)
  .meta({ description: 'JID of the contact.', example: 'hatter@wonder.test' })

const newContact = z.object({ jid: jidMember }).meta({ id: 'newContact', description: 'Who is to be a contact.' })
const contactAction = z
  .object({
    jid: jidMember,
    action: z
      .string()
      .optional()
      .catch(undefined)
      .meta({ description: "`invite` asks to see its presence, `accept` lets it see the user's.", example: 'invite' }),
  })
  .meta({ id: 'contactAction', description: 'What is to be done about a subscription.' })
/** More than a roster can have is refused. */
const mostContacts = rosterLimits.items + rosterLimits.requests
const removals = z
  .object({
    to_delete: z
      .array(z.string())
      .max(mostContacts)
      .meta({ description: 'JIDs of contacts.', example: ['hatter@wonder.test'] }),
  })
  .meta({ id: 'removals', description: 'Who is to be no contact any more.' })
const removalResult = z
  .object({ not_deleted: z.array(z.string()).meta({ description: 'Those that were not in the roster.' }) })
  .meta({ id: 'removalResult', description: 'What became of a removal.' })

/** The user's contacts: shows, adds, invites, accepts and removes them. */
export function createContactsHandler(services: OperationServices): DescribedHandler {
  const POST = operation<Jid, typeof newContact>({
    description: 'Adds a contact to the roster.',
    responses: { 204: { description: 'It is there, or was before.' } },
    body: newContact,
    handle: ({ user, body, bindings }) => done(addContact(services, user, named(body.jid ?? bindings.get('jid')))),
  })
  const PUT = operation<Jid, typeof contactAction>({
    description: "Asks a contact for its presence, or lets it see the user's.",
    responses: {
      204: { description: 'It is done.' },
      404: { description: 'The roster has no such contact.' },
      501: { description: 'There is no such action.' },
    },
    body: contactAction,
    async handle({ user, body, bindings }) {
      const jid = named(body.jid ?? bindings.get('jid'))
      if (!(await isContact(services, user, jid))) throw new Refused(404)
      return done(actionOf(body.action)(services, user, jid))
    },
  })
  const all = {
    GET: operation<Jid>({
      description: 'Shows all contacts.',
      responses: { 200: { description: 'The contacts.', schema: z.array(contact) } },
      handle: async ({ user }) => ok(await contacts(services, user)),
    }),
    POST,
    PUT,
    DELETE: operation<Jid, typeof removals>({
      description: 'Removes several contacts.',
      responses: { 200: { description: 'The others are gone.', schema: removalResult } },
      body: removals,
      isAnyType: true,
      handle: async ({ user, body }) => ok({ not_deleted: await removeAll(services, user, body.to_delete) }),
    }),
  }
  const one = {
    // One contact cannot be shown, but the method is that of the resource. RK-1
    GET: operation<Jid>({
      description: 'There is nothing to show.',
      responses: { 404: { description: 'Always.' } },
      handle: () => {
        throw new Refused(404)
      },
    }),
    POST,
    PUT,
    DELETE: operation<Jid>({
      description: 'Removes a contact.',
      responses: { 204: { description: 'It is gone.' }, 404: { description: 'The roster has no such contact.' } },
      async handle(call) {
        const jid = Jid.parse(call.bindings.get('jid') ?? '')
        if (jid === undefined || !(await removeContact(services, call.user, jid))) throw new Refused(404)
        return noContent
      },
    }),
  }
  const roster = resourceHandler(clientResource(services, { operations: all }))
  const member = resourceHandler(clientResource(services, { operations: one, exists: call => isThere(services, call) }))
  const handler: HttpHandler = (ctx, asked) => (asked.bindings.has('jid') ? member : roster)(ctx, asked)
  return described(handler, {
    tag: 'Contacts',
    parameters: { jid: 'JID of the contact.' },
    variants: [
      { binds: [], operations: { GET: all.GET, POST, DELETE: all.DELETE } },
      { binds: ['jid'], operations: { PUT, DELETE: one.DELETE } },
    ],
  })
}

/** Of a contact that the path names. */
async function isThere(services: OperationServices, { ctx, user, bindings }: Call<Jid>): Promise<boolean> {
  if (ctx.method === 'GET') return false
  const jid = Jid.parse(bindings.get('jid') ?? '')
  return jid !== undefined && isContact(services, user, jid)
}

function named(text: string | undefined): Jid {
  const jid = Jid.parse(text ?? '')
  if (jid === undefined) throw new Refused(400)
  return jid
}

function actionOf(action: string | undefined) {
  switch (action) {
    case 'invite':
      return subscribe
    case 'accept':
      return acceptSubscription
    default:
      throw new Refused(501)
  }
}

/** Those that were not there, in the order of the request. RK-5 */
async function removeAll(services: OperationServices, user: Jid, texts: readonly string[]): Promise<string[]> {
  const left: string[] = []
  for (const text of texts) {
    const jid = Jid.parse(text)
    if (jid === undefined || !(await removeContact(services, user, jid))) left.push(text)
  }
  return left
}

/** What a client of the user would be refused is no good request here. */
async function done(work: Promise<void>) {
  try {
    await work
  } catch (error) {
    if (error instanceof StanzaError) throw new Refused(400, error.message)
    throw error
  }
  return noContent
}
