/*
 * The composition root: puts a server together, step by step, and takes it apart again. The only file that knows every part.
 */
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Acceptor } from './actors/acceptor.js'
import { TransportAlarm } from './actors/alarm.js'
import { Backlog } from './actors/backlog.js'
import { type C2sServices, Connection } from './actors/connection.js'
import { HttpAcceptor } from './actors/http-acceptor.js'
import { Listener, type ListenerOptions, listenerName } from './actors/listener.js'
import { startBranch } from './actors/root.js'
import {
  type ActorInfo,
  createRuntime,
  type FaultEvent,
  type InspectOptions,
  inspect,
  type Runtime,
  spawnActor,
  stopTree,
} from './actors/runtime/index.js'
import { type Binding, openTcp } from './actors/socket.js'
import { StorageActor } from './actors/storage.js'
import { longLived } from './actors/supervision.js'
import { AccessRules } from './auth/access-rules.js'
import { type Authenticator, createAuthenticator, serverSecret } from './auth/authenticate.js'
import { createLogin } from './auth/login.js'
import { configFor } from './config/for-host.js'
import type { HttpListenerConfig } from './config/listen-http.js'
import type { C2sListenerConfig } from './config/listen-xmpp.js'
import type { Config } from './config/root.js'
import { type ControlRequest, type ControlServer, serveControl } from './control/socket.js'
import { userRequests } from './control/user-requests.js'
import { createHttpApp, type HttpHandler } from './http/app.js'
import { createDebugRoute } from './http/debug.js'
import { createHealthHandler } from './http/health.js'
import { createHttpServer } from './http/http-server.js'
import type { Route } from './http/pattern.js'
import { type RunningModules, startModules } from './modules/index.js'
import { type Clock, systemClock } from './observability/clock.js'
import { type Counters, createCounters } from './observability/counters.js'
import { type Emit, type Events, silentEvents, thrown } from './observability/events.js'
import { StartupError } from './observability/startup-error.js'
import type { ServerStatus } from './observability/status.js'
import { StanzaError } from './protocols/errors.js'
import { Jid } from './protocols/jid.js'
import { NS } from './protocols/namespaces.js'
import { Stanza } from './protocols/stanza/stanza.js'
import { handleClientStanza } from './routing/client-stanzas.js'
import { createRouting } from './routing/router.js'
import type { Routing } from './routing/services.js'
import { closeSession, openSession, removeAccount, reroute } from './routing/session-lifecycle.js'
import { SessionRegistry } from './sessions/registry.js'
import { Rosters } from './sessions/rosters.js'
import type { Session } from './sessions/session.js'
import { lockDataDir } from './storage/data-dir.js'
import { openSqliteStore, type SqliteStore } from './storage/sqlite/index.js'
import { ensureDevelopmentCertificate } from './tls/certificates.js'
import { serverSecureContext } from './tls/context.js'

export interface ServerOptions {
  /** Make development certificates where the files that the configuration names are missing. */
  readonly dev?: boolean
  readonly events?: Events
  readonly clock?: Clock
  /** Keep everything in memory: `data_dir` is not touched, and there is no control socket. */
  readonly inMemory?: boolean
  /** Called once when the tree gave up: an actor failed more often than its supervisors allow. The server has stopped by then. */
  readonly onFailed?: (error: Error) => void
}

export interface Address {
  /** In the actor tree. */
  readonly name: string
  readonly protocol: 'c2s' | 'http'
  readonly address: string
  readonly port: number
}

export interface Server {
  readonly addresses: readonly Address[]
  /** Sends a stanza, given as XML with `from` and `to`, on its way. Throws when it is none. */
  route(xml: string): void
  /** Shows every stanza that a client sends, as XML; the returned function ends that. */
  onStanza(handler: (xml: string) => void): () => void
  /** The actor tree from `path` (`/root/listeners`; root by default) down. */
  tree(path?: string, options?: InspectOptions): ActorInfo | undefined
  status(): ServerStatus
  /** Drains: no new connections, `system-shutdown` to the clients, then the store. Idempotent; resolves when all is closed. */
  stop(reason?: string): Promise<void>
}

/** For tests: makes the actor at that path fail as if its handler had thrown. */
export type Fault = (path: string, error: Error) => boolean

/** What `startServer` hands to tests besides the server. */
export interface Internals {
  readonly runtime: Runtime
  readonly store: SqliteStore
  readonly authenticator: Authenticator
  readonly sessions: SessionRegistry
}

export const software = { name: 'Meerkat', url: 'https://example.org/meerkat', version: packageVersion() }

/** Undone in the reverse order, each once, whether the start succeeded or not. */
type Undo = (undo: () => void | Promise<void>) => void

interface Base {
  readonly config: Config
  readonly options: ServerOptions
  readonly clock: Clock
  readonly emit: Emit
  readonly counters: Counters
  readonly runtime: Runtime
  readonly backlog: Backlog
  readonly onBug: (error: unknown) => void
  readonly later: Undo
}

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

  const runtime = createRuntime({ clock, onFault: fault => tellFault(fault, counters, emit) })
  later(() => stopTree(runtime.root, 'shutdown', config.general.shutdown_timeout))
  const onBug = (error: unknown) => emit('server.bug', thrown(error))
  const base: Base = { config, options, clock, emit, counters, runtime, backlog: new Backlog(), onBug, later }

  const store = await startStorage(base)
  const sessions = new SessionRegistry()
  const authenticator = await startAuthentication(base, store, sessions)
  const rules = accessRules(config)
  const routing = startRouting(base, rules, store, sessions, authenticator)
  const running = startAllModules(base, rules, store, routing, authenticator)
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
  addresses.push(...(await startListeners(base, routing, running, authenticator, health)))
  await startControl(base, routing, authenticator, status)
  state = 'running'
  emit('server.ready', { ms: Math.round(clock.now() - startedAt) })

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
    stop: (reason = 'stop') => (stopping ??= stop(reason)),
    internals: { runtime, store, authenticator, sessions },
  }
  return server
}

// ---- the steps

/** The data folder, the store, and the actor that owns it. */
async function startStorage({ config, options, clock, emit, runtime, later }: Base): Promise<SqliteStore> {
  let file = ':memory:'
  if (options.inMemory !== true) {
    const folder = lockDataDir(config.general.data_dir)
    later(() => folder.release())
    file = folder.database
  }
  let owner: StorageActor | undefined
  const store = await openSqliteStore({ file, onFailure: error => owner?.tell({ type: 'lost', error }) })
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
  { config }: Base,
  store: SqliteStore,
  sessions: SessionRegistry,
): Promise<Authenticator> {
  return createAuthenticator({
    store,
    hosts: new Map(config.general.hosts.map(host => [host, configFor(config, host).auth])),
    secret: await serverSecret(store),
    isOnline: (user, host) => sessions.isConnected(`${user}@${host}`),
  })
}

function startRouting(
  base: Base,
  rules: AccessRules,
  store: SqliteStore,
  sessions: SessionRegistry,
  accounts: Authenticator,
): Routing {
  const { config, onBug } = base
  const routing = createRouting({
    hosts: config.general.hosts,
    sessions,
    rosters: new Rosters(store.rosters),
    accounts,
    onBug,
    maxSessions: account => limitOf(rules.value('max_user_sessions', account, account.domain), 100),
    onReplaced: session => watchReplaced(base, session),
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

/** Warns when a session that was replaced lives on. `general.replaced_wait_timeout` */
function watchReplaced({ config, clock, emit, runtime }: Base, session: Session): void {
  const ms = configFor(config, session.jid.domain).general.replaced_wait_timeout
  emit('session.replaced', { jid: session.jid.text })
  const alarm = new TransportAlarm(runtime.deadlines, {
    timedOut() {
      if (session instanceof Connection && !session.isStopping) emit('session.lingering', { jid: session.jid.text, ms })
    },
  })
  alarm.arm(0, clock.now() + ms)
}

function startAllModules(
  base: Base,
  rules: AccessRules,
  store: SqliteStore,
  routing: Routing,
  authenticator: Authenticator,
): RunningModules {
  const { config, clock, later } = base
  const running = startModules(
    {
      routing,
      store,
      clock,
      accounts: { ...authenticator, exists: async (user, host) => authenticator.exists(user, host) },
      language: config.general.language,
      registrationTimeout: config.general.registration_timeout,
      software,
      access: (host, rule, jid) => rules.value(rule, jid, host),
    },
    new Map(config.general.hosts.map(host => [host, configFor(config, host).modules])),
  )
  later(() => running.stop())
  return running
}

async function startListeners(
  base: Base,
  routing: Routing,
  running: RunningModules,
  authenticator: Authenticator,
  health: () => 'ok' | 'starting' | 'draining' | 'storage',
): Promise<Address[]> {
  const { config, runtime, later } = base
  const branch = startBranch(runtime, 'listeners')
  // Before the modules: what sessions could not deliver is for them to keep.
  later(() => stopTree(branch, 'shutdown', config.general.shutdown_timeout))
  const bound: Promise<Address>[] = []
  for (const [index, listener] of config.listen.c2s.entries()) {
    const name = nameOf('c2s', listener, index)
    const services = await c2sServices(base, name, listener, routing, running, authenticator)
    const mailboxLimit = listener.max_fsm_queue ?? config.general.max_fsm_queue
    const connections: ConstructorParameters<typeof Acceptor>[3] = {
      mailboxLimit,
      hibernateAfter: listener.hibernate_after,
      make: (init, socket, peer) => new Connection(init, socket, peer, services),
    }
    const retries = { count: 10, everyMs: 100 }
    const address = listen(base, branch, name, 'c2s', listener, {
      acceptors: listener.num_acceptors,
      makeAcceptor: (init, admission, place) => new Acceptor(init, admission, place, connections),
      socket: { backlog: listener.backlog, retries, open: openTcp },
    })
    bound.push(address)
    // One after the other, in the order of the file.
    await address
  }
  for (const [index, listener] of config.listen.http.entries()) {
    const app = await httpApp(base, listener, health)
    const maxConnections = listener.transport.max_connections
    const address = listen(base, branch, nameOf('http', listener, index), 'http', listener, {
      acceptors: listener.transport.num_acceptors,
      makeAcceptor: (init, admission, place) => new HttpAcceptor(init, admission, place),
      socket: {
        backlog: 1024,
        retries: { count: 20, everyMs: 50 },
        open(admission) {
          const { server, close } = createHttpServer(app, { maxConnections, clock: base.clock })
          server.on('connection', socket => admission.admit(socket))
          return { server, close: () => close(config.general.shutdown_timeout) }
        },
      },
    })
    bound.push(address)
    await address
  }
  return Promise.all(bound)
}

type Bindable = Pick<C2sListenerConfig, 'ip_address' | 'ip_version' | 'port'>

const addressOf = ({ ip_address, ip_version }: Bindable) => ip_address ?? (ip_version === 6 ? '::' : '0.0.0.0')

const nameOf = (type: string, listener: Bindable, index: number) =>
  listenerName(type, addressOf(listener), listener.port, index)

interface ListenerParts extends Pick<ListenerOptions, 'acceptors' | 'makeAcceptor'> {
  readonly socket: Pick<Binding, 'backlog' | 'retries' | 'open'>
}

/** Starts a listener in the tree and resolves when its port is bound. */
function listen(
  { clock, emit }: Base,
  branch: ReturnType<typeof startBranch>,
  name: string,
  protocol: Address['protocol'],
  listener: Bindable,
  { acceptors, makeAcceptor, socket }: ListenerParts,
): Promise<Address> {
  return new Promise((resolve, reject) => {
    const where = () => ({ listener: name, address: binding.address, port: binding.port })
    const binding: Binding = {
      address: addressOf(listener),
      port: listener.port,
      wasBound: false,
      ...socket,
      onBound({ address, port }) {
        emit('listener.bound', { listener: name, address, port })
        resolve({ name, protocol, address, port })
      },
      onRetry: (attempt, error) => emit('listener.retrying', { ...where(), attempt, error: error.message }),
      onFailed(error) {
        emit('listener.failed', { ...where(), error: error.message })
        reject(bindFailure(binding, error))
      },
    }
    const options: ListenerOptions = { binding, acceptors, makeAcceptor, clock }
    spawnActor(branch, init => new Listener(init, options), { name, policy: longLived })
  })
}

function bindFailure({ address, port }: Binding, error: NodeJS.ErrnoException): StartupError {
  const place = `${address.includes(':') ? `[${address}]` : address}:${port}`
  if (error.code === 'EADDRINUSE') {
    return new StartupError('address-in-use', `${place} is in use by another program`, { cause: error })
  }
  return new StartupError('address-not-available', `${place} cannot be bound: ${error.code ?? error.message}`, {
    cause: error,
  })
}

async function c2sServices(
  base: Base,
  name: string,
  listener: C2sListenerConfig,
  routing: Routing,
  running: RunningModules,
  authenticator: Authenticator,
): Promise<C2sServices> {
  const { config, clock, emit, counters, runtime, onBug } = base
  const { general } = config
  const served = new Set(general.hosts)
  const secure = await certificateOf(base, listener)
  const mode = listener.tls?.mode
  const mayPlainInClear = mode === undefined || mode === 'starttls'
  if (mayPlainInClear && !isLoopback(addressOf(listener))) {
    emit('config.warning', { path: `listener ${name}`, text: 'clients may send passwords in clear text' })
  }
  const certificate = secure?.certificates[0]
  return {
    listener: name,
    node: 'local',
    environment: {
      defaultHost: general.hosts[0]!, // the schema wants one
      language: general.language,
      startTls: mode === 'starttls' ? 'offered' : mode === 'starttls_required' ? 'required' : 'none',
      // The host that a client means is not known yet. spec/listeners.md §2.1
      hidesServiceName: configFor(config, general.hosts[0]!).general.hide_service_name, // the schema wants one
      serves: host => served.has(host),
    },
    login: createLogin({ authenticator, mayPlainInClear, certificate, onBug }),
    transport: {
      flushLater: target => runtime.flushLater(target),
      now: () => clock.now(),
      traffic: counters,
      newAlarm: target => new TransportAlarm(runtime.deadlines, target),
    },
    emit,
    counters,
    backlog: base.backlog,
    isDirectTls: mode === 'tls',
    stanzaBytes: Math.min(listener.max_stanza_size ?? MAX_STANZA, MAX_STANZA),
    stateTimeout: listener.state_timeout,
    secure(transport, onSecured) {
      if (secure === undefined) throw new Error('TLS without a certificate')
      transport.secure(secure.context, { onSecured, alpn })
    },
    newStreamId: () => randomBytes(8).toString('hex'),
    newResource: () => `${randomBytes(8).toString('hex')}${clock.wall()}`,
    features: (host, isAuthenticated) => running.streamFeatures(host, { isAuthenticated }),
    offerIq: (host, iq, peer) => running.answerUnauthenticated(iq, host, peer.address),
    open(session) {
      // Its presence comes next and needs the roster; whoever needs it then is told what went wrong.
      const roster = routing.rosters.get(session.jid.bare)
      if (roster instanceof Promise) roster.catch(() => undefined)
      openSession(routing, session)
    },
    leave: (session, status) => closeSession(routing, session, status),
    route: (session, stanza) => handleClientStanza(routing, session, stanza),
    reroute: (session, stanza) => reroute(routing, session, stanza),
  }
}

/** Bytes of a stanza, whatever the options say. spec/listeners.md §1.9 */
const MAX_STANZA = 8_000_000

/** RFC 7301; a client that offers something else still gets a stream. spec/listeners.md §3.1.8 */
const alpn = (offered: string[]) => (offered.includes('xmpp-client') ? 'xmpp-client' : offered[0]!)

async function certificateOf({ config, options, emit }: Base, listener: C2sListenerConfig) {
  const { tls } = listener
  if (tls?.mode === undefined || tls.certfile === undefined) return undefined
  if (options.dev === true) {
    const authority = join(config.general.data_dir, 'dev-ca.pem')
    const made = await ensureDevelopmentCertificate(tls.certfile, [...config.general.hosts], authority)
    for (const file of made) emit('certificate.created', { file, names: config.general.hosts.join(', ') })
  }
  try {
    return await serverSecureContext({ certfile: tls.certfile, keyfile: tls.keyfile, password: tls.password })
  } catch (error) {
    throw new StartupError('certificate', error instanceof Error ? error.message : String(error), { cause: error })
  }
}

const isLoopback = (address: string) => address === '::1' || address.startsWith('127.')

async function httpApp(
  { config, counters, emit, runtime }: Base,
  listener: HttpListenerConfig,
  health: () => 'ok' | 'starting' | 'draining' | 'storage',
) {
  const routes: Route<HttpHandler>[] = []
  for (const { host, path, username, password } of listener.handlers.meerkat_debug ?? []) {
    const credentials = username === undefined || password === undefined ? undefined : { username, password }
    const look = (from: string, page: InspectOptions) => inspect(runtime, from, page)
    routes.push(await createDebugRoute({ host, path }, { inspect: look, credentials }))
  }
  for (const { host, path } of listener.handlers.meerkat_health ?? []) {
    routes.push({ host, path, target: createHealthHandler(health) })
  }
  return createHttpApp({
    routes,
    serverName: config.general.http_server_name,
    compress: listener.protocol.compress,
    counters,
    emit,
  })
}

async function startControl(
  { config, options, emit, runtime, later }: Base,
  routing: Routing,
  authenticator: Authenticator,
  status: () => ServerStatus,
): Promise<void> {
  if (options.inMemory === true) return
  const control: ControlServer = await serveControl(
    config.general.data_dir,
    {
      status,
      tree: request => inspect(runtime, ...inspection(request)),
      ...userRequests({
        ...authenticator,
        // The sessions of a removed account end with it.
        remove: (user, host) => {
          const account = Jid.of(user, host)
          return account === undefined
            ? Promise.resolve(false)
            : removeAccount(routing, account, () => authenticator.remove(user, host))
        },
      }),
    },
    emit,
  )
  later(() => control.close())
}

/** What a `tree` request asks for; anything that is not of its kind is taken as left out. */
function inspection({ path, depth, limit, offset }: ControlRequest): [string | undefined, InspectOptions] {
  const page = Object.entries({ depth, limit, offset }).filter(([, value]) => Number.isInteger(value))
  return [typeof path === 'string' ? path : undefined, Object.fromEntries(page)]
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
