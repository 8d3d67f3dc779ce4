import type { PrivateFragment, PrivateXmlRepository } from '../store.js'
import type { Database } from './database.js'
import type { Request } from './protocol.js'

/** What the worker does for private XML. */
export function privateXmlVerbs(database: Database) {
  const get = database.prepare('SELECT xml FROM private_xml WHERE host = ? AND username = ? AND ns = ? AND name = ?')
  const put = database.prepare(`
    INSERT INTO private_xml (host, username, ns, name, xml) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET xml = excluded.xml`)
  const keys = database.prepare('SELECT ns, name FROM private_xml WHERE host = ? AND username = ? LIMIT ?')
  const list = database.prepare(`
    SELECT ns, name, xml FROM private_xml WHERE host = ? AND username = ? AND (ns, name) > (?, ?) ORDER BY ns, name LIMIT ?`)
  return {
    reads: {
      privateXmlList: (user: string, host: string, ns: string, name: string, limit: number) =>
        // The cast: the columns are typed (STRICT) and NOT NULL.
        list.all(host, user, ns, name, limit) as [ns: string, name: string, xml: string][],
      privateXmlGet: (user: string, host: string, ns: string, name: string) => get.get(host, user, ns, name)?.[0],
    },
    writes: {
      privateXmlPut(user: string, host: string, fragments: readonly PrivateFragment[], limit: number): boolean {
        // No more than `limit` rows are ever there.
        const roots = new Set(keys.all(host, user, limit).map(([ns, name]) => rootOf(String(ns), String(name))))
        for (const { ns, name } of fragments) roots.add(rootOf(ns, name))
        if (roots.size > limit) return false
        for (const { ns, name, xml } of fragments) put.run(host, user, ns, name, xml)
        return true
      },
    },
  }
}

/** A name has no space in it. */
export const rootOf = (ns: string, name: string) => `${name} ${ns}`

/** Private XML as the server sees it. */
export function privateXmlRepository(request: Request): PrivateXmlRepository {
  return {
    async get(user, host, ns, name) {
      const xml = await request('privateXmlGet', user, host, ns, name)
      return xml === undefined ? undefined : String(xml)
    },
    put: (user, host, fragments, limit) => request('privateXmlPut', user, host, fragments, limit),
    async list(user, host, { after, limit }) {
      const rows = await request('privateXmlList', user, host, after.ns, after.name, limit)
      return rows.map(([ns, name, xml]) => ({ ns, name, xml }))
    },
  }
}
