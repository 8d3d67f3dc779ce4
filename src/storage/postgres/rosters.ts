import { type Session, sql, type VerbTable } from './session.js'

const version = sql('SELECT version FROM roster_versions WHERE host = $1 AND username = $2')
const items = sql(`
  SELECT jid, name, subscription, flags, group_names FROM roster_items WHERE host = $1 AND username = $2 ORDER BY jid`)
const requests = sql('SELECT jid, xml FROM subscription_requests WHERE host = $1 AND username = $2 ORDER BY jid')
const putItems = sql(`
  INSERT INTO roster_items AS old (host, username, jid, name, subscription, flags, group_names)
  SELECT $1, $2, * FROM unnest($3::text[], $4::text[], $5::text[], $6::integer[], $7::text[])
  ON CONFLICT (host, username, md5(jid)) DO UPDATE SET
    name = excluded.name, subscription = excluded.subscription, flags = excluded.flags, group_names = excluded.group_names
  WHERE (old.name, old.subscription, old.flags, old.group_names)
    IS DISTINCT FROM (excluded.name, excluded.subscription, excluded.flags, excluded.group_names)`)
const removeItems = sql(`
  DELETE FROM roster_items WHERE host = $1 AND username = $2 AND md5(jid) IN (SELECT md5(unnest($3::text[])))`)
const putRequests = sql(`
  INSERT INTO subscription_requests (host, username, jid, xml)
  SELECT $1, $2, * FROM unnest($3::text[], $4::text[])
  ON CONFLICT (host, username, md5(jid)) DO UPDATE SET xml = excluded.xml`)
const removeRequests = sql(`
  DELETE FROM subscription_requests WHERE host = $1 AND username = $2 AND md5(jid) IN (SELECT md5(unnest($3::text[])))`)
const grow = sql(`
  INSERT INTO roster_versions (host, username) VALUES ($1, $2)
  ON CONFLICT (host, username) DO UPDATE SET version = DEFAULT RETURNING version`)

const currentVersion = async (session: Session, user: string, host: string) =>
  Number((await session.get(version, host, user))?.[0] ?? 0)

/** The last of the rows that begin with the same JID: one statement cannot write a row twice. */
const lastOfEach = <Row extends [jid: string, ...unknown[]]>(rows: Row[]) => [
  ...new Map(rows.map(row => [row[0], row])).values(),
]

/** What PostgreSQL does for the rosters. */
export const rosterVerbs = {
  reads: {
    async rosterLoad(session, user, host) {
      // The version first: should another node change the roster in between, the client's is taken for older than it is.
      const answers = [currentVersion(session, user, host), session.all(items, host, user)] as const
      const [found, itemRows, requestRows] = await Promise.all([...answers, session.all(requests, host, user)])
      // The casts: what the columns hold, which are NOT NULL.
      return [found, itemRows as [string, string, string, number, string][], requestRows as [string, string][]]
    },
  },
  dialogues: {
    async rosterUpdate(session, user, host, change) {
      const put = lastOfEach(change.put)
      const asked = lastOfEach(change.putRequests)
      const column = <Row extends unknown[], At extends keyof Row>(rows: Row[], at: At) => rows.map(row => row[at])
      const changed = await Promise.all([
        change.remove.length === 0 ? 0 : session.run(removeItems, host, user, change.remove),
        put.length === 0
          ? 0
          : session.run(
              putItems,
              host,
              user,
              column(put, 0),
              column(put, 1),
              column(put, 2),
              column(put, 3),
              column(put, 4),
            ),
        change.removeRequests.length > 0 && session.run(removeRequests, host, user, change.removeRequests),
        asked.length > 0 && session.run(putRequests, host, user, column(asked, 0), column(asked, 1)),
      ])
      if (changed[0] + changed[1] === 0) return currentVersion(session, user, host)
      return Number((await session.get(grow, host, user))?.[0])
    },
  },
} satisfies VerbTable
