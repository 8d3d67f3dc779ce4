import type { PrivacyChange, PrivacyRepository } from '../store.js'
import type { Database } from './database.js'
import type { Request } from './protocol.js'

/** A privacy list between the threads: name, items as JSON. */
type ListRow = [string, string]

/** What the worker does for privacy lists. */
export function privacyVerbs(database: Database) {
  const load = database.prepare(
    'SELECT name, is_default, items FROM privacy_lists WHERE host = ? AND username = ? ORDER BY name',
  )
  const put = database.prepare(`
    INSERT INTO privacy_lists (host, username, name, is_default, items) VALUES (?, ?, ?, 0, ?)
    ON CONFLICT DO UPDATE SET items = excluded.items`)
  const remove = database.prepare('DELETE FROM privacy_lists WHERE host = ? AND username = ? AND name = ?')
  const choose = database.prepare(
    'UPDATE privacy_lists SET is_default = (name IS ?) WHERE host = ? AND username = ? AND is_default IS NOT (name IS ?)',
  )
  return {
    reads: {
      privacyLoad: (user: string, host: string) => load.all(host, user),
    },
    writes: {
      privacyUpdate(user: string, host: string, puts: ListRow[], removes: string[], defaultName?: string | null): void {
        for (const name of removes) remove.run(host, user, name)
        for (const [name, items] of puts) put.run(host, user, name, items)
        if (defaultName !== undefined) choose.run(defaultName, host, user, defaultName)
      },
    },
  }
}

/** Privacy lists as the server sees them. */
export function privacyRepository(request: Request): PrivacyRepository {
  return {
    async load(user, host) {
      const rows = await request('privacyLoad', user, host)
      const chosen = rows.find(row => row[1] === 1)
      return {
        defaultName: chosen && String(chosen[0]),
        lists: rows.map(([name, , items]) => ({ name: String(name), items: JSON.parse(String(items)) })),
      }
    },
    update: (user, host, { put = [], remove = [], defaultName }: PrivacyChange) =>
      request(
        'privacyUpdate',
        user,
        host,
        put.map(({ name, items }) => [name, JSON.stringify(items)]),
        remove,
        defaultName,
      ),
  }
}
