import { type Session, sql, type VerbTable } from './session.js'

type OccupantRow = [jid: string, isOwner: number]
type RoomRow = [room: string, version: string, configuration: string]
/** Stands for a number of rooms that is not limited. */
const UNLIMITED = -1

const room = sql('SELECT version, configuration FROM muc_light_rooms WHERE service = $1 AND room = $2')
// None when the version is the known one.
const occupants = sql(`
  SELECT jid, is_owner FROM muc_light_occupants
  WHERE service = $1 AND room = $2
    AND NOT EXISTS (SELECT FROM muc_light_rooms WHERE service = $1 AND room = $2 AND version = $3)
  ORDER BY jid`)
const lock = sql('SELECT version FROM muc_light_rooms WHERE service = $1 AND room = $2 FOR UPDATE')
// With a limit: whether a user who is not in the room yet is in so many others.
const full = sql(`
  SELECT FROM unnest($3::text[]) AS put (jid)
  WHERE (SELECT count(*) FROM muc_light_occupants AS his WHERE his.service = $1 AND md5(his.jid) = md5(put.jid)) >= $4
    AND NOT EXISTS (
      SELECT FROM muc_light_occupants AS his WHERE his.service = $1 AND his.room = $2 AND md5(his.jid) = md5(put.jid))`)
const insert = sql(`
  INSERT INTO muc_light_rooms (service, room, version, configuration) VALUES ($1, $2, $3, $4)`)
const update = sql(`
  UPDATE muc_light_rooms SET version = $3, configuration = coalesce($4, configuration) WHERE service = $1 AND room = $2`)
const remove = sql('DELETE FROM muc_light_rooms WHERE service = $1 AND room = $2 AND version = $3')
const putOccupant = sql(`
  INSERT INTO muc_light_occupants (service, room, jid, is_owner) VALUES ($1, $2, $3, $4)
  ON CONFLICT (service, room, md5(jid)) DO UPDATE SET is_owner = excluded.is_owner`)
const removeOccupants = sql(`
  DELETE FROM muc_light_occupants WHERE service = $1 AND room = $2 AND md5(jid) IN (SELECT md5(unnest($3::text[])))`)
const empty = sql('DELETE FROM muc_light_occupants WHERE service = $1 AND room = $2')
const forget = sql('DELETE FROM archive WHERE host = $1 AND username = $2')

const count = sql('SELECT count(*) FROM muc_light_occupants WHERE service = $1 AND md5(jid) = md5($2)')
const isIn = sql('SELECT 1 FROM muc_light_occupants WHERE service = $1 AND md5(jid) = md5($2) AND room = $3')
/** Rooms of a user, each with the number of his rooms before the page. */
const page = (rest: string) =>
  sql(`
    WITH page AS (
      SELECT room, version, configuration FROM muc_light_occupants JOIN muc_light_rooms USING (service, room)
      WHERE service = $1 AND md5(jid) = md5($2) ${rest})
    SELECT room, version, configuration, (
      SELECT count(*) FROM muc_light_occupants
      WHERE service = $1 AND md5(jid) = md5($2) AND room < (SELECT min(room) FROM page))
    FROM page ORDER BY room`)
const pageAfter = page('AND room > $4 ORDER BY room LIMIT $3')
const pageBefore = page('AND room < $4 ORDER BY room DESC LIMIT $3')
const lastPage = page('ORDER BY room DESC LIMIT $3')
const pageAt = page('ORDER BY room LIMIT $3 OFFSET $4')

const blocked = sql(`
  SELECT kind, blocked_jid FROM muc_light_blocks WHERE service = $1 AND md5(jid) = md5($2) ORDER BY kind, blocked_jid`)
const standing = sql(`
  SELECT
    (SELECT count(*) FROM muc_light_occupants AS his WHERE his.service = $1 AND md5(his.jid) = md5(asked.jid)),
    (SELECT count(*) FROM muc_light_blocks AS his JOIN unnest($3::text[], $4::text[]) AS block (kind, jid)
      ON his.kind = block.kind AND md5(his.blocked_jid) = md5(block.jid)
      WHERE his.service = $1 AND md5(his.jid) = md5(asked.jid))
  FROM unnest($2::text[]) WITH ORDINALITY AS asked (jid, place) ORDER BY place`)
const block = sql(`
  INSERT INTO muc_light_blocks (service, jid, kind, blocked_jid) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`)
const unblock = sql(`
  DELETE FROM muc_light_blocks
  WHERE service = $1 AND md5(jid) = md5($2) AND kind = $3 AND md5(blocked_jid) = md5($4)`)

async function isFull(session: Session, service: string, name: string, put: readonly OccupantRow[], limit: number) {
  if (limit === UNLIMITED) return false
  const jids = put.map(([jid]) => jid)
  return (await session.run(full, service, name, jids, limit)) > 0
}

const putAll = (session: Session, service: string, name: string, put: readonly OccupantRow[]) =>
  put.map(([jid, isOwner]) => session.run(putOccupant, service, name, jid, isOwner))

/** What PostgreSQL does for light group chat. The verbs of one service follow one another. */
export const mucLightVerbs = {
  reads: {
    async mucLightLoad(session, service, name, known) {
      const [found, rows] = await Promise.all([
        session.get(room, service, name),
        session.all(occupants, service, name, known),
      ])
      if (found === undefined) return undefined
      if (found[0] === known) return null
      // The cast: what the columns hold, which are NOT NULL.
      return [String(found[0]), String(found[1]), rows as OccupantRow[]]
    },
    async mucLightRooms(session, service, jid, [limit, after, before, index]) {
      const item = after ?? before ?? ''
      const ask = () => {
        if (after !== null) return session.all(pageAfter, service, jid, limit, after)
        if (before === '') return session.all(lastPage, service, jid, limit)
        if (before !== null) return session.all(pageBefore, service, jid, limit, before)
        return session.all(pageAt, service, jid, limit, index ?? 0)
      }
      const [total, isThere, rows] = await Promise.all([
        session.get(count, service, jid),
        item === '' || session.get(isIn, service, jid, item),
        ask(),
      ])
      const number = Number(total?.[0])
      if (isThere === undefined || (index !== null && index > 0 && index >= number)) return undefined
      // The cast: what the columns hold, which are NOT NULL.
      return [number, Number(rows[0]?.[3] ?? 0), rows.map(row => row.slice(0, 3) as RoomRow)]
    },
    async mucLightStanding(session, service, jids, blocks) {
      const [kinds, others] = [blocks.map(([kind]) => kind), blocks.map(([, jid]) => jid)]
      const rows = await session.all(standing, service, jids, kinds, others)
      return rows.map(([rooms, blocking]) => [Number(rooms), Number(blocking) > 0])
    },
    // The cast: what the columns hold, which are NOT NULL.
    mucLightBlocked: async (session, service, jid) => (await session.all(blocked, service, jid)) as [string, string][],
  },
  writes: {
    async mucLightBlock(session, service, jid, put, removed) {
      await Promise.all([
        ...removed.map(([kind, other]) => session.run(unblock, service, jid, kind, other)),
        ...put.map(([kind, other]) => session.run(block, service, jid, kind, other)),
      ])
    },
  },
  dialogues: {
    async mucLightCreate(session, service, name, version, configuration, put, limit) {
      if ((await session.get(room, service, name)) !== undefined) return 'exists'
      if (await isFull(session, service, name, put, limit)) return 'full'
      await Promise.all([
        session.run(insert, service, name, version, configuration),
        session.run(forget, service, name),
        ...putAll(session, service, name, put),
      ])
      return 'done'
    },
    async mucLightUpdate(session, service, name, before, version, configuration, put, removed, limit) {
      if ((await session.get(lock, service, name))?.[0] !== before) return 'stale'
      if (await isFull(session, service, name, put, limit)) return 'full'
      await Promise.all([
        session.run(update, service, name, version, configuration),
        session.run(removeOccupants, service, name, removed),
        ...putAll(session, service, name, put),
      ])
      return 'done'
    },
    async mucLightRemove(session, service, name, before) {
      if ((await session.run(remove, service, name, before)) === 0) return false
      await Promise.all([session.run(empty, service, name), session.run(forget, service, name)])
      return true
    },
  },
} satisfies VerbTable
