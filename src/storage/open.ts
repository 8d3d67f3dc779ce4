import type { OutgoingPoolsConfig } from '../config/outgoing-pools.js'
import { openPostgresStore } from './postgres/index.js'
import { openSqliteStore } from './sqlite/index.js'
import type { RestartableStore, StoreUnavailable } from './store.js'

/**
 * Opens the store that the configuration names: PostgreSQL with a pool `rdbms.default`, otherwise the embedded one in `file`.
 * Rejects with StartupError.
 */
export function openStore(
  pools: OutgoingPoolsConfig,
  file: string,
  onFailure?: (error: StoreUnavailable) => void,
): Promise<RestartableStore> {
  const pool = pools.rdbms?.default
  const told = onFailure === undefined ? {} : { onFailure }
  return pool === undefined ? openSqliteStore({ file, ...told }) : openPostgresStore({ pool, ...told })
}
