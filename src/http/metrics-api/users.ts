import { z } from 'zod'
import { allAccounts, changePassword, createAccount, removeAccount } from '../../operations/accounts.js'
import type { OperationServices } from '../../operations/services.js'
import { StanzaError } from '../../protocols/errors.js'
import { Jid } from '../../protocols/jid.js'
import type { HttpHandler } from '../app.js'
import { noContent, ok, Refused } from '../rest/answer.js'
import { type Call, operation, resourceHandler } from '../rest/resource.js'
import { xmlOf } from './xml.js'

/*
 * `mongoose_api_users`: accounts, for whoever reaches the port. spec/metrics-api.md §5
 */

type Services = Pick<OperationServices, 'accounts'>

const registration = z.object({ user: z.object({ password: z.string().min(1) }) })

/** Its resources, by their paths below that of the handler. */
export function usersResources(services: Services): { path: string; target: HttpHandler }[] {
  return [
    { path: '/users/host/:host', target: listHandler(services) },
    { path: '/users/host/:host/username/:name', target: accountHandler(services) },
  ]
}

function listHandler(services: Services): HttpHandler {
  const GET = operation<undefined>({
    description: 'Lists the accounts of a host.',
    responses: {
      200: { description: 'All of them.' },
      404: { description: 'The host is not served.' },
    },
    async handle(call) {
      const host = servedHost(services, call)
      if (host === undefined) throw new Refused(404)
      const all = await allAccounts(services, host)
      return ok({ count: all.length, users: all.map(({ local }) => ({ user: { username: local, host } })) })
    },
  })
  return resourceHandler<undefined>({
    authorize: () => undefined,
    optionsHeaders: { allow: 'OPTIONS, HEAD, GET' },
    provided: ['application/json', 'application/xml'],
    encode: xmlOf,
    operations: { HEAD: GET, GET },
  })
}

function accountHandler(services: Services): HttpHandler {
  const PUT = operation<undefined, typeof registration>({
    description: 'Makes an account, or changes its password.',
    body: registration,
    responses: {
      204: { description: 'Done.' },
      422: { description: 'The body, the name or the password is no good, or the host makes no accounts.' },
    },
    wrongBody(problem) {
      if (problem !== 'no JSON') throw new Refused(422)
      return ''
    },
    async handle(call) {
      const account = accountOf(services, call)
      if (account === undefined) throw new Refused(422)
      await putAccount(services, account, call.body.user.password)
      return noContent
    },
  })
  const DELETE = operation<undefined>({
    description: 'Removes an account with all that is stored for it.',
    responses: { 204: { description: 'Done.' }, 404: { description: 'There is no such account.' } },
    async handle(call) {
      const account = accountOf(services, call)
      if (account === undefined || !(await removeAccount(services, account))) throw new Refused(404)
      return noContent
    },
  })
  return resourceHandler<undefined>({
    authorize: () => undefined,
    optionsHeaders: { allow: 'OPTIONS, PUT, DELETE' },
    operations: { PUT, DELETE },
  })
}

function servedHost({ accounts }: Services, { bindings }: Call<undefined>): string | undefined {
  const host = Jid.parse(bindings.get('host') ?? '')?.text
  return host !== undefined && accounts.hosts.includes(host) ? host : undefined
}

function accountOf(services: Services, call: Call<undefined>): Jid | undefined {
  const host = servedHost(services, call)
  const name = call.bindings.get('name') ?? ''
  return host === undefined || name === '' ? undefined : Jid.of(name, host)
}

/** Throws `Refused` for what the server does not do. */
async function putAccount(services: Services, account: Jid, password: string): Promise<void> {
  try {
    await createAccount(services, account, password)
  } catch (error) {
    if (!(error instanceof StanzaError)) throw error
    if (error.condition !== 'conflict') throw new Refused(422)
    await changePassword(services, account, password).catch(refuseUnprocessable)
  }
}

function refuseUnprocessable(error: unknown): never {
  throw error instanceof StanzaError ? new Refused(422) : error
}
