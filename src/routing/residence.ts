import type { Stanza } from '../protocols/stanza/stanza.js'

/*
 * What modules keep alive, each thing in an actor of its own. Modules make residents; the actors are handed in.
 */

/** Work for an actor that is no stanza; in its turn among the stanzas. */
export type Work = () => void | Promise<void>

/** What there is to do at an end. */
export interface End {
  readonly reason: string
  /** Another takes its place, and what waits. */
  readonly isRestarting: boolean
  /** What it did not come to. */
  readonly stanzas: readonly Stanza[]
  readonly work: readonly Work[]
}

/** What lives in an actor; a module implements it. A throw is a fault: it ends, and is made anew. */
export interface Resident {
  /** Once, before anything else. */
  started?(): void | Promise<void>
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
  readonly isStopping: boolean
  stop(reason: string): void
}

/** Where the residents of one service live. */
export interface Residence {
  /** Throws when one of this name is there. */
  move(name: string, make: (actor: ResidentActor) => Resident): ResidentActor
  /** Resolves when all have ended. */
  close(): Promise<void>
}

export interface ResidenceOptions {
  /** Stanzas that may wait for one of them; undefined: any number. */
  readonly mailboxLimit: number | undefined
  /** Milliseconds of rest after which one hibernates; undefined: never. */
  readonly hibernateAfter: number | undefined
}
