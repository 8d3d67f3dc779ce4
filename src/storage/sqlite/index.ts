import { StartupError } from '../../observability/startup-error.js'
import type { Store, StoreUnavailable } from '../store.js'
import { accountRepository } from './accounts.js'
import { type StoreLimits, WorkerClient } from './client.js'
import { lastActivityRepository } from './last-activity.js'
import { metaRepository } from './meta.js'
import { offlineRepository } from './offline.js'
import { privacyRepository } from './privacy.js'
import { privateXmlRepository } from './private-xml.js'
import { rosterRepository } from './rosters.js'
import { vcardRepository } from './vcards.js'

export type { StoreLimits } from './client.js'

export interface SqliteOptions {
  /** The database file, or ':memory:', whose contents end with the worker. The folder must exist. */
  file: string
  /** Called once each time an open store is lost: the worker ended, or the disk failed. */
  onFailure?: (error: StoreUnavailable) => void
  /** Defaults: 10 000 requests, 64 MiB. */
  limits?: Partial<StoreLimits>
  /** 'normal', the default, survives the death of the process; 'full' a power cut too, for an fsync per batch. */
  synchronous?: 'normal' | 'full'
}

export interface SqliteStore extends Store {
  readonly isOpen: boolean
  /** Requests that wait for their answer. */
  readonly outstanding: number
  /** Opens a lost store again; does nothing while it is open. Rejects with StoreUnavailable when that fails, and may be tried again. */
  restart(): Promise<void>
  /** Makes the worker die in the middle of a transaction; for tests. Resolves when it is dead. */
  kill(): Promise<void>
}

/**
 * Opens the embedded store; its SQL runs in a worker thread. Rejects with StartupError when the file is no database of ours,
 * was written by a newer version, or cannot be opened.
 */
export async function openSqliteStore(options: SqliteOptions): Promise<SqliteStore> {
  const { file, onFailure = () => undefined, limits, synchronous = 'normal' } = options
  const client = new WorkerClient(
    { file, synchronous },
    { requests: limits?.requests ?? 10_000, bytes: limits?.bytes ?? 64 * 1024 * 1024 },
    onFailure,
  )
  try {
    await client.open()
  } catch (error) {
    throw new StartupError('store', error instanceof Error ? error.message : String(error), { cause: error })
  }
  return {
    accounts: accountRepository(client.request),
    rosters: rosterRepository(client.request),
    offline: offlineRepository(client.request),
    privateXml: privateXmlRepository(client.request),
    vcards: vcardRepository(client.request),
    lastActivity: lastActivityRepository(client.request),
    privacy: privacyRepository(client.request),
    meta: metaRepository(client.request),
    get isOpen() {
      return client.isOpen
    },
    get outstanding() {
      return client.outstanding
    },
    restart: () => client.open(),
    kill: () => client.kill(),
    close: () => client.close(),
  }
}
