import { sql, type VerbTable } from './session.js'

const load = sql('SELECT name, is_default, items FROM privacy_lists WHERE host = $1 AND username = $2 ORDER BY name')
const put = sql(`
  INSERT INTO privacy_lists (host, username, name, is_default, items) VALUES ($1, $2, $3, 0, $4)
  ON CONFLICT (host, username, md5(name)) DO UPDATE SET items = excluded.items`)
const remove = sql('DELETE FROM privacy_lists WHERE host = $1 AND username = $2 AND name = $3')
const choose = sql(`
  UPDATE privacy_lists SET is_default = (name IS NOT DISTINCT FROM $3)::integer
  WHERE host = $1 AND username = $2 AND is_default <> (name IS NOT DISTINCT FROM $3)::integer`)

/** What PostgreSQL does for privacy lists. */
export const privacyVerbs = {
  reads: {
    privacyLoad: (session, user, host) => session.all(load, host, user),
  },
  writes: {
    async privacyUpdate(session, user, host, puts, removes, defaultName) {
      await Promise.all([
        ...removes.map(name => session.run(remove, host, user, name)),
        ...puts.map(([name, items]) => session.run(put, host, user, name, items)),
        defaultName !== undefined && session.run(choose, host, user, defaultName),
      ])
    },
  },
} satisfies VerbTable
