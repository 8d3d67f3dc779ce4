import { execFileSync, spawn } from 'node:child_process'
import { chownSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { collect, exited, freePort, patience } from '../support/programs.js'

/*
 * PostgreSQL from Debian, in a temporary folder and on a port of its own. It refuses to run as root: then it runs as `postgres`.
 */

const versions = '/usr/lib/postgresql'

/** What is missing to run it, if something is. */
export function missingPostgres(): string | undefined {
  return programs() === undefined ? `${versions}/*/bin/initdb is missing: run scripts/install-peers.sh` : undefined
}

function programs(): string | undefined {
  const newest = existsSync(versions)
    ? readdirSync(versions)
        .sort((a, b) => Number(b) - Number(a))
        .find(version => existsSync(join(versions, version, 'bin/initdb')))
    : undefined
  return newest && join(versions, newest, 'bin')
}

export interface PostgresServer {
  readonly port: number
  readonly password: string
  /** The superuser's, not connected. */
  client(database?: string): pg.Client
  /** Runs SQL as the superuser, who connects over the Unix socket. */
  query(text: string, database?: string): Promise<unknown[][]>
  /** A new database for the user `meerkat`; resolves with its name. */
  newDatabase(encoding?: string): Promise<string>
  /** Does nothing while it runs. */
  start(): Promise<void>
  /** `fast` ends sessions in good order, `immediate` like a crash. */
  stop(mode: 'fast' | 'immediate'): Promise<void>
  /** Stops it and removes its folder. */
  end(): Promise<void>
}

const password = 'wherefore art thou'
const hba = [`local all postgres trust`, `host all all 127.0.0.1/32 scram-sha-256`]

const certificates = join(import.meta.dirname, '../support/certificates')
/** Of itself, for localhost and 127.0.0.1. */
export const certificate = join(certificates, 'rsa-certificate.pem')
export const otherAuthority = join(certificates, 'ca.pem')

/** Makes a cluster and starts it. */
export async function startPostgres({ isSecure = false } = {}): Promise<PostgresServer> {
  const bin = programs()
  if (bin === undefined) throw new Error(missingPostgres())
  const folder = mkdtempSync(join(tmpdir(), 'meerkat-postgres-'))
  const asUser =
    process.getuid?.() === 0 ? ['setpriv', '--reuid', 'postgres', '--regid', 'postgres', '--init-groups'] : []
  const command = (program: string, args: string[]) => [...asUser, join(bin, program), ...args] as [string, ...string[]]
  const run = (program: string, args: string[]) => {
    const [file, ...rest] = command(program, args)
    execFileSync(file, rest, { stdio: 'pipe', timeout: patience, cwd: folder })
  }
  const give = (path: string) => {
    if (asUser.length === 0) return
    const id = (flag: string) => Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }))
    chownSync(path, id('-u'), id('-g'))
  }
  give(folder)
  const data = join(folder, 'data')
  run('initdb', ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync'])
  const port = await freePort()
  const lines = [
    `port = ${port}`,
    `listen_addresses = '127.0.0.1'`,
    `unix_socket_directories = '${folder}'`,
    'fsync = off',
    ...(isSecure
      ? ['ssl = on', `ssl_cert_file = '${certificate}'`, `ssl_key_file = '${join(folder, 'key.pem')}'`]
      : []),
  ]
  writeFileSync(join(data, 'postgresql.conf'), `${lines.join('\n')}\n`)
  writeFileSync(join(data, 'pg_hba.conf'), `${hba.join('\n')}\n`)

  if (isSecure) {
    // It takes no key that others could read.
    writeFileSync(join(folder, 'key.pem'), readFileSync(join(certificates, 'rsa-key.pem')), { mode: 0o600 })
    give(join(folder, 'key.pem'))
  }

  let databases = 0
  let stopped: (() => Promise<unknown>) | undefined
  const server: PostgresServer = {
    port,
    password,
    client: (database = 'postgres') => new pg.Client({ host: folder, port, user: 'postgres', database }),
    async query(text, database) {
      const client = server.client(database)
      await client.connect()
      try {
        return (await client.query<unknown[]>({ text, rowMode: 'array' })).rows
      } finally {
        await client.end()
      }
    },
    async newDatabase(encoding = 'UTF8') {
      databases += 1
      const name = `meerkat${databases}`
      await server.query(`CREATE DATABASE ${name} OWNER meerkat ENCODING '${encoding}' TEMPLATE template0`)
      return name
    },
    async start() {
      if (stopped !== undefined) return
      const [file, ...rest] = command('postgres', ['-D', data])
      const child = spawn(file, rest, { cwd: folder })
      const output = collect(child)
      await output.until(text => text.includes('database system is ready'), 'the word that it is ready')
      stopped = () => exited(child)
    },
    async stop(mode) {
      run('pg_ctl', ['-D', data, 'stop', '-m', mode, '-w', '-s'])
      await stopped?.()
      stopped = undefined
    },
    async end() {
      if (stopped !== undefined) await server.stop('immediate')
      rmSync(folder, { recursive: true, force: true })
    },
  }
  try {
    await server.start()
    await server.query(`CREATE ROLE meerkat LOGIN PASSWORD '${password}'`)
  } catch (error) {
    await server.end()
    throw error
  }
  return server
}
