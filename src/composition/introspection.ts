import { StartedModule } from '../actors/module-actor.js'
import { AnyActor } from '../actors/runtime/actor.js'
import {
  type ActorEvent,
  Busiest,
  briefly,
  examine,
  glance,
  inspect,
  lookAt,
  type Runtime,
  search,
} from '../actors/runtime/index.js'
import { silentEvents } from '../observability/events.js'
import { Feed } from '../observability/feed.js'
import { type Sample, Sampler } from '../observability/sampler.js'
import type { ServerStatus } from '../observability/status.js'
import type {
  BusyActor,
  Done,
  Introspection,
  NewsRequest,
  NewsType,
  SessionInfo,
  SessionPage,
  SessionQuery,
  Summary,
} from '../operations/introspection.js'
import type { OperationServices } from '../operations/services.js'
import { kick } from '../operations/sessions.js'
import { MOST_TRACES, startTrace } from '../operations/trace.js'
import { Jid } from '../protocols/jid.js'
import type { Session } from '../sessions/session.js'
import type { Base } from './base.js'
import { heapSnapshots } from './heap-snapshot.js'

/** Events that a flood of the others never hides. */
const rare = new Set<string>(['faulted', 'restarted', 'overflowed'] satisfies NewsType[])

/** Makes what the server shows of itself. Costs nothing while nobody looks. */
export function introspect(
  base: Base,
  { routing }: Pick<OperationServices, 'routing'>,
  status: () => ServerStatus,
): Introspection {
  const { runtime, clock, config, options } = base
  const events = options.events ?? silentEvents
  const sampler = new Sampler(clock, () => ({ ...growing(base.counters), ...prefixed(runtime.counters) }))
  const summarize = (sample: Sample) => summary(base, routing, status(), sample)
  const feeds = new Set<Feed>()
  const kept = (feed: Feed) => {
    feeds.add(feed)
    feed.closed(() => feeds.delete(feed))
    return feed
  }
  let traces = 0
  const snapshot = heapSnapshots(config.general.data_dir)
  base.later(() => {
    for (const feed of [...feeds]) feed.close()
    sampler.stop()
  })
  return {
    tree: ({ path, view, ...page }) => (view === 'brief' ? glance(runtime, path, page) : inspect(runtime, path, page)),
    async find({ listener, ...filter }, { path, view, limit, offset }) {
      const top = listener === undefined ? path : `${listeners(runtime)}/${listener}`
      const found = await search(runtime, top, filter, { limit, offset })
      if (found === undefined) return undefined
      const { actors, looked, hasMore } = found
      const items = actors.map(actor =>
        view === 'brief' ? { ...briefly(actor), path: actor.path.toString() } : lookAt(actor, runtime),
      )
      return { items, offset, looked, isWhole: !hasMore, ...(hasMore && { next: offset + items.length }) }
    },
    detail: path => examine(runtime, path),
    summary: () => summarize(sampler.look()),
    summaries: () => kept(sampler.follow(summarize)),
    busy(most) {
      const busiest = new Busiest(runtime)
      return kept(sampler.follow(sample => ({ ...summarize(sample), busiest: busyActors(busiest, most) })))
    },
    news: request => kept(news(base, request)),
    sessions: query => sessionPage(routing, query),
    trace(request) {
      if (traces >= MOST_TRACES) return undefined
      traces++
      const trace = kept(startTrace(routing, clock, request))
      trace.closed(() => {
        traces--
      })
      return trace
    },
    stopActor: path => act(runtime, path, stop),
    restartActor: path => act(runtime, path, actor => actor.startAgain()),
    kick(text) {
      const jid = Jid.parse(text)
      return jid !== undefined && kick({ routing }, jid)
    },
    setLogLevel(level) {
      const before = events.level
      events.setLevel(level)
      return before
    },
    heapSnapshot: async () => (options.inMemory === true ? 'in-memory' : snapshot()),
  }
}

/** Where listeners stand. */
const listeners = (runtime: Runtime) => `${runtime.root.path}/listeners`

function news({ runtime, clock }: Base, { types, path, rate }: NewsRequest): Feed {
  const at = () => clock.wall()
  const feed = new Feed(clock, {
    rate,
    leftOut: (counts, total) => ({ event: 'left-out', data: { at: at(), counts, total } }),
  })
  const wanted = new Set<string>(types)
  const below = path === '' ? undefined : `/${path.replace(/^\/|\/$/g, '')}`
  feed.offer('hello', () => ({ event: 'hello', data: { at: at(), rate, types } }), true)
  const end = runtime.observe(event => {
    if (!wanted.has(event.type) || !isBelow(event, below)) return
    feed.offer(event.type, () => tell(event, at()), rare.has(event.type))
  })
  feed.closed(end)
  return feed
}

function isBelow({ path }: ActorEvent, top: string | undefined): boolean {
  if (top === undefined) return true
  return path !== undefined && (path === top || path.startsWith(`${top}/`))
}

const tell = ({ type, path, kind, details }: ActorEvent, at: number) => ({
  event: type,
  data: { at, path: path ?? null, kind, ...details },
})

function act(runtime: Runtime, path: string, how: (actor: AnyActor) => boolean): Done {
  const actor = runtime.find(path)
  if (actor === undefined) return 'not-found'
  if (!(actor instanceof AnyActor)) return 'refused'
  // Root is the server, and its children are the parts without which there is none.
  if (actor === runtime.root || actor.parent === runtime.root) return 'refused'
  return how(actor) ? 'done' : 'refused'
}

/** What is kept alive would be missed: nobody starts it again. A server can do without any module. */
function stop(actor: AnyActor): boolean {
  const isKept = actor.readSupervision(0).mayRestart && !(actor instanceof StartedModule)
  if (isKept || actor.isStopping) return false
  actor.stop()
  return true
}

function busyActors(busiest: Busiest, most: number): BusyActor[] {
  return busiest.look(most).map(({ actor, messages }) => {
    const { name: _name, kind, state, mailbox = 0, jid } = briefly(actor)
    return { path: actor.path.toString(), kind, state, mailbox, messages, ...(jid !== undefined && { jid }) }
  })
}

// ---- numbers

/** Of the counters those that only grow. */
const growing = (counters: Base['counters']) =>
  Object.fromEntries(Object.entries(counters).filter(([name]) => !name.endsWith('Now')))

/** Of the runtime those that only grow, under names of their own. */
function prefixed({ spawned, stopped, faults, overflows, drains, messages }: Runtime['counters']) {
  const grown = { spawned, stopped, faults, overflows, drains, messages }
  return Object.fromEntries(Object.entries(grown).map(([name, value]) => [`actors.${name}`, value]))
}

function summary(
  { runtime, counters, options }: Base,
  routing: OperationServices['routing'],
  { version, node, pid, state, uptimeMs, hosts, listeners: addresses }: ServerStatus,
  sample: Sample,
): Summary {
  const sessions = sessionsPerListener(routing)
  return {
    ...sample,
    ...{ version, node, pid, state, uptimeMs, hosts },
    logLevel: (options.events ?? silentEvents).level,
    counters: { ...counters },
    runtime: { ...runtime.counters },
    sessions: routing.sessions.count,
    listeners: addresses.map(({ name, protocol, address, port }) => {
      const path = `${listeners(runtime)}/${name}`
      const connections = connectionsOf(runtime, path)
      return { name, path, protocol, address, port, connections, sessions: sessions.get(name) ?? 0 }
    }),
  }
}

/** The acceptors' children. */
function connectionsOf(runtime: Runtime, path: string): number {
  let count = 0
  for (const acceptor of runtime.find(path)?.children.values() ?? []) count += acceptor.children.size
  return count
}

function sessionsPerListener(routing: OperationServices['routing']): Map<string, number> {
  const counts = new Map<string, number>()
  for (const session of allSessions(routing)) {
    const name = listenerOf(session)
    if (name !== null) counts.set(name, (counts.get(name) ?? 0) + 1)
  }
  return counts
}

// ---- sessions

function* allSessions({ hosts, sessions }: OperationServices['routing'], host?: string): Generator<Session> {
  for (const one of hosts) if (host === undefined || host === one) yield* sessions.on(one)
}

function sessionPage(
  routing: OperationServices['routing'],
  { search: text, host, limit, offset }: SessionQuery,
): SessionPage {
  const wanted = text.toLowerCase()
  const items: SessionInfo[] = []
  let total = 0
  let matched = 0
  for (const session of allSessions(routing, host)) {
    total++
    const isMatch =
      wanted === '' || session.jid.text.toLowerCase().includes(wanted) || session.peer?.address.includes(wanted)
    if (isMatch !== true || matched++ < offset || items.length === limit) continue
    items.push(describe(session))
  }
  return { total, matched, offset, items }
}

function describe(session: Session): SessionInfo {
  const { jid, peer, priority, presence, isDetached = false, waitingStanzas } = session
  const encrypted = session instanceof AnyActor ? session.inspected().isEncrypted : undefined
  return {
    jid: jid.text,
    path: session instanceof AnyActor ? session.path.toString() : null,
    listener: listenerOf(session),
    address: peer?.address ?? null,
    port: peer?.port ?? null,
    isAvailable: presence !== undefined,
    priority,
    isDetached,
    waitingStanzas,
    isEncrypted: typeof encrypted === 'boolean' ? encrypted : null,
  }
}

/** As the tree has it: /root/listeners/NAME/… */
function listenerOf(session: Session): string | null {
  return session instanceof AnyActor ? (session.path.parts[2] ?? null) : null
}
