import { sql, type VerbTable } from './session.js'

const put = sql('INSERT INTO meta (key, value) VALUES ($1, $2) ON CONFLICT DO NOTHING')
const get = sql('SELECT value FROM meta WHERE key = $1')

/** What PostgreSQL does for the facts about the installation. */
export const metaVerbs = {
  writes: {
    async metaPutIfAbsent(session, key, value) {
      const [, row] = await Promise.all([session.run(put, key, value), session.get(get, key)])
      return row?.[0] as Uint8Array // The cast: the row was written just now, or before, from bytes.
    },
  },
} satisfies VerbTable
