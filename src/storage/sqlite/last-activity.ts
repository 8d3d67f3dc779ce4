import type { LastActivityRepository } from '../store.js'
import type { Database } from './database.js'
import type { Request } from './protocol.js'

/** What the worker does for the last activity. */
export function lastActivityVerbs(database: Database) {
  const get = database.prepare('SELECT at, status FROM last_activity WHERE host = ? AND username = ?')
  const put = database.prepare(`
    INSERT INTO last_activity (host, username, at, status) VALUES (?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET at = excluded.at, status = excluded.status`)
  const remove = database.prepare('DELETE FROM last_activity WHERE host = ? AND username = ?')
  return {
    reads: {
      lastActivityGet: (user: string, host: string) => get.get(host, user),
    },
    writes: {
      lastActivityPut: (user: string, host: string, at: number, status: string) => void put.run(host, user, at, status),
      lastActivityRemove: (user: string, host: string) => void remove.run(host, user),
    },
  }
}

/** The last activity as the server sees it. */
export function lastActivityRepository(request: Request): LastActivityRepository {
  return {
    async get(user, host) {
      const row = await request('lastActivityGet', user, host)
      return row && { at: Number(row[0]), status: String(row[1]) }
    },
    put: (user, host, { at, status }) => request('lastActivityPut', user, host, at, status),
    remove: (user, host) => request('lastActivityRemove', user, host),
  }
}
