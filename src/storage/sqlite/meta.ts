import type { MetaRepository } from '../store.js'
import type { Database } from './database.js'
import type { Request } from './protocol.js'

/** What the worker does for the facts about the installation. */
export function metaVerbs(database: Database) {
  const put = database.prepare('INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT DO NOTHING')
  const get = database.prepare('SELECT value FROM meta WHERE key = ?')
  return {
    reads: {},
    writes: {
      metaPutIfAbsent(key: string, value: Uint8Array): Uint8Array {
        put.run(key, value)
        return get.get(key)?.[0] as Uint8Array // The cast: the row was written just now, or before, from bytes.
      },
    },
  }
}

export function metaRepository(request: Request): MetaRepository {
  return {
    putIfAbsent: async (key, value) => Buffer.from(await request('metaPutIfAbsent', key, new Uint8Array(value))),
  }
}
