import type { Counters } from './counters.js'

/** What a running server says about itself, as JSON; the verb `status` of the control socket. */
export interface ServerStatus {
  readonly version: string
  /** Of Node. */
  readonly node: string
  readonly pid: number
  /** `starting` until every listener is bound, `draining` once a stop has begun. */
  readonly state: 'starting' | 'running' | 'draining'
  readonly hosts: readonly string[]
  readonly uptimeMs: number
  readonly sessions: number
  readonly connections: number
  /** Bytes. */
  readonly memory: { readonly rss: number; readonly heapUsed: number }
  readonly listeners: readonly {
    readonly name: string
    readonly protocol: string
    readonly address: string
    readonly port: number
  }[]
  readonly counters: Counters
}
