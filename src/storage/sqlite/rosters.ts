import type { Roster, RosterItem, RosterRepository, Subscription, SubscriptionRequest } from '../store.js'
import type { Database } from './database.js'
import type { Request } from './protocol.js'

/** A roster item between the threads: jid, name, subscription, flags, groups as JSON ('' for none). */
type ItemRow = [string, string, string, number, string]
/** A subscription request between the threads: jid, xml. */
type RequestRow = [string, string]

/** Bits of the column `flags`. */
export const ASK = 1
export const APPROVED = 2

/** What the worker does for the rosters. */
export function rosterVerbs(database: Database) {
  const version = database.prepare('SELECT version FROM roster_versions WHERE host = ? AND username = ?')
  const items = database.prepare(`
    SELECT jid, name, subscription, flags, group_names FROM roster_items WHERE host = ? AND username = ? ORDER BY jid`)
  const requests = database.prepare(
    'SELECT jid, xml FROM subscription_requests WHERE host = ? AND username = ? ORDER BY jid',
  )
  const putItem = database.prepare(`
    INSERT INTO roster_items (host, username, jid, name, subscription, flags, group_names) VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET name = excluded.name, subscription = excluded.subscription, flags = excluded.flags,
      group_names = excluded.group_names
    WHERE (name, subscription, flags, group_names)
      IS NOT (excluded.name, excluded.subscription, excluded.flags, excluded.group_names)`)
  const removeItem = database.prepare('DELETE FROM roster_items WHERE host = ? AND username = ? AND jid = ?')
  const putRequest = database.prepare(`
    INSERT INTO subscription_requests (host, username, jid, xml) VALUES (?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET xml = excluded.xml`)
  const removeRequest = database.prepare(
    'DELETE FROM subscription_requests WHERE host = ? AND username = ? AND jid = ?',
  )
  // Not RETURNING, as in offline.ts.
  const grow = database.prepare('REPLACE INTO roster_versions (host, username) VALUES (?, ?)')

  const currentVersion = (user: string, host: string) => Number(version.get(host, user)?.[0] ?? 0)
  return {
    reads: {
      rosterLoad(user: string, host: string): [version: number, items: ItemRow[], requests: RequestRow[]] {
        // The casts: the columns are typed (STRICT) and NOT NULL.
        return [
          currentVersion(user, host),
          items.all(host, user) as ItemRow[],
          requests.all(host, user) as RequestRow[],
        ]
      },
    },
    writes: {
      rosterUpdate(
        user: string,
        host: string,
        change: { put: ItemRow[]; remove: string[]; putRequests: RequestRow[]; removeRequests: string[] },
      ): number {
        let changed = 0
        for (const jid of change.remove) changed += removeItem.run(host, user, jid)
        for (const item of change.put) changed += putItem.run(host, user, ...item)
        for (const jid of change.removeRequests) removeRequest.run(host, user, jid)
        for (const request of change.putRequests) putRequest.run(host, user, ...request)
        if (changed > 0) grow.run(host, user)
        return currentVersion(user, host)
      },
    },
  }
}

/** The rosters as the server sees them. */
export function rosterRepository(request: Request): RosterRepository {
  return {
    async load(user, host): Promise<Roster> {
      const [version, items, requests] = await request('rosterLoad', user, host)
      return { version, items: items.map(unpackItem), requests: requests.map(([jid, xml]) => ({ jid, xml })) }
    },
    update: (user, host, { put = [], remove = [], putRequests = [], removeRequests = [] }) =>
      request('rosterUpdate', user, host, {
        put: put.map(packItem),
        remove,
        putRequests: putRequests.map(packRequest),
        removeRequests,
      }),
  }
}

function packItem({ jid, name, subscription, ask, approved, groups }: RosterItem): ItemRow {
  const flags = (ask ? ASK : 0) | (approved ? APPROVED : 0)
  return [jid, name, subscription, flags, groups.length === 0 ? '' : JSON.stringify(groups)]
}

function unpackItem([jid, name, subscription, flags, groups]: ItemRow): RosterItem {
  return {
    jid,
    name,
    subscription: subscription as Subscription, // The table's CHECK allows no other.
    ask: (flags & ASK) !== 0,
    approved: (flags & APPROVED) !== 0,
    groups: groups === '' ? [] : JSON.parse(groups),
  }
}

const packRequest = ({ jid, xml }: SubscriptionRequest): RequestRow => [jid, xml]
