import { archiveId, microsecondOf, secretOf } from '../../protocols/archive-id.js'
import type { ArchivedMessage, ArchiveEntry, ArchiveFilter, ArchivePreferences, ArchiveRepository } from '../store.js'
import type { Database, Query, Value } from './database.js'
import type { Request } from './protocol.js'

/** Entries, one after the other: user, host, id, contact, resource, nick, and where in the XML of all its own begins and how long it is. */
type Columns = (string | number | null)[]
/** A message between the threads. */
type MessageRow = [id: string, xml: Uint8Array, contact: string]
/** An imported message between the threads. */
type ImportRow = [id: string, contact: string, resource: string, xml: Uint8Array]
/** A filter between the threads: contact, resource and nick ('' for any), and the ids that bound it. */
type FilterRow = [contact: string, resource: string, nick: string, after: string, before: string]
/** The same as the statements have it: the microseconds between which the ids are. */
type Bounds = [after: number, before: number]
type By = 'all' | 'contact' | 'resource' | 'nick'

const columnsPerEntry = 8
/** Rows that one statement writes: each call into SQLite costs about as much as a row. */
const rowsAtOnce = 16
/** Behind every id: ids are ASCII. */
const END = '\x7f'
/** Owners that one request looks at when old messages are removed. */
const ownersPerExpiry = 500
/** Entries in one request: it is one call, and so one piece of a transaction. */
const entriesPerRequest = 1_000

/** The index for each filter, and what it is looked into for; SQLite would not choose the right one by itself. */
const indexes: Record<By, [name: string, column: string]> = {
  all: ['archived_messages_by_time', ''],
  contact: ['archived_messages_by_contact', 'AND contact_hash = ?'],
  resource: ['archived_messages_by_contact', 'AND contact_hash = ?'],
  nick: ['archived_messages_by_nick', 'AND nick = ?'],
}

/** Where the messages of an archive are found. */
const meant = (by: By) => `
  archived_messages INDEXED BY ${indexes[by][0]} WHERE archive = ? ${indexes[by][1]} AND time > ? AND time < ?`

/** The statements that read a page, by what is filtered and by direction. All of them walk along an index. */
export function archivePageSql(by: By, order: 'ASC' | 'DESC'): string {
  const filters = { all: '', contact: 'AND contact = ?', resource: 'AND contact = ? AND resource = ?', nick: '' }
  return `SELECT time, secret, xml, contact FROM ${meant(by)} ${filters[by]} ORDER BY time ${order} LIMIT ?`
}

/** Does not look at the contact where its hash is the same: counting is to read nothing but the index. */
function countSql(by: By): string {
  return `SELECT count(*) FROM (SELECT 1 FROM ${meant(by)} ${by === 'resource' ? 'AND resource = ?' : ''} LIMIT ?)`
}

/** Tells nearly all contacts apart, in few bytes. FNV-1a */
function hash(text: string): number {
  let value = 0x811c9dc5
  for (let at = 0; at < text.length; at += 1) value = Math.imul(value ^ text.charCodeAt(at), 0x01000193)
  return value >>> 0
}

/** An id is the only one with its time. A bound is in front of all ids with the same time. */
function boundsOf([, , , after, before]: FilterRow): Bounds {
  const from = after === '' ? -1 : microsecondOf(after) - (secretOf(after) === '' ? 1 : 0)
  return [from, before === END ? Number.MAX_SAFE_INTEGER : microsecondOf(before)]
}

/** A message as the statements that write it take it. */
type EntryValues = [
  host: string,
  user: string,
  time: number,
  secret: string,
  contactHash: number,
  contact: string,
  resource: string,
  nick: string | null,
  xml: Uint8Array,
]

function valuesAt(columns: Columns, at: number, all: Uint8Array): EntryValues {
  const start = Number(columns[at + 6])
  const xml = all.subarray(start, start + Number(columns[at + 7]))
  // The casts: what the repository packs.
  const text = (index: number) => columns[at + index] as string
  return valuesOf(text(0), text(1), text(2), text(3), text(4), columns[at + 5] as string | null, xml)
}

const valuesOf = (
  user: string,
  host: string,
  id: string,
  contact: string,
  resource: string,
  nick: string | null,
  xml: Uint8Array,
): EntryValues => [host, user, microsecondOf(id), secretOf(id), hash(contact), contact, resource, nick, xml]

/** What the worker does for the archives. */
export function archiveVerbs(database: Database) {
  const eachOf = (sql: (by: By) => string): Record<By, Query> => ({
    all: database.prepare(sql('all')),
    contact: database.prepare(sql('contact')),
    resource: database.prepare(sql('resource')),
    nick: database.prepare(sql('nick')),
  })
  const insert = database.prepare(`
    INSERT INTO archived_messages (archive, time, secret, contact_hash, contact, resource, nick, xml)
    SELECT archive, ?, ?, ?, ?, ?, ?, ? FROM archive WHERE host = ? AND username = ?`)
  /** Leaves out the rows whose archive is not there yet. */
  const insertSeveral = database.prepare(`
    INSERT OR IGNORE INTO archived_messages (archive, time, secret, contact_hash, contact, resource, nick, xml) VALUES
    ${new Array(rowsAtOnce).fill('((SELECT archive FROM archive WHERE host = ? AND username = ?), ?, ?, ?, ?, ?, ?, ?)')}`)
  const open = database.prepare('INSERT INTO archive (host, username) VALUES (?, ?)')
  const archive = database.prepare('SELECT archive FROM archive WHERE host = ? AND username = ?')
  const first = eachOf(by => archivePageSql(by, 'ASC'))
  const last = eachOf(by => archivePageSql(by, 'DESC'))
  const counts = eachOf(countSql)
  const one = database.prepare(
    'SELECT xml, contact, resource, nick FROM archived_messages WHERE archive = ? AND time = ? AND secret = ?',
  )
  const replace = database.prepare('UPDATE archived_messages SET xml = ? WHERE archive = ? AND time = ? AND secret = ?')
  const forget = database.prepare('DELETE FROM archive WHERE host = ? AND username = ?')
  const has = database.prepare('SELECT 1 FROM archived_messages WHERE archive = ? AND time = ? AND secret = ?')
  const end = (order: string) =>
    database.prepare(`SELECT time, secret FROM archived_messages WHERE archive = ? ORDER BY time ${order} LIMIT 1`)
  const [firstOf, lastOf] = [end('ASC'), end('DESC')]
  const nextArchive = database.prepare(
    'SELECT archive, username FROM archive WHERE host = ? AND username > ? ORDER BY username LIMIT 1',
  )
  const expire = database.prepare(`
    DELETE FROM archived_messages WHERE message IN (
      SELECT message FROM archived_messages WHERE archive = ? AND time < ? ORDER BY time LIMIT ?)`)
  const preferences = database.prepare(
    'SELECT standard, always, never FROM archive_preferences WHERE host = ? AND username = ?',
  )
  const setPreferences = database.prepare(
    'REPLACE INTO archive_preferences (host, username, standard, always, never) VALUES (?, ?, ?, ?, ?)',
  )

  /** undefined where nothing was ever archived. */
  const archiveOf = (user: string, host: string) => archive.get(host, user)?.[0]
  const page = (queries: Record<By, Query>, of: Value, filter: FilterRow, limit: number) => {
    const [contact, resource, nick] = filter
    const bounds = boundsOf(filter)
    if (nick !== '') return queries.nick.all(of, nick, ...bounds, limit)
    if (contact === '') return queries.all.all(of, ...bounds, limit)
    if (resource === '') return queries.contact.all(of, hash(contact), ...bounds, contact, limit)
    return queries.resource.all(of, hash(contact), ...bounds, contact, resource, limit)
  }
  const countOf = (of: Value, filter: FilterRow, limit: number) => {
    const [contact, resource, nick] = filter
    const bounds = boundsOf(filter)
    if (nick !== '') return counts.nick.get(of, nick, ...bounds, limit)
    if (contact === '') return counts.all.get(of, ...bounds, limit)
    if (resource === '') return counts.contact.get(of, hash(contact), ...bounds, limit)
    return counts.resource.get(of, hash(contact), ...bounds, resource, limit)
  }
  const append = ([host, user, ...values]: EntryValues): void => {
    if (insert.run(...values, host, user) > 0) return
    open.run(host, user)
    insert.run(...values, host, user)
  }
  const isThere = (user: string, host: string, id: string) => {
    const of = archiveOf(user, host)
    return of !== undefined && has.get(of, microsecondOf(id), secretOf(id)) !== undefined
  }
  const appendSeveral = (entries: EntryValues[]): void => {
    if (insertSeveral.run(...entries.flat()) === entries.length) return
    for (const entry of entries) {
      const [host, user, time, secret] = entry
      if (!isThere(user, host, archiveId(time, secret))) append(entry)
    }
  }
  return {
    reads: {
      archivePage(
        user: string,
        host: string,
        filter: FilterRow,
        limit: number,
        isLast: boolean,
        known: readonly string[],
      ): MessageRow[] | undefined {
        const of = archiveOf(user, host)
        if (of === undefined) return known.length === 0 ? [] : undefined
        if (!known.every(id => has.get(of, microsecondOf(id), secretOf(id)) !== undefined)) return undefined
        // The cast: the columns are typed (STRICT) and NOT NULL.
        const rows = page(isLast ? last : first, of, filter, limit) as [number, string, Uint8Array, string][]
        const messages = rows.map(([time, secret, xml, from]): MessageRow => [archiveId(time, secret), xml, from])
        return isLast ? messages.reverse() : messages
      },
      archivePick(user: string, host: string, ids: readonly string[], filter: FilterRow): MessageRow[] | undefined {
        const [contact, resource, nick, after, before] = filter
        const of = archiveOf(user, host)
        const picked: MessageRow[] = []
        for (const id of ids) {
          const row = of === undefined ? undefined : one.get(of, microsecondOf(id), secretOf(id))
          if (row === undefined) return undefined
          const [xml, from, fromResource, fromNick] = row as [Uint8Array, string, string, string | null] // as above
          if (contact !== '' && from !== contact) continue
          if (resource !== '' && fromResource !== resource) continue
          if (nick !== '' && fromNick !== nick) continue
          if (id > after && id < before) picked.push([id, xml, from])
        }
        return picked
      },
      archiveCount(user: string, host: string, filter: FilterRow, limit: number): number {
        const of = archiveOf(user, host)
        return of === undefined ? 0 : Number(countOf(of, filter, limit)?.[0])
      },
      archiveEnds(user: string, host: string): (Value | undefined)[] {
        const of = archiveOf(user, host)
        if (of === undefined) return []
        return [firstOf.get(of), lastOf.get(of)].map(row => row && archiveId(Number(row[0]), String(row[1])))
      },
      archivePreferences: (user: string, host: string) => preferences.get(host, user),
    },
    writes: {
      /** `json` is an array, `Columns`: a text comes over from the other thread in a fraction of the time that values need. */
      archiveAppend(json: string, xml: Uint8Array): void {
        const columns: Columns = JSON.parse(json)
        const entries: EntryValues[] = []
        for (let at = 0; at < columns.length; at += columnsPerEntry) {
          entries.push(valuesAt(columns, at, xml))
          if (entries.length === rowsAtOnce) appendSeveral(entries.splice(0))
        }
        for (const entry of entries) append(entry)
      },
      archiveInsert(user: string, host: string, rows: readonly ImportRow[]): number {
        let added = 0
        for (const [id, contact, resource, xml] of rows) {
          if (isThere(user, host, id)) continue
          append(valuesOf(user, host, id, contact, resource, null, xml))
          added += 1
        }
        return added
      },
      archiveReplace(user: string, host: string, id: string, xml: Uint8Array): boolean {
        const of = archiveOf(user, host)
        return of !== undefined && replace.run(xml, of, microsecondOf(id), secretOf(id)) > 0
      },
      archiveForget: (user: string, host: string) => void forget.run(host, user),
      archiveExpire(host: string, before: string, after: string, limit: number): string | undefined {
        let owner = after
        let left = limit
        for (let looked = 0; looked < ownersPerExpiry; looked += 1) {
          const next = nextArchive.get(host, owner)
          if (next === undefined) return undefined
          left -= expire.run(next[0]!, microsecondOf(before), left)
          // This owner may have more of them.
          if (left <= 0) return owner
          owner = String(next[1])
        }
        return owner
      },
      archiveSetPreferences: (user: string, host: string, standard: string, always: string, never: string) =>
        void setPreferences.run(host, user, standard, always, never),
    },
  }
}

/** Gathers what is appended in one turn of the run queue: one request, and one promise for all of it. */
class Appender {
  #columns: Columns = []
  #xml: Uint8Array[] = []
  /** Of all the XML. */
  #length = 0
  #written: Promise<void> | undefined
  #settle: ((written: Promise<void>) => void) | undefined

  constructor(private readonly request: Request) {}

  append({ user, host, id, contact, resource, nick, xml }: ArchiveEntry): Promise<void> {
    // Its sender's archive and its addressee's have the same, one after the other.
    if (this.#xml.at(-1) !== xml) {
      this.#xml.push(xml)
      this.#length += xml.byteLength
    }
    this.#columns.push(user, host, id, contact, resource, nick ?? null, this.#length - xml.byteLength, xml.byteLength)
    this.#written ??= this.#begin()
    const written = this.#written
    if (this.#columns.length === entriesPerRequest * columnsPerEntry) this.flush()
    return written
  }

  /** Asks for what was gathered, before whatever is asked for next. */
  flush(): void {
    if (this.#settle === undefined) return
    const [columns, xml, length, settle] = [this.#columns, this.#xml, this.#length, this.#settle]
    this.#columns = []
    this.#xml = []
    this.#length = 0
    this.#written = undefined
    this.#settle = undefined
    settle(this.request('archiveAppend', JSON.stringify(columns), joined(xml, length)))
  }

  #begin(): Promise<void> {
    queueMicrotask(() => this.flush())
    return new Promise(resolve => {
      this.#settle = resolve
    })
  }
}

/** One after the other, in memory of their own. */
function joined(parts: readonly Uint8Array[], length: number): Uint8Array {
  const whole = Buffer.allocUnsafeSlow(length)
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.byteLength
  }
  return whole
}

/** The archives as the server sees them. */
export function archiveRepository(request: Request): ArchiveRepository {
  const appender = new Appender(request)
  /** A read sees every write that was asked for before it. */
  const ask: Request = (verb, ...args) => {
    appender.flush()
    return request(verb, ...args)
  }
  return {
    append: entry => appender.append(entry),
    insert: (user, host, entries) =>
      ask(
        'archiveInsert',
        user,
        host,
        // Copies: a message takes the whole ArrayBuffer along.
        entries.map(({ id, contact, resource, xml }) => [id, contact, resource, new Uint8Array(xml)]),
      ),
    async page(user, host, { limit, isLast = false, known = [], ...filter }) {
      return (await ask('archivePage', user, host, packFilter(filter), limit, isLast, known))?.map(unpackMessage)
    },
    async pick(user, host, ids, filter) {
      const sorted = [...new Set(ids)].sort()
      return (await ask('archivePick', user, host, sorted, packFilter(filter)))?.map(unpackMessage)
    },
    count: (user, host, filter, limit) => ask('archiveCount', user, host, packFilter(filter), limit),
    // A copy: a message takes the whole ArrayBuffer along.
    replace: (user, host, id, xml) => ask('archiveReplace', user, host, id, new Uint8Array(xml)),
    forget: (user, host) => ask('archiveForget', user, host),
    async ends(user, host) {
      const [first, last] = await ask('archiveEnds', user, host)
      return first === undefined ? undefined : { first: String(first), last: String(last) }
    },
    expire: (host, { before, after, limit }) => ask('archiveExpire', host, before, after, limit),
    async preferences(user, host): Promise<ArchivePreferences | undefined> {
      const row = await ask('archivePreferences', user, host)
      if (row === undefined) return undefined
      const [standard, always, never] = row as [ArchivePreferences['standard'], string, string] // the table's CHECK allows no other
      return { standard, always: JSON.parse(always), never: JSON.parse(never) }
    },
    setPreferences: (user, host, { standard, always, never }) =>
      ask('archiveSetPreferences', user, host, standard, JSON.stringify(always), JSON.stringify(never)),
  }
}

const packFilter = ({ contact = '', resource = '', nick = '', after = '', before = END }: ArchiveFilter): FilterRow => [
  contact,
  resource,
  nick,
  after,
  before,
]

const unpackMessage = ([id, xml, contact]: MessageRow): ArchivedMessage => ({ id, xml, contact })
