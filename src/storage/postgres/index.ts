import { StartupError } from '../../observability/startup-error.js'
import { defaultLimits, type StoreLimits } from '../limits.js'
import { repositories } from '../repositories.js'
import type { RestartableStore, StoreUnavailable } from '../store.js'
import { PostgresClient } from './client.js'
import { placeOf, type RdbmsPool } from './connection.js'

export type { RdbmsPool } from './connection.js'

export interface PostgresOptions {
  /** `[outgoing_pools.rdbms.default]` */
  pool: RdbmsPool
  /** Called once each time an open store is lost: no connection is left, and none can be made. */
  onFailure?: (error: StoreUnavailable) => void
  /** Defaults: 10 000 requests, 64 MiB. */
  limits?: Partial<StoreLimits>
}

/**
 * Opens the store in PostgreSQL. Rejects with StartupError when the database cannot be reached, refuses us, was written by a newer
 * version, or has tables of another program under our names.
 */
export async function openPostgresStore(options: PostgresOptions): Promise<RestartableStore> {
  const { pool, onFailure = () => undefined, limits } = options
  const client = new PostgresClient(pool, { ...defaultLimits, ...limits }, onFailure)
  try {
    await client.open()
  } catch (error) {
    if (error instanceof Error && error.cause instanceof StartupError) throw error.cause
    const reason = error instanceof Error ? error.message : String(error)
    throw new StartupError('store', `${placeOf(pool)} cannot be used: ${reason}`, { cause: error })
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
