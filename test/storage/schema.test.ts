import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import Libsql from 'libsql'
import { describe, expect, it, onTestFinished } from 'vitest'
import { migrations } from '../../src/storage/migrations/index.js'
import type { Migration } from '../../src/storage/migrations/migration.js'
import { accountTables } from '../../src/storage/sqlite/accounts.js'
import { archivePageSql } from '../../src/storage/sqlite/archive.js'
import { batchRunner } from '../../src/storage/sqlite/batch.js'
import { type Database, openDatabase } from '../../src/storage/sqlite/database.js'
import { openSqliteStore } from '../../src/storage/sqlite/index.js'
import { prepareVerbs } from '../../src/storage/sqlite/protocol.js'
import { temporaryFolder } from './folder.js'

function opened(file: string, list?: readonly Migration[]): Database {
  const database = openDatabase({ file, synchronous: 'normal' }, list)
  onTestFinished(() => database.close())
  return database
}

const versionOf = (database: Database) => database.prepare('PRAGMA user_version').get()?.[0]
const tablesOf = (database: Database) =>
  database
    .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name")
    .all()
    .flat()

const second: Migration = {
  name: '0002-test',
  sqlite: 'CREATE TABLE second (x TEXT); INSERT INTO second VALUES (1);',
  postgres: '',
}
const broken: Migration = {
  name: '0003-broken',
  sqlite: 'CREATE TABLE third (x TEXT); SELECT * FROM nowhere;',
  postgres: '',
}

describe('migrations', () => {
  it('bring a new database to the newest version, once', () => {
    const file = join(temporaryFolder(), 'meerkat.db')
    const first = opened(file)
    expect(versionOf(first)).toBe(migrations.length)
    const tables = tablesOf(first)
    first.close()
    const again = opened(file)
    expect(versionOf(again)).toBe(migrations.length)
    expect(tablesOf(again)).toEqual(tables)
  })

  it.each(migrations.map((_, index) => index + 1))(
    'bring a database of version %i to the newest, with its data',
    version => {
      const file = join(temporaryFolder(), 'meerkat.db')
      const old = opened(file, migrations.slice(0, version))
      expect(versionOf(old)).toBe(version)
      old.prepare('INSERT INTO accounts (host, username) VALUES (?, ?)').run('h', 'romeo')
      old.close()
      const now = opened(file)
      expect(versionOf(now)).toBe(migrations.length)
      expect(now.prepare('SELECT username FROM accounts').all()).toEqual([['romeo']])
    },
  )

  it('run only what a database has not seen yet', () => {
    const file = join(temporaryFolder(), 'meerkat.db')
    opened(file).close()
    const now = opened(file, [...migrations, second])
    expect(versionOf(now)).toBe(migrations.length + 1)
    now.close()
    expect(
      opened(file, [...migrations, second])
        .prepare('SELECT count(*) FROM second')
        .get(),
    ).toEqual([1])
  })

  it('leave nothing of one that fails, and keep those before it', () => {
    const file = join(temporaryFolder(), 'meerkat.db')
    const list = [...migrations, second, broken]
    expect(() => opened(file, list)).toThrow(/0003-broken.*meerkat\.db.*nowhere/s)
    const after = opened(file, list.slice(0, -1))
    expect(versionOf(after)).toBe(migrations.length + 1)
    expect(tablesOf(after)).toContain('second')
    expect(tablesOf(after)).not.toContain('third')
  })

  it('refuse a database from a newer version of the server, and leave it as it is', async () => {
    const file = join(temporaryFolder(), 'meerkat.db')
    const newer = opened(file, [...migrations, second])
    newer.close()
    await expect(openSqliteStore({ file })).rejects.toMatchObject({
      name: 'StartupError',
      problem: 'store',
      message: expect.stringMatching(/meerkat\.db was written by a newer version of the server/),
    })
    expect(versionOf(opened(file, [...migrations, second]))).toBe(migrations.length + 1)
  })

  it('refuse a database that another program made', async () => {
    const file = join(temporaryFolder(), 'other.db')
    const stranger = new Libsql(file)
    stranger.exec('CREATE TABLE notes (text TEXT)')
    stranger.close()
    await expect(openSqliteStore({ file })).rejects.toThrow(/other\.db is a database of another program/)
  })
})

describe('the schema', () => {
  it('has every table with a host and a username among those that a removed account is removed from', () => {
    const database = opened(':memory:')
    const keyed = tablesOf(database).filter(table => {
      const columns = database.prepare(`SELECT name FROM pragma_table_info('${table}')`).all().flat()
      return columns.includes('host') && columns.includes('username')
    })
    // The keys go with their account by the foreign key.
    expect(new Set(keyed)).toEqual(new Set([...accountTables, 'accounts', 'scram_keys']))
  })

  it.each([
    ['SELECT 1 FROM accounts WHERE host = ? AND username = ?', /SEARCH accounts USING/],
    ['SELECT * FROM scram_keys WHERE host = ? AND username = ?', /SEARCH scram_keys USING/],
    [
      'SELECT * FROM roster_items WHERE host = ? AND username = ? ORDER BY jid',
      /SEARCH roster_items USING PRIMARY KEY/,
    ],
    [
      'SELECT * FROM offline_messages WHERE host = ? AND username = ? AND id > 7 ORDER BY id LIMIT 9',
      /SEARCH .* USING INDEX/,
    ],
    ['SELECT count(*) FROM offline_messages WHERE host = ? AND username = ?', /SEARCH .* USING COVERING INDEX/],
    [
      'SELECT xml FROM private_xml WHERE host = ? AND username = ? AND ns = 1 AND name = 2',
      /SEARCH private_xml USING PRIMARY KEY/,
    ],
    [
      'SELECT field, value FROM vcard_fields WHERE host = ? AND username = ?',
      /SEARCH vcard_fields USING PRIMARY KEY \(host=\? AND username=\?\)/,
    ],
    [
      "SELECT username FROM vcard_fields WHERE host = ? AND field = ? AND folded >= 'a' AND folded <= 'b'",
      /SEARCH .* USING COVERING INDEX .* \(host=\? AND field=\? AND folded>\? AND folded<\?\)/,
    ],
    ['SELECT at FROM last_activity WHERE host = ? AND username = ?', /SEARCH last_activity USING PRIMARY KEY/],
    ['SELECT items FROM privacy_lists WHERE host = ? AND username = ? ORDER BY name', /SEARCH .* USING PRIMARY KEY/],
    [
      'SELECT items FROM account_removals WHERE host = ? AND localpart > ? ORDER BY localpart LIMIT 9',
      /SEARCH account_removals USING PRIMARY KEY/,
    ],
    [
      "SELECT xml FROM private_xml WHERE host = ? AND username = ? AND (ns, name) > ('a', 'b') ORDER BY ns, name LIMIT 9",
      /SEARCH private_xml USING PRIMARY KEY/,
    ],
    ['SELECT archive FROM archive WHERE host = ? AND username = ?', /SEARCH .* USING COVERING INDEX/],
    [
      'SELECT time, secret FROM archived_messages WHERE archive = ? AND secret <> ? ORDER BY time DESC LIMIT 1',
      /SEARCH .* USING INDEX archived_messages_by_time \(archive=\?\)/,
    ],
    [
      'SELECT 1 FROM archived_messages WHERE archive = ? AND time = ? AND secret = 1',
      /SEARCH .* USING INDEX archived_messages_by_time \(archive=\? AND time=\?\)/,
    ],
    ['SELECT username FROM archive WHERE host = ? AND username > ? ORDER BY username LIMIT 1', /SEARCH .* USING/],
    ['SELECT always FROM archive_preferences WHERE host = ? AND username = ?', /SEARCH .* USING PRIMARY KEY/],
    ['SELECT version FROM muc_light_rooms WHERE service = ? AND room = ?', /SEARCH .* USING PRIMARY KEY/],
    [
      'SELECT jid, is_owner FROM muc_light_occupants WHERE service = ? AND room = ?',
      /SEARCH .* USING (PRIMARY KEY|COVERING INDEX)/,
    ],
    [
      'SELECT room FROM muc_light_occupants WHERE service = ? AND jid = ? AND room > 1 ORDER BY room LIMIT 9',
      /SEARCH .* USING COVERING INDEX .* \(service=\? AND jid=\? AND room>\?\)/,
    ],
    [
      'SELECT kind FROM muc_light_blocks WHERE service = ? AND jid = ? ORDER BY kind, blocked_jid',
      /SEARCH .* USING PRIMARY KEY/,
    ],
    ['SELECT version FROM roster_versions WHERE host = ? AND username = ?', /SEARCH .* USING COVERING INDEX/],
  ])('finds what %s asks for without a scan or a sort', (sql, plan) => {
    const steps = opened(':memory:')
      .prepare(`EXPLAIN QUERY PLAN ${sql}`)
      .all('h', 'u')
      .map(row => String(row[3]))
    expect(steps).toHaveLength(1)
    expect(steps[0]).toMatch(plan)
  })

  it('keeps the database and its log for their owner only', async () => {
    const folder = temporaryFolder()
    const store = await openSqliteStore({ file: join(folder, 'meerkat.db') })
    await store.offline.add('romeo', 'h', '<message/>', 1, 1)
    const modes = readdirSync(folder).map(name => [name, (statSync(join(folder, name)).mode & 0o777).toString(8)])
    expect(Object.fromEntries(modes)).toEqual({ 'meerkat.db': '600', 'meerkat.db-shm': '600', 'meerkat.db-wal': '600' })
    await store.close()
    expect(readdirSync(folder)).toEqual(['meerkat.db'])
  })
})

describe('a page of an archive (XEP-0313 §4.3)', () => {
  it.each([
    ['all', 'ASC', 'by_time (archive=? AND time>? AND time<?)'],
    ['all', 'DESC', 'by_time (archive=? AND time>? AND time<?)'],
    ['contact', 'ASC', 'by_contact (archive=? AND contact_hash=? AND time>? AND time<?)'],
    ['contact', 'DESC', 'by_contact (archive=? AND contact_hash=? AND time>? AND time<?)'],
    ['resource', 'ASC', 'by_contact (archive=? AND contact_hash=? AND time>? AND time<?)'],
    ['resource', 'DESC', 'by_contact (archive=? AND contact_hash=? AND time>? AND time<?)'],
    ['nick', 'ASC', 'by_nick (archive=? AND nick=? AND time>? AND time<?)'],
    ['nick', 'DESC', 'by_nick (archive=? AND nick=? AND time>? AND time<?)'],
  ] as const)('by %s, %s, walks along an index and sorts nothing', (by, order, plan) => {
    const steps = opened(':memory:')
      .prepare(`EXPLAIN QUERY PLAN ${archivePageSql(by, order)}`)
      .all()
      .map(row => String(row[3]))
    expect(steps).toEqual([`SEARCH archived_messages USING INDEX archived_messages_${plan}`])
  })
})

describe('a batch', () => {
  /** A database that writes down each statement that begins or ends a transaction. */
  function recorded() {
    const log: string[] = []
    const database = opened(':memory:')
    const recording: Database = {
      ...database,
      get inTransaction() {
        return database.inTransaction
      },
      exec(sql) {
        log.push(sql)
        database.exec(sql)
      },
    }
    const run = batchRunner(recording, prepareVerbs(recording))
    return { log, run }
  }

  it('of many writes is one transaction', () => {
    const { log, run } = recorded()
    const add = (user: string) => ['offlineAdd', user, 'h', '<m/>', 1, 10] as [string, ...unknown[]]
    expect(run([add('a'), ['offlineCount', 'a', 'h'], add('b')])).toEqual({
      type: 'results',
      results: [1, 1, 2],
      failures: [],
    })
    expect(log).toEqual(['BEGIN IMMEDIATE', 'COMMIT'])
  })

  it('of reads takes no lock for writing', () => {
    const { log, run } = recorded()
    expect(run([['offlineCount', 'a', 'h']])).toMatchObject({ results: [0] })
    expect(log).toEqual(['BEGIN', 'COMMIT'])
  })

  it.each([
    ['a message', (text: string) => ['offlineAdd', 'a', 'h', text, 1, 1000] as [string, ...unknown[]]],
    [
      'a contact',
      (text: string) =>
        [
          'rosterUpdate',
          'a',
          'h',
          { put: [[`${text.length}@h`, text, 'none', 0, '[]']], remove: [], putRequests: [], removeRequests: [] },
        ] as [string, ...unknown[]],
    ],
  ])('with %s on a full disk is refused as a whole, and reading and writing go on', (_, add) => {
    const database = opened(':memory:')
    const run = batchRunner(database, prepareVerbs(database))
    const succeeds = { results: [expect.any(Number)], failures: [] }
    expect(run([add('x')])).toMatchObject(succeeds)
    const pages = Number(database.prepare('PRAGMA page_count').get()?.[0])
    database.exec(`PRAGMA max_page_count = ${pages + 10}`)
    const tooMuch = Array.from({ length: 200 }, (_, index) => add('x'.repeat(1000 + index)))
    expect(run(tooMuch)).toEqual({ type: 'refused', message: expect.stringContaining('full') })
    expect(database.inTransaction).toBe(false)
    expect(run([['offlineCount', 'a', 'h']])).toMatchObject(succeeds)
    expect(run([add('xx')])).toMatchObject(succeeds)
  })

  it('is given up without a trace when the process exits meanwhile', () => {
    const database = opened(':memory:')
    let left = 2
    const run = batchRunner(database, prepareVerbs(database), () => {
      left -= 1
      return left < 0
    })
    const add = ['offlineAdd', 'a', 'h', '<m/>', 1, 10] as [string, ...unknown[]]
    expect(run([add, add, add])).toMatchObject({ type: 'failed' })
    expect(database.inTransaction).toBe(false)
    expect(database.prepare('SELECT count(*) FROM offline_messages').get()).toEqual([0])
  })

  it('with a call that fails is rolled back and done again call by call', () => {
    const { log, run } = recorded()
    const outcome = run([['offlineAdd', 'a', 'h', '<m/>', 1, 10], ['nonsense'], ['offlineCount', 'a', 'h']])
    expect(outcome).toEqual({
      type: 'results',
      results: [1, undefined, 1],
      failures: [[1, 'the store has no verb nonsense']],
    })
    expect(log[1]).toBe('ROLLBACK')
  })
})
