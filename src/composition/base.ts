import type { Backlog } from '../actors/backlog.js'
import type { Runtime } from '../actors/runtime/index.js'
import type { Config } from '../config/root.js'
import type { Module } from '../modules/module.js'
import type { Clock } from '../observability/clock.js'
import type { Counters } from '../observability/counters.js'
import type { Emit, Events } from '../observability/events.js'
import type { Sizes } from '../observability/metrics/figures.js'

export interface ServerOptions {
  /** Make development certificates where the files that the configuration names are missing. */
  readonly dev?: boolean
  readonly events?: Events
  readonly clock?: Clock
  /** Keep everything in memory: `data_dir` is not touched, and there is no control socket. */
  readonly inMemory?: boolean
  /** Modules of your own; each is on where `[modules.NAME]` of the configuration names it. */
  readonly modules?: readonly Module[]
  /** Called once when the tree gave up: an actor failed more often than its supervisors allow. The server has stopped by then. */
  readonly onFailed?: (error: Error) => void
}

export interface Address {
  /** In the actor tree. */
  readonly name: string
  readonly protocol: 'c2s' | 's2s' | 'service' | 'http' | 'udp'
  readonly address: string
  readonly port: number
}

/** Undone in the reverse order, each once, whether the start succeeded or not. */
export type Undo = (undo: () => void | Promise<void>) => void

/** What every step of the start works with. */
export interface Base {
  readonly config: Config
  readonly options: ServerOptions
  readonly clock: Clock
  readonly emit: Emit
  readonly counters: Counters
  /** Where a handler shows metrics. */
  readonly sizes: Sizes | undefined
  readonly runtime: Runtime
  readonly backlog: Backlog
  readonly onBug: (error: unknown) => void
  readonly later: Undo
  /** Registers what is done when the server is asked to read its certificates again. It never rejects. */
  readonly onReload: (reload: () => Promise<void>) => void
}
