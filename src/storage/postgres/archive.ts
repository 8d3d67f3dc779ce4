import { type Statement, sql, type VerbTable } from './session.js'

type By = 'all' | 'contact' | 'resource'
type FilterRow = [contact: string, resource: string, after: string, before: string]
/** user, host, id, contact, resource and the length of the XML of each entry, one after the other. */
export type Columns = (string | number)[]

const COLUMNS = 6
/** Owners that one request looks at when old messages are removed. */
const OWNERS_PER_EXPIRY = 500

/** The statements that read a page, by what is filtered and by direction. All of them walk along an index; it knows contacts by their hash. */
export function archivePageSql(by: By, order: 'ASC' | 'DESC'): string {
  return `SELECT id, xml FROM archive WHERE ${meant(by)} ORDER BY id ${order} LIMIT $5`
}

const meant = (by: By) => `host = $1 AND username = $2 AND id > $3 AND id < $4
  ${by === 'all' ? '' : 'AND md5(contact) = md5($6)'} ${by === 'resource' ? 'AND resource = $7' : ''}`

const threeOf = (text: (by: By) => string) => ({
  all: sql(text('all')),
  contact: sql(text('contact')),
  resource: sql(text('resource')),
})
const first = threeOf(by => archivePageSql(by, 'ASC'))
const last = threeOf(by => archivePageSql(by, 'DESC'))
const counts = threeOf(by => `SELECT count(*) FROM (SELECT FROM archive WHERE ${meant(by)} LIMIT $5) AS found`)
const known = sql('SELECT count(*) FROM archive WHERE host = $1 AND username = $2 AND id = ANY ($3::text[])')
const picked = sql(`
  SELECT id, xml, contact, resource FROM archive WHERE host = $1 AND username = $2 AND id = ANY ($3::text[]) ORDER BY id`)
const ends = sql('SELECT min(id), max(id) FROM archive WHERE host = $1 AND username = $2')
const insert = sql(`
  INSERT INTO archive (username, host, id, contact, resource, xml)
  SELECT username, host, id, contact, resource, substring($6::bytea FROM start FOR length)
  FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $7::integer[], $8::integer[])
    AS entry (username, host, id, contact, resource, start, length)`)
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
  [contact, resource, after, before]: FilterRow,
  limit: number,
) {
  const parameters = [host, user, after, before, limit]
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
      return (isLast ? rows.reverse() : rows) as [string, Uint8Array][]
    },
    async archivePick(session, user, host, ids, [contact, resource, after, before]) {
      // The cast: what the columns hold, which are NOT NULL.
      const rows = (await session.all(picked, host, user, ids)) as [string, Uint8Array, string, string][]
      if (rows.length < ids.length) return undefined
      return rows
        .filter(row => (contact === '' || row[2] === contact) && (resource === '' || row[3] === resource))
        .filter(([id]) => id > after && id < before)
        .map(([id, xml]) => [id, xml])
    },
    archiveCount: async (session, user, host, filter, limit) =>
      Number((await session.get(...filtered(counts, user, host, filter, limit)))?.[0]),
    archiveEnds: async (session, user, host) =>
      ((await session.get(ends, host, user)) ?? []).map(end => end ?? undefined),
    archivePreferences: (session, user, host) => session.get(preferences, host, user),
  },
  writes: {
    async archiveAppend(session, columns, xml) {
      const entries = entriesOf(columns)
      const text = (column: number) => entries.map(entry => String(entry.row[column]))
      await session.run(
        insert,
        ...[0, 1, 2, 3, 4].map(text),
        xml,
        entries.map(({ start }) => start + 1), // SQL counts from 1.
        entries.map(({ length }) => length),
      )
    },
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
  columns: Columns,
  xml: Uint8Array,
  partOf: (user: string, host: string) => Part,
): Map<Part, [Columns, Uint8Array]> {
  const parts = new Map<Part, { columns: Columns; xml: Uint8Array[] }>()
  for (const { row, start, length } of entriesOf(columns)) {
    const key = partOf(String(row[0]), String(row[1]))
    const part = parts.get(key) ?? { columns: [], xml: [] }
    parts.set(key, part)
    part.columns.push(...row)
    part.xml.push(xml.subarray(start, start + length))
  }
  return new Map([...parts].map(([key, part]) => [key, [part.columns, Buffer.concat(part.xml)]]))
}

function entriesOf(columns: Columns): { row: Columns; start: number; length: number }[] {
  const entries = []
  for (let at = 0, start = 0; at < columns.length; at += COLUMNS) {
    const row = columns.slice(at, at + COLUMNS)
    const length = Number(row[COLUMNS - 1])
    entries.push({ row, start, length })
    start += length
  }
  return entries
}
