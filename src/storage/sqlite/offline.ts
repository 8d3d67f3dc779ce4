import type { OfflineRepository } from '../store.js'
import type { Database } from './database.js'
import type { Request } from './protocol.js'

/** What the worker does for the offline messages. */
export function offlineVerbs(database: Database) {
  const add = database.prepare('INSERT INTO offline_messages (host, username, at, xml) VALUES (?, ?, ?, ?)')
  // Not RETURNING: libsql 0.5.29 does not reset a statement that failed while it was being read.
  const added = database.prepare('SELECT last_insert_rowid()')
  const page = database.prepare(
    'SELECT id, xml FROM offline_messages WHERE host = ? AND username = ? AND id > ? ORDER BY id LIMIT ?',
  )
  const remove = database.prepare('DELETE FROM offline_messages WHERE host = ? AND username = ? AND id = ?')
  const count = database.prepare('SELECT count(*) FROM offline_messages WHERE host = ? AND username = ?')
  // Costs at most `limit` steps through the index.
  const isFull = database.prepare('SELECT 1 FROM offline_messages WHERE host = ? AND username = ? LIMIT 1 OFFSET ?')
  return {
    reads: {
      offlinePage: (user: string, host: string, after: number, limit: number) =>
        // The cast: the columns are typed (STRICT) and NOT NULL.
        page.all(host, user, after, limit) as [number, string][],
      offlineCount: (user: string, host: string) => Number(count.get(host, user)?.[0]),
    },
    writes: {
      offlineAdd(user: string, host: string, xml: string, at: number, limit: number): number | 'full' {
        if (limit <= 0 || (limit < Infinity && isFull.get(host, user, limit - 1) !== undefined)) return 'full'
        add.run(host, user, at, xml)
        return Number(added.get()?.[0])
      },
      offlineRemove(user: string, host: string, ids: readonly number[]): void {
        for (const id of ids) remove.run(host, user, id)
      },
    },
  }
}

/** The offline messages as the server sees them. */
export function offlineRepository(request: Request): OfflineRepository {
  return {
    add: (user, host, xml, at, limit) => request('offlineAdd', user, host, xml, at, limit),
    page: async (user, host, { after, limit }) => {
      const rows = await request('offlinePage', user, host, after, limit)
      return rows.map(([id, xml]) => ({ id, xml }))
    },
    remove: (user, host, ids) => request('offlineRemove', user, host, ids),
    count: (user, host) => request('offlineCount', user, host),
  }
}
