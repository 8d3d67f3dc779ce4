import type { Clock } from '../../observability/clock.js'
import type { AnyActor } from './actor.js'

/** Milliseconds between two sweeps; what rests through a whole one is packed. */
export const SWEEP_MS = 1000

/**
 * Who rests. An actor with nothing left to do at the end of a drain counts as hibernated (or, with `hibernateAfter` above
 * 0, that many ms later); one sweeper packs what has rested since the sweep before. spec/listeners.md §1.8
 */
export class Hibernation {
  readonly #clock: Clock
  /** Had nothing left to do after a turn in this drain. */
  #rested: AnyActor[] = []
  #resting: AnyActor[] = []
  #sweeps = 0
  #cancel: (() => void) | undefined

  readonly #wantDrain: () => void

  /** `wantDrain` makes sure that a drain is to come. */
  constructor(clock: Clock, wantDrain: () => void) {
    this.#clock = clock
    this.#wantDrain = wantDrain
  }

  /** True while the sweeper runs. */
  get isSweeping(): boolean {
    return this.#cancel !== undefined
  }

  rested(actor: AnyActor): void {
    // A handler's promise settles outside of any drain.
    if (this.#rested.length === 0) this.#wantDrain()
    this.#rested.push(actor)
  }

  drainEnded(): void {
    if (this.#rested.length === 0) return
    const rested = this.#rested
    this.#rested = []
    for (const actor of rested) actor.restAfterDrain()
  }

  /** Its flag has just been set. */
  hibernated(actor: AnyActor): void {
    if (actor.restingSince < 0) this.#resting.push(actor)
    actor.restingSince = this.#sweeps
    this.#cancel ??= this.#clock.after(SWEEP_MS, this.#sweep)
  }

  #sweep = (): void => {
    const previous = this.#sweeps++
    const resting = this.#resting
    this.#resting = []
    this.#cancel = undefined
    for (const actor of resting) {
      if (actor.isHibernated && actor.restingSince === previous) {
        // It came to rest since the last sweep: it has one whole sweep to go.
        this.#resting.push(actor)
        continue
      }
      actor.restingSince = -1
      if (actor.isHibernated) actor.packAtRest()
    }
    if (this.#resting.length > 0) this.#cancel ??= this.#clock.after(SWEEP_MS, this.#sweep)
  }
}
