import type { MucAffiliation, MucRepository, MucRoom } from '../store.js'
import type { Database } from './database.js'
import type { Request } from './protocol.js'

/** Between the threads. */
type AffiliationRow = [jid: string, affiliation: string, nick: string, reason: string]
/** What service discovery shows; then whether the room outlives its occupants, and the configuration as JSON. */
type ConfigurationRow = [name: string, isPublic: number, isPersistent: number, configuration: string]
/** Limit, then after, before and index, each null where it is not asked for. */
type PageRow = [limit: number, after: string | null, before: string | null, index: number | null]

/** What the worker does for multi-user chat. */
export function mucVerbs(database: Database) {
  const room = database.prepare('SELECT configuration, subject, history FROM muc_rooms WHERE service = ? AND room = ?')
  const affiliations = database.prepare(
    'SELECT jid, affiliation, nick, reason FROM muc_affiliations WHERE service = ? AND room = ?',
  )
  const insert = database.prepare(`
    INSERT INTO muc_rooms (service, room, name, is_public, is_persistent, configuration, subject, history)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`)
  const configure = database.prepare(`
    UPDATE muc_rooms SET name = ?, is_public = ?, is_persistent = ?, configuration = ? WHERE service = ? AND room = ?`)
  const update = database.prepare(`
    UPDATE muc_rooms SET subject = coalesce(?, subject), history = coalesce(?, history) WHERE service = ? AND room = ?`)
  const remove = database.prepare('DELETE FROM muc_rooms WHERE service = ? AND room = ?')
  const putAffiliation = database.prepare(`
    INSERT INTO muc_affiliations (service, room, jid, affiliation, nick, reason) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET affiliation = excluded.affiliation, nick = excluded.nick, reason = excluded.reason`)
  const removeAffiliation = database.prepare('DELETE FROM muc_affiliations WHERE service = ? AND room = ? AND jid = ?')
  const empty = database.prepare('DELETE FROM muc_affiliations WHERE service = ? AND room = ?')
  const forget = database.prepare('DELETE FROM archive WHERE host = ? AND username = ?')
  const emptyTemporary = database.prepare(`
    DELETE FROM muc_affiliations
    WHERE service = ?1 AND room IN (SELECT room FROM muc_rooms WHERE service = ?1 AND is_persistent = 0)`)
  const forgetTemporary = database.prepare(`
    DELETE FROM archive
    WHERE host = ?1 AND username IN (SELECT room FROM muc_rooms WHERE service = ?1 AND is_persistent = 0)`)
  const removeTemporary = database.prepare('DELETE FROM muc_rooms WHERE service = ? AND is_persistent = 0')
  const affiliated = database.prepare('SELECT room FROM muc_affiliations WHERE service = ? AND jid = ? ORDER BY room')

  const count = database.prepare('SELECT count(*) FROM muc_rooms WHERE service = ? AND is_public = 1')
  const countBefore = database.prepare(
    'SELECT count(*) FROM muc_rooms WHERE service = ? AND is_public = 1 AND room < ?',
  )
  const page = (where: string, rest: string) =>
    database.prepare(`
      SELECT room, name FROM muc_rooms WHERE service = ? AND is_public = 1 ${where} ORDER BY room ${rest}`)
  const pageAfter = page('AND room > ?', 'LIMIT ?')
  const pageBefore = page('AND room < ?', 'DESC LIMIT ?')
  const lastPage = page('', 'DESC LIMIT ?')
  const pageAt = page('', 'LIMIT ? OFFSET ?')

  const rows = (service: string, [limit, after, before, index]: PageRow) => {
    if (after !== null) return pageAfter.all(service, after, limit)
    if (before === '') return lastPage.all(service, limit).reverse()
    if (before !== null) return pageBefore.all(service, before, limit).reverse()
    return pageAt.all(service, limit, index ?? 0)
  }
  const putAll = (service: string, name: string, put: readonly AffiliationRow[]) => {
    for (const row of put) putAffiliation.run(service, name, ...row)
  }

  return {
    reads: {
      mucLoad(
        service: string,
        name: string,
      ): [configuration: string, subject: string, history: string, AffiliationRow[]] | undefined {
        const found = room.get(service, name)
        if (found === undefined) return undefined
        // The cast: the columns are typed (STRICT) and NOT NULL.
        const [configuration, subject, history] = found as [string, string, string]
        return [configuration, subject, history, affiliations.all(service, name) as AffiliationRow[]]
      },
      mucList(service: string, wanted: PageRow): [count: number, index: number, rooms: [room: string, name: string][]] {
        const found = rows(service, wanted) as [string, string][]
        const first = found[0]
        const index = first === undefined ? 0 : Number(countBefore.get(service, first[0])?.[0])
        return [Number(count.get(service)?.[0]), index, found]
      },
      mucAffiliated: (service: string, jid: string) => affiliated.all(service, jid).map(row => String(row[0])),
    },
    writes: {
      mucCreate(
        service: string,
        name: string,
        configuration: ConfigurationRow,
        subject: string,
        history: string,
        put: readonly AffiliationRow[],
      ): boolean {
        if (insert.run(service, name, ...configuration, subject, history) === 0) return false
        // Whatever was said in another room of that name is nobody's business here.
        forget.run(service, name)
        putAll(service, name, put)
        return true
      },
      mucUpdate(
        service: string,
        name: string,
        configuration: ConfigurationRow | null,
        subject: string | null,
        history: string | null,
        put: readonly AffiliationRow[],
        removed: readonly string[],
      ): boolean {
        if (room.get(service, name) === undefined) return false
        if (configuration !== null) configure.run(...configuration, service, name)
        if (subject !== null || history !== null) update.run(subject, history, service, name)
        for (const jid of removed) removeAffiliation.run(service, name, jid)
        putAll(service, name, put)
        return true
      },
      mucRemove(service: string, name: string): boolean {
        if (remove.run(service, name) === 0) return false
        empty.run(service, name)
        forget.run(service, name)
        return true
      },
      mucRemoveTemporary(service: string): void {
        emptyTemporary.run(service)
        forgetTemporary.run(service)
        removeTemporary.run(service)
      },
    },
  }
}

/** Multi-user chat as the server sees it. */
export function mucRepository(request: Request): MucRepository {
  return {
    async load(service, room): Promise<MucRoom | undefined> {
      const found = await request('mucLoad', service, room)
      if (found === undefined) return undefined
      const [configuration, subject, history, affiliations] = found
      return {
        configuration: JSON.parse(configuration),
        ...(subject !== '' && { subject: JSON.parse(subject) }),
        history: JSON.parse(history),
        affiliations: affiliations.map(unpackAffiliation),
      }
    },
    create: (service, room, { configuration, listing, subject, history, affiliations }) =>
      request(
        'mucCreate',
        service,
        room,
        packConfiguration(configuration, listing),
        subject === undefined ? '' : JSON.stringify(subject),
        JSON.stringify(history),
        affiliations.map(packAffiliation),
      ),
    update: (service, room, { configured, subject, history, put = [], remove = [] }) =>
      request(
        'mucUpdate',
        service,
        room,
        configured === undefined ? null : packConfiguration(configured.configuration, configured.listing),
        subject === undefined ? null : JSON.stringify(subject),
        history === undefined ? null : JSON.stringify(history),
        put.map(packAffiliation),
        remove,
      ),
    remove: (service, room) => request('mucRemove', service, room),
    removeTemporary: service => request('mucRemoveTemporary', service),
    async list(service, { limit, after, before, index }) {
      const wanted: PageRow = [
        Math.min(limit, Number.MAX_SAFE_INTEGER),
        after ?? null,
        before ?? null,
        index === undefined ? null : Math.min(index, Number.MAX_SAFE_INTEGER),
      ]
      const [count, first, rooms] = await request('mucList', service, wanted)
      return { count, index: first, rooms: rooms.map(([room, name]) => ({ room, name })) }
    },
    affiliated: (service, jid) => request('mucAffiliated', service, jid),
  }
}

const packConfiguration = (
  configuration: object,
  { name, isPublic, isPersistent }: { name: string; isPublic: boolean; isPersistent: boolean },
): ConfigurationRow => [name, Number(isPublic), Number(isPersistent), JSON.stringify(configuration)]

const packAffiliation = ({ jid, affiliation, nick = '', reason = '' }: MucAffiliation): AffiliationRow => [
  jid,
  affiliation,
  nick,
  reason,
]

const unpackAffiliation = ([jid, affiliation, nick, reason]: AffiliationRow): MucAffiliation => ({
  jid,
  affiliation: affiliation as MucAffiliation['affiliation'], // the table's CHECK allows no other
  ...(nick !== '' && { nick }),
  ...(reason !== '' && { reason }),
})
