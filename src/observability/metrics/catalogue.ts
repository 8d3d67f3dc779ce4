import type { Clock } from '../clock.js'
import type { Figures, Sizes } from './figures.js'
import { type Histogram, HistogramMinute } from './histogram.js'
import { hostCounters, hostSums } from './host-counters.js'
import { LastMinute } from './minute.js'
import { type Metric, Metrics, type MetricTable } from './registry.js'

/*
 * The metrics of `mongoose_api_metrics`: which there are, and what each is read from. spec/metrics-api.md §3
 */

/** Makes them, and begins to watch what is shown of the last minute; `stop` ends that. */
export function createMetrics(figures: Figures, clock: Clock): { metrics: Metrics; stop(): void } {
  const minute = new LastMinute(clock)
  const hosts = new Map(figures.hosts.map(host => [host, metricsOfHost(figures, host, minute)]))
  const data = dataSizes(figures.sizes, clock)
  const metrics = new Metrics(hosts, new Map([...globalMetrics(figures), ...data.table]))
  const stops = [minute.start(), ...data.starts.map(start => start())]
  return {
    metrics: figures.areAllGlobal ? metrics.allGlobal() : metrics,
    stop() {
      for (const stop of stops) stop()
    },
  }
}

function metricsOfHost(figures: Figures, host: string, minute: LastMinute): MetricTable {
  const counters = figures.hostCounters(host)
  const spiral = (count: () => number): Metric => {
    const one = minute.watch(count)
    return () => ({ one: one(), count: count() })
  }
  const table = new Map<string, Metric>()
  for (const name of hostCounters) {
    table.set(
      name,
      spiral(() => counters[name]),
    )
  }
  for (const [name, parts] of Object.entries(hostSums)) {
    table.set(
      name,
      spiral(() => parts.reduce((sum, part) => sum + counters[part], 0)),
    )
  }
  for (const [name, hook] of figures.hooks(host)) {
    table.set(
      name,
      spiral(() => hook.runs),
    )
  }
  table.set('sessionCount', () => ({ value: figures.sessionsOn(host), ms_since_reset: Math.floor(figures.uptime()) }))
  return table
}

/** What speaks of the machine that Erlang runs on shows the same of Node. */
function globalMetrics(figures: Figures): MetricTable {
  const gauge =
    (value: () => number): Metric =>
    () => ({ value: value() })
  return new Map<string, Metric>([
    ['totalSessionCount', gauge(() => figures.sessions())],
    ['uniqueSessionCount', gauge(() => figures.accounts())],
    // There is one node. Q-12
    ['nodeSessionCount', gauge(() => figures.sessions())],
    ['nodeUpTime', gauge(() => Math.floor(figures.uptime() / 1000))],
    ['clusterSize', gauge(() => 1)],
    ['tcpPortsUsed', gauge(tcpPortsUsed)],
    ['processQueueLengths', () => queueLengths(figures)],
    ['erlang.system_info', () => ({ process_count: figures.actors(), port_count: tcpPortsUsed() })],
    ['erlang.memory', memory],
    // Between the nodes of a cluster.
    ['data.dist', () => ({ connections: 0, recv_oct: 0, send_oct: 0 })],
  ])
}

const tcpPortsUsed = () => process.getActiveResourcesInfo().filter(name => name.startsWith('TCP')).length

function queueLengths(figures: Figures): ReturnType<Metric> {
  const { messages, stanzas } = figures.queues()
  return { regular: messages, fsm: stanzas, total: messages + stanzas }
}

/** In bytes. */
function memory(): ReturnType<Metric> {
  const { rss, heapTotal, heapUsed, external, arrayBuffers } = process.memoryUsage()
  return { total: rss, processes: heapTotal, processes_used: heapUsed, system: external, binary: arrayBuffers }
}

function dataSizes(sizes: Sizes, clock: Clock): { table: MetricTable; starts: (() => () => void)[] } {
  const minutes = Object.entries(sizes).flatMap(([direction, histograms]) =>
    Object.entries(histograms).map(([name, histogram]: [string, Histogram]) => {
      return [`data.xmpp.${direction}.${name}`, new HistogramMinute(histogram, clock)] as const
    }),
  )
  return {
    table: new Map(minutes.map(([name, minute]) => [name, () => ({ ...minute.read() })])),
    starts: minutes.map(
      ([, minute]) =>
        () =>
          minute.start(),
    ),
  }
}
