/** What the run queue runs. */
export interface Runnable {
  /** Does at most `budget` pieces of work and says how many it did. */
  turn(budget: number): number
}

/** Something with output to send at the end of a drain. */
export interface Flushable {
  /** Sends it. A throw is caught and told. */
  flush(): void
}

/** Messages one actor handles before it goes to the back of the queue. */
export const TURN_BUDGET = 128
/** Messages one drain handles before sockets and timers get their turn. */
export const DRAIN_BUDGET = 4096

/**
 * Everything that has something to do, in order. One `setImmediate` drains it and then flushes, in that same immediate:
 * flushing in a second one costs a loop turn more per message (LIMITS §4).
 */
export class RunQueue {
  #ready: (Runnable | undefined)[] = []
  #head = 0
  #toFlush = new Set<Flushable>()
  #flushing = new Set<Flushable>()
  #isScheduled = false
  readonly #faulted: (error: unknown, during: 'turn' | 'flush') => void
  readonly #ended: () => void
  /** Drains so far, and the messages they handled. */
  drains = 0
  handled = 0

  /** `faulted` must not throw; `ended` is called at the end of each drain, after the flush. */
  constructor(faulted: (error: unknown, during: 'turn' | 'flush') => void, ended: () => void) {
    this.#faulted = faulted
    this.#ended = ended
  }

  /** True when no drain runs or is to come. */
  get isIdle(): boolean {
    return !this.#isScheduled
  }

  push(runnable: Runnable): void {
    this.#ready.push(runnable)
    this.wake()
  }

  /** Calls `flush` once at the end of this drain, or of the next when none is running. */
  flushLater(flushable: Flushable): void {
    this.#toFlush.add(flushable)
    this.wake()
  }

  /** Makes sure that a drain is to come, or runs. */
  wake(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    setImmediate(this.#drain)
  }

  #drain = (): void => {
    this.drains++
    let left = DRAIN_BUDGET
    while (left > 0 && this.#head < this.#ready.length) {
      const runnable = this.#ready[this.#head]!
      this.#ready[this.#head++] = undefined
      try {
        const handled = runnable.turn(TURN_BUDGET)
        this.handled += handled
        left -= handled > 0 ? handled : 1
      } catch (error) {
        left--
        this.#faulted(error, 'turn')
      }
    }
    this.#ready = this.#head === this.#ready.length ? [] : this.#ready.slice(this.#head)
    this.#head = 0
    if (this.#toFlush.size > 0) this.#flush()
    this.#ended()
    if (this.#ready.length === 0 && this.#toFlush.size === 0) this.#isScheduled = false
    else setImmediate(this.#drain)
  }

  #flush(): void {
    // What a flush registers is for the next drain: two sets take turns.
    const flushing = this.#toFlush
    this.#toFlush = this.#flushing
    this.#flushing = flushing
    for (const flushable of flushing) {
      try {
        flushable.flush()
      } catch (error) {
        this.#faulted(error, 'flush')
      }
    }
    flushing.clear()
  }
}
