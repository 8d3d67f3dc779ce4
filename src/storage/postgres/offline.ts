import { sql, type VerbTable } from './session.js'

// Counting costs at most `limit` steps through the index; a limit of NULL is none.
const add = sql(`
  INSERT INTO offline_messages (host, username, at, xml)
  SELECT $1, $2, $3::bigint, $4 WHERE $5::bigint IS NULL
    OR NOT EXISTS (SELECT FROM offline_messages WHERE host = $1 AND username = $2 OFFSET $5::bigint - 1)
  RETURNING id`)
const page = sql(
  'SELECT id, xml FROM offline_messages WHERE host = $1 AND username = $2 AND id > $3 ORDER BY id LIMIT $4',
)
const remove = sql('DELETE FROM offline_messages WHERE host = $1 AND username = $2 AND id = ANY($3::bigint[])')
const count = sql('SELECT count(*) FROM offline_messages WHERE host = $1 AND username = $2')

/** What PostgreSQL does for the offline messages. */
export const offlineVerbs = {
  reads: {
    offlinePage: async (session, user, host, after, limit) =>
      // The cast: what the columns hold, which are NOT NULL.
      (await session.all(page, host, user, after, limit)) as [number, string][],
    offlineCount: async (session, user, host) => Number((await session.get(count, host, user))?.[0]),
  },
  writes: {
    async offlineAdd(session, user, host, xml, at, limit) {
      if (limit <= 0) return 'full'
      const stored = await session.get(add, host, user, at, xml, limit === Infinity ? null : limit)
      return stored === undefined ? 'full' : Number(stored[0])
    },
    offlineRemove: async (session, user, host, ids) => void (await session.run(remove, host, user, ids)),
  },
} satisfies VerbTable
