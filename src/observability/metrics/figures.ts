import type { Counters } from '../counters.js'
import { Histogram } from './histogram.js'
import type { HostCounters } from './host-counters.js'

/** Sizes in bytes of what comes and goes on streams of XMPP. spec/metrics-api.md §3, `data.xmpp` */
export const createSizes = () => ({ received: createDirection(), sent: createDirection() })

const createDirection = () => ({
  /** Stanzas as XML. */
  xml_stanza_size: new Histogram(),
  /** Pieces that went over TLS, before and after that. */
  encrypted_size: new Histogram(),
  /** Pieces that were compressed, as they are on the wire. XEP-0138 */
  compressed_size: new Histogram(),
})

export type Sizes = ReturnType<typeof createSizes>

/** How many connections a type of listener has now. */
export interface Connected {
  readonly listener: 'c2s' | 's2s' | 'service' | 'http'
  readonly count: number
}

/** What all metrics are read from, when somebody asks; the composition root fills it. */
export interface Figures {
  /** Served domains, in the order of the configuration. */
  readonly hosts: readonly string[]
  /** `general.all_metrics_are_global` */
  readonly areAllGlobal: boolean
  /** Of the whole server. */
  readonly counters: Counters
  readonly sizes: Sizes
  /** How late timers run, in microseconds. */
  readonly loopDelay: Histogram
  hostCounters(host: string): HostCounters
  /** The hooks of a host, by their names in snake case, with how often each was run. */
  hooks(host: string): readonly (readonly [string, { readonly runs: number }])[]
  sessionsOn(host: string): number
  sessions(): number
  /** Accounts that have a session. */
  accounts(): number
  connected(): Connected[]
  actors(): number
  /** What the actors have handled since the start. */
  messages(): number
  /** Messages in the mailboxes of all actors; stanzas that wait for a peer, among them those that its connection holds. Looks at every actor. */
  queues(): { messages: number; stanzas: number }
  /** Bytes of the stanzas that wait for all connections together. */
  backlogBytes(): number
  /** Requests that wait for the store. */
  storeRequests(): number
  /** Milliseconds since the start. */
  uptime(): number
}
