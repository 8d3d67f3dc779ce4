import { LRUCache } from 'lru-cache'
import type { Jid } from '../protocols/jid.js'
import { type PrivacyList, PrivacyRules } from '../protocols/privacy.js'
import type { PrivacyChange, PrivacyRepository } from '../storage/store.js'

/** The lists of an account as they are at one time; never changed later. */
export interface PrivacyView {
  readonly defaultName: string | undefined
  readonly lists: ReadonlyMap<string, PrivacyRules>
}

/** An account without lists, as most are. */
export const noLists: PrivacyView = { defaultName: undefined, lists: new Map() }

/** What becomes of an account's lists, decided on the newest ones. */
export interface PrivacyDecision<T> {
  /** Absent: nothing to write. */
  change?: PrivacyChange
  /** Runs after commit, before the account's next change. */
  committed(after: PrivacyView, before: PrivacyView): T
}

/** Items of lists of accounts that are not connected, over all of them. */
const defaultCapacity = 100_000

/**
 * The privacy lists of all accounts of a host: those of connected accounts, and a bounded cache of the others'. Every change goes
 * through it, one at a time per account.
 */
export class PrivacyLists {
  readonly #repository: PrivacyRepository
  readonly #isConnected: (bareText: string) => boolean
  readonly #connected = new Map<string, PrivacyView>()
  readonly #others: LRUCache<string, PrivacyView>
  readonly #loading = new Map<string, Promise<PrivacyView>>()
  /** The end of the queue of changes of accounts that have any. */
  readonly #changing = new Map<string, Promise<unknown>>()

  constructor(
    repository: PrivacyRepository,
    isConnected: (bareText: string) => boolean,
    options: { capacity?: number } = {},
  ) {
    this.#repository = repository
    this.#isConnected = isConnected
    this.#others = new LRUCache({ maxSize: options.capacity ?? defaultCapacity, sizeCalculation: sizeOf })
  }

  /** What is known of a connected account; one look-up. Undefined: ask `get`. */
  peek(bareText: string): PrivacyView | undefined {
    return this.#connected.get(bareText)
  }

  /** The account's lists, at once when they are known. Rejects with `StoreUnavailable`. */
  get(account: Jid): PrivacyView | Promise<PrivacyView> {
    const key = account.bareText
    return this.#connected.get(key) ?? this.#others.get(key) ?? this.#loading.get(key) ?? this.#load(account)
  }

  /** Decides on the newest lists and resolves after commit. A failure leaves them as the store has them. */
  change<T>(account: Jid, decide: (lists: PrivacyView) => PrivacyDecision<T>): Promise<T> {
    const key = account.bareText
    const result = (this.#changing.get(key) ?? Promise.resolve()).then(() => this.#change(account, decide))
    const tail = result.then(noop, noop)
    this.#changing.set(key, tail)
    void tail.then(() => {
      if (this.#changing.get(key) === tail) this.#changing.delete(key)
    })
    return result
  }

  /** The account has a session now, and its lists are known: they are kept until `disconnected`. */
  connected(account: Jid, lists: PrivacyView): void {
    this.#keep(account.bareText, lists)
  }

  /** The account has no session any more. */
  disconnected(account: Jid): void {
    const lists = this.#connected.get(account.bareText)
    this.#connected.delete(account.bareText)
    if (lists !== undefined) this.#others.set(account.bareText, lists)
  }

  /** Drops what is remembered of an account. */
  forget(account: Jid): void {
    this.#connected.delete(account.bareText)
    this.#others.delete(account.bareText)
    this.#loading.delete(account.bareText)
  }

  #keep(key: string, lists: PrivacyView): void {
    if (this.#isConnected(key)) {
      this.#others.delete(key)
      this.#connected.set(key, lists)
    } else this.#others.set(key, lists)
  }

  #load(account: Jid): Promise<PrivacyView> {
    const key = account.bareText
    const load = this.#repository.load(account.local, account.domain).then(({ defaultName, lists }) => {
      const view = lists.length === 0 ? noLists : { defaultName, lists: new Map(lists.map(ready)) }
      if (this.#loading.get(key) === load) this.#keep(key, view)
      return view
    })
    this.#loading.set(key, load)
    const done = () => {
      if (this.#loading.get(key) === load) this.#loading.delete(key)
    }
    void load.then(done, done)
    return load
  }

  async #change<T>(account: Jid, decide: (lists: PrivacyView) => PrivacyDecision<T>): Promise<T> {
    const before = await this.get(account)
    const { change, committed } = decide(before)
    if (change === undefined) return committed(before, before)
    try {
      await this.#repository.update(account.local, account.domain, change)
    } catch (error) {
      // Nobody knows whether the change was written: the next reader asks the store.
      this.forget(account)
      throw error
    }
    const after = changed(before, change)
    this.#loading.delete(account.bareText)
    this.#keep(account.bareText, after)
    return committed(after, before)
  }
}

const ready = (list: PrivacyList) => [list.name, new PrivacyRules(list)] as const

function changed(before: PrivacyView, { put = [], remove = [], defaultName }: PrivacyChange): PrivacyView {
  const lists = new Map(before.lists)
  for (const name of remove) lists.delete(name)
  for (const list of put) lists.set(list.name, new PrivacyRules(list))
  if (lists.size === 0) return noLists
  const chosen = defaultName === undefined ? before.defaultName : (defaultName ?? undefined)
  return { defaultName: chosen !== undefined && lists.has(chosen) ? chosen : undefined, lists }
}

function sizeOf({ lists }: PrivacyView): number {
  let items = 1
  for (const { list } of lists.values()) items += list.items.length
  return items
}

function noop(): void {}
