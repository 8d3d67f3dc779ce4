/** Limits a flow to `rate` bytes a second; what a second allows may come at once. spec/listeners.md §2.4 */
export class TokenBucket {
  private tokens: number

  /** `now` and every later one in milliseconds of one monotonic clock. */
  constructor(
    readonly rate: number,
    private last: number,
  ) {
    this.tokens = rate
  }

  /** Takes note of bytes that have come. Milliseconds for which no more may come; nothing grows back meanwhile. */
  take(bytes: number, now: number): number {
    const grown = Math.round((this.rate / 1000) * (now - this.last))
    const available = Math.min(this.rate, this.tokens + grown)
    this.tokens = Math.max(0, available - bytes)
    const delay = Math.round((Math.max(0, bytes - available) * 1000) / this.rate)
    this.last = now + delay
    return delay
  }
}
