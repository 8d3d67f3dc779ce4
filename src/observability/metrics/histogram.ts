import type { Clock } from '../clock.js'

/*
 * How values are spread. A value costs three additions; quantiles are worked out when somebody asks.
 */

/** Buckets for each doubling of the value: those of one are told apart to within an eighth. */
const STEPS = 8
const BUCKETS = 30 * STEPS
const MINUTE = 60_000
/** Milliseconds between two looks at a histogram's last minute. */
const PERIOD = 5_000

/** What the API shows of a histogram: all numbers of the last minute. spec/metrics-api.md §2 */
export interface Spread {
  readonly n: number
  readonly mean: number
  readonly min: number
  readonly max: number
  readonly median: number
  readonly 50: number
  readonly 75: number
  readonly 90: number
  readonly 95: number
  readonly 99: number
  readonly 999: number
}

/** Where a whole number from 0 to 2^31 belongs. */
export function bucketOf(value: number): number {
  if (value < STEPS) return value
  const power = 31 - Math.clz32(value)
  return (power - 2) * STEPS + ((value >> (power - 3)) & (STEPS - 1))
}

/** The least value of a bucket. */
export function leastOf(bucket: number): number {
  if (bucket < STEPS) return bucket
  return (STEPS + (bucket % STEPS)) * 2 ** (Math.floor(bucket / STEPS) - 1)
}

/** All values since the start, in buckets. */
export class Histogram {
  readonly buckets = new Float64Array(BUCKETS)
  sum = 0

  /** Counts a whole number from 0 to 2^31. */
  add(value: number): void {
    this.buckets[bucketOf(value)]!++
    this.sum += value
  }

  /** How many values there are. */
  get count(): number {
    let count = 0
    for (const inBucket of this.buckets) count += inBucket
    return count
  }

  /** How many values are less than the bound, which is the least one of a bucket, as every power of two is. */
  below(bound: number): number {
    let count = 0
    for (let bucket = 0; bucket < bucketOf(bound); bucket++) count += this.buckets[bucket]!
    return count
  }
}

/** The last minute of a histogram, looked at every five seconds: nobody pays for it who counts. */
export class HistogramMinute {
  readonly #past: { at: number; buckets: Float64Array; sum: number }[] = []

  constructor(
    private readonly histogram: Histogram,
    private readonly clock: Clock,
  ) {}

  /** Begins to look; the function returned ends it. */
  start(): () => void {
    let cancel = () => {}
    const look = () => {
      cancel = this.clock.after(PERIOD, look)
      const at = this.clock.now()
      while (this.#past[0] !== undefined && this.#past[0].at <= at - MINUTE) this.#past.shift()
      this.#past.push({ at, buckets: this.histogram.buckets.slice(), sum: this.histogram.sum })
    }
    look()
    return () => cancel()
  }

  read(): Spread {
    const from = this.clock.now() - MINUTE
    const base = this.#past.find(({ at }) => at > from) ?? this.#past.at(-1)
    const counts = this.histogram.buckets.map((count, bucket) => count - (base?.buckets[bucket] ?? 0))
    return spreadOf(counts, this.histogram.sum - (base?.sum ?? 0))
  }
}

function spreadOf(counts: Float64Array, sum: number): Spread {
  const n = counts.reduce((all, count) => all + count, 0)
  const at = (part: number) => middleOf(quantile(counts, n, part))
  const first = counts.findIndex(count => count > 0)
  const last = counts.findLastIndex(count => count > 0)
  return {
    n,
    mean: n === 0 ? 0 : sum / n,
    min: n === 0 ? 0 : leastOf(first),
    max: n === 0 ? 0 : leastOf(last + 1) - 1,
    median: at(0.5),
    50: at(0.5),
    75: at(0.75),
    90: at(0.9),
    95: at(0.95),
    99: at(0.99),
    999: at(0.999),
  }
}

/** The bucket of the value that so great a part of all values does not exceed. */
function quantile(counts: Float64Array, n: number, part: number): number {
  let left = Math.ceil(n * part)
  for (const [bucket, count] of counts.entries()) {
    left -= count
    if (left <= 0) return bucket
  }
  return 0
}

const middleOf = (bucket: number) => Math.floor((leastOf(bucket) + leastOf(bucket + 1) - 1) / 2)
