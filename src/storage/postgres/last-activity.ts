import { sql, type VerbTable } from './session.js'

const get = sql('SELECT at, status FROM last_activity WHERE host = $1 AND username = $2')
const put = sql(`
  INSERT INTO last_activity (host, username, at, status) VALUES ($1, $2, $3, $4)
  ON CONFLICT (host, username) DO UPDATE SET at = excluded.at, status = excluded.status`)
const remove = sql('DELETE FROM last_activity WHERE host = $1 AND username = $2')

/** What PostgreSQL does for the last activity. */
export const lastActivityVerbs = {
  reads: {
    lastActivityGet: (session, user, host) => session.get(get, host, user),
  },
  writes: {
    lastActivityPut: async (session, user, host, at, status) => void (await session.run(put, host, user, at, status)),
    lastActivityRemove: async (session, user, host) => void (await session.run(remove, host, user)),
  },
} satisfies VerbTable
