import { accounts } from './0001-accounts.js'

/** One step of the schema. It never changes once released: a correction is another step. */
export interface Migration {
  name: string
  /** SQL for SQLite; run once, in a transaction. */
  sqlite: string
}

/** In order; a database's version is the number of them it has seen. */
export const migrations: readonly Migration[] = [accounts]
