/*
 * The composition root: puts a server together, step by step, and takes it apart again. With `composition/` the only part that knows every part.
 */
import { readFileSync } from 'node:fs'
import { Backlog } from './actors/backlog.js'
import { startBranch } from './actors/root.js'
import {
  type ActorInfo,
  createRuntime,
  type FaultEvent,
  type InspectOptions,
  inspect,
  type NactReference,
  type Runtime,
  type RuntimeOptions,
  spawnActor,
  stopTree,
} from './actors/runtime/index.js'
import { StorageActor } from './actors/storage.js'
import { longLived } from './actors/supervision.js'
import { AccessRules } from './auth/access-rules.js'
import { type Authenticator, createAuthenticator, serverSecret } from './auth/authenticate.js'
import { createPasswordLogin } from './auth/password-login.js'
import type { Address, Base, ServerOptions, Undo } from './composition/base.js'
import { federate } from './composition/federation.js'
import { type Component, type ComponentReceiver, localComponents } from './composition/local-components.js'
import type { ServerMetrics } from './composition/metrics.js'
import { startAllModules } from './composition/modules.js'
import { startRemovals } from './composition/removals.js'
import { configFor } from './config/for-host.js'
import type { Config } from './config/root.js'
import { accountRequests } from './control/account-requests.js'
import { introspectionRequests } from './control/introspection-requests.js'
import { type ControlServer, serveControl } from './control/socket.js'
import { userRequests } from './control/user-requests.js'
import type { RunningModules } from './modules/index.js'
import { systemClock } from './observability/clock.js'
import { type Counters, createCounters } from './observability/counters.js'
import { type Emit, silentEvents, thrown } from './observability/events.js'
import { createSizes } from './observability/metrics/figures.js'
import { StartupError } from './observability/startup-error.js'
import type { ServerStatus } from './observability/status.js'
import type { Introspection } from './operations/introspection.js'
import type { OperationServices } from './operations/services.js'
import { StanzaError } from './protocols/errors.js'
import { Jid } from './protocols/jid.js'
import { NS } from './protocols/namespaces.js'
import { Stanza } from './protocols/stanza/stanza.js'
import { createRouting } from './routing/router.js'
import type { Routing } from './routing/services.js'
import { endSessions, removeAccount } from './routing/session-lifecycle.js'
import { SessionRegistry } from './sessions/registry.js'
import { Rosters } from './sessions/rosters.js'
import { lockDataDir } from './storage/data-dir.js'
import { openStore } from './storage/open.js'
import type { RestartableStore, StoreUnavailable } from './storage/store.js'

export type { Address, HostActor, HostSystem, ServerOptions } from './composition/base.js'
export type { Component, ComponentHandler, ComponentReceiver } from './composition/local-components.js'

/** A server that runs. */
export interface Server {
  /** Where it listens, in the order of the configuration. */
  readonly addresses: readonly Address[]
  /** Sends a stanza, given as XML with `from` and `to`, on its way. Throws when it is none. */
  route(xml: string): void
  /** Shows every stanza that a client sends, as XML; the returned function ends that. */
  onStanza(handler: (xml: string) => void): () => void
  /**
   * Serves a domain from inside this process, beside the components that connect (XEP-0114). Throws when the name is no domain, or
   * when something else serves it.
   */
  component(domain: string, receiver: ComponentReceiver): Component
  /**
   * Takes back what a module has registered and starts it anew, with the options it has: on one virtual host, or on all where it runs.
   * Its stanzas find it missing meanwhile. A module of a `package` is not read from its file again. Resolves when it runs; rejects when there is
   * no such module, when it does not run, and when its start throws more often than its supervisor allows (5 times in 10 seconds).
   */
  restartModule(name: string, host?: string): Promise<void>
  /** The actor tree from `path` (`/root/listeners`; root by default) down. */
  tree(path?: string, options?: InspectOptions): ActorInfo | undefined
  /** What it says of itself: its state, its addresses, what it has counted. */
  status(): ServerStatus
  /**
   * Reads the files of every `tls` table again. New handshakes use what they hold now; where something is wrong with them,
   * what was read before stays, and an event says so. Connections live on. Resolves when all listeners are done.
   */
  reloadCertificates(): Promise<void>
  /** Drains: no new connections, `system-shutdown` to the clients, then the store. Idempotent; resolves when all is closed. */
  stop(reason?: string): Promise<void>
}

/** What `startServer` hands to tests besides the server. */
export interface Internals {
  /** Where its actors live. */
  readonly runtime: Runtime
  readonly store: RestartableStore
  readonly authenticator: Authenticator
  readonly sessions: SessionRegistry
}

export const software = { name: 'Meerkat', url: 'https://example.org/meerkat', version: packageVersion() }

/** Starts a server. Rejects with StartupError for what the user can mend, and leaves nothing behind then. */
export async function createServer(
  config: Config,
  options: ServerOptions = {},
): Promise<Server & { internals: Internals }> {
  const undos: (() => void | Promise<void>)[] = []
  const undoAll = async () => {
    for (const undo of undos.splice(0).reverse()) await undo()
  }
  try {
    return await start(config, options, undo => undos.push(undo), undoAll)
  } catch (error) {
    await undoAll()
    throw error
  }
}

async function start(config: Config, options: ServerOptions, later: Undo, undoAll: () => Promise<void>) {
  const clock = options.clock ?? systemClock
  const { emit } = options.events ?? silentEvents
  const counters = createCounters()
  const startedAt = clock.now()
  let state: ServerStatus['state'] = 'starting'
  emit('server.starting', { version: software.version, node: process.version, pid: process.pid })

  // Until there is a server to stop, the tree ends at once, and with it the start.
  let onStopAsked = () => void stopTree(runtime.root, 'shutdown')
  const runtime = startRuntime(options, {
    clock,
    onFault: fault => tellFault(fault, counters, emit),
    onStopAsked: () => onStopAsked(),
  })
  later(() => stopTree(runtime.root, 'shutdown', config.general.shutdown_timeout))
  const onBug = (error: unknown) => emit('server.bug', thrown(error))
  const reloads: (() => Promise<void>)[] = []
  const onReload = (reload: () => Promise<void>) => void reloads.push(reload)
  const backlog = new Backlog()
  const sizes = showsMetrics(config) ? createSizes() : undefined
  const base: Base = { config, options, clock, emit, counters, sizes, runtime, backlog, onBug, later, onReload }

  // What the listeners take is loaded while the store's worker starts.
  const [store, { startListeners }, { watchReplaced }] = await Promise.all([
    startStorage(base),
    import('./composition/listeners.js'),
    import('./composition/replaced-sessions.js'),
  ])
  const sessions = new SessionRegistry()
  const authenticator = await startAuthentication(base, store, sessions)
  const rules = accessRules(config)
  let federation: Awaited<ReturnType<typeof federate>>
  const routing = startRouting(base, rules, store, sessions, authenticator, {
    remote(stanza) {
      federation?.send(stanza)
      return federation !== undefined
    },
    onReplaced: session => watchReplaced(base, session),
  })
  const running = startAllModules(base, software, rules, store, routing, authenticator)
  federation = await federate(base, rules, routing)
  await startRemovals(base, store, routing)
  const component = localComponents(base, routing)
  const addresses: Address[] = []
  const status = (): ServerStatus => ({
    version: software.version,
    node: process.version,
    pid: process.pid,
    state,
    hosts: config.general.hosts,
    uptimeMs: Math.round(clock.now() - startedAt),
    sessions: sessions.count,
    connections: counters.connectionsNow,
    memory: process.memoryUsage(),
    listeners: addresses,
    counters,
  })
  const health = () => (state === 'running' ? (store.isOpen ? 'ok' : 'storage') : state)
  const operations = operationServices(base, store, routing, authenticator, running)
  let measured: Promise<ServerMetrics> | undefined
  const metrics = () =>
    (measured ??= import('./composition/metrics.js').then(({ serverMetrics }) =>
      serverMetrics(base, routing, store, startedAt),
    ))
  let shown: Promise<Introspection> | undefined
  const introspection = () =>
    (shown ??= import('./composition/introspection.js').then(({ introspect }) => introspect(base, operations, status)))
  addresses.push(
    ...(await startListeners(
      base,
      rules,
      routing,
      running,
      authenticator,
      federation,
      health,
      operations,
      metrics,
      introspection,
    )),
  )
  await startControl(base, operations, authenticator, status, introspection)
  if (runtime.root.isStopping) throw new StartupError('system', 'the nact system was stopped while the server started')
  onStopAsked = () => void server.stop('system')
  state = 'running'
  emit('server.ready', { ms: Math.round(clock.now() - startedAt) })

  // One after the other, so that the newest files win.
  let reloaded = Promise.resolve()
  let stopping: Promise<void> | undefined
  void runtime.ended.then(async reason => {
    if (stopping !== undefined) return
    await server.stop('failed')
    options.onFailed?.(new Error(`the actor tree gave up: ${reason}`))
  })
  const stop = async (reason: string) => {
    const since = clock.now()
    state = 'draining'
    emit('server.stopping', { reason })
    await undoAll()
    emit('server.stopped', { ms: Math.round(clock.now() - since) })
  }
  const server = {
    addresses,
    status,
    tree: (path?: string, inspectOptions?: InspectOptions) => inspect(runtime, path, inspectOptions),
    route(xml: string) {
      const stanza = Stanza.parse(xml)
      if (stanza.from === undefined || stanza.to === undefined) throw new Error('a stanza needs from and to')
      void routing.route(stanza)
    },
    onStanza(handler: (xml: string) => void) {
      const ends = config.general.hosts.map(host =>
        routing.hooksOf(host).sent.observe({}, stanza => handler(stanza.toString())),
      )
      return () => {
        for (const end of ends) end()
      }
    },
    component,
    restartModule: running.restart,
    reloadCertificates() {
      reloaded = reloaded.then(async () => {
        for (const reload of reloads) await reload()
      })
      return reloaded
    },
    stop: (reason = 'stop') => (stopping ??= stop(reason)),
    internals: { runtime, store, authenticator, sessions },
  }
  return server
}

// ---- the steps

/** The tree, in the system of the program around the server where there is one. */
function startRuntime({ system, rootName }: ServerOptions, options: RuntimeOptions): Runtime {
  const name = rootName === undefined ? {} : { name: rootName }
  if (system === undefined) return createRuntime({ ...options, ...name })
  try {
    return createRuntime({ ...options, ...name, system: system as NactReference }) // it throws for what is none
  } catch (error) {
    throw new StartupError('system', `the server cannot join the nact system: ${thrown(error).error}`, { cause: error })
  }
}

/** Whether a handler shows what is measured: else it costs nothing. */
const showsMetrics = ({ listen }: Config) =>
  listen.http.some(({ handlers: { mongoose_api, mongoose_prometheus_handler, meerkat_health } }) =>
    [mongoose_api, mongoose_prometheus_handler, meerkat_health].flat().some(mounted => mounted !== undefined),
  )

/** The data folder, the store, and the actor that owns it. */
async function startStorage({ config, options, clock, emit, runtime, later }: Base): Promise<RestartableStore> {
  let owner: StorageActor | undefined
  const onFailure = (error: StoreUnavailable) => owner?.tell({ type: 'lost', error })
  const open = () => {
    if (options.inMemory === true) return openStore({}, ':memory:', onFailure)
    const folder = lockDataDir(config.general.data_dir)
    later(() => folder.release())
    return openStore(config.outgoing_pools, folder.database, onFailure)
  }
  const store = await open()
  // Behind everything that may still have something to store, before the folder is anybody else's.
  later(() => store.close())
  const branch = startBranch(runtime, 'storage')
  spawnActor(
    branch,
    init => {
      owner = new StorageActor(init, store, clock, emit)
      return owner
    },
    { name: 'store', policy: longLived },
  )
  return store
}

async function startAuthentication(
  { config, clock, emit, later }: Base,
  store: RestartableStore,
  sessions: SessionRegistry,
): Promise<Authenticator> {
  const hosts = new Map(config.general.hosts.map(host => [host, configFor(config, host).auth]))
  const asksByHttp = [...hosts.values()].some(({ methods }) => methods.includes('http'))
  const pools = asksByHttp ? await import('./auth/http-pool.js') : undefined
  const authenticator = createAuthenticator({
    store,
    hosts,
    secret: await serverSecret(store),
    isOnline: (user, host) => sessions.isConnected(`${user}@${host}`),
    clock,
    ...(pools && { httpPool: (host: string) => pools.authHttpPool(config.outgoing_pools, host, clock) }),
    onBackEndFailure: (host, method, error) => emit('auth.backendFailed', { host, method, error }),
  })
  later(() => authenticator.stop())
  await authenticator.start()
  return authenticator
}

function startRouting(
  base: Base,
  rules: AccessRules,
  store: RestartableStore,
  sessions: SessionRegistry,
  accounts: Authenticator,
  outward: Pick<Routing, 'remote' | 'onReplaced'>,
): Routing {
  const { config, onBug } = base
  const routing = createRouting({
    hosts: config.general.hosts,
    sessions,
    rosters: new Rosters(store.rosters),
    accounts,
    onBug,
    maxSessions: account => limitOf(rules.value('max_user_sessions', account, account.domain), 100),
    ...outward,
  })
  for (const domain of config.general.hosts) {
    for (const target of ['host', 'account'] as const) {
      // RFC 3921 §3: clients of that age wait for the answer; there is nothing left to do. spec/listeners.md §3.1.6
      const session = { domain, target, type: 'set', ns: NS.session, name: 'session' } as const
      routing.iq.register({ ...session, handler: () => undefined })
      // RFC 6120 §7.6.3: one stream, one resource.
      const bind = { domain, target, type: 'set', ns: NS.bind, name: 'bind' } as const
      routing.iq.register({
        ...bind,
        handler() {
          throw new StanzaError('not-allowed')
        },
      })
    }
  }
  return routing
}

/** `[acl]` and `[access]`, with what `[[host_config]]` adds. */
function accessRules(config: Config): AccessRules {
  const own = config.host_config.map(({ host, acl = {}, access = {} }) => [host, { acl, access }] as const)
  return new AccessRules(config.general.hosts, config, new Map(own))
}

/** A limit that an access rule gives; `whenUnset` when it gives none. spec/listeners.md §2.3 */
function limitOf(value: string | number | undefined, whenUnset: number): number {
  if (value === 'infinity') return Number.POSITIVE_INFINITY
  return typeof value === 'number' ? value : whenUnset
}

function operationServices(
  { config, clock, emit, counters }: Base,
  store: RestartableStore,
  routing: Routing,
  authenticator: Authenticator,
  running: RunningModules,
): OperationServices {
  const modules = new Map(config.general.hosts.map(host => [host, configFor(config, host).modules]))
  return {
    routing,
    store,
    clock,
    emit,
    accounts: {
      ...authenticator,
      login: createPasswordLogin({ authenticator, clock, emit, counters }),
      async create(user, host, password) {
        const made = await authenticator.create(user, host, password)
        if (made === 'created') routing.hooksOf(host).counters.modRegisterCount++
        return made
      },
      // The sessions of a removed account end with it.
      remove: (user, host) => {
        const account = Jid.of(user, host)
        return account === undefined
          ? Promise.resolve(false)
          : removeAccount(routing, account, () => authenticator.remove(user, host))
      },
    },
    modulesOf: host => modules.get(host),
    offered: running.offered,
  }
}

async function startControl(
  { config, options, emit, later }: Base,
  { accounts, routing, store }: OperationServices,
  authenticator: Authenticator,
  status: () => ServerStatus,
  introspection: () => Promise<Introspection>,
): Promise<void> {
  if (options.inMemory === true) return
  const control: ControlServer = await serveControl(
    config.general.data_dir,
    {
      status,
      ...introspectionRequests(introspection),
      ...userRequests(accounts),
      ...accountRequests({
        store,
        users: authenticator,
        changed(account) {
          routing.rosters.forget(account)
          return routing.hooksOf(account.domain).accountChanged.emit(account)
        },
        imported: account => endSessions(routing, account, 'reset', 'The account was imported'),
      }),
    },
    emit,
  )
  later(() => control.close())
}

function tellFault({ path, error, action }: FaultEvent, counters: Counters, emit: Emit): void {
  const where = path ?? 'runtime'
  counters.actorFaults++
  emit('actor.faulted', { path: where, ...thrown(error) })
  if (action === 'restart') {
    counters.actorRestarts++
    emit('actor.restarted', { path: where })
  }
  if (action === 'escalate') emit('actor.escalated', { path: where, error: thrown(error).error })
}

/** The version that package.json gives. */
function packageVersion(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8')
  return String((JSON.parse(text) as { version?: unknown }).version) // package.json is an object
}
