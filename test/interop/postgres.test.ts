import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { runUser } from '../../src/cli/user.js'
import { outgoingPools } from '../../src/config/outgoing-pools.js'
import { archivePageSql } from '../../src/storage/postgres/archive.js'
import { openPostgresStore, type PostgresOptions, type RdbmsPool } from '../../src/storage/postgres/index.js'
import type { StoreUnavailable } from '../../src/storage/store.js'
import { describeStore } from '../storage/describe-store.js'
import { promisedUntilKilled, storedIn } from '../storage/killed.js'
import { freePort } from '../support/programs.js'
import { clientOf, PASSWORD, recordedEvents, session, startInFolder } from '../support/server.js'
import { certificate, missingPostgres, otherAuthority, type PostgresServer, startPostgres } from './postgres-server.js'

/*
 * The store in PostgreSQL: the contract of every store, and what becomes of it when the database goes away.
 */

const missing = missingPostgres()
if (missing !== undefined && process.env.CI === 'true') throw new Error(missing)
const unavailable = { name: 'StoreUnavailable' }
const patience = 30_000

let postgres: PostgresServer

/** `[outgoing_pools.rdbms.default]`, with what differs. */
function poolOf(database: string, connection: object = {}, more: object = {}): RdbmsPool {
  const { port, password } = postgres
  const all = { driver: 'pgsql', host: '127.0.0.1', port, password, database, ...connection }
  return outgoingPools.parse({ rdbms: { default: { ...more, connection: all } } }).rdbms!.default!
}

async function open(options: Partial<PostgresOptions> = {}) {
  const failures: StoreUnavailable[] = []
  const pool = options.pool ?? poolOf(await postgres.newDatabase())
  const store = await openPostgresStore({ onFailure: error => failures.push(error), ...options, pool })
  onTestFinished(() => store.close())
  const add = (user = 'romeo', xml = '<message/>') => store.offline.add(user, 'h.example', xml, 1, Infinity)
  const count = (user = 'romeo') => store.offline.count(user, 'h.example')
  return { store, failures, database: pool.connection.database ?? '', add, count }
}

const users = (number: number) => Array.from({ length: number }, (_, index) => `user${index}`)
/** Ends the sessions of the store; says how many there were. */
const terminate = async (database: string) =>
  (
    await postgres.query(
      `SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '${database}' AND usename = 'meerkat'`,
    )
  ).length

/** How many sessions of the store wait for a lock. */
const waiting = async (database: string) =>
  (await postgres.query(`SELECT 1 FROM pg_stat_activity WHERE datname = '${database}' AND wait_event_type = 'Lock'`))
    .length

/** Keeps everybody else from a table. */
async function lockOf(table: string, database: string) {
  const client = postgres.client(database)
  await client.connect()
  let isHeld = true
  const release = async () => {
    if (isHeld) await client.end()
    isHeld = false
  }
  onTestFinished(release)
  await client.query(`BEGIN; LOCK TABLE ${table}`)
  return { release }
}

describe.skipIf(missing !== undefined)(`PostgreSQL${missing === undefined ? '' : `: ${missing}`}`, () => {
  beforeAll(async () => {
    postgres = await startPostgres()
  })
  afterAll(() => postgres?.end())

  describeStore('PostgreSQL', async () => openPostgresStore({ pool: poolOf(await postgres.newDatabase()) }))

  describe('at its start', () => {
    it.each([
      ['a password that is wrong', { password: 'open sesame' }, /authentication failed/],
      ['no password', { password: undefined }, /password/],
      ['a user that is not there', { username: 'nobody' }, /authentication failed/],
      ['a database that is not there', { database: 'nowhere' }, /does not exist/],
      ['TLS that the database does not speak', { tls: { required: true } }, /does not support SSL/],
      ['a file of TLS that is not there', { tls: { cacertfile: '/nowhere.pem' } }, /cacertfile cannot be read/],
    ])('refuses %s with an error that tells no password', async (_, connection, message) => {
      const pool = poolOf(await postgres.newDatabase(), connection)
      const error = await openPostgresStore({ pool }).catch((reason: unknown) => reason)
      expect(error).toMatchObject({ name: 'StartupError', message: expect.stringMatching(message) })
      expect(String(error)).not.toContain(pool.connection.password ?? postgres.password)
    })

    it('refuses a place where nobody listens, and a database in another encoding', async () => {
      const startup = (message: RegExp) => ({ name: 'StartupError', message: expect.stringMatching(message) })
      const pool = poolOf('meerkat', { port: await freePort() })
      await expect(openPostgresStore({ pool })).rejects.toMatchObject(startup(/ECONNREFUSED/))
      const latin = poolOf(await postgres.newDatabase('LATIN1'))
      await expect(openPostgresStore({ pool: latin })).rejects.toMatchObject(startup(/LATIN1.*UTF8/))
    })

    it('refuses a schema of a newer server and tables of another program', async () => {
      const { store, database } = await open()
      await store.close()
      await postgres.query('UPDATE schema_version SET version = version + 1', database)
      await expect(openPostgresStore({ pool: poolOf(database) })).rejects.toThrow(/newer version of the server/)
      const other = await postgres.newDatabase()
      await postgres.query('CREATE TABLE accounts (id integer)', other)
      await expect(openPostgresStore({ pool: poolOf(other) })).rejects.toThrow(/0001-accounts failed/)
      expect(await postgres.query("SELECT to_regclass('meta')", other)).toEqual([[null]])
    })

    it('lets several servers make one schema at once', async () => {
      const pool = poolOf(await postgres.newDatabase())
      const stores = await Promise.all(users(4).map(() => open({ pool })))
      await Promise.all(stores.map(({ add }) => add()))
      expect(await stores[0]!.count()).toBe(4)
    })

    it('is what meerkat user works on while no server runs, and says why it cannot', async () => {
      const folder = mkdtempSync(join(tmpdir(), 'meerkat-interop-'))
      onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
      const { store, database } = await open()
      const add = (port: number) => {
        const file = join(folder, 'meerkat.toml')
        const pool = `driver = "pgsql", host = "127.0.0.1", port = ${port}, database = "${database}", password = "\${SECRET}"`
        writeFileSync(
          file,
          `[general]\nhosts = ["localhost"]\n[auth]\nmethods = ["rdbms"]\n[outgoing_pools.rdbms.default]\nconnection = {${pool}}`,
        )
        const env = { SECRET: postgres.password }
        const options = { action: 'add', jid: 'romeo@localhost', password: PASSWORD, passwordStdin: false } as const
        return runUser({ ...options, file, env, json: false }, { out: () => {}, error: () => {} })
      }
      expect(await add(postgres.port)).toBe(0)
      expect(await store.accounts.exists('romeo', 'localhost')).toBe(true)
      await expect(add(await freePort())).rejects.toMatchObject({ name: 'StartupError' })
    })

    it('speaks no TLS where the database does not, unless that is required', async () => {
      const { add } = await open({ pool: poolOf(await postgres.newDatabase(), { tls: { verify_peer: true } }) })
      expect(await add()).toEqual(expect.any(Number))
    })
  })

  describe('when connections are lost', () => {
    it('notices nothing when they rested', async () => {
      const { store, failures, database, add, count } = await open()
      await Promise.all(users(50).map(user => add(user)))
      expect(await terminate(database)).toBeGreaterThan(1)
      await expect.poll(() => store.isOpen).toBe(true)
      expect(await add()).toEqual(expect.any(Number))
      expect(await count()).toBe(1)
      expect(failures).toEqual([])
    })

    it('rejects what was under way, stores what it promised, and goes on', async () => {
      const { store, failures, database, add, count } = await open()
      expect(await add()).toEqual(expect.any(Number))
      const lock = await lockOf('offline_messages', database)
      const adding = Promise.allSettled(users(30).map(() => add()))
      await expect.poll(async () => (await waiting(database)) > 0, { timeout: patience }).toBe(true)
      await terminate(database)
      const results = await adding
      expect(results).toEqual(results.map(() => ({ status: 'rejected', reason: expect.objectContaining(unavailable) })))
      await lock.release()
      expect(await count()).toBe(1)
      expect(await add()).toEqual(expect.any(Number))
      expect([store.isOpen, failures]).toEqual([true, []])
    })

    it('loses nothing that it promised, whenever that happens', async () => {
      const { database, add, count } = await open()
      let promised = 0
      let asked = 0
      for (let round = 0; round < 3; round += 1) {
        const adding = Array.from({ length: 1_000 }, () => add())
        await Promise.race(adding)
        const [results] = await Promise.all([Promise.allSettled(adding), terminate(database)])
        promised += results.filter(({ status }) => status === 'fulfilled').length
        asked += results.length
      }
      const stored = await count()
      expect(stored).toBeGreaterThanOrEqual(promised)
      expect(stored).toBeLessThanOrEqual(asked)
    })

    it('is lost when they are cut and may be opened again, as every store', async () => {
      const { store, failures, add, count } = await open()
      const first = await add()
      const outstanding = users(20).map(user => add(user))
      await store.kill()
      expect(store.isOpen).toBe(false)
      const results = await Promise.allSettled(outstanding)
      expect(results.map(({ status }) => status)).toEqual(results.map(() => 'rejected'))
      expect(results[0]).toMatchObject({ reason: unavailable })
      await expect(add()).rejects.toMatchObject(unavailable)
      expect([first, failures.length, store.outstanding]).toEqual([expect.any(Number), 1, 0])
      await Promise.all([store.restart(), store.restart()])
      expect(await count()).toBe(1)
    })

    it('keeps resting ones busy (§2.8, keepalive_interval)', async () => {
      const { database, add } = await open({ pool: poolOf(await postgres.newDatabase(), { keepalive_interval: 1 }) })
      await Promise.all(users(20).map(user => add(user)))
      const last = async () =>
        (await postgres.query(`SELECT DISTINCT query FROM pg_stat_activity WHERE datname = '${database}'`)).flat()
      await expect.poll(last, { timeout: patience }).toEqual(['SELECT 1'])
    })

    it('works with as many as it is given', async () => {
      await postgres.query('ALTER ROLE meerkat CONNECTION LIMIT 2')
      onTestFinished(() => void postgres.query('ALTER ROLE meerkat CONNECTION LIMIT -1'))
      const { add, failures } = await open()
      const results = await Promise.all(users(200).map(user => add(user)))
      expect(results).not.toContain('full')
      expect(failures).toEqual([])
    })
  })

  describe('under load', () => {
    it('rejects at once what goes beyond the number or the bytes that may wait', async () => {
      const { add, count } = await open({ limits: { requests: 10, bytes: 100_000 } })
      const results = await Promise.allSettled(users(25).map(() => add()))
      expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(10)
      expect(results.at(-1)).toMatchObject({ status: 'rejected', reason: unavailable })
      expect(await count()).toBe(10)
      await expect(add('romeo', 'x'.repeat(100_001))).rejects.toMatchObject(unavailable)
      expect(await add('romeo', 'x'.repeat(50_000))).toEqual(expect.any(Number))
    })

    it('gives a request up after call_timeout, and goes on when the database does', async () => {
      const pool = poolOf(await postgres.newDatabase(), {}, { call_timeout: 300 })
      const { store, add, count, failures, database } = await open({ pool })
      const lock = await lockOf('offline_messages', database)
      await expect(add()).rejects.toMatchObject(unavailable)
      expect(await store.accounts.exists('romeo', 'h.example')).toBe(false)
      await lock.release()
      expect(await add()).toEqual(expect.any(Number))
      expect(await count()).toBe(1)
      expect(failures).toEqual([])
    })

    it('tells a caller that passes what cannot be stored, and nobody else', async () => {
      const { add, count } = await open()
      const wrong = [true, undefined, { a: 1 }] as unknown as string[] // What a caller without types could do.
      const results = await Promise.allSettled([add(), ...wrong.map(value => add('juliet', value ?? '\0')), add()])
      expect(results.map(({ status }) => status)).toEqual([
        'fulfilled',
        'rejected',
        'rejected',
        'rejected',
        'fulfilled',
      ])
      expect(await count()).toBe(2)
    })
  })

  it('reads a page of an archive along an index, whatever is filtered (XEP-0313)', async () => {
    const { database } = await open()
    await postgres.query(
      `INSERT INTO archive (host, username, id, contact, resource, xml)
      SELECT 'h', 'u' || n % 3, to_char(n, 'FM000000'), 'c' || n % 50, 'r', 'x' FROM generate_series(1, 30000) AS n;
      INSERT INTO archive (host, username, id, contact, resource, nick, xml)
      SELECT 'rooms', 'u' || n % 3, to_char(n, 'FM000000'), 'c' || n % 50, '', 'n' || n % 50, 'x'
      FROM generate_series(1, 30000) AS n;
      ANALYZE archive`,
      database,
    )
    const indexes = {
      all: 'archive_pkey',
      contact: 'archive_by_contact',
      resource: 'archive_by_contact',
      nick: 'archive_by_nick',
    }
    for (const by of ['all', 'contact', 'resource', 'nick'] as const) {
      for (const order of ['ASC', 'DESC'] as const) {
        const [host, sixth] = by === 'nick' ? ["'rooms'", "'n1'"] : ["'h'", "'c1'"]
        const values = [host, "'u1'", "'000100'", "'029000'", '50', sixth, "'r'"]
        const text = archivePageSql(by, order).replace(/\$(\d)/g, (_, number) => values[Number(number) - 1]!)
        const plan = (await postgres.query(`EXPLAIN ${text}`, database)).join('\n')
        expect(plan).toContain(`using ${indexes[by]}`)
        expect(plan).not.toMatch(/Sort|Seq Scan|Bitmap/)
      }
    }
  })

  it('has after kill -9 and a restart everything that was promised before (DESIGN §7)', async () => {
    const pool = poolOf(await postgres.newDatabase())
    const promised: string[] = []
    for (let round = 0; round < 4; round += 1) {
      promised.push(...(await promisedUntilKilled({ pool }, round, 20 + Math.floor(Math.random() * 400))))
      const store = await openPostgresStore({ pool })
      const stored = await storedIn(store)
      await store.close()
      expect(promised.filter(line => !stored.has(line))).toEqual([])
    }
  })

  describe('below a server', () => {
    it.each(['fast', 'immediate'] as const)(
      'that ends in the mode %s: errors that may pass, then everything goes on (§3.1.5)',
      async mode => {
        const folder = mkdtempSync(join(tmpdir(), 'meerkat-interop-'))
        onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
        const events = recordedEvents()
        const told = (name: string) => events.records.filter(record => record.name === name).length
        const pool = poolOf(await postgres.newDatabase())
        const server = await startInFolder(folder, { events, config: { outgoing_pools: { rdbms: { default: pool } } } })
        onTestFinished(() => server.stop())
        await server.internals.authenticator.create('romeo', 'localhost', PASSWORD)
        const romeo = await session(server, 'romeo')
        const keep = async (text: string) =>
          romeo.ask('set', `<query xmlns="jabber:iq:private"><note xmlns="urn:x">${text}</note></query>`)
        expect((await keep('before')).attrs.type).toBe('result')

        onTestFinished(() => postgres.start())
        await postgres.stop(mode)
        const refused = await keep('lost')
        expect(refused.attrs.type).toBe('error')
        expect(String(refused)).toMatch(/<error [^>]*type="wait".*<resource-constraint/)
        const other = await clientOf(server)
        await other.open()
        const plain = Buffer.from(`\0romeo\0${PASSWORD}`).toString('base64')
        await other.send(`<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>${plain}</auth>`)
        await other.receives('<failure xmlns="urn:ietf:params:xml:ns:xmpp-sasl"><temporary-auth-failure/></failure>')
        expect([server.internals.store.isOpen, told('storage.failed') > 0]).toEqual([false, true])

        await postgres.start()
        await expect.poll(() => told('storage.recovered'), { timeout: patience }).toBe(1)
        const kept = await romeo.ask('get', '<query xmlns="jabber:iq:private"><note xmlns="urn:x"/></query>')
        expect(String(kept)).toContain('before')
        expect((await keep('after')).attrs.type).toBe('result')
        const again = await session(server, 'romeo', { resource: 'again' })
        const seen = await again.ask('get', '<query xmlns="jabber:iq:private"><note xmlns="urn:x"/></query>')
        expect(String(seen)).toContain('after')
        expect(server.status().counters.actorFaults).toBe(0)
      },
    )
  })
})

describe.skipIf(missing !== undefined)('PostgreSQL with TLS', () => {
  beforeAll(async () => {
    postgres = await startPostgres({ isSecure: true })
  })
  afterAll(() => postgres?.end())

  const versionsIn = async (database: string) =>
    postgres.query(
      `SELECT DISTINCT version FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE datname = '${database}' AND usename = 'meerkat'`,
    )

  it.each([
    ['required', { required: true }, 'TLSv1.3'],
    ['offered', {}, 'TLSv1.3'],
    ['verified', { required: true, verify_peer: true, cacertfile: certificate }, 'TLSv1.3'],
    ['limited to one version', { versions: ['tlsv1.2'] }, 'TLSv1.2'],
    ['limited to one suite', { versions: ['tlsv1.2'], ciphers: 'ECDHE-RSA-AES256-GCM-SHA384' }, 'TLSv1.2'],
  ])('is spoken when it is %s', async (_, tls, version) => {
    const { database } = await open({ pool: poolOf(await postgres.newDatabase(), { tls, host: 'localhost' }) })
    expect(await versionsIn(database)).toEqual([[version]])
  })

  it('is not spoken when it is not configured', async () => {
    const { database } = await open()
    expect(await versionsIn(database)).toEqual([[null]])
  })

  it('refuses a certificate that no trusted authority signed, rather than to speak in the clear', async () => {
    for (const cacertfile of [undefined, otherAuthority]) {
      const pool = poolOf(await postgres.newDatabase(), { host: 'localhost', tls: { verify_peer: true, cacertfile } })
      await expect(openPostgresStore({ pool })).rejects.toMatchObject({
        name: 'StartupError',
        message: expect.stringMatching(/certificate/),
      })
    }
  })
})
