import { type Session, sql, type VerbTable } from './session.js'

type AffiliationRow = [jid: string, affiliation: string, nick: string, reason: string]

const room = sql('SELECT configuration, subject, history FROM muc_rooms WHERE service = $1 AND room = $2')
const affiliations = sql(`
  SELECT jid, affiliation, nick, reason FROM muc_affiliations WHERE service = $1 AND room = $2 ORDER BY jid`)
const insert = sql(`
  INSERT INTO muc_rooms (service, room, name, is_public, is_persistent, configuration, subject, history)
  VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING`)
const lock = sql('SELECT 1 FROM muc_rooms WHERE service = $1 AND room = $2 FOR UPDATE')
const configure = sql(`
  UPDATE muc_rooms SET name = $3, is_public = $4, is_persistent = $5, configuration = $6
  WHERE service = $1 AND room = $2`)
const update = sql(`
  UPDATE muc_rooms SET subject = coalesce($3, subject), history = coalesce($4, history)
  WHERE service = $1 AND room = $2`)
const remove = sql('DELETE FROM muc_rooms WHERE service = $1 AND room = $2')
const putAffiliation = sql(`
  INSERT INTO muc_affiliations (service, room, jid, affiliation, nick, reason) VALUES ($1, $2, $3, $4, $5, $6)
  ON CONFLICT (service, room, md5(jid))
  DO UPDATE SET affiliation = excluded.affiliation, nick = excluded.nick, reason = excluded.reason`)
const removeAffiliations = sql(`
  DELETE FROM muc_affiliations WHERE service = $1 AND room = $2 AND md5(jid) IN (SELECT md5(unnest($3::text[])))`)
const empty = sql('DELETE FROM muc_affiliations WHERE service = $1 AND room = $2')
const forget = sql('DELETE FROM archive WHERE host = $1 AND username = $2')
const emptyTemporary = sql(`
  DELETE FROM muc_affiliations
  WHERE service = $1 AND room IN (SELECT room FROM muc_rooms WHERE service = $1 AND is_persistent = 0)`)
const forgetTemporary = sql(`
  DELETE FROM archive
  WHERE host = $1 AND username IN (SELECT room FROM muc_rooms WHERE service = $1 AND is_persistent = 0)`)
const removeTemporary = sql('DELETE FROM muc_rooms WHERE service = $1 AND is_persistent = 0')
const affiliated = sql(`
  SELECT room FROM muc_affiliations WHERE service = $1 AND md5(jid) = md5($2) ORDER BY room`)

const count = sql('SELECT count(*) FROM muc_rooms WHERE service = $1 AND is_public = 1')
/** Public rooms, each with the number of those before the page. */
const page = (rest: string) =>
  sql(`
    WITH page AS (SELECT room, name FROM muc_rooms WHERE service = $1 AND is_public = 1 ${rest})
    SELECT room, name, (
      SELECT count(*) FROM muc_rooms
      WHERE service = $1 AND is_public = 1 AND room < (SELECT min(room) FROM page))
    FROM page ORDER BY room`)
const pageAfter = page('AND room > $3 ORDER BY room LIMIT $2')
const pageBefore = page('AND room < $3 ORDER BY room DESC LIMIT $2')
const lastPage = page('ORDER BY room DESC LIMIT $2')
const pageAt = page('ORDER BY room LIMIT $2 OFFSET $3')

const putAll = (session: Session, service: string, name: string, put: readonly AffiliationRow[]) =>
  put.map(row => session.run(putAffiliation, service, name, ...row))

/** What PostgreSQL does for multi-user chat. */
export const mucVerbs = {
  reads: {
    async mucLoad(session, service, name) {
      const [found, rows] = await Promise.all([
        session.get(room, service, name),
        session.all(affiliations, service, name),
      ])
      if (found === undefined) return undefined
      // The casts: what the columns hold, which are NOT NULL.
      const [configuration, subject, history] = found as [string, string, string]
      return [configuration, subject, history, rows as AffiliationRow[]]
    },
    async mucList(session, service, [limit, after, before, index]) {
      const ask = () => {
        if (after !== null) return session.all(pageAfter, service, limit, after)
        if (before === '') return session.all(lastPage, service, limit)
        if (before !== null) return session.all(pageBefore, service, limit, before)
        return session.all(pageAt, service, limit, index ?? 0)
      }
      const [total, rows] = await Promise.all([session.get(count, service), ask()])
      const rooms = rows.map(([name, title]): [string, string] => [String(name), String(title)])
      return [Number(total?.[0]), Number(rows[0]?.[2] ?? 0), rooms]
    },
    mucAffiliated: async (session, service, jid) =>
      (await session.all(affiliated, service, jid)).map(([name]) => String(name)),
  },
  writes: {
    async mucRemoveTemporary(session, service) {
      await Promise.all([
        session.run(emptyTemporary, service),
        session.run(forgetTemporary, service),
        session.run(removeTemporary, service),
      ])
    },
  },
  dialogues: {
    async mucCreate(session, service, name, configuration, subject, history, put) {
      if ((await session.run(insert, service, name, ...configuration, subject, history)) === 0) return false
      // Whatever was said in another room of that name is nobody's business here.
      await Promise.all([session.run(forget, service, name), ...putAll(session, service, name, put)])
      return true
    },
    async mucUpdate(session, service, name, configuration, subject, history, put, removed) {
      if ((await session.get(lock, service, name)) === undefined) return false
      await Promise.all([
        configuration && session.run(configure, service, name, ...configuration),
        session.run(update, service, name, subject, history),
        session.run(removeAffiliations, service, name, removed),
        ...putAll(session, service, name, put),
      ])
      return true
    },
    async mucRemove(session, service, name) {
      if ((await session.run(remove, service, name)) === 0) return false
      await Promise.all([session.run(empty, service, name), session.run(forget, service, name)])
      return true
    },
  },
} satisfies VerbTable
