import type { Authenticator } from '../auth/authenticate.js'
import { Jid } from '../protocols/jid.js'
import { UnusablePassword } from '../protocols/sasl/scram-keys.js'
import { StoreUnavailable } from '../storage/store.js'
import { ControlError, type ControlHandlers, type ControlRequest } from './socket.js'

/** Accounts in one answer of `user.list`. */
export const userPageSize = 1_000

/** What the handlers need of the server: the authenticator, with a `remove` that ends the account's sessions as well. */
export type UserAdministration = Pick<Authenticator, 'hosts' | 'create' | 'setPassword' | 'remove' | 'list'>

export interface UserPage {
  domain: string
  users: string[]
}

/** The server's side: what its control socket answers to `user.add`, `user.passwd`, `user.remove` and `user.list`. */
export function userRequests(users: UserAdministration): ControlHandlers {
  const served = (domain: string) => {
    if (users.hosts.includes(domain)) return domain
    throw new ControlError('not-found', `${domain} is not served here; served are ${users.hosts.join(', ')}`)
  }
  const accountOf = (request: ControlRequest) => {
    const jid = Jid.parse(textIn(request, 'jid'))
    if (jid === undefined || jid.local === '' || !jid.isBare)
      throw new ControlError('bad-request', 'jid names no account')
    return { text: jid.text, user: jid.local, host: served(jid.domain) }
  }
  return {
    'user.add': request =>
      reported(async () => {
        const { text, user, host } = accountOf(request)
        const result = await users.create(user, host, textIn(request, 'password'))
        if (result === 'exists') throw new ControlError('conflict', `${text} exists already`)
        if (result === 'not-allowed') throw noAccounts(host)
      }),
    'user.passwd': request =>
      reported(async () => {
        const { text, user, host } = accountOf(request)
        const result = await users.setPassword(user, host, textIn(request, 'password'))
        if (result === 'not-found') throw new ControlError('not-found', `there is no account ${text}`)
        if (result === 'not-allowed') throw noAccounts(host)
      }),
    'user.remove': request =>
      reported(async () => {
        const { text, user, host } = accountOf(request)
        if (!(await users.remove(user, host))) throw new ControlError('not-found', `there is no account ${text}`)
      }),
    'user.list': request =>
      reported(async (): Promise<UserPage> => {
        const text = request.domain === undefined ? (users.hosts[0] ?? '') : textIn(request, 'domain')
        const domain = served(Jid.parse(text)?.text ?? text)
        const after = request.after === undefined ? '' : textIn(request, 'after')
        return { domain, users: await users.list(domain, { after, limit: userPageSize }) }
      }),
  }
}

function textIn(request: ControlRequest, key: string): string {
  const value = request[key]
  if (typeof value !== 'string') throw new ControlError('bad-request', `${key} must be text`)
  return value
}

const noAccounts = (host: string) =>
  new ControlError('bad-request', `${host} keeps no accounts: its auth.methods has neither "internal" nor "rdbms"`)

/** Turns what the user can mend into an answer. */
async function reported<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof UnusablePassword) throw new ControlError('bad-request', error.message)
    if (error instanceof StoreUnavailable) throw new ControlError('unavailable', error.message)
    throw error
  }
}
