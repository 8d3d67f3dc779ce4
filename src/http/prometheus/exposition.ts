import { Counter, collectDefaultMetrics, Gauge, Histogram as PrometheusHistogram, Registry } from 'prom-client'
import type { Figures } from '../../observability/metrics/figures.js'
import type { Histogram } from '../../observability/metrics/histogram.js'
import { type HostCounter, hostCounters } from '../../observability/metrics/host-counters.js'
import type { Exposition } from './handler.js'
import { serverCounters, serverGauges } from './names.js'

/*
 * Metrics in the text format of Prometheus. All are read when they are asked for; nothing is pushed, and nobody who counts knows of this.
 * Labels have few values: hosts, kinds of stanzas, directions, types of listeners.
 */

type Labels = Readonly<Record<string, string>>
type Reading = readonly [Labels, number]

/** Makes everything that a server exports, what Node says of the process included. */
export function createExposition(figures: Figures): Exposition {
  const own = new Registry()
  for (const register of [hostMetrics, serverMetrics, liveMetrics, histograms]) register(own, figures)
  const all = Registry.merge([own, processMetrics()])
  // The library has a spelling of its own for what is no number.
  return { type: all.contentType, text: async () => (await all.metrics()).replace(/ Nan$/gm, ' NaN') }
}

let ofProcess: Registry | undefined

/** There is one process, however many servers are in it. */
function processMetrics(): Registry {
  if (ofProcess !== undefined) return ofProcess
  ofProcess = new Registry()
  collectDefaultMetrics({ register: ofProcess })
  // They walk through every socket, and say no more than the number of connections does.
  for (const name of ['handles', 'requests', 'resources']) {
    ofProcess.removeSingleMetric(`nodejs_active_${name}`)
    ofProcess.removeSingleMetric(`nodejs_active_${name}_total`)
  }
  return ofProcess
}

// ---- per host

const kinds = { message: 'Message', presence: 'Presence', iq: 'Iq' } as const
const isTraffic = (name: HostCounter) => name.startsWith('xmpp') || name.startsWith('session')

function hostMetrics(registry: Registry, figures: Figures): void {
  const families: Record<string, [string, (host: string) => Reading[]]> = {
    xmpp_stanzas_total: ['Stanzas that clients have sent and received.', host => trafficOf(figures, host)],
    xmpp_errors_total: ['Stanzas of type error that clients have received.', host => errorsOf(figures, host)],
    xmpp_logins_total: ['Logins of clients.', host => loginsOf(figures, host)],
    xmpp_logouts_total: ['Sessions that have ended.', counterOf(figures, 'sessionLogouts')],
    xmpp_messages_bounced_total: ['Messages that nobody took.', counterOf(figures, 'xmppMessageBounced')],
    xmpp_stanzas_dropped_total: ['Stanzas that rules of their senders ended.', counterOf(figures, 'xmppStanzaDropped')],
    xmpp_hook_runs_total: [
      'How often each place was passed where modules join.',
      host => figures.hooks(host).map(([hook, { runs }]) => [{ hook }, runs]),
    ],
  }
  for (const name of hostCounters) {
    if (!isTraffic(name)) families[`xmpp_${snakeCase(name)}_total`] = [moduleHelp(name), counterOf(figures, name)]
  }
  for (const [name, [help, read]] of Object.entries(families)) count(registry, name, help, () => perHost(figures, read))
  gauge(registry, 'xmpp_host_sessions', 'Sessions of a host.', () =>
    perHost(figures, host => [[{}, figures.sessionsOn(host)]]),
  )
}

const counterOf =
  (figures: Figures, name: HostCounter) =>
  (host: string): Reading[] => [[{}, figures.hostCounters(host)[name]]]

const moduleHelp = (name: HostCounter) => `Events of modules: ${name} of the metrics API.`

/** `modMUCEvent` and `modMucEvent` become `mod_muc_event`. */
const snakeCase = (name: string) =>
  name
    .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
    .replace(/([A-Z]+)([A-Z][a-z])/g, '$1_$2')
    .toLowerCase()

function trafficOf(figures: Figures, host: string): Reading[] {
  const counters = figures.hostCounters(host)
  return Object.entries(kinds).flatMap(([kind, part]): Reading[] => [
    [{ kind, direction: 'sent' }, counters[`xmpp${part}Sent`]],
    [{ kind, direction: 'received' }, counters[`xmpp${part}Received`]],
  ])
}

function errorsOf(figures: Figures, host: string): Reading[] {
  const counters = figures.hostCounters(host)
  return Object.entries(kinds).map(([kind, part]) => [{ kind }, counters[`xmppError${part}`]])
}

function loginsOf(figures: Figures, host: string): Reading[] {
  const counters = figures.hostCounters(host)
  return [
    [{ result: 'success' }, counters.sessionSuccessfulLogins],
    [{ result: 'failure' }, counters.sessionAuthFails],
  ]
}

/** One series for each host, or one for all. `general.all_metrics_are_global` */
function perHost({ hosts, areAllGlobal }: Figures, read: (host: string) => Reading[]): Reading[] {
  if (!areAllGlobal)
    return hosts.flatMap(host => read(host).map(([labels, value]): Reading => [{ host, ...labels }, value]))
  const [first = [], ...others] = hosts.map(read)
  return first.map(([labels, value], index) => [
    labels,
    others.reduce((sum, readings) => sum + (readings[index]?.[1] ?? 0), value),
  ])
}

// ---- of the server

function serverMetrics(registry: Registry, figures: Figures): void {
  for (const [name, [help, read]] of Object.entries(serverCounters)) {
    count(registry, name, help, () => read(figures.counters))
  }
  for (const [name, [help, read]] of Object.entries(serverGauges)) {
    gauge(registry, name, help, () => read(figures.counters))
  }
}

function liveMetrics(registry: Registry, figures: Figures): void {
  const plain = (value: number): Reading[] => [[{}, value]]
  gauge(registry, 'xmpp_sessions', 'Sessions of all hosts.', () => plain(figures.sessions()))
  gauge(registry, 'xmpp_accounts_online', 'Accounts that have a session.', () => plain(figures.accounts()))
  gauge(registry, 'xmpp_listener_connections', 'Open connections by the type of their listener.', () =>
    figures.connected().map(({ listener, count }) => [{ listener }, count]),
  )
  gauge(registry, 'xmpp_actors', 'Actors that live.', () => plain(figures.actors()))
  count(registry, 'xmpp_actor_messages_total', 'Messages that actors have handled.', () => plain(figures.messages()))
  gauge(registry, 'xmpp_waiting_bytes', 'Bytes of stanzas that wait to be written to their peers.', () =>
    plain(figures.backlogBytes()),
  )
  gauge(registry, 'xmpp_store_requests', 'Requests that wait for the store.', () => plain(figures.storeRequests()))
  gauge(registry, 'xmpp_uptime_seconds', 'Seconds since the start.', () => plain(figures.uptime() / 1000))
}

/** One less than a power of two: there the histograms are exact. */
const bytesIn = { bounds: [63, 255, 1023, 4095, 16_383, 65_535, 262_143, 1_048_575, 4_194_303], unit: 1 }
const microseconds = { bounds: [1023, 4095, 8191, 16_383, 32_767, 65_535, 262_143, 1_048_575], unit: 1e-6 }

function histograms(registry: Registry, { sizes, loopDelay }: Figures): void {
  const families = {
    xmpp_stanza_size_bytes: ['Sizes of stanzas as XML.', 'xml_stanza_size'],
    xmpp_encrypted_size_bytes: ['Sizes of the pieces that go over TLS.', 'encrypted_size'],
    xmpp_compressed_size_bytes: ['Sizes of the pieces that are compressed.', 'compressed_size'],
  } as const
  for (const [name, [help, key]] of Object.entries(families)) {
    const sources = Object.entries(sizes).map(([direction, of]): Source => [{ direction }, of[key]])
    registry.registerMetric(new ReadHistogram(name, help, bytesIn, sources))
  }
  const help = 'How much later than they should timers run.'
  registry.registerMetric(new ReadHistogram('xmpp_loop_delay_seconds', help, microseconds, [[{}, loopDelay]]))
}

type Source = readonly [Labels, Histogram]

interface Scale {
  /** The greatest value of each bucket. */
  readonly bounds: number[]
  /** What 1 is in the exported unit. */
  readonly unit: number
}

/** A histogram whose values are counted elsewhere. */
class ReadHistogram extends PrometheusHistogram<string> {
  readonly #head: { readonly name: string; readonly help: string; readonly type: 'histogram' }
  readonly #scale: Scale
  readonly #sources: readonly Source[]

  constructor(name: string, help: string, scale: Scale, sources: readonly Source[]) {
    super({ name, help, labelNames: Object.keys(sources[0]?.[0] ?? {}), buckets: scale.bounds, registers: [] })
    this.#head = { name, help, type: 'histogram' }
    this.#scale = scale
    this.#sources = sources
  }

  /** What the library asks a histogram for. */
  async getForPromString() {
    return { ...this.#head, values: this.#sources.flatMap(source => this.#valuesOf(...source)), aggregator: 'sum' }
  }

  #valuesOf(labels: Labels, source: Histogram) {
    const value = (part: string, more: object, value: number) => ({
      metricName: `${this.#head.name}_${part}`,
      labels: { ...labels, ...more },
      value,
    })
    const { bounds, unit } = this.#scale
    const { count, sum } = source
    return [
      ...bounds.map(bound => value('bucket', { le: bound * unit }, source.below(bound + 1))),
      value('bucket', { le: '+Inf' }, count),
      value('sum', {}, sum * unit),
      value('count', {}, count),
    ]
  }
}

// ---- the library's metrics, filled when they are read

function gauge(registry: Registry, name: string, help: string, read: () => Reading[]): void {
  const labelNames = labelsIn(read())
  new Gauge({
    name,
    help,
    labelNames,
    registers: [registry],
    collect() {
      this.reset()
      for (const [labels, value] of read()) this.set(labels, value)
    },
  })
}

function count(registry: Registry, name: string, help: string, read: () => Reading[]): void {
  const labelNames = labelsIn(read())
  new Counter({
    name,
    help,
    labelNames,
    registers: [registry],
    collect() {
      this.reset()
      for (const [labels, value] of read()) this.inc(labels, value)
    },
  })
}

/** They are the same in all readings of a metric. */
const labelsIn = (readings: readonly Reading[]) => Object.keys(readings[0]?.[0] ?? {})
