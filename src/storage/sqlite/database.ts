import Libsql from 'libsql'
import { migrations as released } from '../migrations/index.js'
import type { Migration } from '../migrations/migration.js'
import { createPrivately } from '../private-file.js'

/** What SQLite stores and gives back. */
export type Value = string | number | Uint8Array | null

/** A prepared statement. Parameters are positional. */
export interface Query {
  /** Resolves with the number of rows changed. */
  run(...parameters: Value[]): number
  get(...parameters: Value[]): Value[] | undefined
  all(...parameters: Value[]): Value[][]
}

export interface Database {
  prepare(sql: string): Query
  exec(sql: string): void
  readonly inTransaction: boolean
  /** Moves the log into the database file, then closes. Idempotent. */
  close(): void
}

export interface DatabaseOptions {
  /** A path, or ':memory:'. */
  file: string
  /** 'normal' survives the death of the process; 'full' a power cut too, for an fsync per batch. */
  synchronous: 'normal' | 'full'
}

/** How long a statement waits for another process (a backup, a curious `sqlite3`) to give its lock back, in milliseconds. */
const BUSY_TIMEOUT = 2_000
const PAGE_CACHE_KIB = 8 * 1024
/**
 * Bytes of a page of a new file. Archives are appended to in many places at once, so that nearly every row changes pages that no other
 * row of the batch changes: fewer and larger ones cost half the time that SQLite's own 4 096 do, and small batches no more.
 */
const PAGE_SIZE = 16_384
const LOG_SIZE_LIMIT = 64 * 1024 * 1024

/** Opens the database and brings its schema up to date. Throws when the file is not ours, is newer than this server, or cannot be read. */
export function openDatabase(options: DatabaseOptions, migrations: readonly Migration[] = released): Database {
  if (options.file !== ':memory:') createPrivately(options.file)
  const connection = new Libsql(options.file)
  const database = wrap(connection)
  try {
    database.exec(`
      PRAGMA busy_timeout = ${BUSY_TIMEOUT};
      PRAGMA page_size = ${PAGE_SIZE};
      PRAGMA journal_mode = WAL;
      PRAGMA synchronous = ${options.synchronous === 'full' ? 'FULL' : 'NORMAL'};
      PRAGMA foreign_keys = ON;
      PRAGMA cache_size = -${PAGE_CACHE_KIB};
      PRAGMA temp_store = MEMORY;
      PRAGMA journal_size_limit = ${LOG_SIZE_LIMIT};
    `)
    migrate(database, options.file, migrations)
    return database
  } catch (error) {
    connection.close()
    throw error
  }
}

function migrate(database: Database, file: string, migrations: readonly Migration[]): void {
  const version = Number(database.prepare('PRAGMA user_version').get()?.[0])
  if (version > migrations.length) {
    throw new Error(
      `${file} was written by a newer version of the server: its schema is number ${version}, this server knows ${migrations.length}`,
    )
  }
  if (version === 0 && Number(database.prepare('SELECT count(*) FROM sqlite_schema').get()?.[0]) > 0) {
    throw new Error(`${file} is a database of another program`)
  }
  migrations.slice(version).forEach((migration, index) => {
    database.exec('BEGIN IMMEDIATE')
    try {
      database.exec(migration.sqlite)
      database.exec(`PRAGMA user_version = ${version + index + 1}`)
      database.exec('COMMIT')
    } catch (error) {
      if (database.inTransaction) database.exec('ROLLBACK')
      throw new Error(`migration ${migration.name} of ${file} failed: ${String(error)}`, { cause: error })
    }
  })
}

function wrap(connection: Libsql.Database): Database {
  return {
    prepare(sql) {
      const statement = connection.prepare<Value[]>(sql)
      if (statement.reader) statement.raw(true)
      return {
        run: (...parameters) => statement.run(...bindable(parameters)).changes,
        // The casts: rows of a raw statement are arrays of what SQLite holds.
        get: (...parameters) => statement.get(...bindable(parameters)) as Value[] | undefined,
        all: (...parameters) => statement.all(...bindable(parameters)) as Value[][],
      }
    },
    exec: sql => void connection.exec(sql),
    get inTransaction() {
      return connection.inTransaction
    },
    close() {
      if (!connection.open) return
      try {
        connection.pragma('wal_checkpoint(TRUNCATE)')
      } finally {
        connection.close()
      }
    },
  }
}

/** libsql 0.5.29 ends the whole process when a boolean is bound, and takes undefined for NULL: both are refused here. */
function bindable(parameters: Value[]): Value[] {
  for (const value of parameters) {
    if (typeof value !== 'string' && typeof value !== 'number' && value !== null && !(value instanceof Uint8Array)) {
      throw new TypeError(`SQLite cannot store a value of type ${typeof value}`)
    }
  }
  return parameters
}
