import type { Clock } from '../clock.js'

const MINUTE = 60_000
/** Milliseconds between two looks. */
const PERIOD = 1_000

/** Numbers as they were at a time. */
interface Sample {
  readonly at: number
  readonly values: Float64Array
}

/**
 * How much growing numbers have grown within the last minute. They are looked at once a second, so that whoever counts does nothing
 * but count. What happened at a time is part of the minute for more than 59 seconds and at most 60. Q-9
 */
export class LastMinute {
  readonly #clock: Clock
  readonly #numbers: (() => number)[] = []
  /** The oldest first; all but one of them younger than a minute. */
  readonly #samples: Sample[] = []

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Watches a number from `start` on; the function returned says how much it has grown. */
  watch(number: () => number): () => number {
    const index = this.#numbers.push(number) - 1
    return () => number() - (this.#base()?.values[index] ?? 0)
  }

  /** Begins to look, with what the numbers are now; the function returned ends it. */
  start(): () => void {
    let cancel = () => {}
    const look = () => {
      cancel = this.#clock.after(PERIOD, look)
      this.#look()
    }
    look()
    return () => cancel()
  }

  #look(): void {
    const at = this.#clock.now()
    const old = this.#samples[0]
    const values =
      old !== undefined && old.at <= at - MINUTE
        ? this.#samples.shift()!.values
        : new Float64Array(this.#numbers.length)
    for (const [index, number] of this.#numbers.entries()) values[index] = number()
    this.#samples.push({ at, values })
  }

  /** What the minute began with: the oldest sample in it. When nobody looked for so long, what was seen last. */
  #base(): Sample | undefined {
    const from = this.#clock.now() - MINUTE
    return this.#samples.find(({ at }) => at > from) ?? this.#samples.at(-1)
  }
}
