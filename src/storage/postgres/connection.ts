import { readFileSync } from 'node:fs'
import type { ConnectionOptions } from 'node:tls'
import pg, { type PoolConfig } from 'pg'
import type { OutgoingPoolsConfig } from '../../config/outgoing-pools.js'
import { StartupError } from '../../observability/startup-error.js'

/*
 * `[outgoing_pools.rdbms.default]` in the words of pg. spec/listeners.md §2.8
 */

export type RdbmsPool = NonNullable<OutgoingPoolsConfig['rdbms']>[string]
type TlsConfig = NonNullable<RdbmsPool['connection']['tls']>

/** User and database where none is named. */
const NAME = 'meerkat'
const SECTION = 'outgoing_pools.rdbms.default.connection'
const INT8 = 20

/** Everything is given, because pg would look into the environment for what is not. */
export function connectionOptions({ connection, call_timeout }: RdbmsPool): PoolConfig {
  const { host, port, username = NAME, database = NAME, password = '', tls } = connection
  return {
    host,
    port,
    user: username,
    database,
    // A function, because an empty text counts as none.
    password: () => password,
    ssl: tls === undefined ? false : tlsOptions(tls),
    application_name: 'meerkat',
    options: '-c client_min_messages=warning',
    client_encoding: 'UTF8',
    keepAlive: true,
    connectionTimeoutMillis: call_timeout,
    // The database ends a statement in good order; a connection on which not even that is heard is given up a little later.
    statement_timeout: call_timeout,
    query_timeout: call_timeout + 1_000,
    idleTimeoutMillis: 0,
    pipeline: true,
    types: {
      // Numbers beyond 2^53 do not occur: they count things, or milliseconds.
      getTypeParser: ((oid: number, format?: 'text' | 'binary') =>
        oid === INT8 ? Number : pg.types.getTypeParser(oid, format as 'text')) as typeof pg.types.getTypeParser,
    },
  }
}

/** How the database is called in messages. */
export const placeOf = ({ connection: { host, port, database = NAME } }: RdbmsPool) =>
  `database ${database} at ${host}:${port}`

function tlsOptions(tls: TlsConfig): ConnectionOptions {
  const file = (key: 'cacertfile' | 'certfile' | 'keyfile') => {
    const path = tls[key]
    if (path === undefined) return undefined
    try {
      return readFileSync(path)
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause)
      throw new StartupError('configuration', `${SECTION}.tls.${key} cannot be read: ${reason}`, { cause })
    }
  }
  const versions = { tlsv1: 'TLSv1', 'tlsv1.1': 'TLSv1.1', 'tlsv1.2': 'TLSv1.2', 'tlsv1.3': 'TLSv1.3' } as const
  const allowed = tls.versions?.map(version => versions[version]).sort()
  const cert = file('certfile')
  return {
    rejectUnauthorized: tls.verify_peer,
    ca: file('cacertfile'),
    cert,
    key: file('keyfile') ?? cert,
    passphrase: tls.password,
    ciphers: tls.ciphers,
    ...(allowed?.length ? { minVersion: allowed[0]!, maxVersion: allowed.at(-1)! } : {}),
  }
}
