/** What a metric shows when it is read. spec/metrics-api.md §2 */
export type MetricValue = Readonly<Record<string, number | string>>

/** Computes what the metric shows now. */
export type Metric = () => MetricValue

/** By name; one of several parts has them joined with dots. Q-10 */
export type MetricTable = ReadonlyMap<string, Metric>

export type Readings = Readonly<Record<string, MetricValue>>

/** Every metric that the server shows, by host and for the server as a whole. Names are told apart by case. */
export class Metrics {
  readonly #hosts: ReadonlyMap<string, MetricTable>
  readonly #global: MetricTable

  /** `hosts` in the order of the configuration; every one has the same names. */
  constructor(hosts: ReadonlyMap<string, MetricTable>, global: MetricTable) {
    this.#hosts = hosts
    this.#global = global
  }

  /** The same metrics, those of the hosts summed among the global ones. `general.all_metrics_are_global`, Q-13 */
  allGlobal(): Metrics {
    const sums = this.#names().map(name => [name, () => this.#sum(name)] as const)
    const none = new Map([...this.#hosts.keys()].map(host => [host, new Map()]))
    return new Metrics(none, new Map([...sums, ...this.#global]))
  }

  /** What `GET /metrics` lists. Q-1 */
  index(): { hosts: string[]; metrics: string[]; global: string[] } {
    return {
      hosts: [...this.#hosts.keys()],
      metrics: this.#names().filter(isSingle),
      global: [...this.#global.keys()].filter(isSingle),
    }
  }

  /** Summed over the hosts. Q-8 */
  all(): Readings {
    return Object.fromEntries(this.#names().map(name => [name, this.#sum(name)]))
  }

  /** Undefined when no host has it, or when it cannot be fetched singly. */
  oneOfAll(name: string): MetricValue | undefined {
    return isSingle(name) && this.#names().includes(name) ? this.#sum(name) : undefined
  }

  /** Undefined for a host that is not served. */
  host(host: string): Readings | undefined {
    const table = this.#hosts.get(host)
    return table && readAll(table)
  }

  oneOfHost(host: string, name: string): MetricValue | undefined {
    return readOne(this.#hosts.get(host), name)
  }

  global(): Readings {
    return readAll(this.#global)
  }

  oneOfGlobal(name: string): MetricValue | undefined {
    return readOne(this.#global, name)
  }

  /** Those of the first host. */
  #names(): string[] {
    const [first] = this.#hosts.values()
    return [...(first?.keys() ?? [])]
  }

  #sum(name: string): MetricValue {
    return sumOf([...this.#hosts.values()].map(table => table.get(name)?.() ?? {}))
  }
}

const isSingle = (name: string) => !name.includes('.')

const readAll = (table: MetricTable): Readings =>
  Object.fromEntries([...table].map(([name, metric]) => [name, metric()]))

/** Metrics of several parts are never fetched singly. Q-10 */
const readOne = (table: MetricTable | undefined, name: string): MetricValue | undefined =>
  isSingle(name) ? table?.get(name)?.() : undefined

const summed = ['one', 'count', 'value']

/** What else a metric shows has no sum. Q-8 */
function sumOf(values: readonly MetricValue[]): MetricValue {
  const sum: Record<string, number> = {}
  for (const value of values) {
    for (const key of summed) if (typeof value[key] === 'number') sum[key] = (sum[key] ?? 0) + value[key]
  }
  return sum
}
