import { expect } from 'vitest'
import { startModuleActor } from '../../src/actors/module-actor.js'
import { type Supervisor, startBranch } from '../../src/actors/root.js'
import { createRuntime } from '../../src/actors/runtime/index.js'
import { type HostModules, modules, type RunningModules, startModules } from '../../src/modules/index.js'
import type { ModuleServices } from '../../src/modules/module.js'
import type { StreamCondition } from '../../src/protocols/errors.js'
import { Jid } from '../../src/protocols/jid.js'
import { Stanza } from '../../src/protocols/stanza/stanza.js'
import { handleClientStanza } from '../../src/routing/client-stanzas.js'
import { createRouting } from '../../src/routing/router.js'
import type { Routing, RoutingOptions } from '../../src/routing/services.js'
import { closeSession, openSession } from '../../src/routing/session-lifecycle.js'
import { SessionRegistry } from '../../src/sessions/registry.js'
import { Rosters } from '../../src/sessions/rosters.js'
import type { Session } from '../../src/sessions/session.js'
import type { RosterItem } from '../../src/storage/store.js'
import { ManualClock } from './clock.js'
import { MemoryStore } from './memory-store.js'
import { contains, parseXml } from './xml.js'

/*
 * Routing, presence and modules without sockets: sessions that record what they are given, and a store in memory.
 */

export const montague = 'montague.example'
export const capulet = 'capulet.example'

export function jid(text: string): Jid {
  const found = Jid.parse(text)
  if (!found) throw new Error(`not a JID: ${text}`)
  return found
}

export function stanza(xml: string): Stanza {
  return Stanza.parse(xml)
}

/** A session that keeps what it was given. */
export class RecordingSession implements Session {
  readonly jid: Jid
  readonly node = 'here'
  peer: { address: string; port: number } | undefined = { address: '192.0.2.7', port: 49_152 }
  priority = 0
  presence: string | undefined = undefined
  isInterested = false
  directed: Set<string> | undefined = undefined
  readonly waitingStanzas: number = 0
  /** False: it takes nothing more. */
  takes = true
  ended: { condition: StreamCondition; text: string | undefined } | undefined
  #received: Stanza[] = []

  constructor(text: string) {
    this.jid = jid(text)
  }

  deliver(stanza: Stanza): boolean {
    if (this.takes) this.#received.push(stanza)
    return this.takes
  }

  end(condition: StreamCondition, text?: string): void {
    this.ended = { condition, text }
  }

  /** What arrived since it was last looked at. */
  take(): string[] {
    const taken = this.#received.map(String)
    this.#received = []
    return taken
  }
}

/** A connected client: what it says goes through the server as a connection would send it. */
export class Client extends RecordingSession {
  readonly #routing: Routing

  constructor(routing: Routing, text: string) {
    super(text)
    this.#routing = routing
  }

  /** Sends a stanza; resolves when the server has done what it does for it. */
  async sends(xml: string): Promise<void> {
    const element = parseXml(xml, 'jabber:client')
    element.parent = null
    element.attrs.from = this.jid.text
    await handleClientStanza(this.#routing, this, Stanza.fromElement(element))
    await settled()
  }

  /** What arrived since the last look is this, in this order, each at least what the pattern says. */
  receives(...patterns: string[]): void {
    expectXml(this.take(), patterns)
  }

  /** Connected and available, with its roster asked for, and what that brought looked at. */
  async arrives(priority = 0): Promise<this> {
    this.isInterested = true
    await this.sends(priority === 0 ? '<presence/>' : `<presence><priority>${priority}</priority></presence>`)
    this.take()
    return this
  }

  async leaves(status?: string): Promise<void> {
    closeSession(this.#routing, this, status)
    await settled()
  }
}

export interface World {
  readonly store: MemoryStore
  readonly clock: ManualClock
  readonly routing: Routing
  readonly services: ModuleServices
  /** Errors that were nobody's expected answer. */
  readonly bugs: unknown[]
  readonly running: RunningModules
  /** Makes accounts by bare JID. */
  register(...accounts: string[]): Promise<void>
  /** Opens a session of an account, which is made if it is not there. */
  connect(full: string): Promise<Client>
  /** Sends a stanza from somewhere else: another server, a component, the server itself. */
  arrives(xml: string): Promise<void>
  /** Puts roster items of an account into the store. */
  roster(account: string, ...items: (Partial<RosterItem> & { jid: string })[]): Promise<void>
}

export interface WorldOptions {
  hosts?: string[]
  /** Options of the modules that run on every host; none when absent. */
  modules?: HostModules
  routing?: Partial<RoutingOptions>
  services?: Partial<ModuleServices>
}

/** A server's inside. */
export function world(options: WorldOptions = {}): World {
  const store = new MemoryStore()
  const clock = new ManualClock()
  const bugs: unknown[] = []
  const hosts = options.hosts ?? [montague, capulet]
  const rosters = new Rosters(store.rosters)
  const routing = createRouting({
    hosts,
    sessions: new SessionRegistry(),
    rosters,
    accounts: { exists: (user, host) => store.accounts.exists(user, host) },
    onBug: error => void bugs.push(error),
    ...options.routing,
  })
  let modulesBranch: Supervisor | undefined
  const branch = () => {
    const runtime = () => createRuntime({ clock, onFault: ({ error }) => void bugs.push(error) })
    modulesBranch ??= startBranch(runtime(), 'modules')
    return modulesBranch
  }
  const services: ModuleServices = {
    routing,
    store,
    clock,
    language: 'en',
    registrationTimeout: 'infinity',
    software: { name: 'Meerkat', version: '0.0.0', url: 'https://meerkat.example/' },
    access: () => undefined,
    queueLimit: undefined,
    shaperRate: () => undefined,
    supervise: module => startModuleActor(branch(), module),
    accounts: {
      exists: (user, host) => store.accounts.exists(user, host),
      create: async (user, host, password) =>
        (await store.accounts.create(user, host, { scram: {}, password })) ? 'created' : 'exists',
      setPassword: async (user, host, password) =>
        (await store.accounts.setCredentials(user, host, { scram: {}, password })) ? 'changed' : 'not-found',
      remove: (user, host) => store.accounts.remove(user, host),
    },
    ...options.services,
  }
  const parsed = Object.fromEntries(
    Object.entries(options.modules ?? {}).map(([name, given]) => [
      name,
      modules.find(module => module.name === name)!.config.parse(given),
    ]),
  )
  const running = startModules(services, new Map(hosts.map(host => [host, parsed])))

  async function register(...accounts: string[]) {
    for (const account of accounts) {
      await store.accounts.create(jid(account).local, jid(account).domain, { scram: {} })
    }
  }
  return {
    store,
    clock,
    routing,
    services,
    bugs,
    running,
    register,
    async connect(full) {
      const client = new Client(routing, full)
      await register(client.jid.bareText)
      openSession(routing, client)
      await settled()
      return client
    },
    async arrives(xml) {
      await routing.route(stanza(xml))
      await settled()
    },
    async roster(account, ...items) {
      const put = items.map(item => ({
        name: '',
        subscription: 'none' as const,
        ask: false,
        approved: false,
        groups: [],
        ...item,
      }))
      await rosters.change(jid(account), () => ({ change: { put }, committed: () => undefined }))
    },
  }
}

/** Everything that was started without being waited for is done. */
export function settled(): Promise<void> {
  return new Promise(resolve => setImmediate(resolve))
}

/** As many texts as patterns, each with at least what its pattern says, however it is written. */
export function expectXml(texts: readonly string[], patterns: readonly string[]): void {
  const matches = (xml: string, i: number) =>
    contains(parseXml(xml, 'jabber:client'), parseXml(patterns[i]!, 'jabber:client'))
  if (texts.length !== patterns.length || !texts.every(matches)) expect(texts).toEqual(patterns)
}
