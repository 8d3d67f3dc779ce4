import {
  type AccountRepository,
  type Credentials,
  type OfflineRepository,
  type Roster,
  type RosterRepository,
  type Store,
  StoreUnavailable,
} from '../../src/storage/store.js'

interface Account {
  credentials: Credentials
}

/** The store's contract kept in maps. It answers a turn of the microtask queue later, and fails when told to. */
export class MemoryStore implements Store {
  readonly #accounts = new Map<string, Account>()
  readonly #rosters = new Map<string, Roster>()
  readonly #offline = new Map<string, { id: number; xml: string }[]>()
  readonly #meta = new Map<string, Buffer>()
  #lastOfflineId = 0
  /** While true every request rejects with `StoreUnavailable`. */
  isFailing = false
  /** When set, requests wait for it: a store that is slow. */
  gate: Promise<void> | undefined
  /** What was asked, as `rosters.load romeo@montague.example`. */
  readonly log: string[] = []

  readonly accounts: AccountRepository = {
    exists: (user, host) => this.#do('accounts.exists', user, host, key => this.#accounts.has(key)),
    credentials: (user, host) =>
      this.#do('accounts.credentials', user, host, key => this.#accounts.get(key)?.credentials),
    create: (user, host, credentials) =>
      this.#do('accounts.create', user, host, key => {
        if (this.#accounts.has(key)) return false
        this.#accounts.set(key, { credentials })
        return true
      }),
    setCredentials: (user, host, credentials) =>
      this.#do('accounts.setCredentials', user, host, key => {
        const account = this.#accounts.get(key)
        if (account) account.credentials = credentials
        return account !== undefined
      }),
    remove: (user, host) =>
      this.#do('accounts.remove', user, host, key => {
        this.#rosters.delete(key)
        this.#offline.delete(key)
        return this.#accounts.delete(key)
      }),
    list: (host, { after = '', limit }) =>
      this.#do('accounts.list', '', host, () =>
        this.#users(host)
          .filter(user => user > after)
          .slice(0, limit),
      ),
    count: host => this.#do('accounts.count', '', host, () => this.#users(host).length),
  }

  readonly rosters: RosterRepository = {
    load: (user, host) => this.#do('rosters.load', user, host, key => structuredClone(this.#roster(key))),
    update: (user, host, change) =>
      this.#do('rosters.update', user, host, key => {
        const roster = this.#roster(key)
        const items = new Map(roster.items.map(item => [item.jid, item]))
        const requests = new Map(roster.requests.map(request => [request.jid, request]))
        for (const jid of change.remove ?? []) items.delete(jid)
        for (const item of change.put ?? []) items.set(item.jid, structuredClone(item))
        for (const jid of change.removeRequests ?? []) requests.delete(jid)
        for (const request of change.putRequests ?? []) requests.set(request.jid, request)
        const version = roster.version + (change.put?.length || change.remove?.length ? 1 : 0)
        this.#rosters.set(key, { version, items: [...items.values()], requests: [...requests.values()] })
        return version
      }),
  }

  readonly offline: OfflineRepository = {
    add: (user, host, xml, _at, limit) =>
      this.#do('offline.add', user, host, key => {
        const waiting = this.#offline.get(key) ?? []
        if (waiting.length >= limit) return 'full'
        this.#lastOfflineId += 1
        this.#offline.set(key, [...waiting, { id: this.#lastOfflineId, xml }])
        return 'stored'
      }),
    page: (user, host, { after, limit }) =>
      this.#do('offline.page', user, host, key =>
        (this.#offline.get(key) ?? []).filter(({ id }) => id > after).slice(0, limit),
      ),
    remove: (user, host, upTo) =>
      this.#do('offline.remove', user, host, key => {
        this.#offline.set(
          key,
          (this.#offline.get(key) ?? []).filter(({ id }) => id > upTo),
        )
      }),
    count: (user, host) => this.#do('offline.count', user, host, key => this.#offline.get(key)?.length ?? 0),
  }

  readonly meta: Store['meta'] = {
    putIfAbsent: async (key, value) => {
      const standing = this.#meta.get(key) ?? value
      this.#meta.set(key, standing)
      return standing
    },
  }

  close(): Promise<void> {
    return Promise.resolve()
  }

  #users(host: string): string[] {
    const suffix = `@${host}`
    return [...this.#accounts.keys()]
      .filter(key => key.endsWith(suffix))
      .map(key => key.slice(0, -suffix.length))
      .sort()
  }

  #roster(key: string): Roster {
    return this.#rosters.get(key) ?? { version: 0, items: [], requests: [] }
  }

  async #do<T>(name: string, user: string, host: string, act: (key: string) => T): Promise<T> {
    const key = `${user}@${host}`
    this.log.push(`${name} ${key}`)
    await this.gate
    if (this.isFailing) throw new StoreUnavailable(name)
    return act(key)
  }
}
