import type { VcardCriterion, VcardField, VcardRepository } from '../store.js'
import type { Database, Query, Value } from './database.js'
import type { Request } from './protocol.js'

/** The first text behind all that begin with another: no text holds this code point. */
export const AFTER = '\u{10ffff}'

/** What the worker does for vCards. */
export function vcardVerbs(database: Database) {
  const get = database.prepare('SELECT xml FROM vcards WHERE host = ? AND username = ?')
  const put = database.prepare(`
    INSERT INTO vcards (host, username, xml) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET xml = excluded.xml`)
  const clear = database.prepare('DELETE FROM vcard_fields WHERE host = ? AND username = ?')
  const putField = database.prepare(
    'INSERT INTO vcard_fields (host, username, field, value, folded) VALUES (?, ?, ?, ?, ?)',
  )
  const fields = database.prepare('SELECT field, value FROM vcard_fields WHERE host = ? AND username = ?')
  /** One search statement per number of criteria. */
  const searches: Query[] = []

  return {
    reads: {
      vcardGet: (user: string, host: string) => get.get(host, user)?.[0],
      vcardSearch(
        host: string,
        criteria: readonly VcardCriterion[],
        limit: number,
      ): [user: string, fields: Value[][]][] {
        if (criteria.length === 0) return []
        searches[criteria.length] ??= database.prepare(searchSql(criteria.length))
        const parameters = criteria.flatMap(({ field, value, isPrefix }) => {
          const folded = fold(value)
          return [host, field, folded, isPrefix ? folded + AFTER : folded]
        })
        const users = searches[criteria.length]!.all(...parameters, limit).map(row => String(row[0]))
        return users.map(user => [user, fields.all(host, user)])
      },
    },
    writes: {
      vcardPut(user: string, host: string, xml: string, found: readonly VcardField[]): void {
        put.run(host, user, xml)
        clear.run(host, user)
        for (const { field, value } of found) putField.run(host, user, field, value, fold(value))
      },
    },
  }
}

/** The first criterion is looked up, the others are checked for each account that it finds. */
function searchSql(criteria: number): string {
  const range = (table: string) =>
    `${table}.host = ? AND ${table}.field = ? AND ${table}.folded >= ? AND ${table}.folded <= ?`
  const others = Array.from({ length: criteria - 1 }, (_, index) => {
    const table = `other${index}`
    return `AND EXISTS (SELECT 1 FROM vcard_fields AS ${table} WHERE ${range(table)} AND ${table}.username = found.username)`
  })
  return `
    SELECT found.username FROM vcard_fields AS found WHERE ${range('found')} ${others.join(' ')}
    LIMIT ?`
}

export const fold = (text: string) => text.toLowerCase()

/** vCards as the server sees them. */
export function vcardRepository(request: Request): VcardRepository {
  return {
    async get(user, host) {
      const xml = await request('vcardGet', user, host)
      return xml === undefined ? undefined : String(xml)
    },
    put: (user, host, xml, fields) => request('vcardPut', user, host, xml, fields),
    async search(host, criteria, limit) {
      const found = await request('vcardSearch', host, criteria, limit)
      return found.map(([user, rows]) => ({
        user,
        fields: rows.map(([field, value]) => ({ field: String(field), value: String(value) })),
      }))
    },
  }
}
