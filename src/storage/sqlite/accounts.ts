import type { AccountRemoval, AccountRepository, Credentials, ScramHash } from '../store.js'
import type { Database, Value } from './database.js'
import type { Request } from './protocol.js'
import { APPROVED, ASK } from './rosters.js'

/** A removal between the threads: localpart, then the two columns of JSON. */
type RemovalRow = [user: string, items: string, requests: string]

/** Every table keyed by (host, username): removing an account empties them all. A new repository adds its tables here. */
export const accountTables = [
  'roster_versions',
  'roster_items',
  'subscription_requests',
  'offline_messages',
  'private_xml',
  'vcards',
  'vcard_fields',
  'last_activity',
  'privacy_lists',
  'archive',
  'archive_preferences',
] as const

/** What the worker does for the accounts. */
export function accountVerbs(database: Database) {
  const exists = database.prepare('SELECT 1 FROM accounts WHERE host = ? AND username = ?')
  const credentials = database.prepare(`
    SELECT password, hash, salt, iterations, stored_key, server_key
    FROM accounts LEFT JOIN scram_keys USING (host, username)
    WHERE host = ? AND username = ?`)
  const list = database.prepare(
    'SELECT username FROM accounts WHERE host = ? AND username > ? ORDER BY username LIMIT ?',
  )
  const count = database.prepare('SELECT count(*) FROM accounts WHERE host = ?')
  const insert = database.prepare(
    'INSERT INTO accounts (host, username, password) VALUES (?, ?, ?) ON CONFLICT DO NOTHING',
  )
  const insertKeys = database.prepare(`
    INSERT INTO scram_keys (host, username, hash, salt, iterations, stored_key, server_key) VALUES (?, ?, ?, ?, ?, ?, ?)`)
  const update = database.prepare('UPDATE accounts SET password = ? WHERE host = ? AND username = ?')
  const deleteKeys = database.prepare('DELETE FROM scram_keys WHERE host = ? AND username = ?')
  const deleteAccount = database.prepare('DELETE FROM accounts WHERE host = ? AND username = ?')
  const remember = database.prepare(`
    INSERT INTO account_removals (host, localpart, items, requests)
    SELECT host, username,
      (SELECT json_group_array(json_array(jid, subscription, flags)) FROM roster_items AS item
        WHERE item.host = accounts.host AND item.username = accounts.username),
      (SELECT json_group_array(jid) FROM subscription_requests AS request
        WHERE request.host = accounts.host AND request.username = accounts.username)
    FROM accounts WHERE host = ? AND username = ?
    ON CONFLICT DO UPDATE SET items = excluded.items, requests = excluded.requests`)
  const removals = database.prepare(
    'SELECT localpart, items, requests FROM account_removals WHERE host = ? AND localpart > ? ORDER BY localpart LIMIT ?',
  )
  const finish = database.prepare('DELETE FROM account_removals WHERE host = ? AND localpart = ?')
  const empty = accountTables.map(table => database.prepare(`DELETE FROM ${table} WHERE host = ? AND username = ?`))

  const removeData = (user: string, host: string) => {
    for (const query of empty) query.run(host, user)
  }
  const putKeys = (user: string, host: string, keys: Value[][]) => {
    for (const key of keys) insertKeys.run(host, user, ...key)
  }
  return {
    reads: {
      accountExists: (user: string, host: string) => exists.get(host, user) !== undefined,
      accountCredentials: (user: string, host: string) => credentials.all(host, user),
      accountList: (host: string, after: string, limit: number) =>
        list.all(host, after, limit).map(row => String(row[0])),
      accountCount: (host: string) => Number(count.get(host)?.[0]),
      // The cast: the columns are typed (STRICT) and NOT NULL.
      accountRemovals: (host: string, after: string, limit: number) => removals.all(host, after, limit) as RemovalRow[],
    },
    writes: {
      accountCreate(user: string, host: string, password: string | null, keys: Value[][]) {
        if (insert.run(host, user, password) === 0) return false
        removeData(user, host)
        putKeys(user, host, keys)
        return true
      },
      accountSet(user: string, host: string, password: string | null, keys: Value[][]) {
        if (update.run(password, host, user) === 0) return false
        deleteKeys.run(host, user)
        putKeys(user, host, keys)
        return true
      },
      accountFinishRemoval: (user: string, host: string) => void finish.run(host, user),
      accountRemove(user: string, host: string) {
        remember.run(host, user)
        removeData(user, host)
        return deleteAccount.run(host, user) > 0
      },
    },
  }
}

/** The accounts as the server sees them. */
export function accountRepository(request: Request): AccountRepository {
  return {
    exists: (user, host) => request('accountExists', user, host),
    credentials: async (user, host) => unpack(await request('accountCredentials', user, host)),
    create: (user, host, credentials) => request('accountCreate', user, host, ...pack(credentials)),
    setCredentials: (user, host, credentials) => request('accountSet', user, host, ...pack(credentials)),
    remove: (user, host) => request('accountRemove', user, host),
    unfinishedRemovals: async (host, { after = '', limit }) =>
      (await request('accountRemovals', host, after, limit)).map(unpackRemoval),
    finishRemoval: (user, host) => request('accountFinishRemoval', user, host),
    list: (host, { after, limit }) => request('accountList', host, after ?? '', limit),
    count: host => request('accountCount', host),
  }
}

function unpackRemoval([user, items, requests]: RemovalRow): AccountRemoval {
  // What `accountRemove` wrote.
  const rows = JSON.parse(items) as [string, AccountRemoval['items'][number]['subscription'], number][]
  return {
    user,
    items: rows.map(([jid, subscription, flags]) => ({
      jid,
      subscription,
      ask: (flags & ASK) !== 0,
      approved: (flags & APPROVED) !== 0,
    })),
    requests: JSON.parse(requests) as string[],
  }
}

function pack({ scram, password }: Credentials): [password: string | null, keys: Value[][]] {
  const keys = Object.entries(scram).map(([hash, { salt, iterations, storedKey, serverKey }]) => {
    // Copies: a message takes the whole ArrayBuffer along, which for a small Buffer is Node's 8 KiB pool.
    return [hash, new Uint8Array(salt), iterations, new Uint8Array(storedKey), new Uint8Array(serverKey)]
  })
  return [password ?? null, keys]
}

function unpack(rows: Value[][]): Credentials | undefined {
  const first = rows[0]
  if (first === undefined) return undefined
  const credentials: Credentials = { scram: {} }
  if (first[0] !== null) credentials.password = String(first[0])
  for (const [, hash, salt, iterations, storedKey, serverKey] of rows) {
    if (hash === null) continue // The account has no keys.
    // The casts: the columns are NOT NULL and were written by `pack`.
    credentials.scram[hash as ScramHash] = {
      salt: bytes(salt as Uint8Array),
      iterations: Number(iterations),
      storedKey: bytes(storedKey as Uint8Array),
      serverKey: bytes(serverKey as Uint8Array),
    }
  }
  return credentials
}

const bytes = (array: Uint8Array) => Buffer.from(array.buffer, array.byteOffset, array.byteLength)
