import type { NactActor } from './nact.js'

/** What happens to actors. `overflowed`: a stanza lane was full, and its supervisor decides. */
export type ActorEventType = 'spawned' | 'stopped' | 'faulted' | 'restarted' | 'hibernated' | 'overflowed'

/** Something that happened to an actor. What is dear to make is made when it is asked for, at once or never. */
export interface ActorEvent {
  /** What happened. */
  readonly type: ActorEventType
  /** As `/root/listeners`; undefined for a fault of no actor. */
  readonly path: string | undefined
  /** The actor's class, a behaviour's `kind`, `nact`, or `runtime` for a fault of no actor. */
  readonly kind: string
  /** Such as the `reason` of a stop; never what is in a message. */
  readonly details: Readonly<Record<string, string | number>>
}

/** Told of every event while it happens: must be quick, and neither throw nor act on actors. */
export type ActorObserver = (event: ActorEvent) => void

export class Observed implements ActorEvent {
  readonly type: ActorEventType
  readonly details: Readonly<Record<string, string | number>>
  readonly #actor: (NactActor & { readonly kind?: string }) | undefined

  constructor(type: ActorEventType, actor: NactActor | undefined, details: Readonly<Record<string, string | number>>) {
    this.type = type
    this.details = details
    this.#actor = actor
  }

  get path(): string | undefined {
    return this.#actor?.path.toString()
  }

  get kind(): string {
    return this.#actor === undefined ? 'runtime' : (this.#actor.kind ?? 'nact')
  }
}

/** Tells several observers. One that throws is told nothing of that event, and the others are. */
export function tellAll(observers: ReadonlySet<ActorObserver>): ActorObserver {
  return event => {
    for (const observer of observers) {
      try {
        observer(event)
      } catch (thrown) {
        // Nobody is left to tell but the process.
        process.emitWarning(`observer threw ${thrown instanceof Error ? thrown.name : typeof thrown}`, 'ActorWarning')
      }
    }
  }
}
