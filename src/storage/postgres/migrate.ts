import type { PoolClient } from 'pg'
import { migrations as released } from '../migrations/index.js'
import type { Migration } from '../migrations/migration.js'
import { isBroken, reasonOf, SchemaError } from './trouble.js'

/** Any number that no other program would take: it is the name of the lock under which one server at a time migrates. */
const LOCK = 0x6d65_6572
/** How long a step may take, or the steps of another server, in milliseconds. */
const PATIENCE = 600_000

/**
 * Brings the schema up to date, all or nothing. Two servers that start at once do it one after the other. Throws when the database
 * was written by a newer server, or keeps text otherwise than in UTF-8.
 */
export async function migrate(connection: PoolClient, migrations: readonly Migration[] = released): Promise<void> {
  const encoding = await answerTo(connection, 'SHOW server_encoding')
  if (encoding !== 'UTF8')
    throw new Error(`the database is in ${String(encoding)}; it has to be made with ENCODING 'UTF8'`)
  if ((await versionOf(connection, migrations)) === migrations.length) return
  await connection.query('BEGIN')
  try {
    await connection.query(`SET LOCAL statement_timeout = ${PATIENCE}`)
    await patiently(connection, `SELECT pg_advisory_xact_lock(${LOCK})`)
    // Another server may have done it while we waited. Creating comes first: looking up a name alone may miss what it created.
    await connection.query('CREATE TABLE IF NOT EXISTS schema_version (version integer NOT NULL)')
    const version = await versionOf(connection, migrations)
    for (const { name, postgres } of migrations.slice(version)) await step(connection, name, postgres)
    await connection.query('DELETE FROM schema_version')
    await connection.query('INSERT INTO schema_version (version) VALUES ($1)', [migrations.length])
    await connection.query('COMMIT')
  } catch (error) {
    if (!isBroken(error)) await connection.query('ROLLBACK')
    throw error
  }
}

/** How many migrations the database has seen. */
async function versionOf(connection: PoolClient, migrations: readonly Migration[]): Promise<number> {
  if ((await answerTo(connection, "SELECT to_regclass('schema_version')")) === null) return 0
  const version = Number(await answerTo(connection, 'SELECT max(version) FROM schema_version'))
  if (version <= migrations.length) return version
  throw new SchemaError(
    `the database was written by a newer version of the server: its schema is number ${version}, this server knows ${migrations.length}`,
  )
}

async function step(connection: PoolClient, name: string, statements: string): Promise<void> {
  try {
    await patiently(connection, statements)
  } catch (error) {
    if (isBroken(error)) throw error
    throw new SchemaError(`migration ${name} failed: ${reasonOf(error)}`, { cause: error })
  }
}

/** Waits longer for the answer than pg does by itself. */
async function patiently(connection: PoolClient, text: string): Promise<void> {
  const query = { text, query_timeout: PATIENCE }
  await connection.query(query)
}

async function answerTo(connection: PoolClient, text: string): Promise<unknown> {
  const { rows } = await connection.query<unknown[]>({ text, rowMode: 'array' })
  return rows[0]?.[0]
}
