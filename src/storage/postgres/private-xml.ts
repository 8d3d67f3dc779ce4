import { rootOf } from '../sqlite/private-xml.js'
import { sql, type VerbTable } from './session.js'

const get = sql(`
  SELECT xml FROM private_xml
  WHERE host = $1 AND username = $2 AND md5(name || ' ' || ns) = md5($4 || ' ' || $3) AND ns = $3 AND name = $4`)
const put = sql(`
  INSERT INTO private_xml (host, username, ns, name, xml) VALUES ($1, $2, $3, $4, $5)
  ON CONFLICT (host, username, md5(name || ' ' || ns)) DO UPDATE SET xml = excluded.xml`)
const keys = sql('SELECT ns, name FROM private_xml WHERE host = $1 AND username = $2 LIMIT $3')
/** An account has few of them, which the index finds: they may be sorted. */
const list = sql(`
  SELECT ns, name, xml FROM private_xml WHERE host = $1 AND username = $2 AND (ns, name) > ($3, $4) ORDER BY ns, name LIMIT $5`)

/** What PostgreSQL does for private XML. */
export const privateXmlVerbs = {
  reads: {
    privateXmlList: async (session, user, host, ns, name, limit) =>
      // The cast: what the columns hold, which are NOT NULL.
      (await session.all(list, host, user, ns, name, limit)) as [string, string, string][],
    privateXmlGet: async (session, user, host, ns, name) => (await session.get(get, host, user, ns, name))?.[0],
  },
  dialogues: {
    async privateXmlPut(session, user, host, fragments, limit) {
      // No more than `limit` rows are ever there.
      const stored = await session.all(keys, host, user, limit)
      const roots = new Set(stored.map(([ns, name]) => rootOf(String(ns), String(name))))
      for (const { ns, name } of fragments) roots.add(rootOf(ns, name))
      if (roots.size > limit) return false
      await Promise.all(fragments.map(({ ns, name, xml }) => session.run(put, host, user, ns, name, xml)))
      return true
    },
  },
} satisfies VerbTable
