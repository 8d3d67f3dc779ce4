import type { MucLightBlock, MucLightOccupant, MucLightPage, MucLightRepository } from '../store.js'
import type { Database } from './database.js'
import type { Request } from './protocol.js'

/** An occupant between the threads: jid, 1 for the owner. */
type OccupantRow = [jid: string, isOwner: number]
/** A room of a user between the threads: room, version, configuration as JSON. */
type RoomRow = [room: string, version: string, configuration: string]
type BlockRow = [kind: string, jid: string]
/** A page between the threads: limit, then after, before and index, each null where it is not asked for. */
type PageRow = [limit: number, after: string | null, before: string | null, index: number | null]
/** Stands for a number of rooms that is not limited. */
const UNLIMITED = -1

/** What the worker does for light group chat. */
export function mucLightVerbs(database: Database) {
  const room = database.prepare('SELECT version, configuration FROM muc_light_rooms WHERE service = ? AND room = ?')
  const occupants = database.prepare('SELECT jid, is_owner FROM muc_light_occupants WHERE service = ? AND room = ?')
  const isIn = database.prepare('SELECT 1 FROM muc_light_occupants WHERE service = ? AND room = ? AND jid = ?')
  const insert = database.prepare(`
    INSERT INTO muc_light_rooms (service, room, version, configuration) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`)
  const update = database.prepare(`
    UPDATE muc_light_rooms SET version = ?, configuration = coalesce(?, configuration)
    WHERE service = ? AND room = ? AND version = ?`)
  const remove = database.prepare('DELETE FROM muc_light_rooms WHERE service = ? AND room = ? AND version = ?')
  const putOccupant = database.prepare(`
    INSERT INTO muc_light_occupants (service, room, jid, is_owner) VALUES (?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET is_owner = excluded.is_owner`)
  const removeOccupant = database.prepare('DELETE FROM muc_light_occupants WHERE service = ? AND room = ? AND jid = ?')
  const empty = database.prepare('DELETE FROM muc_light_occupants WHERE service = ? AND room = ?')
  const forget = database.prepare('DELETE FROM archive WHERE host = ? AND username = ?')

  const count = database.prepare('SELECT count(*) FROM muc_light_occupants WHERE service = ? AND jid = ?')
  const countBefore = database.prepare(
    'SELECT count(*) FROM muc_light_occupants WHERE service = ? AND jid = ? AND room < ?',
  )
  const page = (where: string, rest: string) =>
    database.prepare(`
      SELECT room, version, configuration FROM muc_light_occupants JOIN muc_light_rooms USING (service, room)
      WHERE service = ? AND jid = ? ${where} ORDER BY room ${rest}`)
  const pageAfter = page('AND room > ?', 'LIMIT ?')
  const pageBefore = page('AND room < ?', 'DESC LIMIT ?')
  const lastPage = page('', 'DESC LIMIT ?')
  const pageAt = page('', 'LIMIT ? OFFSET ?')

  const blocked = database.prepare(
    'SELECT kind, blocked_jid FROM muc_light_blocks WHERE service = ? AND jid = ? ORDER BY kind, blocked_jid',
  )
  const isBlocked = database.prepare(
    'SELECT 1 FROM muc_light_blocks WHERE service = ? AND jid = ? AND kind = ? AND blocked_jid = ?',
  )
  const block = database.prepare(`
    INSERT INTO muc_light_blocks (service, jid, kind, blocked_jid) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`)
  const unblock = database.prepare(
    'DELETE FROM muc_light_blocks WHERE service = ? AND jid = ? AND kind = ? AND blocked_jid = ?',
  )

  const roomsOf = (service: string, jid: string) => Number(count.get(service, jid)?.[0])
  const isFull = (service: string, name: string, put: readonly OccupantRow[], limit: number) =>
    limit !== UNLIMITED &&
    put.some(([jid]) => roomsOf(service, jid) >= limit && isIn.get(service, name, jid) === undefined)
  const putAll = (service: string, name: string, put: readonly OccupantRow[]) => {
    for (const [jid, isOwner] of put) putOccupant.run(service, name, jid, isOwner)
  }
  const rows = (service: string, jid: string, [limit, after, before, index]: PageRow) => {
    if (after !== null) return pageAfter.all(service, jid, after, limit)
    if (before === '') return lastPage.all(service, jid, limit).reverse()
    if (before !== null) return pageBefore.all(service, jid, before, limit).reverse()
    return pageAt.all(service, jid, limit, index ?? 0)
  }

  return {
    reads: {
      /** null: the version is the known one. */
      mucLightLoad(
        service: string,
        name: string,
        known: string,
      ): [version: string, configuration: string, OccupantRow[]] | null | undefined {
        const found = room.get(service, name)
        if (found === undefined) return undefined
        if (found[0] === known) return null
        // The casts: the columns are typed (STRICT) and NOT NULL.
        return [String(found[0]), String(found[1]), occupants.all(service, name) as OccupantRow[]]
      },
      mucLightRooms(
        service: string,
        jid: string,
        wanted: PageRow,
      ): [count: number, index: number, RoomRow[]] | undefined {
        const [, after, before, index] = wanted
        const item = after ?? before ?? ''
        const total = roomsOf(service, jid)
        if (item !== '' && isIn.get(service, item, jid) === undefined) return undefined
        if (index !== null && index > 0 && index >= total) return undefined
        const found = rows(service, jid, wanted) as RoomRow[]
        const first = found[0]
        return [total, first === undefined ? 0 : Number(countBefore.get(service, jid, first[0])?.[0]), found]
      },
      mucLightStanding: (service: string, jids: readonly string[], blocks: readonly BlockRow[]) =>
        jids.map((jid): [rooms: number, isBlocking: boolean] => [
          roomsOf(service, jid),
          blocks.some(([kind, other]) => isBlocked.get(service, jid, kind, other) !== undefined),
        ]),
      mucLightBlocked: (service: string, jid: string) => blocked.all(service, jid) as BlockRow[],
    },
    writes: {
      mucLightCreate(
        service: string,
        name: string,
        version: string,
        configuration: string,
        put: readonly OccupantRow[],
        limit: number,
      ): 'done' | 'exists' | 'full' {
        if (room.get(service, name) !== undefined) return 'exists'
        if (isFull(service, name, put, limit)) return 'full'
        insert.run(service, name, version, configuration)
        forget.run(service, name)
        putAll(service, name, put)
        return 'done'
      },
      mucLightUpdate(
        service: string,
        name: string,
        before: string,
        version: string,
        configuration: string | null,
        put: readonly OccupantRow[],
        removed: readonly string[],
        limit: number,
      ): 'done' | 'stale' | 'full' {
        if (room.get(service, name)?.[0] !== before) return 'stale'
        if (isFull(service, name, put, limit)) return 'full'
        update.run(version, configuration, service, name, before)
        for (const jid of removed) removeOccupant.run(service, name, jid)
        putAll(service, name, put)
        return 'done'
      },
      mucLightRemove(service: string, name: string, before: string): boolean {
        if (remove.run(service, name, before) === 0) return false
        empty.run(service, name)
        forget.run(service, name)
        return true
      },
      mucLightBlock(service: string, jid: string, put: readonly BlockRow[], removed: readonly BlockRow[]): void {
        for (const [kind, other] of removed) unblock.run(service, jid, kind, other)
        for (const [kind, other] of put) block.run(service, jid, kind, other)
      },
    },
  }
}

/** Light group chat as the server sees it. */
export function mucLightRepository(request: Request): MucLightRepository {
  return {
    async load(service, room, known = '') {
      const found = await request('mucLightLoad', service, room, known)
      if (found === undefined) return undefined
      if (found === null) return 'current'
      const [version, configuration, occupants] = found
      return { version, configuration: JSON.parse(configuration), occupants: occupants.map(unpackOccupant) }
    },
    create: (service, room, { version, configuration, occupants }, roomsPerUser) =>
      request(
        'mucLightCreate',
        service,
        room,
        version,
        JSON.stringify(configuration),
        occupants.map(packOccupant),
        packLimit(roomsPerUser),
      ),
    update: (service, room, before, { version, configuration, put = [], remove = [] }, roomsPerUser) =>
      request(
        'mucLightUpdate',
        service,
        room,
        before,
        version,
        configuration === undefined ? null : JSON.stringify(configuration),
        put.map(packOccupant),
        remove,
        packLimit(roomsPerUser),
      ),
    remove: (service, room, before) => request('mucLightRemove', service, room, before),
    async roomsOf(service, jid, { limit, after, before, index }): Promise<MucLightPage | undefined> {
      const found = await request('mucLightRooms', service, jid, [
        Math.min(limit, Number.MAX_SAFE_INTEGER),
        after ?? null,
        before ?? null,
        index ?? null,
      ])
      if (found === undefined) return undefined
      const [count, first, rooms] = found
      return {
        count,
        index: first,
        rooms: rooms.map(([room, version, configuration]) => ({
          room,
          version,
          configuration: JSON.parse(configuration),
        })),
      }
    },
    async standing(service, jids, blocks) {
      const found = await request('mucLightStanding', service, jids, blocks.map(packBlock))
      return found.map(([rooms, isBlocking]) => ({ rooms, isBlocking }))
    },
    async blocked(service, jid) {
      const found = await request('mucLightBlocked', service, jid)
      return found.map(([kind, other]) => ({ kind: kind as MucLightBlock['kind'], jid: other })) // The table's CHECK allows no other.
    },
    block: (service, jid, put, remove) =>
      request('mucLightBlock', service, jid, put.map(packBlock), remove.map(packBlock)),
  }
}

const packLimit = (limit: number) => (limit === Number.POSITIVE_INFINITY ? UNLIMITED : limit)
const packOccupant = ({ jid, affiliation }: MucLightOccupant): OccupantRow => [jid, affiliation === 'owner' ? 1 : 0]
const unpackOccupant = ([jid, isOwner]: OccupantRow): MucLightOccupant => ({
  jid,
  affiliation: isOwner === 1 ? 'owner' : 'member',
})
const packBlock = ({ kind, jid }: MucLightBlock): BlockRow => [kind, jid]
