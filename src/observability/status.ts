import type { Counters } from './counters.js'

/** What a running server says about itself, as JSON; the verb `status` of the control socket. */
export interface ServerStatus {
  /** Of this package. */
  readonly version: string
  /** Of Node. */
  readonly node: string
  /** Of the process. */
  readonly pid: number
  /** `starting` until every listener is bound, `draining` once a stop has begun. */
  readonly state: 'starting' | 'running' | 'draining'
  /** The domains served, the first one first. */
  readonly hosts: readonly string[]
  /** Milliseconds since the start began. */
  readonly uptimeMs: number
  /** Sessions of clients, connected or detached. */
  readonly sessions: number
  /** Open connections of clients, servers and components. */
  readonly connections: number
  /** Of the process, in bytes. */
  readonly memory: {
    /** Resident. */
    readonly rss: number
    /** Of the JavaScript heap. */
    readonly heapUsed: number
  }
  /** Where it listens. */
  readonly listeners: readonly {
    /** In the actor tree. */
    readonly name: string
    /** Such as `c2s`. */
    readonly protocol: string
    /** The IP address that is bound. */
    readonly address: string
    /** The port that is bound. */
    readonly port: number
  }[]
  /** What it has counted since the start. */
  readonly counters: Counters
}
