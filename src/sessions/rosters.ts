import { LRUCache } from 'lru-cache'
import { Jid } from '../protocols/jid.js'
import { type SubscriptionState, stranger } from '../protocols/subscription.js'
import type { AccountRemoval, RosterChange, RosterItem, RosterRepository } from '../storage/store.js'

/** An account's roster as every session of the account and the presence rules read it. */
export interface RosterView {
  readonly version: number
  /** By the contact's JID. */
  readonly items: ReadonlyMap<string, RosterItem>
  /** Requests that wait for the user's answer, by the contact's bare JID; the value is the presence stanza as XML. */
  readonly requests: ReadonlyMap<string, string>
  /** Contacts that see the user's presence: subscription `from` or `both`. */
  readonly subscribers: readonly Jid[]
  /** Contacts whose presence the user sees: subscription `to` or `both`. */
  readonly subscriptions: readonly Jid[]
  /** The user's side of the relation to a contact, by bare JID. */
  stateOf(contact: string): SubscriptionState
}

/** What a change does once it is decided. */
export interface RosterDecision<T> {
  /** Absent: nothing to write. */
  change?: RosterChange
  /** Runs after commit, before the account's next change, with the roster as it is then. */
  committed(roster: RosterView): T
}

/** What rosters without any have in common: most accounts of a large server are nearly empty, and every session has one. */
const noItems = new Map<string, RosterItem>()
const noRequests = new Map<string, string>()
const nobody: Jid[] = []

class CachedRoster implements RosterView {
  items = noItems
  requests = noRequests
  version = 0
  #subscribers: Jid[] | undefined
  #subscriptions: Jid[] | undefined

  get size(): number {
    return this.items.size + this.requests.size + 1
  }

  get subscribers(): readonly Jid[] {
    this.#subscribers ??= this.#contacts('from')
    return this.#subscribers
  }

  get subscriptions(): readonly Jid[] {
    this.#subscriptions ??= this.#contacts('to')
    return this.#subscriptions
  }

  stateOf(contact: string): SubscriptionState {
    const item = this.items.get(contact)
    const pendingIn = this.requests.has(contact)
    if (!item) return pendingIn ? { ...stranger, pendingIn } : stranger
    return { subscription: item.subscription, ask: item.ask, pendingIn, approved: item.approved }
  }

  apply(change: RosterChange, version: number): void {
    if (this.items === noItems && change.put?.length) this.items = new Map()
    if (this.requests === noRequests && change.putRequests?.length) this.requests = new Map()
    for (const jid of change.remove ?? []) this.items.delete(jid)
    for (const item of change.put ?? []) this.items.set(item.jid, item)
    for (const jid of change.removeRequests ?? []) this.requests.delete(jid)
    for (const request of change.putRequests ?? []) this.requests.set(request.jid, request.xml)
    this.version = version
    this.#subscribers = undefined
    this.#subscriptions = undefined
  }

  #contacts(direction: 'to' | 'from'): Jid[] {
    const found: Jid[] = []
    for (const item of this.items.values()) {
      if (item.subscription !== 'both' && item.subscription !== direction) continue
      const jid = Jid.parse(item.jid)
      if (jid) found.push(jid)
    }
    return found.length === 0 ? nobody : found
  }
}

/** The roster that an account had which was removed. */
export function formerRoster({ items, requests }: AccountRemoval): RosterView {
  const roster = new CachedRoster()
  const put = items.map(item => ({ ...item, name: '', groups: [] }))
  roster.apply({ put, putRequests: requests.map(jid => ({ jid, xml: '' })) }, 0)
  return roster
}

/** Roster items and requests that the cache holds, over all accounts. */
const defaultCapacity = 200_000

/** The rosters of all accounts: a bounded cache over the store. Every change goes through it, one at a time per account. */
export class Rosters {
  readonly #repository: RosterRepository
  readonly #cache: LRUCache<string, CachedRoster>
  readonly #loading = new Map<string, Promise<CachedRoster>>()
  /** Accounts with changes under way: the end of their queue, and the roster, which must not be loaded anew meanwhile. */
  readonly #changing = new Map<string, { tail: Promise<unknown>; roster: CachedRoster | undefined }>()

  constructor(repository: RosterRepository, options: { capacity?: number } = {}) {
    this.#repository = repository
    this.#cache = new LRUCache({
      maxSize: options.capacity ?? defaultCapacity,
      sizeCalculation: roster => roster.size,
    })
  }

  /** The account's roster, at once when it is cached; it lives on and shows later changes. Rejects with `StoreUnavailable`. */
  get(account: Jid): RosterView | Promise<RosterView> {
    return this.#get(account)
  }

  /** Decides on the newest roster and resolves after commit. A failure leaves the roster as the store has it. */
  change<T>(account: Jid, decide: (roster: RosterView) => RosterDecision<T>): Promise<T> {
    const key = account.bareText
    const queue = this.#changing.get(key) ?? { tail: Promise.resolve(), roster: undefined }
    this.#changing.set(key, queue)
    const result = queue.tail.then(() => this.#change(account, queue, decide))
    const tail = result.then(noop, noop)
    queue.tail = tail
    void tail.then(() => {
      if (queue.tail === tail && this.#changing.get(key) === queue) this.#changing.delete(key)
    })
    return result
  }

  /** Drops what is remembered of an account that was removed. */
  forget(account: Jid): void {
    this.#cache.delete(account.bareText)
    this.#loading.delete(account.bareText)
    const queue = this.#changing.get(account.bareText)
    if (queue) queue.roster = undefined
  }

  #get(account: Jid): CachedRoster | Promise<CachedRoster> {
    const key = account.bareText
    return this.#cache.get(key) ?? this.#changing.get(key)?.roster ?? this.#loading.get(key) ?? this.#load(account)
  }

  #load(account: Jid): Promise<CachedRoster> {
    const key = account.bareText
    const load = this.#repository.load(account.local, account.domain).then(stored => {
      const roster = new CachedRoster()
      roster.apply({ put: stored.items, putRequests: stored.requests }, stored.version)
      if (this.#loading.get(key) === load) this.#cache.set(key, roster)
      return roster
    })
    this.#loading.set(key, load)
    const done = () => {
      if (this.#loading.get(key) === load) this.#loading.delete(key)
    }
    void load.then(done, done)
    return load
  }

  /** The cache measures an entry only when it comes in. */
  #remeasure(key: string, roster: CachedRoster): void {
    if (this.#cache.delete(key)) this.#cache.set(key, roster)
  }

  async #change<T>(
    account: Jid,
    queue: { roster: CachedRoster | undefined },
    decide: (roster: RosterView) => RosterDecision<T>,
  ): Promise<T> {
    const found = this.#get(account)
    const roster = found instanceof CachedRoster ? found : await found
    queue.roster = roster
    const decision = decide(roster)
    if (decision.change) {
      try {
        const version = await this.#repository.update(account.local, account.domain, decision.change)
        roster.apply(decision.change, version)
        this.#remeasure(account.bareText, roster)
      } catch (error) {
        // Nobody knows whether the change was written: the next reader asks the store.
        this.forget(account)
        throw error
      }
    }
    return decision.committed(roster)
  }
}

function noop(): void {}
