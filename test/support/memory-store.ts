import {
  type AccountRemoval,
  type AccountRepository,
  type ArchiveEntry,
  type ArchiveFilter,
  type ArchivePreferences,
  type ArchiveRepository,
  type Credentials,
  type LastActivity,
  type LastActivityRepository,
  type MucAffiliation,
  type MucLightRoom,
  type MucListing,
  type MucRoom,
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
  readonly #removals = new Map<string, AccountRemoval>()
  readonly #rosters = new Map<string, Roster>()
  readonly #offline = new Map<string, { id: number; xml: string }[]>()
  readonly #privateXml = new Map<string, readonly PrivateFragment[]>()
  readonly #vcards = new Map<string, { xml: string; fields: VcardField[] }>()
  readonly #lastActivity = new Map<string, LastActivity>()
  readonly #privacy = new Map<string, PrivacyLists>()
  readonly #archive = new Map<string, ArchiveEntry[]>()
  readonly #archivePreferences = new Map<string, ArchivePreferences>()
  readonly #mucLightRooms = new Map<string, MucLightRoom>()
  /** Each block as its kind and its JID, in their order. */
  readonly #mucLightBlocks = new Map<string, string[]>()
  readonly #mucRooms = new Map<string, MucRoom & { listing: MucListing }>()
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
        if (this.#accounts.has(key)) {
          const { items, requests } = this.#roster(key)
          this.#removals.set(key, { user, items, requests: requests.map(({ jid }) => jid) })
        }
        this.#rosters.delete(key)
        for (const table of [this.#offline, this.#privateXml, this.#vcards, this.#lastActivity, this.#privacy]) {
          table.delete(key)
        }
        for (const table of [this.#archive, this.#archivePreferences]) table.delete(key)
        return this.#accounts.delete(key)
      }),
    unfinishedRemovals: (host, { after = '', limit }) =>
      this.#do('accounts.unfinishedRemovals', '', host, () =>
        [...this.#removals]
          .filter(([key, { user }]) => key.endsWith(`@${host}`) && user > after)
          .map(([, removal]) => removal)
          .sort((a, b) => (a.user < b.user ? -1 : 1))
          .slice(0, limit),
      ),
    finishRemoval: (user, host) =>
      this.#do('accounts.finishRemoval', user, host, key => void this.#removals.delete(key)),
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
        return this.#lastOfflineId
      }),
    page: (user, host, { after, limit }) =>
      this.#do('offline.page', user, host, key =>
        (this.#offline.get(key) ?? []).filter(({ id }) => id > after).slice(0, limit),
      ),
    remove: (user, host, ids) =>
      this.#do('offline.remove', user, host, key => {
        this.#offline.set(
          key,
          (this.#offline.get(key) ?? []).filter(({ id }) => !ids.includes(id)),
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
    list: (user, host, { after, limit }) =>
      this.#do('privateXml.list', user, host, key => {
        const keyOf = ({ ns, name }: Pick<PrivateFragment, 'ns' | 'name'>) => `${ns} ${name}`
        return (this.#privateXml.get(key) ?? [])
          .filter(fragment => keyOf(fragment) > keyOf(after))
          .sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1))
          .slice(0, limit)
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

  readonly archive: ArchiveRepository = {
    append: entry =>
      this.#do('archive.append', entry.user, entry.host, key => {
        this.#archive.set(key, [...(this.#archive.get(key) ?? []), { ...entry, xml: Buffer.from(entry.xml) }])
      }),
    insert: (user, host, entries) =>
      this.#do('archive.insert', user, host, key => {
        const before = this.#archive.get(key) ?? []
        const added = entries.filter(({ id }) => !before.some(entry => entry.id === id))
        const all = [...before, ...added.map(entry => ({ ...entry, user, host }))]
        this.#archive.set(
          key,
          all.sort((a, b) => (a.id < b.id ? -1 : 1)),
        )
        return added.length
      }),
    page: (user, host, { limit, isLast = false, known = [], ...filter }) =>
      this.#do('archive.page', user, host, key => {
        const all = this.#archive.get(key) ?? []
        if (!known.every(id => all.some(entry => entry.id === id))) return undefined
        const found = all.filter(meets(filter))
        return isLast ? found.slice(Math.max(0, found.length - limit)) : found.slice(0, limit)
      }),
    pick: (user, host, ids, filter) =>
      this.#do('archive.pick', user, host, key => {
        const all = this.#archive.get(key) ?? []
        if (!ids.every(id => all.some(entry => entry.id === id))) return undefined
        return all.filter(entry => ids.includes(entry.id) && meets(filter)(entry))
      }),
    replace: (user, host, id, xml) =>
      this.#do('archive.replace', user, host, key => {
        const found = this.#archive.get(key)?.find(entry => entry.id === id)
        if (found) found.xml = Buffer.from(xml)
        return found !== undefined
      }),
    forget: (user, host) => this.#do('archive.forget', user, host, key => void this.#archive.delete(key)),
    count: (user, host, filter, limit) =>
      this.#do('archive.count', user, host, key =>
        Math.min(limit, (this.#archive.get(key) ?? []).filter(meets(filter)).length),
      ),
    ends: (user, host) =>
      this.#do('archive.ends', user, host, key => {
        const all = this.#archive.get(key) ?? []
        return all.length === 0 ? undefined : { first: all[0]!.id, last: all.at(-1)!.id }
      }),
    expire: (host, { before }) =>
      this.#do('archive.expire', '', host, () => {
        for (const [key, all] of this.#archive) {
          this.#archive.set(
            key,
            all.filter(entry => entry.host !== host || entry.id >= before),
          )
        }
        return undefined
      }),
    preferences: (user, host) =>
      this.#do('archive.preferences', user, host, key => structuredClone(this.#archivePreferences.get(key))),
    setPreferences: (user, host, preferences) =>
      this.#do('archive.setPreferences', user, host, key => {
        this.#archivePreferences.set(key, structuredClone(preferences))
      }),
  }

  readonly mucLight: Store['mucLight'] = {
    load: (service, room, known) =>
      this.#do('mucLight.load', room, service, key => {
        const found = this.#mucLightRooms.get(key)
        return found !== undefined && found.version === known ? 'current' : structuredClone(found)
      }),
    create: (service, room, state, roomsPerUser) =>
      this.#do('mucLight.create', room, service, key => {
        if (this.#mucLightRooms.has(key)) return 'exists'
        if (state.occupants.some(({ jid }) => this.#mucLightRoomsOf(service, jid).length >= roomsPerUser)) return 'full'
        this.#mucLightRooms.set(key, structuredClone(state))
        this.#archive.delete(key)
        return 'done'
      }),
    update: (service, room, before, change, roomsPerUser) =>
      this.#do('mucLight.update', room, service, key => {
        const found = this.#mucLightRooms.get(key)
        if (found?.version !== before) return 'stale'
        const { version, configuration = found.configuration, put = [], remove = [] } = structuredClone(change)
        const isNew = (jid: string) => found.occupants.every(occupant => occupant.jid !== jid)
        if (put.some(({ jid }) => isNew(jid) && this.#mucLightRoomsOf(service, jid).length >= roomsPerUser))
          return 'full'
        const replaced = new Set([...remove, ...put.map(({ jid }) => jid)])
        const occupants = [...found.occupants.filter(({ jid }) => !replaced.has(jid)), ...put]
        this.#mucLightRooms.set(key, { version, configuration, occupants })
        return 'done'
      }),
    remove: (service, room, before) =>
      this.#do('mucLight.remove', room, service, key => {
        if (this.#mucLightRooms.get(key)?.version !== before) return false
        this.#archive.delete(key)
        return this.#mucLightRooms.delete(key)
      }),
    roomsOf: (service, jid, { limit, after, before, index = 0 }) =>
      this.#do('mucLight.roomsOf', jid, service, () => {
        const all = this.#mucLightRoomsOf(service, jid)
        const at = (room: string | undefined) => all.findIndex(other => other.room === room)
        if ((after !== undefined && at(after) < 0) || (before && at(before) < 0)) return undefined
        if (index > 0 && index >= all.length) return undefined
        const end = before === undefined ? undefined : before === '' ? all.length : at(before)
        const start = end === undefined ? (after === undefined ? index : at(after) + 1) : Math.max(0, end - limit)
        const rooms = structuredClone(all.slice(start, end ?? start + limit))
        return { count: all.length, index: rooms.length === 0 ? 0 : start, rooms }
      }),
    standing: (service, jids, blocks) =>
      this.#do('mucLight.standing', '', service, () =>
        jids.map(jid => {
          const blocked = this.#mucLightBlocks.get(`${service} ${jid}`) ?? []
          const isBlocking = blocks.some(({ kind, jid: other }) => blocked.includes(`${kind} ${other}`))
          return { rooms: this.#mucLightRoomsOf(service, jid).length, isBlocking }
        }),
      ),
    blocked: (service, jid) =>
      this.#do('mucLight.blocked', jid, service, () =>
        (this.#mucLightBlocks.get(`${service} ${jid}`) ?? []).map(text => {
          const [kind, other] = text.split(' ') as ['room' | 'user', string]
          return { kind, jid: other }
        }),
      ),
    block: (service, jid, put, remove) =>
      this.#do('mucLight.block', jid, service, () => {
        const blocked = new Set(this.#mucLightBlocks.get(`${service} ${jid}`))
        for (const block of remove) blocked.delete(`${block.kind} ${block.jid}`)
        for (const block of put) blocked.add(`${block.kind} ${block.jid}`)
        this.#mucLightBlocks.set(`${service} ${jid}`, [...blocked].sort())
      }),
  }

  #mucLightRoomsOf(service: string, jid: string) {
    return [...this.#mucLightRooms]
      .filter(([key, { occupants }]) => key.endsWith(`@${service}`) && occupants.some(one => one.jid === jid))
      .map(([key, { version, configuration }]) => ({ room: key.slice(0, -service.length - 1), version, configuration }))
      .sort((a, b) => (a.room < b.room ? -1 : 1))
  }

  readonly muc: Store['muc'] = {
    load: (service, room) =>
      this.#do('muc.load', room, service, key => {
        const found = this.#mucRooms.get(key)
        if (found === undefined) return undefined
        const { listing, ...state } = found
        // What goes through JSON.
        return JSON.parse(JSON.stringify(state)) as MucRoom
      }),
    create: (service, room, state) =>
      this.#do('muc.create', room, service, key => {
        if (this.#mucRooms.has(key)) return false
        this.#mucRooms.set(key, structuredClone(state))
        this.#archive.delete(key)
        return true
      }),
    update: (service, room, change) =>
      this.#do('muc.update', room, service, key => {
        const found = this.#mucRooms.get(key)
        if (found === undefined) return false
        const { configured, put = [], remove = [], ...parts } = structuredClone(change)
        const replaced = new Set([...remove, ...put.map(({ jid }) => jid)])
        const affiliations: MucAffiliation[] = [...found.affiliations.filter(one => !replaced.has(one.jid)), ...put]
        this.#mucRooms.set(key, { ...found, ...configured, ...parts, affiliations })
        return true
      }),
    remove: (service, room) =>
      this.#do('muc.remove', room, service, key => {
        this.#archive.delete(key)
        return this.#mucRooms.delete(key)
      }),
    removeTemporary: service =>
      this.#do('muc.removeTemporary', '', service, () => {
        for (const [key, { listing }] of this.#mucRooms) {
          if (!key.endsWith(`@${service}`) || listing.isPersistent) continue
          this.#mucRooms.delete(key)
          this.#archive.delete(key)
        }
      }),
    list: (service, { limit, after, before, index = 0 }) =>
      this.#do('muc.list', '', service, () => {
        const all = this.#mucRoomsOf(service, ({ listing }) => listing.isPublic)
        const found = all.filter(({ room }) => room > (after ?? '') && (!before || room < before))
        const page = before === undefined ? found.slice(after === undefined ? index : 0) : found.slice(-limit)
        const rooms = page.slice(0, limit)
        return { count: all.length, index: rooms[0] === undefined ? 0 : all.indexOf(rooms[0]), rooms }
      }),
    affiliated: (service, jid) =>
      this.#do('muc.affiliated', jid, service, () =>
        this.#mucRoomsOf(service, ({ affiliations }) => affiliations.some(one => one.jid === jid)).map(
          ({ room }) => room,
        ),
      ),
  }

  #mucRoomsOf(service: string, isMeant: (room: MucRoom & { listing: MucListing }) => boolean) {
    return [...this.#mucRooms]
      .filter(([key, room]) => key.endsWith(`@${service}`) && isMeant(room))
      .map(([key, { listing }]) => ({ room: key.slice(0, -service.length - 1), name: listing.name }))
      .sort((a, b) => (a.room < b.room ? -1 : 1))
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

const meets =
  ({ contact = '', resource = '', nick = '', after = '', before = '~' }: ArchiveFilter) =>
  (entry: ArchiveEntry) =>
    (contact === '' || entry.contact === contact) &&
    (resource === '' || entry.resource === resource) &&
    (nick === '' || entry.nick === nick) &&
    entry.id > after &&
    entry.id < before

const noLists: PrivacyLists = { defaultName: undefined, lists: [] }

const byName = (a: { name: string }, b: { name: string }) => (a.name < b.name ? -1 : 1)

const isRoot = (ns: string, name: string) => (fragment: PrivateFragment) => fragment.ns === ns && fragment.name === name
