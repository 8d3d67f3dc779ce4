import { StartupError } from '../../observability/startup-error.js'
import { defaultLimits, type StoreLimits } from '../limits.js'
import { repositories } from '../repositories.js'
import type { RestartableStore, StoreUnavailable } from '../store.js'
import { WorkerClient } from './client.js'

export interface SqliteOptions {
  /** The database file, or ':memory:', whose contents end when the store closes or its worker ends. The folder must exist. */
  file: string
  /** Called once each time an open store is lost: the worker ended, or the disk failed. */
  onFailure?: (error: StoreUnavailable) => void
  /** Defaults: 10 000 requests, 64 MiB. */
  limits?: Partial<StoreLimits>
  /** 'normal', the default, survives the death of the process; 'full' a power cut too, for an fsync per batch. */
  synchronous?: 'normal' | 'full'
}

/**
 * Opens the embedded store; its SQL runs in a worker thread. Rejects with StartupError when the file is no database of ours,
 * was written by a newer version, or cannot be opened.
 */
export async function openSqliteStore(options: SqliteOptions): Promise<RestartableStore> {
  const { file, onFailure = () => undefined, limits, synchronous = 'normal' } = options
  const client = new WorkerClient({ file, synchronous }, { ...defaultLimits, ...limits }, onFailure)
  try {
    await client.open()
  } catch (error) {
    throw new StartupError('store', error instanceof Error ? error.message : String(error), { cause: error })
  }
  return {
    ...repositories(client.request),
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
