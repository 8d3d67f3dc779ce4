/** What time it is and what happens later; tests inject one that they move by hand. */
export interface Clock {
  /** Milliseconds that only ever grow; the origin means nothing. */
  now(): number
  /** Milliseconds since 1970-01-01T00:00:00Z. */
  wall(): number
  /** Calls `action` once after `ms` milliseconds; the returned function cancels it. Does not keep the process alive. */
  after(ms: number, action: () => void): () => void
}

export const systemClock: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  after(ms, action) {
    const timer = setTimeout(action, ms)
    timer.unref()
    return () => clearTimeout(timer)
  },
}
