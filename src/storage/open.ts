import type { OutgoingPoolsConfig } from '../config/outgoing-pools.js'
import type { RestartableStore, StoreUnavailable } from './store.js'

/**
 * Opens the store that the configuration names: PostgreSQL with a pool `rdbms.default`, otherwise the embedded one in `file`.
 * Rejects with StartupError.
 */
export async function openStore(
  pools: OutgoingPoolsConfig,
  file: string,
  onFailure?: (error: StoreUnavailable) => void,
): Promise<RestartableStore> {
  const pool = pools.rdbms?.default
  const told = onFailure === undefined ? {} : { onFailure }
  // Only the one that is wanted is loaded.
  if (pool !== undefined) return (await import('./postgres/index.js')).openPostgresStore({ pool, ...told })
  return (await import('./sqlite/index.js')).openSqliteStore({ file, ...told })
}
