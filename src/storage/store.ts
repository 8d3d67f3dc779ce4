import type { Credentials } from '../protocols/sasl/credentials.js'

/*
 * What the rest of the server may ask of the store. One implementation over SQLite (in a worker thread), later one over PostgreSQL.
 * Every promise resolves after commit. A store that cannot answer rejects with `StoreUnavailable`.
 * Requests are carried out in the order of the calls: a read sees every write asked for before it.
 */

export type { Credentials, ScramHash, ScramKeys } from '../protocols/sasl/credentials.js'

/** The store cannot answer now: it is overloaded, failed, or closed. Nothing is known about the write that it rejects. */
export class StoreUnavailable extends Error {
  override name = 'StoreUnavailable'
}

/** An account is `user` (a prepared localpart) on `host` (a served domain). */
export interface AccountRepository {
  exists(user: string, host: string): Promise<boolean>
  credentials(user: string, host: string): Promise<Credentials | undefined>
  /** False when the account is there already. Whatever was left behind under that name is removed: it was somebody else's. */
  create(user: string, host: string, credentials: Credentials): Promise<boolean>
  /** False when there is no such account. */
  setCredentials(user: string, host: string, credentials: Credentials): Promise<boolean>
  /** Removes the account and everything stored for it; false when there is no such account. */
  remove(user: string, host: string): Promise<boolean>
  /** Localparts in byte order after `after`, at most `limit`. */
  list(host: string, options: { after?: string; limit: number }): Promise<string[]>
  count(host: string): Promise<number>
}

export type Subscription = 'none' | 'to' | 'from' | 'both'

export interface RosterItem {
  /** The contact's JID in canonical form. */
  jid: string
  /** '' when the user gave none. */
  name: string
  subscription: Subscription
  /** A subscription request of ours waits for the contact's answer. RFC 6121 §2.1.2.2 */
  ask: boolean
  /** Pre-approved. RFC 6121 §3.4 */
  approved: boolean
  groups: string[]
}

/** A contact's request that the user has not answered. RFC 6121 §3.1.3 */
export interface SubscriptionRequest {
  /** The contact's bare JID. */
  jid: string
  /** The presence stanza as XML. */
  xml: string
}

export interface Roster {
  /** 0 for a roster that was never changed; grows with each change, and never comes twice for one address, even when its account is made anew. */
  version: number
  items: RosterItem[]
  requests: SubscriptionRequest[]
}

export interface RosterChange {
  put?: RosterItem[]
  remove?: string[]
  putRequests?: SubscriptionRequest[]
  removeRequests?: string[]
}

export interface RosterRepository {
  /** Items and requests in byte order of their JIDs. */
  load(user: string, host: string): Promise<Roster>
  /** Applies the change as a whole, removals first. Resolves with the roster's version, which grows only if items changed. */
  update(user: string, host: string, change: RosterChange): Promise<number>
}

export interface OfflineMessage {
  /** Grows in the order of arrival, per account. */
  id: number
  /** The message stanza as XML, delay already stamped. */
  xml: string
}

export interface OfflineRepository {
  /** 'full' when `limit` messages wait already; `Infinity` is no limit. `at` is milliseconds since 1970. */
  add(user: string, host: string, xml: string, at: number, limit: number): Promise<'stored' | 'full'>
  /** The oldest messages after `after`, at most `limit`. */
  page(user: string, host: string, options: { after: number; limit: number }): Promise<OfflineMessage[]>
  /** Removes the messages with an id up to and including `upTo`. */
  remove(user: string, host: string, upTo: number): Promise<void>
  count(user: string, host: string): Promise<number>
}

/** Facts about the installation as a whole, such as the secret it was born with. */
export interface MetaRepository {
  /** Stores the value unless the key has one already; resolves with the one that stands. */
  putIfAbsent(key: string, value: Buffer): Promise<Buffer>
}

export interface Store {
  readonly accounts: AccountRepository
  readonly rosters: RosterRepository
  readonly offline: OfflineRepository
  readonly meta: MetaRepository
  /** Writes what waits, then closes. */
  close(): Promise<void>
}
