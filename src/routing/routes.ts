import type { Stanza } from '../protocols/stanza/stanza.js'
import { blamed, type Part, placeOf, registrant } from './parts.js'

/** Where the stanzas of a domain go that is not a virtual host. */
export interface Route {
  /** A service of our own (a module's subdomain), or an external component. */
  readonly kind: 'service' | 'component'
  /** The cluster node it lives on. */
  readonly node: string
  /** Left out of service discovery for users, where `mod_disco` says so. */
  readonly isHidden?: boolean
  /** Shown in service discovery. */
  readonly name?: string
  /** The node that service discovery names beside the domain. XEP-0030 §4.1 */
  readonly discoNode?: string
  /** Takes a stanza; may throw or reject with a `StanzaError`, which goes back to the sender. */
  deliver(stanza: Stanza): void | Promise<void>
  /** Ends whoever serves the domain, for somebody else; resolves when it is gone. Absent: it stays. spec/listeners.md §3.3.5 */
  evict?(): Promise<void>
}

/** Times that the owners of a name are asked to go before the newcomer is refused. spec/listeners.md §3.3.5 */
const EVICTION_ROUNDS = 3

/** Domains served by something else than accounts. A served host or a module's subdomain can never be taken over. spec/listeners.md §3.4 */
export class Routes {
  readonly #hosts: ReadonlySet<string>
  readonly #byDomain = new Map<string, Route>()
  /** Of those routes that modules have added. */
  readonly #parts = new WeakMap<Route, Part>()

  constructor(hosts: Iterable<string>) {
    this.#hosts = new Set(hosts)
  }

  /** True for a virtual host. */
  isHost = (domain: string): boolean => this.#hosts.has(domain)

  get hosts(): ReadonlySet<string> {
    return this.#hosts
  }

  /** Adds a domain in prepared form and returns its undo; undefined when the name is taken. */
  add(domain: string, route: Route): (() => void) | undefined {
    return this.addAll([domain], route) ? () => this.remove([domain], route) : undefined
  }

  /** Adds a route for several domains, for all or for none: false when a name is taken. */
  addAll(domains: readonly string[], route: Route): boolean {
    if (domains.some(domain => this.#isTaken(domain))) return false
    for (const domain of domains) this.#byDomain.set(domain, route)
    const part = registrant()
    if (part !== undefined) this.#parts.set(route, part)
    return true
  }

  /**
   * The same, where components that have one of the names are made to go. Whoever asks may have gone before they did: then
   * `isWanted` says no, and nothing is added.
   */
  async takeOver(domains: readonly string[], route: Route, isWanted: () => boolean): Promise<boolean> {
    for (let round = 0; isWanted(); round++) {
      if (this.addAll(domains, route)) return true
      if (round === EVICTION_ROUNDS) break
      const taken = domains.filter(domain => this.#isTaken(domain))
      const owners = new Set(taken.map(domain => this.#byDomain.get(domain)))
      // A host or a service of ours stays, and then nobody else has to go for nothing.
      if ([...owners].some(owner => owner?.evict === undefined)) break
      await Promise.all([...owners].map(owner => owner?.evict?.()))
    }
    return false
  }

  /** Takes the domains away from the route, those of them that it has. */
  remove(domains: readonly string[], route: Route): void {
    for (const domain of domains) if (this.#byDomain.get(domain) === route) this.#byDomain.delete(domain)
  }

  #isTaken(domain: string): boolean {
    return this.#hosts.has(domain) || this.#byDomain.has(domain)
  }

  get(domain: string): Route | undefined {
    return this.#byDomain.get(domain)
  }

  /** Gives a stanza to a route. Throws or rejects as its `deliver` does. */
  deliver(route: Route, stanza: Stanza): void | Promise<void> {
    try {
      const waiting = route.deliver(stanza)
      // Beside whoever waits for it, so that nobody waits longer.
      if (waiting instanceof Promise) waiting.catch(error => blamed(error, this.#parts.get(route)))
      return waiting
    } catch (error) {
      throw blamed(error, this.#parts.get(route))
    }
  }

  /** The domains right and further under a host, with their routes; those of modules in the order of these. spec/listeners.md §3.3.7 */
  under(host: string): readonly (readonly [string, Route])[] {
    const found = [...this.#byDomain].filter(([domain]) => domain.endsWith(`.${host}`))
    const place = (route: Route) => Math.min(placeOf(this.#parts.get(route)), Number.MAX_VALUE)
    return found.sort(([, one], [, other]) => place(one) - place(other))
  }
}
