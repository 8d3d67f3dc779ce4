import type { Backlog } from '../actors/backlog.js'
import type { Runtime } from '../actors/runtime/index.js'
import type { Config } from '../config/root.js'
import type { Module } from '../modules/module.js'
import type { Clock } from '../observability/clock.js'
import type { Counters } from '../observability/counters.js'
import type { Emit, Events } from '../observability/events.js'
import type { Sizes } from '../observability/metrics/figures.js'

/** What nact's `start` returns: the system of a program that has actors of its own. Its typings give that no members. */
export interface HostSystem {
  /** Where nact looks it up. */
  readonly system?: {
    /** The name that it was given, or that nact made up. */
    readonly name?: string | undefined
  }
}

/** A reference to an actor, as nact's `spawn` returns it and its `dispatch` takes it. */
export type HostActor = HostSystem

/** What a server is started with besides its configuration. */
export interface ServerOptions {
  /** Make development certificates where the files that the configuration names are missing. */
  readonly dev?: boolean
  /** Gets what the server tells, such as `createEvents` makes; without it nobody is told. */
  readonly events?: Events
  /** What every time limit runs on; the process's own by default. */
  readonly clock?: Clock
  /** Keep everything in memory: `data_dir` is not touched, and there is no control socket. */
  readonly inMemory?: boolean
  /** Modules of your own; each is on where `[modules.NAME]` of the configuration names it. */
  readonly modules?: readonly Module[]
  /** Called once when the tree gave up: an actor failed more often than its supervisors allow. The server has stopped by then. */
  readonly onFailed?: (error: Error) => void
  /**
   * The nact system of the program around the server. Its top actor becomes a direct child of it, so that the program's actors
   * `dispatch` to components in this process; nact's `stop` of the system, or of that child, does what `Server.stop` does.
   * `Server.stop` leaves the system and the program's actors alone. Without it the server has a system of its own.
   */
  readonly system?: HostSystem
  /** The name of its top actor, where all paths in the tree begin; `root` by default. Two servers in one system need two. */
  readonly rootName?: string
}

/** Where a listener listens. */
export interface Address {
  /** In the actor tree. */
  readonly name: string
  /** The table of `[[listen]]` that it comes from. */
  readonly protocol: 'c2s' | 's2s' | 'service' | 'http' | 'udp'
  /** The IP address that is bound. */
  readonly address: string
  /** The port that is bound, also where the configuration says 0. */
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
