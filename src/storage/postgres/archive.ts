import { type Statement, sql, type VerbTable } from './session.js'

type By = 'all' | 'contact' | 'resource' | 'nick'
type FilterRow = [contact: string, resource: string, nick: string, after: string, before: string]
/** Entries, one after the other: user, host, id, contact, resource, nick, and where in the XML of all its own begins and how long it is. */
type Columns = (string | number | null)[]

const COLUMNS = 8
/** Owners that one request looks at when old messages are removed. */
const OWNERS_PER_EXPIRY = 500

/** The statements that read a page, by what is filtered and by direction. All of them walk along an index; it knows contacts and nicks by their hash. */
export function archivePageSql(by: By, order: 'ASC' | 'DESC'): string {
  return `SELECT id, xml, contact FROM archive WHERE ${meant(by)} ORDER BY id ${order} LIMIT $5`
}

const filters: Record<By, string> = {
  all: '',
  contact: 'AND md5(contact) = md5($6)',
  resource: 'AND md5(contact) = md5($6) AND resource = $7',
  nick: 'AND nick IS NOT NULL AND md5(nick) = md5($6)',
}
const meant = (by: By) => `host = $1 AND username = $2 AND id > $3 AND id < $4 ${filters[by]}`

const eachOf = (text: (by: By) => string): Record<By, Statement> => ({
  all: sql(text('all')),
  contact: sql(text('contact')),
  resource: sql(text('resource')),
  nick: sql(text('nick')),
})
const first = eachOf(by => archivePageSql(by, 'ASC'))
const last = eachOf(by => archivePageSql(by, 'DESC'))
const counts = eachOf(by => `SELECT count(*) FROM (SELECT FROM archive WHERE ${meant(by)} LIMIT $5) AS found`)
const known = sql('SELECT count(*) FROM archive WHERE host = $1 AND username = $2 AND id = ANY ($3::text[])')
const picked = sql(`
  SELECT id, xml, contact, resource, nick FROM archive WHERE host = $1 AND username = $2 AND id = ANY ($3::text[]) ORDER BY id`)
const ends = sql('SELECT min(id), max(id) FROM archive WHERE host = $1 AND username = $2')
const insert = sql(`
  INSERT INTO archive (username, host, id, contact, resource, nick, xml)
  SELECT username, host, id, contact, resource, nick, substring($7::bytea FROM start FOR length)
  FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $8::integer[], $9::integer[])
    AS entry (username, host, id, contact, resource, nick, start, length)`)
const insertOne = sql(`
  INSERT INTO archive (host, username, id, contact, resource, xml) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING`)
const replace = sql('UPDATE archive SET xml = $4 WHERE host = $1 AND username = $2 AND id = $3')
const forget = sql('DELETE FROM archive WHERE host = $1 AND username = $2')
const nextOwner = sql('SELECT username FROM archive WHERE host = $1 AND username > $2 ORDER BY username LIMIT 1')
const expire = sql(`
  DELETE FROM archive WHERE host = $1 AND username = $2 AND id IN (
    SELECT id FROM archive WHERE host = $1 AND username = $2 AND id < $3 ORDER BY id LIMIT $4)`)
const preferences = sql('SELECT standard, always, never FROM archive_preferences WHERE host = $1 AND username = $2')
const setPreferences = sql(`
  INSERT INTO archive_preferences (host, username, standard, always, never) VALUES ($1, $2, $3, $4, $5)
  ON CONFLICT (host, username) DO UPDATE SET
    standard = excluded.standard, always = excluded.always, never = excluded.never`)

/** The statement for a filter, and its parameters. */
function filtered(
  queries: Record<By, Statement>,
  user: string,
  host: string,
  [contact, resource, nick, after, before]: FilterRow,
  limit: number,
) {
  const parameters = [host, user, after, before, limit]
  if (nick !== '') return [queries.nick, ...parameters, nick] as const
  if (contact === '') return [queries.all, ...parameters] as const
  if (resource === '') return [queries.contact, ...parameters, contact] as const
  return [queries.resource, ...parameters, contact, resource] as const
}

/** What PostgreSQL does for the archives. */
export const archiveVerbs = {
  reads: {
    async archivePage(session, user, host, filter, limit, isLast, ids) {
      const wanted = [...new Set(ids)]
      const [found, rows] = await Promise.all([
        wanted.length === 0 ? [0] : session.get(known, host, user, wanted),
        session.all(...filtered(isLast ? last : first, user, host, filter, limit)),
      ])
      if (Number(found?.[0]) < wanted.length) return undefined
      // The cast: what the columns hold, which are NOT NULL.
      return (isLast ? rows.reverse() : rows) as [string, Uint8Array, string][]
    },
    async archivePick(session, user, host, ids, [contact, resource, nick, after, before]) {
      // The cast: what the columns hold, which are NOT NULL but for the last.
      const rows = (await session.all(picked, host, user, ids)) as [string, Uint8Array, string, string, string | null][]
      if (rows.length < ids.length) return undefined
      return rows
        .filter(row => (contact === '' || row[2] === contact) && (resource === '' || row[3] === resource))
        .filter(row => nick === '' || row[4] === nick)
        .filter(([id]) => id > after && id < before)
        .map(([id, xml, from]) => [id, xml, from])
    },
    archiveCount: async (session, user, host, filter, limit) =>
      Number((await session.get(...filtered(counts, user, host, filter, limit)))?.[0]),
    archiveEnds: async (session, user, host) =>
      ((await session.get(ends, host, user)) ?? []).map(end => end ?? undefined),
    archivePreferences: (session, user, host) => session.get(preferences, host, user),
  },
  writes: {
    async archiveInsert(session, user, host, rows) {
      const added = await Promise.all(
        rows.map(([id, contact, resource, xml]) => session.run(insertOne, host, user, id, contact, resource, xml)),
      )
      return added.reduce((sum, count) => sum + count, 0)
    },
    async archiveAppend(session, json, xml) {
      const entries = entriesOf(json)
      const text = (column: number) => entries.map(({ row }) => (row[column] === null ? null : String(row[column])))
      await session.run(
        insert,
        ...[0, 1, 2, 3, 4, 5].map(text),
        xml,
        entries.map(({ start }) => start + 1), // SQL counts from 1.
        entries.map(({ length }) => length),
      )
    },
    archiveReplace: async (session, user, host, id, xml) => (await session.run(replace, host, user, id, xml)) > 0,
    archiveForget: async (session, user, host) => void (await session.run(forget, host, user)),
    archiveSetPreferences: async (session, user, host, standard, always, never) =>
      void (await session.run(setPreferences, host, user, standard, always, never)),
  },
  dialogues: {
    async archiveExpire(session, host, before, after, limit) {
      let owner = after
      let left = limit
      for (let looked = 0; looked < OWNERS_PER_EXPIRY; looked += 1) {
        const next = (await session.get(nextOwner, host, owner))?.[0]
        if (next === undefined) return undefined
        left -= await session.run(expire, host, String(next), before, left)
        // This owner may have more of them.
        if (left <= 0) return owner
        owner = String(next)
      }
      return owner
    },
  },
} satisfies VerbTable

/** Sorts the entries of one append by what `partOf` says of their accounts. */
export function partsOfAppend<Part>(
  json: string,
  xml: Uint8Array,
  partOf: (user: string, host: string) => Part,
): Map<Part, [json: string, xml: Uint8Array]> {
  const parts = new Map<Part, { columns: Columns; xml: Uint8Array[]; length: number }>()
  for (const { row, start, length } of entriesOf(json)) {
    const key = partOf(String(row[0]), String(row[1]))
    const part = parts.get(key) ?? { columns: [], xml: [], length: 0 }
    parts.set(key, part)
    part.columns.push(...row.slice(0, -2), part.length, length)
    part.xml.push(xml.subarray(start, start + length))
    part.length += length
  }
  return new Map([...parts].map(([key, part]) => [key, [JSON.stringify(part.columns), Buffer.concat(part.xml)]]))
}

function entriesOf(json: string): { row: Columns; start: number; length: number }[] {
  const columns: Columns = JSON.parse(json)
  const entries = []
  for (let at = 0; at < columns.length; at += COLUMNS) {
    const row = columns.slice(at, at + COLUMNS)
    entries.push({ row, start: Number(row[6]), length: Number(row[7]) })
  }
  return entries
}
