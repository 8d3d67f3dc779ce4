import { accountTables } from '../sqlite/accounts.js'
import type { Value } from '../sqlite/database.js'
import { type Session, sql, type VerbTable } from './session.js'

const exists = sql('SELECT 1 FROM accounts WHERE host = $1 AND username = $2')
const credentials = sql(`
  SELECT password, hash, salt, iterations, stored_key, server_key
  FROM accounts LEFT JOIN scram_keys USING (host, username)
  WHERE host = $1 AND username = $2`)
const list = sql('SELECT username FROM accounts WHERE host = $1 AND username > $2 ORDER BY username LIMIT $3')
const count = sql('SELECT count(*) FROM accounts WHERE host = $1')
const insert = sql('INSERT INTO accounts (host, username, password) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING')
const insertKeys = sql(`
  INSERT INTO scram_keys (host, username, hash, salt, iterations, stored_key, server_key) VALUES ($1, $2, $3, $4, $5, $6, $7)`)
const update = sql('UPDATE accounts SET password = $3 WHERE host = $1 AND username = $2')
const deleteKeys = sql('DELETE FROM scram_keys WHERE host = $1 AND username = $2')
const deleteAccount = sql('DELETE FROM accounts WHERE host = $1 AND username = $2')
const remember = sql(`
  INSERT INTO account_removals (host, localpart, items, requests)
  SELECT host, username,
    (SELECT coalesce(json_agg(json_build_array(jid, subscription, flags)), '[]')::text FROM roster_items AS item
      WHERE item.host = accounts.host AND item.username = accounts.username),
    (SELECT coalesce(json_agg(jid), '[]')::text FROM subscription_requests AS request
      WHERE request.host = accounts.host AND request.username = accounts.username)
  FROM accounts WHERE host = $1 AND username = $2
  ON CONFLICT (host, localpart) DO UPDATE SET items = excluded.items, requests = excluded.requests`)
const removals = sql(`
  SELECT localpart, items, requests FROM account_removals WHERE host = $1 AND localpart > $2 ORDER BY localpart LIMIT $3`)
const finish = sql('DELETE FROM account_removals WHERE host = $1 AND localpart = $2')
const empty = accountTables.map(table => sql(`DELETE FROM ${table} WHERE host = $1 AND username = $2`))

const removeData = (session: Session, user: string, host: string) => empty.map(query => session.run(query, host, user))
const putKeys = (session: Session, user: string, host: string, keys: Value[][]) =>
  keys.map(key => session.run(insertKeys, host, user, ...key))

/** What PostgreSQL does for the accounts. */
export const accountVerbs = {
  reads: {
    accountExists: async (session, user, host) => (await session.get(exists, host, user)) !== undefined,
    accountCredentials: (session, user, host) => session.all(credentials, host, user),
    accountList: async (session, host, after, limit) =>
      (await session.all(list, host, after, limit)).map(row => String(row[0])),
    accountCount: async (session, host) => Number((await session.get(count, host))?.[0]),
    accountRemovals: async (session, host, after, limit) =>
      // The cast: what the columns hold, which are NOT NULL.
      (await session.all(removals, host, after, limit)) as [string, string, string][],
  },
  writes: {
    accountFinishRemoval: async (session, user, host) => void (await session.run(finish, host, user)),
    async accountRemove(session, user, host) {
      const results = await Promise.all([
        session.run(remember, host, user),
        ...removeData(session, user, host),
        session.run(deleteAccount, host, user),
      ])
      return results.at(-1) !== 0
    },
  },
  dialogues: {
    async accountCreate(session, user, host, password, keys) {
      if ((await session.run(insert, host, user, password)) === 0) return false
      await Promise.all([...removeData(session, user, host), ...putKeys(session, user, host, keys)])
      return true
    },
    async accountSet(session, user, host, password, keys) {
      if ((await session.run(update, host, user, password)) === 0) return false
      await Promise.all([session.run(deleteKeys, host, user), ...putKeys(session, user, host, keys)])
      return true
    },
  },
} satisfies VerbTable
