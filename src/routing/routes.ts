import type { Stanza } from '../protocols/stanza/stanza.js'

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
  /** Takes a stanza; may throw or reject with a `StanzaError`, which goes back to the sender. */
  deliver(stanza: Stanza): void | Promise<void>
}

/** Domains served by something else than accounts. A served host or a module's subdomain can never be taken over. spec/listeners.md §3.4 */
export class Routes {
  readonly #hosts: ReadonlySet<string>
  readonly #byDomain = new Map<string, Route>()

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
    if (this.#hosts.has(domain) || this.#byDomain.has(domain)) return undefined
    this.#byDomain.set(domain, route)
    return () => {
      if (this.#byDomain.get(domain) === route) this.#byDomain.delete(domain)
    }
  }

  get(domain: string): Route | undefined {
    return this.#byDomain.get(domain)
  }

  /** The domains right and further under a host, with their routes. spec/listeners.md §3.3.7 */
  *under(host: string): IterableIterator<[string, Route]> {
    for (const entry of this.#byDomain) if (entry[0].endsWith(`.${host}`)) yield entry
  }
}
