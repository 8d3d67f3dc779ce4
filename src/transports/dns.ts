import { Resolver } from 'node:dns/promises'
import { isIP } from 'node:net'
import { domainToASCII } from 'node:url'
import type { Alarm } from './transport.js'

/*
 * Where another server is: from its domain to addresses and ports. RFC 6120 §3.2, XEP-0368, RFC 2782
 */

/** Records and addresses of one domain that are looked at; more are left out. */
const MOST_RECORDS = 16
const MOST_ENDPOINTS = 32
/** What `localhost` means, whoever is asked. RFC 6761 §6.3 */
const LOOPBACK = { 4: '127.0.0.1', 6: '::1' } as const

const isLoopback = (name: string) => name === 'localhost' || name.endsWith('.localhost')

export interface Endpoint {
  readonly address: string
  readonly port: number
  /** TLS comes before the first byte of the stream. XEP-0368 */
  readonly isDirectTls: boolean
}

export interface DnsOptions {
  /** Addresses with or without port; undefined: the system's. `s2s.dns.servers` */
  readonly servers: readonly string[] | undefined
  /** Of one attempt. `s2s.dns.timeout` */
  readonly timeoutMs: number
  /** Attempts per query. `s2s.dns.retries` */
  readonly attempts: number
  /** Families in the order in which they are tried. `s2s.outgoing.ip_versions` */
  readonly families: readonly (4 | 6)[]
  /** Where there is no SRV record. `s2s.outgoing.port` */
  readonly port: number
  /** Look for `_xmpps-server` too. */
  readonly usesDirectTls: boolean
  /** From 0 up to 1. */
  readonly random: () => number
  readonly now: () => number
  newAlarm(target: { timedOut(): void }): Alarm
}

interface Service {
  readonly name: string
  readonly port: number
  readonly priority: number
  readonly weight: number
  readonly isDirectTls: boolean
}

/** One look-up of one server. */
export class ServerLookup {
  private readonly resolver: Resolver
  private readonly alarm: Alarm
  private isCancelled = false

  constructor(private readonly options: DnsOptions) {
    this.resolver = new Resolver({ timeout: options.timeoutMs, tries: options.attempts })
    if (options.servers !== undefined) this.resolver.setServers([...options.servers])
    this.alarm = options.newAlarm(this)
  }

  /** The endpoints in the order in which they are tried; none when the domain has no server. Never rejects. */
  async locate(domain: string): Promise<Endpoint[]> {
    const { port } = this.options
    const literal = domain.replace(/^\[(.*)\]$/, '$1')
    if (isIP(literal) !== 0) return [{ address: literal, port, isDirectTls: false }]
    const name = domainToASCII(domain)
    if (name === '') return []
    const services = isLoopback(name) ? [] : await this.services(name)
    if (services === 'none') return []
    if (services.length > 0) return this.endpoints(services)
    return this.endpoints([{ name, port, priority: 0, weight: 0, isDirectTls: false }])
  }

  /** What is asked for still is not waited for any more. */
  cancel(): void {
    this.isCancelled = true
    this.timedOut()
  }

  timedOut(): void {
    this.resolver.cancel()
    this.alarm.drop()
  }

  /** In the order of RFC 2782; `none` when the domain says that there is no such service. */
  private async services(name: string): Promise<Service[] | 'none'> {
    const [direct, plain] = await this.within(() =>
      Promise.all([
        this.options.usesDirectTls ? this.records(`_xmpps-server._tcp.${name}`, true) : [],
        this.records(`_xmpp-server._tcp.${name}`, false),
      ]),
    )
    const found = [...direct, ...plain]
    if (found.length === 0) found.push(...(await this.within(() => this.records(`_jabber._tcp.${name}`, false))))
    const offered = found.filter(({ name: target }) => target !== '' && target !== '.')
    return found.length > 0 && offered.length === 0 ? 'none' : inOrder(offered, this.options.random)
  }

  private async records(name: string, isDirectTls: boolean): Promise<Service[]> {
    try {
      const records = await this.resolver.resolveSrv(name)
      return records.slice(0, MOST_RECORDS).map(record => ({ ...record, isDirectTls }))
    } catch {
      return [] // no record, no answer and no server come to the same
    }
  }

  private async endpoints(services: readonly Service[]): Promise<Endpoint[]> {
    const found = await this.within(() => Promise.all(services.map(({ name }) => this.addresses(name))))
    const endpoints = services.flatMap(({ port, isDirectTls }, index) =>
      (found[index] ?? []).map(address => ({ address, port, isDirectTls })),
    )
    return endpoints.slice(0, MOST_ENDPOINTS)
  }

  /** The families by turns, the preferred one first. RFC 8305 §4 */
  private async addresses(name: string): Promise<string[]> {
    const { families } = this.options
    if (isLoopback(name)) return families.map(family => LOOPBACK[family])
    const lists = await Promise.all(families.map(family => this.ofFamily(name, family)))
    const longest = Math.max(...lists.map(list => list.length))
    return Array.from({ length: longest }, (_, turn) => lists.flatMap(list => list[turn] ?? [])).flat()
  }

  private async ofFamily(name: string, family: 4 | 6): Promise<string[]> {
    try {
      return await (family === 4 ? this.resolver.resolve4(name) : this.resolver.resolve6(name))
    } catch {
      return []
    }
  }

  /** Bounds a round of queries, which the server's clock measures. */
  private async within<T>(queries: () => Promise<T>): Promise<T> {
    const { timeoutMs, attempts, now } = this.options
    if (!this.isCancelled) this.alarm.arm(0, now() + timeoutMs * attempts)
    const answers = queries()
    // Whoever was cancelled before asked nothing is answered at once.
    if (this.isCancelled) this.resolver.cancel()
    try {
      return await answers
    } finally {
      this.alarm.drop()
    }
  }
}

/** By priority, and within one at random by weight. RFC 2782 */
export function inOrder<S extends { readonly priority: number; readonly weight: number }>(
  services: readonly S[],
  random: () => number,
): S[] {
  const left = [...services].sort((a, b) => a.priority - b.priority || a.weight - b.weight)
  const ordered: S[] = []
  while (left.length > 0) {
    const group = left.filter(({ priority }) => priority === left[0]?.priority)
    const total = group.reduce((sum, { weight }) => sum + weight, 0)
    let point = random() * total
    const chosen = group.find(({ weight }) => {
      point -= weight
      return point < 0
    })
    const next = chosen ?? group[0]! // `left` is not empty, so neither is the group
    ordered.push(next)
    left.splice(left.indexOf(next), 1)
  }
  return ordered
}
