import type { AnyActor } from './actor.js'
import type { Runnable } from './run-queue.js'

/** The decision about a full mailbox, taken on the run queue. */
export class Overflow implements Runnable {
  readonly #actor: AnyActor

  constructor(actor: AnyActor) {
    this.#actor = actor
  }

  turn(): number {
    this.#actor.decideOverflow()
    return 0
  }
}

/** A restart, done on the run queue, so that an actor that never starts does not hold up the others. */
export class Succession implements Runnable {
  readonly #actor: AnyActor

  constructor(actor: AnyActor) {
    this.#actor = actor
  }

  turn(): number {
    this.#actor.startSuccessor()
    return 0
  }
}
