import { inspect, waitingBelow } from '../actors/runtime/index.js'
import type { Exposition } from '../http/prometheus/handler.js'
import { createMetrics } from '../observability/metrics/catalogue.js'
import { type Connected, createSizes, type Figures } from '../observability/metrics/figures.js'
import { LoopDelay } from '../observability/metrics/loop-delay.js'
import type { Metrics } from '../observability/metrics/registry.js'
import type { Routing } from '../routing/services.js'
import type { RestartableStore } from '../storage/store.js'
import type { Base } from './base.js'

/** The metrics of a server, each form made when a handler first wants it. */
export interface ServerMetrics {
  /** For `mongoose_api`: what is shown of the last minute is watched from the first call on. */
  api(): Metrics
  /** For Prometheus. Loads its library at the first call. */
  exposition(): Promise<Exposition>
}

/** `startedAt` is by the server's clock. */
export function serverMetrics(base: Base, routing: Routing, store: RestartableStore, startedAt: number): ServerMetrics {
  const loopDelay = new LoopDelay()
  const figures = { ...serverFigures(base, routing, store, startedAt), loopDelay: loopDelay.histogram }
  let api: Metrics | undefined
  let exposition: Promise<Exposition> | undefined
  return {
    api() {
      if (api !== undefined) return api
      const { metrics, stop } = createMetrics(figures, base.clock)
      base.later(stop)
      api = metrics
      return api
    },
    exposition() {
      exposition ??= import('../http/prometheus/exposition.js').then(({ createExposition }) => {
        base.later(loopDelay.start())
        return createExposition(figures)
      })
      return exposition
    },
  }
}

function serverFigures(
  base: Base,
  routing: Routing,
  store: RestartableStore,
  startedAt: number,
): Omit<Figures, 'loopDelay'> {
  const { config, clock, counters, runtime, backlog } = base
  const { sessions } = routing
  const hooks = new Map(config.general.hosts.map(host => [host, hooksOf(routing, host)]))
  return {
    hosts: config.general.hosts,
    areAllGlobal: config.general.all_metrics_are_global,
    counters,
    // Somebody shows them, or nobody is here.
    sizes: base.sizes ?? createSizes(),
    hostCounters: host => routing.hooksOf(host).counters,
    hooks: host => hooks.get(host) ?? [],
    sessionsOn: host => sessions.countOn(host),
    sessions: () => sessions.count,
    accounts: () => sessions.accountCount,
    connected: () => connected(base),
    actors: () => runtime.counters.actors,
    messages: () => runtime.counters.messages,
    queues: () => waitingBelow(runtime.root),
    backlogBytes: () => backlog.bytes,
    storeRequests: () => store.outstanding,
    uptime: () => clock.now() - startedAt,
  }
}

function hooksOf(routing: Routing, host: string) {
  return Object.entries(routing.hooksOf(host)).flatMap(
    ([name, hook]: [string, object]) =>
      'runs' in hook ? [[snakeCase(name), hook as { readonly runs: number }] as const] : [], // what has it is a hook
  )
}

const snakeCase = (name: string) => name.replace(/[A-Z]/g, letter => `_${letter.toLowerCase()}`)

const listenerTypes = ['c2s', 's2s', 'service', 'http'] as const

/** From the tree: a connection is a child of an acceptor of its listener, and HTTP's own are in the acceptor's books. */
function connected({ runtime }: Base): Connected[] {
  const counts = new Map<string, number>()
  for (const listener of inspect(runtime, `${runtime.root.path}/listeners`, { depth: 2, limit: 1_000 })?.children
    ?.items ?? []) {
    const [type = ''] = listener.name.split('-')
    for (const { childCount, details } of listener.children?.items ?? []) {
      counts.set(type, (counts.get(type) ?? 0) + childCount + Number(details.connections ?? 0))
    }
  }
  return listenerTypes.map(listener => ({ listener, count: counts.get(listener) ?? 0 }))
}
