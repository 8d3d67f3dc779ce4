import type { PrivacyList } from '../protocols/privacy.js'
import type { Credentials } from '../protocols/sasl/credentials.js'

/*
 * What the rest of the server may ask of the store. One implementation over SQLite (in a worker thread), one over PostgreSQL.
 * Every promise resolves after commit. A store that cannot answer rejects with `StoreUnavailable`.
 * Requests are carried out in the order of the calls: a read sees every write asked for before it.
 */

export type { PrivacyItem, PrivacyList } from '../protocols/privacy.js'
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
  /**
   * Removes the account and everything stored for it; false when there is no such account. What others have of it, such as rooms and
   * rosters, it leaves: the removal is remembered until `finishRemoval`.
   */
  remove(user: string, host: string): Promise<boolean>
  /** Accounts of the host that were removed and still have to leave others: localparts in byte order after `after`, at most `limit`. */
  unfinishedRemovals(host: string, options: { after?: string; limit: number }): Promise<AccountRemoval[]>
  /** Nobody else has anything of the removed account any more. */
  finishRemoval(user: string, host: string): Promise<void>
  /** Localparts in byte order after `after`, at most `limit`. */
  list(host: string, options: { after?: string; limit: number }): Promise<string[]>
  count(host: string): Promise<number>
}

/** An account that was removed, with what is needed of the roster that it had. */
export interface AccountRemoval {
  user: string
  items: Pick<RosterItem, 'jid' | 'subscription' | 'ask' | 'approved'>[]
  /** Bare JIDs of those whose requests it had not answered. */
  requests: string[]
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
  /** The message's id; 'full' when `limit` messages wait already; `Infinity` is no limit. `at` is milliseconds since 1970. */
  add(user: string, host: string, xml: string, at: number, limit: number): Promise<number | 'full'>
  /** The oldest messages after `after`, at most `limit`. */
  page(user: string, host: string, options: { after: number; limit: number }): Promise<OfflineMessage[]>
  /** Removes the account's messages with these ids. */
  remove(user: string, host: string, ids: readonly number[]): Promise<void>
  count(user: string, host: string): Promise<number>
}

/** A fragment of XML by its root element. */
export interface PrivateFragment {
  ns: string
  name: string
  /** The element, with every namespace declaration that it needs. */
  xml: string
}

/** What clients keep for themselves. XEP-0049 */
export interface PrivateXmlRepository {
  get(user: string, host: string, ns: string, name: string): Promise<string | undefined>
  /** Replaces the fragments with the same root elements; all or none. False when the account would have more than `limit`; then nothing is written. */
  put(user: string, host: string, fragments: readonly PrivateFragment[], limit: number): Promise<boolean>
  /** In byte order of namespaces and names, behind `after`, at most `limit`. */
  list(
    user: string,
    host: string,
    page: { after: Pick<PrivateFragment, 'ns' | 'name'>; limit: number },
  ): Promise<PrivateFragment[]>
}

/** A field of a vCard as the directory knows it, such as `last`. */
export interface VcardField {
  field: string
  value: string
}

/** What a directory search asks of a field: the value without regard to case, or its beginning. */
export interface VcardCriterion extends VcardField {
  isPrefix: boolean
}

/** vCards and the directory made of them. XEP-0054, XEP-0055 */
export interface VcardRepository {
  get(user: string, host: string): Promise<string | undefined>
  /** Replaces the vCard; `fields`, each at most once, are what the directory finds it by. */
  put(user: string, host: string, xml: string, fields: readonly VcardField[]): Promise<void>
  /** Accounts of the host that meet every criterion, at most `limit`, with their fields; none without a criterion. */
  search(
    host: string,
    criteria: readonly VcardCriterion[],
    limit: number,
  ): Promise<{ user: string; fields: VcardField[] }[]>
}

export interface LastActivity {
  /** When the last session ended, in milliseconds since 1970. */
  at: number
  /** What the user said then; '' for nothing. */
  status: string
}

/** When an account was last connected. XEP-0012 */
export interface LastActivityRepository {
  get(user: string, host: string): Promise<LastActivity | undefined>
  put(user: string, host: string, last: LastActivity): Promise<void>
  remove(user: string, host: string): Promise<void>
}

/** The lists of one account. */
export interface PrivacyLists {
  /** The list that counts for sessions without one of their own; names one of `lists`. */
  defaultName: string | undefined
  lists: PrivacyList[]
}

export interface PrivacyChange {
  put?: PrivacyList[]
  remove?: string[]
  /** null: there is no default list any more. */
  defaultName?: string | null
}

/** Whom an account lets through. XEP-0016, XEP-0191 */
export interface PrivacyRepository {
  /** Lists in byte order of their names. */
  load(user: string, host: string): Promise<PrivacyLists>
  /** Applies the change as a whole: removals, then lists, then the default. */
  update(user: string, host: string, change: PrivacyChange): Promise<void>
}

/** A message in an account's archive. XEP-0313 §3 */
export interface ArchivedMessage {
  /** Made by `archiveId`, with a time that no other message of the archive has; ids in byte order are in the order of arrival. */
  id: string
  /** The stanza as XML in UTF-8. */
  xml: Uint8Array
  /** The other side's bare JID; in the archive of a room, that of the user who said it, or of the room itself. */
  contact: string
}

export interface ArchiveEntry extends ArchivedMessage {
  /** With `host` the owner: an account, or a room, which is a localpart on the domain of its service. */
  user: string
  host: string
  /** The other side's resourcepart; '' for none. */
  resource: string
  /** Only in the archive of a room: what the room calls who said it. */
  nick?: string
}

/** A message that comes with the archive of another server. */
export type ArchiveImport = Pick<ArchiveEntry, 'id' | 'contact' | 'resource' | 'xml'>

/** Which messages of an archive are meant; all without any. */
export interface ArchiveFilter {
  /** Exchanged with this bare JID. */
  contact?: string
  /** Exchanged with this resource of the contact. */
  resource?: string
  /** Said by whom the room calls so; never together with a contact. */
  nick?: string
  /** With ids between these two, which need not be there themselves: ids, or bounds of `boundBefore`. */
  after?: string
  before?: string
}

export interface ArchivePage extends ArchiveFilter {
  limit: number
  /** The last of them instead of the first. */
  isLast?: boolean
  /** Ids that have to be in the archive. */
  known?: readonly string[]
}

/** What an account wants archived. XEP-0441 §2.1 */
export interface ArchivePreferences {
  standard: 'always' | 'never' | 'roster'
  /** JIDs in canonical form. */
  always: string[]
  never: string[]
}

/** Message archives, each with an owner of the form `user@host`: an account or a room. XEP-0313 */
export interface ArchiveRepository {
  /** What is appended in one tick is written together. */
  append(entry: ArchiveEntry): Promise<void>
  /** Adds those of one owner's messages, in the order of their ids, whose ids are not there; resolves with how many these were. */
  insert(user: string, host: string, entries: readonly ArchiveImport[]): Promise<number>
  /** In the order of their ids; undefined when one of `known` is not there. Costs the same however long the archive is. */
  page(user: string, host: string, page: ArchivePage): Promise<ArchivedMessage[] | undefined>
  /** The messages with these ids that meet the filter, in order; undefined when one of the ids is not there. */
  pick(
    user: string,
    host: string,
    ids: readonly string[],
    filter: ArchiveFilter,
  ): Promise<ArchivedMessage[] | undefined>
  /** How many there are, but no more than `limit`. */
  count(user: string, host: string, filter: ArchiveFilter, limit: number): Promise<number>
  /** Replaces what is kept under an id; false when there is nothing. */
  replace(user: string, host: string, id: string, xml: Uint8Array): Promise<boolean>
  /** Removes all messages of an owner. */
  forget(user: string, host: string): Promise<void>
  /** The first id and the last; undefined for an empty archive. */
  ends(user: string, host: string): Promise<{ first: string; last: string } | undefined>
  /**
   * Removes at most `limit` messages with ids below `before` from archives of the host, going through the owners after `after`.
   * Resolves with the owner to go on after; undefined when there is nothing left to do.
   */
  expire(host: string, options: { before: string; after: string; limit: number }): Promise<string | undefined>
  preferences(user: string, host: string): Promise<ArchivePreferences | undefined>
  setPreferences(user: string, host: string, preferences: ArchivePreferences): Promise<void>
}

export interface MucLightOccupant {
  /** Bare JID in canonical form. */
  jid: string
  affiliation: 'owner' | 'member'
}

/** A room of light group chat, without its address. */
export interface MucLightRoom {
  version: string
  /** Values by the names that they have in the store. */
  configuration: Record<string, string | number>
  /** In no certain order. */
  occupants: MucLightOccupant[]
}

/** What of a room is written; what is not named stays. */
export interface MucLightChange {
  /** Another than the one before. */
  version: string
  configuration?: Record<string, string | number>
  /** Occupants who come, or change their affiliation. */
  put?: MucLightOccupant[]
  remove?: string[]
}

/** Which of a user's rooms are wanted, by the localpart of the room; with none of the three the first ones. */
export interface MucLightPageRequest {
  limit: number
  after?: string
  /** '' stands for the end of them all. */
  before?: string
  index?: number
}

export interface MucLightPage {
  /** Rooms that the user is in. */
  count: number
  /** How many of them stand before the page. */
  index: number
  /** In byte order of `room`, the localpart. */
  rooms: { room: string; version: string; configuration: Record<string, string | number> }[]
}

export interface MucLightBlock {
  kind: 'room' | 'user'
  /** Bare JID in canonical form. */
  jid: string
}

/** Rooms of light group chat, by the domain of their service and their localpart. spec/muc-light.md §3 */
export interface MucLightRepository {
  /** Undefined when there is no such room; `current` when its version is `known`. */
  load(service: string, room: string, known?: string): Promise<MucLightRoom | 'current' | undefined>
  /**
   * `full`: an occupant is in `roomsPerUser` rooms of the service already. `Infinity` is no limit. An archive that was left behind under
   * that name is removed: it was another room's.
   */
  create(service: string, room: string, state: MucLightRoom, roomsPerUser: number): Promise<'done' | 'exists' | 'full'>
  /** `stale`: the room has not the version `before`. `full`: somebody who comes is in `roomsPerUser` rooms already. Then nothing is written. */
  update(
    service: string,
    room: string,
    before: string,
    change: MucLightChange,
    roomsPerUser: number,
  ): Promise<'done' | 'stale' | 'full'>
  /** Removes the room with its archive. False: the room has not the version `before`. */
  remove(service: string, room: string, before: string): Promise<boolean>
  /** A page of the rooms that a user is in; undefined when the room that it is asked for by is none of them, or `index` lies behind them. */
  roomsOf(service: string, jid: string, page: MucLightPageRequest): Promise<MucLightPage | undefined>
  /** Of each user, in the order asked for: the number of its rooms, and whether it blocks one of these. */
  standing(
    service: string,
    jids: readonly string[],
    blocks: readonly MucLightBlock[],
  ): Promise<{ rooms: number; isBlocking: boolean }[]>
  /** What a user blocks, in byte order of kinds and JIDs. */
  blocked(service: string, jid: string): Promise<MucLightBlock[]>
  /** Changes what a user blocks: removals, then additions. */
  block(service: string, jid: string, put: readonly MucLightBlock[], remove: readonly MucLightBlock[]): Promise<void>
}

export type MucStanding = 'owner' | 'admin' | 'member' | 'outcast' | 'none'

/** How a user stands to a room. */
export interface MucAffiliation {
  /** Bare JID in canonical form; a domain for everybody there. */
  jid: string
  /** `none` only with a nick. */
  affiliation: MucStanding
  /** That the user has registered. XEP-0045 §7.10 */
  nick?: string
  /** Why it is so. */
  reason?: string
}

/** What service discovery shows of a room, and whether the room outlives its occupants. */
export interface MucListing {
  name: string
  isPublic: boolean
  isPersistent: boolean
}

/** A room of multi-user chat, without its address. What its parts mean is the business of whoever serves it; each is stored as JSON. */
export interface MucRoom {
  configuration: object
  subject?: object
  /** What was said last, as it was when the room came to rest. */
  history: readonly object[]
  /** In no certain order. */
  affiliations: MucAffiliation[]
}

/** What of a room is written; what is not named stays. */
export interface MucChange {
  configured?: { configuration: object; listing: MucListing }
  subject?: object
  history?: readonly object[]
  put?: MucAffiliation[]
  /** Bare JIDs. */
  remove?: string[]
}

/** Rooms of multi-user chat, by the domain of their service and their localpart. XEP-0045 */
export interface MucRepository {
  load(service: string, room: string): Promise<MucRoom | undefined>
  /** False when there is a room of this name. What the archive holds under the name is removed: it was another room's. */
  create(service: string, room: string, state: MucRoom & { listing: MucListing }): Promise<boolean>
  /** Applies the change as a whole, removals first; false when there is no such room. */
  update(service: string, room: string, change: MucChange): Promise<boolean>
  /** Removes the room, and what the archive holds of it; false when there is no such room. */
  remove(service: string, room: string): Promise<boolean>
  /** Removes the rooms that do not outlive their occupants: for when nobody can be in one. */
  removeTemporary(service: string): Promise<void>
  /** A page of the public rooms, in byte order of `room`, the localpart; what the page is asked for by need not be there. */
  list(
    service: string,
    page: MucLightPageRequest,
  ): Promise<{ count: number; index: number; rooms: { room: string; name: string }[] }>
  /** Localparts of the rooms that a bare JID has something to do with, in byte order. */
  affiliated(service: string, jid: string): Promise<string[]>
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
  readonly privateXml: PrivateXmlRepository
  readonly vcards: VcardRepository
  readonly lastActivity: LastActivityRepository
  readonly privacy: PrivacyRepository
  readonly archive: ArchiveRepository
  readonly mucLight: MucLightRepository
  readonly muc: MucRepository
  readonly meta: MetaRepository
  /** Writes what waits, then closes. */
  close(): Promise<void>
}

/** A store that can be lost and opened again; who opened it sees to that. */
export interface RestartableStore extends Store {
  readonly isOpen: boolean
  /** Requests that wait for their answer. */
  readonly outstanding: number
  /** Opens a lost store again; does nothing while it is open. Rejects with StoreUnavailable when that fails, and may be tried again. */
  restart(): Promise<void>
  /** Makes the store be lost in the middle of a transaction; for tests. Resolves when it is. */
  kill(): Promise<void>
}
