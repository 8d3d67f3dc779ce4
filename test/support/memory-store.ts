import {
  type AccountRepository,
  type Credentials,
  type LastActivity,
  type LastActivityRepository,
  type OfflineRepository,
  type PrivacyLists,
  type PrivacyRepository,
  type PrivateFragment,
  type PrivateXmlRepository,
  type Roster,
  type RosterRepository,
  type Store,
  StoreUnavailable,
  type VcardField,
  type VcardRepository,
} from '../../src/storage/store.js'

interface Account {
  credentials: Credentials
}

/** The store's contract kept in maps. It answers a turn of the microtask queue later, and fails when told to. */
export class MemoryStore implements Store {
  readonly #accounts = new Map<string, Account>()
  readonly #rosters = new Map<string, Roster>()
  readonly #offline = new Map<string, { id: number; xml: string }[]>()
  readonly #privateXml = new Map<string, readonly PrivateFragment[]>()
  readonly #vcards = new Map<string, { xml: string; fields: VcardField[] }>()
  readonly #lastActivity = new Map<string, LastActivity>()
  readonly #privacy = new Map<string, PrivacyLists>()
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
        for (const table of [this.#offline, this.#privateXml, this.#vcards, this.#lastActivity, this.#privacy]) {
          table.delete(key)
        }
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

  readonly privateXml: PrivateXmlRepository = {
    get: (user, host, ns, name) =>
      this.#do('privateXml.get', user, host, key => this.#privateXml.get(key)?.find(isRoot(ns, name))?.xml),
    put: (user, host, fragments, limit) =>
      this.#do('privateXml.put', user, host, key => {
        const next = [...(this.#privateXml.get(key) ?? [])]
        for (const fragment of fragments) {
          const at = next.findIndex(isRoot(fragment.ns, fragment.name))
          next.splice(at < 0 ? next.length : at, 1, fragment)
        }
        if (next.length > limit) return false
        this.#privateXml.set(key, next)
        return true
      }),
  }

  readonly vcards: VcardRepository = {
    get: (user, host) => this.#do('vcards.get', user, host, key => this.#vcards.get(key)?.xml),
    put: (user, host, xml, fields) =>
      this.#do('vcards.put', user, host, key => void this.#vcards.set(key, { xml, fields: [...fields] })),
    search: (host, criteria, limit) =>
      this.#do('vcards.search', '', host, () => {
        if (criteria.length === 0) return []
        const found = [...this.#vcards].filter(([key, { fields }]) => {
          if (!key.endsWith(`@${host}`)) return false
          return criteria.every(({ field, value, isPrefix }) => {
            const text = fields.find(other => other.field === field)?.value.toLowerCase()
            return isPrefix ? text?.startsWith(value.toLowerCase()) : text === value.toLowerCase()
          })
        })
        return found.slice(0, limit).map(([key, { fields }]) => ({ user: key.slice(0, -host.length - 1), fields }))
      }),
  }

  readonly lastActivity: LastActivityRepository = {
    get: (user, host) => this.#do('lastActivity.get', user, host, key => this.#lastActivity.get(key)),
    put: (user, host, last) => this.#do('lastActivity.put', user, host, key => void this.#lastActivity.set(key, last)),
    remove: (user, host) => this.#do('lastActivity.remove', user, host, key => void this.#lastActivity.delete(key)),
  }

  readonly privacy: PrivacyRepository = {
    load: (user, host) =>
      this.#do('privacy.load', user, host, key => structuredClone(this.#privacy.get(key) ?? noLists)),
    update: (user, host, { put = [], remove = [], defaultName }) =>
      this.#do('privacy.update', user, host, key => {
        const before = this.#privacy.get(key) ?? noLists
        const replaced = new Set([...remove, ...put.map(list => list.name)])
        const lists = [...before.lists.filter(list => !replaced.has(list.name)), ...structuredClone(put)]
        const chosen = defaultName === undefined ? before.defaultName : (defaultName ?? undefined)
        const isThere = lists.some(list => list.name === chosen)
        this.#privacy.set(key, { defaultName: isThere ? chosen : undefined, lists: lists.sort(byName) })
      }),
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

const noLists: PrivacyLists = { defaultName: undefined, lists: [] }

const byName = (a: { name: string }, b: { name: string }) => (a.name < b.name ? -1 : 1)

const isRoot = (ns: string, name: string) => (fragment: PrivateFragment) => fragment.ns === ns && fragment.name === name
