import {
  type AccountKeeper,
  changePassword,
  createAccount,
  isAccountName,
  listAccounts,
  removeAccount,
} from '../operations/accounts.js'
import { type StanzaCondition, StanzaError } from '../protocols/errors.js'
import { Jid } from '../protocols/jid.js'
import { StoreUnavailable } from '../storage/store.js'
import { ControlError, type ControlErrorCode, type ControlHandlers, type ControlRequest } from './socket.js'

/** Accounts in one answer of `user.list`. */
export const userPageSize = 1_000

export interface UserPage {
  domain: string
  users: string[]
}

/** The server's side: what its control socket answers to `user.add`, `user.passwd`, `user.remove` and `user.list`. */
export function userRequests(accounts: AccountKeeper['accounts']): ControlHandlers {
  const keeper = { accounts }
  return {
    'user.add': request => reported(() => createAccount(keeper, accountIn(request), textIn(request, 'password'))),
    'user.passwd': request => reported(() => changePassword(keeper, accountIn(request), textIn(request, 'password'))),
    'user.remove': request =>
      reported(async () => {
        const account = accountIn(request)
        if (!(await removeAccount(keeper, account)))
          throw new ControlError('not-found', `there is no account ${account.text}`)
      }),
    'user.list': request =>
      reported(async (): Promise<UserPage> => {
        const text = request.domain === undefined ? (accounts.hosts[0] ?? '') : textIn(request, 'domain')
        const domain = Jid.parse(text)?.text ?? text
        const after = request.after === undefined ? '' : textIn(request, 'after')
        return { domain, users: await listAccounts(keeper, domain, { after, limit: userPageSize }) }
      }),
  }
}

function accountIn(request: ControlRequest): Jid {
  const jid = Jid.parse(textIn(request, 'jid'))
  if (jid === undefined || !isAccountName(jid)) throw new ControlError('bad-request', 'jid names no account')
  return jid
}

function textIn(request: ControlRequest, key: string): string {
  const value = request[key]
  if (typeof value !== 'string') throw new ControlError('bad-request', `${key} must be text`)
  return value
}

const codes: Partial<Record<StanzaCondition, ControlErrorCode>> = {
  conflict: 'conflict',
  'item-not-found': 'not-found',
  'not-acceptable': 'bad-request',
  'not-allowed': 'bad-request',
}

/** Turns what the user can mend into an answer. */
async function reported<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    const code = error instanceof StanzaError ? codes[error.condition] : undefined
    if (error instanceof StanzaError && code !== undefined) throw new ControlError(code, error.text ?? error.condition)
    if (error instanceof StoreUnavailable) throw new ControlError('unavailable', error.message)
    throw error
  }
}
