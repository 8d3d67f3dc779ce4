import type { Stanza } from '../protocols/stanza/stanza.js'

/*
 * What modules keep alive, each thing in an actor of its own. Modules make residents; the actors are handed in.
 */

/** Work for an actor that is no stanza; in its turn among the stanzas. */
export type Work = () => void | Promise<void>

/** What there is to do at an end. */
export interface End {
  /** Why it ends, such as `shutdown` or `fault`. */
  readonly reason: string
  /** Another takes its place, and what waits. */
  readonly isRestarting: boolean
  /** Stanzas that it did not come to. */
  readonly stanzas: readonly Stanza[]
  /** Other work that it did not come to. */
  readonly work: readonly Work[]
}

/** What lives in an actor; a module implements it. A throw is a fault: it ends, and is made anew. */
export interface Resident {
  /** Once, before anything else. */
  started?(): void | Promise<void>
  /** One stanza, in its turn: the next one waits for the promise. */
  take(stanza: Stanza): void | Promise<void>
  /** The instant that it asked for has come. */
  woken(): void | Promise<void>
  /** Reduces it to a text while it rests; undefined when it cannot be now. */
  pack(): string | undefined
  /** Puts back what `pack` made. */
  unpack(record: string): void
  /** Once, whatever the reason. */
  ended(end: End): void | Promise<void>
  /** What the tree shows of it. */
  inspected?(): Record<string, string | number | boolean>
}

/** The actor as its resident and the module see it. */
export interface ResidentActor {
  /** Puts a stanza behind what waits; false when it is gone or too much waits. */
  deliver(stanza: Stanza): boolean
  /** The same for other work. */
  perform(work: Work): boolean
  /** `woken` is called at this instant of the clock's `now()`, in milliseconds; undefined takes that back. */
  wakeAt(ms: number | undefined): void
  /** Nothing waits for it. */
  readonly isDone: boolean
  /** It takes nothing more. */
  readonly isStopping: boolean
  /** Ends it, when it has done what it is at. */
  stop(reason: string): void
}

/** Where the residents of one service live. */
export interface Residence {
  /** Throws when one of this name is there. */
  move(name: string, make: (actor: ResidentActor) => Resident): ResidentActor
  /** Resolves when all have ended. */
  close(): Promise<void>
}

/** A module of one host, which an actor starts, and starts again where its supervisor or an operator wants that. */
export interface Startable {
  readonly name: string
  readonly host: string
  /** Once for each incarnation of its actor, at once; a throw is a failure. */
  start(actor: ModuleActor): void
  /** Takes back what was started, whole or half, before what is below the actor ends. Its promise is waited for. Idempotent. */
  stop(): void | Promise<void>
  /** That was the last incarnation; `fault`: it failed more often than it may. */
  ended(reason: string): void
  /** What the tree shows of it. */
  inspected(): Record<string, string | number | boolean>
}

/** The actor of a module. */
export interface ModuleActor {
  /** Where residents live, below the actor. Throws when it has stopped, or has one of that name. */
  openResidence(name: string, options: ResidenceOptions): Residence
  /** Counts and tells a fault after which the module goes on. */
  countFault(error: unknown): void
  /** Has it stopped and started; false when it is stopping already. */
  startAgain(): boolean
  stop(reason: string): void
}

/** What residents are spawned with. */
export interface ResidenceOptions {
  /** The module cannot do without any of its residents: one that fails more than 5 times in 10 seconds has it started again. Else it ends alone. */
  readonly isVital?: boolean
  /** Stanzas that may wait for one of them; undefined: any number. */
  readonly mailboxLimit: number | undefined
  /** Milliseconds of rest after which one hibernates; undefined: never. */
  readonly hibernateAfter: number | undefined
}
