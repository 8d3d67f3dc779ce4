import type { Value } from '../sqlite/database.js'
import { AFTER, fold } from '../sqlite/vcards.js'
import { type Statement, sql, type VerbTable } from './session.js'

const get = sql('SELECT xml FROM vcards WHERE host = $1 AND username = $2')
const put = sql(`
  INSERT INTO vcards (host, username, xml) VALUES ($1, $2, $3)
  ON CONFLICT (host, username) DO UPDATE SET xml = excluded.xml`)
const clear = sql('DELETE FROM vcard_fields WHERE host = $1 AND username = $2')
const putField = sql('INSERT INTO vcard_fields (host, username, field, value, folded) VALUES ($1, $2, $3, $4, $5)')
/** One search statement per number of criteria. */
const searches: Statement[] = []

/** What PostgreSQL does for vCards. */
export const vcardVerbs = {
  reads: {
    vcardGet: async (session, user, host) => (await session.get(get, host, user))?.[0],
    async vcardSearch(session, host, criteria, limit) {
      if (criteria.length === 0) return []
      searches[criteria.length] ??= sql(searchSql(criteria.length))
      const parameters = criteria.flatMap(({ field, value, isPrefix }) => {
        const folded = fold(value)
        return [field, folded, isPrefix ? folded + AFTER : folded]
      })
      const found = new Map<string, Value[][]>()
      for (const [user, ...field] of await session.all(searches[criteria.length]!, host, limit, ...parameters)) {
        const fields = found.get(String(user))
        if (fields === undefined) found.set(String(user), [field])
        else fields.push(field)
      }
      return [...found]
    },
  },
  writes: {
    async vcardPut(session, user, host, xml, found) {
      await Promise.all([
        session.run(put, host, user, xml),
        session.run(clear, host, user),
        ...found.map(({ field, value }) => session.run(putField, host, user, field, value, fold(value))),
      ])
    },
  },
} satisfies VerbTable

/** The first criterion is looked up, the others are checked for each account that it finds. */
function searchSql(criteria: number): string {
  const range = (table: string, index: number) => {
    const [field, first, last] = [3, 4, 5].map(number => `$${index * 3 + number}`)
    // The index knows the beginnings only.
    return `${table}.host = $1 AND ${table}.field = ${field}
      AND left(${table}.folded, 200) >= left(${first}, 200) AND left(${table}.folded, 200) <= left(${last}, 200)
      AND ${table}.folded >= ${first} AND ${table}.folded <= ${last}`
  }
  const others = Array.from({ length: criteria - 1 }, (_, index) => {
    const table = `other${index}`
    return `AND EXISTS (
      SELECT FROM vcard_fields AS ${table} WHERE ${range(table, index + 1)} AND ${table}.username = found.username)`
  })
  return `
    SELECT username, field, value FROM vcard_fields WHERE host = $1 AND username IN (
      SELECT found.username FROM vcard_fields AS found WHERE ${range('found', 0)} ${others.join(' ')} LIMIT $2)
    ORDER BY username`
}
