import type { Clock } from '../../src/observability/clock.js'

interface Timer {
  readonly at: number
  readonly action: () => void
}

/** A clock that stands still until a test moves it; timers run in the order of their time, then of their making. */
export class ManualClock implements Clock {
  #now: number
  readonly #epoch: number
  #timers: Timer[] = []

  /** `now` starts at `now` and `wall` at `wall`, both in milliseconds. */
  constructor(now = 0, wall = Date.UTC(2024, 0, 1)) {
    this.#now = now
    this.#epoch = wall - now
  }

  /** How many timers wait. */
  get pending(): number {
    return this.#timers.length
  }

  now(): number {
    return this.#now
  }

  wall(): number {
    return this.#epoch + this.#now
  }

  after(ms: number, action: () => void): () => void {
    const timer = { at: this.#now + Math.max(0, ms), action }
    this.#timers.push(timer)
    return () => {
      this.#timers = this.#timers.filter(other => other !== timer)
    }
  }

  /** Moves on by `ms`, running what becomes due on the way, each at its own time. */
  advance(ms: number): void {
    const end = this.#now + ms
    for (let timer = this.#next(end); timer !== undefined; timer = this.#next(end)) {
      const due = timer
      this.#timers = this.#timers.filter(other => other !== due)
      this.#now = Math.max(this.#now, due.at)
      due.action()
    }
    this.#now = end
  }

  #next(end: number): Timer | undefined {
    let next: Timer | undefined
    for (const timer of this.#timers) if (timer.at <= end && (next === undefined || timer.at < next.at)) next = timer
    return next
  }
}
