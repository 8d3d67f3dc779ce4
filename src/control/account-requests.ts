import type { Authenticator } from '../auth/authenticate.js'
import { Jid } from '../protocols/jid.js'
import { PieError, type PiePlace, pieContainers } from '../protocols/pie.js'
import { UnusablePassword } from '../protocols/sasl/scram-keys.js'
import { type Store, StoreUnavailable } from '../storage/store.js'
import { type ExportCursor, exportPiece } from './account-export.js'
import { credentialsOf, importElements } from './account-import.js'
import { ControlError, type ControlHandlers, type ControlRequest } from './socket.js'

/** What the handlers need of the server. */
export interface AccountAdministration {
  readonly store: Omit<Store, 'close' | 'mucLight' | 'muc' | 'meta'>
  readonly users: Pick<Authenticator, 'hosts' | 'adopt' | 'setCredentials' | 'setPassword'>
  /** The store holds something else of an account now than what was remembered of it. */
  changed(account: Jid): void | Promise<void>
  /** An account was imported: whoever is connected to it has to look at it anew. */
  imported(account: Jid): void
}

const places: readonly string[] = ['user', ...Object.keys(pieContainers)] satisfies PiePlace[] | string[]

/**
 * The server's side of `meerkat user export` and `import`: `user.export` answers with a piece of the document and where it goes on;
 * `user.import.hosts` says what is served; an account is imported by `begin`, any number of `add`, and `end`, and nobody can log in to a
 * new one before that.
 */
export function accountRequests(server: AccountAdministration): ControlHandlers {
  const { store, users } = server
  const accountOf = (request: ControlRequest): Jid => {
    const jid = Jid.parse(textIn(request, 'jid'))
    if (jid === undefined || jid.local === '' || !jid.isBare)
      throw new ControlError('bad-request', 'jid names no account')
    if (users.hosts.includes(jid.domain)) return jid
    throw new ControlError('not-found', `${jid.domain} is not served here; served are ${users.hosts.join(', ')}`)
  }
  return {
    'user.export': request =>
      reported(async () => {
        // Only we make cursors.
        const cursor = (request.cursor ?? { step: 'start' }) as ExportCursor
        return exportPiece(store, accountOf(request), cursor)
      }),
    'user.import.hosts': () => users.hosts,
    'user.import.begin': request =>
      reported(async () => {
        const account = accountOf(request)
        const result = await users.adopt(account.local, account.domain, { scram: {} })
        if (result === 'not-allowed') {
          throw new ControlError('bad-request', `${account.domain} keeps no accounts`)
        }
        await server.changed(account)
        return { isNew: result === 'created' }
      }),
    'user.import.add': request =>
      reported(async () => {
        const { place, after } = request
        if (typeof place !== 'string' || !places.includes(place)) throw new ControlError('bad-request', 'no such place')
        const account = accountOf(request)
        const texts = textsIn(request, 'xml')
        try {
          return await importElements(store, account, place as PiePlace, texts, typeof after === 'number' ? after : -1)
        } finally {
          await server.changed(account)
        }
      }),
    'user.import.end': request =>
      reported(async () => {
        const account = accountOf(request)
        const before = await store.accounts.credentials(account.local, account.domain)
        if (before === undefined) throw new ControlError('not-found', `there is no account ${account.text}`)
        const password = request.password === undefined ? undefined : textIn(request, 'password')
        const credentials = credentialsOf(textsIn(request, 'xml'), account)
        server.imported(account)
        // A password that somebody has by now is newer than the document.
        if (before.password !== undefined || Object.keys(before.scram).length > 0) return { credentials: 'kept' }
        if (password !== undefined) await users.setPassword(account.local, account.domain, password)
        else if (Object.keys(credentials.scram).length === 0) return { credentials: 'none' }
        else await users.setCredentials(account.local, account.domain, credentials)
        return { credentials: 'set' }
      }),
  }
}

function textIn(request: ControlRequest, key: string): string {
  const value = request[key]
  if (typeof value !== 'string') throw new ControlError('bad-request', `${key} must be text`)
  return value
}

function textsIn(request: ControlRequest, key: string): string[] {
  const value = request[key]
  const isTexts = Array.isArray(value) && value.every(text => typeof text === 'string')
  if (!isTexts) throw new ControlError('bad-request', `${key} must be a list of texts`)
  return value
}

/** Turns what the user can mend into an answer. */
async function reported<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof PieError || error instanceof UnusablePassword)
      throw new ControlError('bad-request', error.message)
    if (error instanceof StoreUnavailable) throw new ControlError('unavailable', error.message)
    throw error
  }
}
