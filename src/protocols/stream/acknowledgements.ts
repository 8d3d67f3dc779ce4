/** Counters of stanzas start again from zero here. XEP-0198 §4 */
export const COUNTER_LIMIT = 2 ** 32

/** A stanza that was sent and that the peer has not acknowledged. */
export interface Unacknowledged<Item> {
  readonly item: Item
  /** Bytes that it holds. */
  readonly size: number
  /** When it was sent, in milliseconds of the wall clock. */
  readonly at: number
}

const none: readonly never[] = []

/** One side's books of a managed stream: what it handled, and what it sent that may have to be sent again. XEP-0198 §4 */
export class Acknowledgements<Item> {
  /** Stanzas of the peer's that were handled: the `h` that it is told. */
  handled = 0
  /** Stanzas that were sent. */
  sent = 0
  /** Bytes of what is kept. */
  bytes = 0
  private acknowledged = 0
  /** Undefined while everything is acknowledged: a session at rest holds no queue. */
  private queue: Unacknowledged<Item>[] | undefined = undefined
  private sinceRequest = 0

  /**
   * `keeps`: what is sent is kept until it is acknowledged, else it is only counted. `askEvery`: so many stanzas are sent
   * between two requests; Infinity asks for none.
   */
  constructor(
    readonly keeps: boolean,
    private readonly askEvery: number,
  ) {}

  /** How many stanzas are not acknowledged. */
  get outstanding(): number {
    return (this.sent - this.acknowledged + COUNTER_LIMIT) % COUNTER_LIMIT
  }

  /** What is not acknowledged, the oldest first; empty where nothing is kept. */
  get unacknowledged(): readonly Unacknowledged<Item>[] {
    return this.queue ?? none
  }

  countHandled(): void {
    this.handled = (this.handled + 1) % COUNTER_LIMIT
  }

  /** Books a stanza that is being sent; true when the peer is to be asked for an acknowledgement behind it. */
  send(item: Item, size: number, at: number): boolean {
    this.sent = (this.sent + 1) % COUNTER_LIMIT
    if (this.keeps) {
      this.bytes += size
      const entry = { item, size, at }
      if (this.queue === undefined) this.queue = [entry]
      else this.queue.push(entry)
    }
    this.sinceRequest++
    if (this.sinceRequest < this.askEvery) return false
    this.sinceRequest = 0
    return true
  }

  /** Whether the peer may say that it has handled so many: no more than were sent, no fewer than it said before. */
  allows(h: number): boolean {
    return this.steps(h) <= this.outstanding
  }

  /** The peer has handled so many of the stanzas sent; false, and nothing done, when that cannot be. XEP-0198 §6 */
  acknowledge(h: number): boolean {
    if (!this.allows(h)) return false
    const count = this.steps(h)
    this.acknowledged = h
    if (this.queue === undefined || count === 0) return true
    if (count >= this.queue.length) {
      this.queue = undefined
      this.bytes = 0
      return true
    }
    for (const { size } of this.queue.splice(0, count)) this.bytes -= size
    return true
  }

  private steps(h: number): number {
    return (h - this.acknowledged + COUNTER_LIMIT) % COUNTER_LIMIT
  }
}
