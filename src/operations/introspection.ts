import { z } from 'zod'
import type { LogLevel } from '../observability/events.js'
import type { Feed } from '../observability/feed.js'
import type { Sample } from '../observability/sampler.js'
import type { TraceRequest } from './trace.js'

/*
 * What a running server shows of itself, and what may be done about it: for the debug endpoint and for the control socket. Answers are
 * JSON and hold no secrets; src/http/debug/README.md shows each. `src/composition/introspection.ts` makes it.
 */

export const actorStates = ['idle', 'runnable', 'busy', 'hibernated', 'stopped'] as const
export const newsTypes = ['spawned', 'stopped', 'faulted', 'restarted', 'hibernated', 'overflowed'] as const
export type NewsType = (typeof newsTypes)[number]

/** A part of the tree. */
export interface TreeQuery {
  /** '' for root. */
  readonly path: string
  readonly depth: number
  readonly limit: number
  readonly offset: number
  readonly view: 'full' | 'brief'
  readonly counts: boolean
}

/** Actors that pass filters; what is absent passes all. */
export const actorFilter = z.object({
  listener: z.string().optional(),
  jid: z.string().optional(),
  states: z.array(z.enum(actorStates)).optional(),
  kind: z.string().optional(),
  mailbox: z.int().min(1).optional(),
  faults: z.int().min(1).optional(),
})
export type ActorFilters = z.output<typeof actorFilter>

export interface ActorPage {
  readonly items: readonly unknown[]
  readonly offset: number
  /** How many were looked at. */
  readonly looked: number
  /** None that matches is left. */
  readonly isWhole: boolean
  /** The offset to go on at. */
  readonly next?: number
}

export interface SessionQuery {
  /** A part of the full JID or of the address, in any case. */
  readonly search: string
  readonly host?: string | undefined
  readonly limit: number
  readonly offset: number
}

export interface SessionInfo {
  readonly jid: string
  readonly path: string | null
  readonly listener: string | null
  readonly address: string | null
  readonly port: number | null
  readonly isAvailable: boolean
  readonly priority: number
  readonly isDetached: boolean
  readonly waitingStanzas: number
  readonly isEncrypted: boolean | null
}

export interface SessionPage {
  /** Sessions of the server, or of the host. */
  readonly total: number
  readonly matched: number
  readonly offset: number
  readonly items: readonly SessionInfo[]
}

export interface Summary extends Sample {
  readonly version: string
  readonly node: string
  readonly pid: number
  readonly state: 'starting' | 'running' | 'draining'
  readonly uptimeMs: number
  readonly hosts: readonly string[]
  readonly logLevel: string
  readonly counters: Readonly<Record<string, number>>
  readonly runtime: Readonly<Record<string, number>>
  readonly sessions: number
  readonly listeners: readonly {
    readonly name: string
    readonly path: string
    readonly protocol: string
    readonly address: string
    readonly port: number
    readonly connections: number
    readonly sessions: number
  }[]
}

export interface NewsRequest {
  readonly types: readonly NewsType[]
  /** Only at or below this actor; '' for all. */
  readonly path: string
  /** Events a second. */
  readonly rate: number
}

/** An actor, and what it did since the look before. */
export interface BusyActor {
  readonly path: string
  readonly kind: string
  readonly state: string
  readonly mailbox: number
  readonly messages: number
  readonly jid?: string
}

export interface Snapshot {
  readonly file: string
  readonly bytes: number
  readonly ms: number
}

/** `refused`: it may not be done to this one. */
export type Done = 'done' | 'not-found' | 'refused'

export interface Introspection {
  /** The actor at the path with what is below; undefined when nobody is there. */
  tree(query: TreeQuery): unknown
  /** Undefined when nobody is there to begin at. */
  find(
    filters: ActorFilters,
    page: Pick<TreeQuery, 'path' | 'limit' | 'offset' | 'view'>,
  ): Promise<ActorPage | undefined>
  detail(path: string): unknown
  summary(): Summary
  /** A summary at once and then every second. */
  summaries(): Feed
  /** As `summaries`, with the busiest actors since the one before. */
  busy(most: number): Feed
  news(request: NewsRequest): Feed
  sessions(query: SessionQuery): SessionPage
  /** Undefined when too many run already. */
  trace(request: TraceRequest): Feed | undefined
  stopActor(path: string): Done
  restartActor(path: string): Done
  /** Ends the session of a full JID; false when there is none. */
  kick(jid: string): boolean
  /** The level before. */
  setLogLevel(level: LogLevel): LogLevel
  /** Writes the heap into the data folder. `in-memory`: there is none. The server stands still meanwhile. */
  heapSnapshot(): Promise<Snapshot | 'busy' | 'in-memory'>
}
