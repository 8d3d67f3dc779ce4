import { StanzaError } from '../protocols/errors.js'
import { Jid } from '../protocols/jid.js'
import { UnusablePassword } from '../protocols/sasl/scram-keys.js'
import type { OperationServices } from './services.js'

/** Accounts as these operations need them: those of a running server, or those of a store that no server works with. */
export interface AccountKeeper {
  readonly accounts: Pick<OperationServices['accounts'], 'hosts' | 'create' | 'setPassword' | 'remove' | 'list'>
}

/** Accounts in one question to the store. */
const pageSize = 1_000

/** Whether an account can have this address: a bare JID with a localpart. */
export const isAccountName = ({ local, isBare }: Jid): boolean => local !== '' && isBare

/**
 * Makes an account. Rejects with `conflict` when there is one of that name, and otherwise as all of these do: `item-not-found` for a host
 * that is not served, `not-allowed` for one that keeps no accounts, `not-acceptable` for a password that cannot be one. A-5
 */
export async function createAccount(keeper: AccountKeeper, account: Jid, password: string): Promise<void> {
  requireServed(keeper, account.domain)
  const result = await usable(keeper.accounts.create(account.local, account.domain, password))
  if (result === 'exists') throw new StanzaError('conflict', `${account.text} exists already`)
  if (result === 'not-allowed') throw noAccounts(account.domain)
}

/** Gives an account another password; rejects with `item-not-found` for one that is not there. A-6 */
export async function changePassword(keeper: AccountKeeper, account: Jid, password: string): Promise<void> {
  requireServed(keeper, account.domain)
  const result = await usable(keeper.accounts.setPassword(account.local, account.domain, password))
  if (result === 'not-found') throw new StanzaError('item-not-found', `there is no account ${account.text}`)
  if (result === 'not-allowed') throw noAccounts(account.domain)
}

/** Removes an account with all that is stored of it, and ends its sessions; false when there is none. A-7 */
export async function removeAccount(keeper: AccountKeeper, account: Jid): Promise<boolean> {
  requireServed(keeper, account.domain)
  return keeper.accounts.remove(account.local, account.domain)
}

/** Localparts of a host in byte order after `after`, at most `limit`. */
export function listAccounts(
  keeper: AccountKeeper,
  host: string,
  page: { after: string; limit: number },
): Promise<string[]> {
  requireServed(keeper, host)
  return keeper.accounts.list(host, page)
}

/** All accounts of a host, in byte order; none where it is not served. */
export async function allAccounts({ accounts }: AccountKeeper, host: string): Promise<Jid[]> {
  const all: Jid[] = []
  if (!accounts.hosts.includes(host)) return all
  for (let after = ''; ; ) {
    const page = await accounts.list(host, { after, limit: pageSize })
    for (const local of page) all.push(Jid.of(local, host)!) // it is an account
    if (page.length < pageSize) return all
    after = page.at(-1)!
  }
}

function requireServed({ accounts: { hosts } }: AccountKeeper, host: string): void {
  if (hosts.includes(host)) return
  throw new StanzaError('item-not-found', `${host} is not served here; served are ${hosts.join(', ')}`)
}

const noAccounts = (host: string) =>
  new StanzaError('not-allowed', `${host} keeps no accounts: its auth.methods has neither "internal" nor "rdbms"`)

async function usable<T>(change: Promise<T>): Promise<T> {
  try {
    return await change
  } catch (error) {
    if (error instanceof UnusablePassword) throw new StanzaError('not-acceptable', error.message)
    throw error
  }
}
