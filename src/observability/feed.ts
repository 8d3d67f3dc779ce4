import type { Clock } from './clock.js'

/** Something that an onlooker is told. */
export interface FeedEvent {
  readonly event: string
  /** JSON. */
  readonly data: unknown
}

export interface FeedOptions {
  /** Events a second that are taken, of the common ones; of the rare ones it is 100 at least. */
  readonly rate?: number
  /** Events that may wait for the reader, of each sort. */
  readonly room?: number
  /** Milliseconds for which events are gathered. */
  readonly gatherMs?: number
  /** Milliseconds of silence after which an empty batch comes. */
  readonly idleMs?: number
  /** Says what was left out, by sort and in all, since it was said last. */
  leftOut?(counts: Readonly<Record<string, number>>, total: number): FeedEvent
}

const RARE_RATE = 100

/**
 * Events on their way to one onlooker, who reads at its own pace. Whoever tells is never held up: what is above the rate, or finds no
 * room, is not even made but counted, and the count is told. What is rare has a room of its own, so that a flood never hides it.
 */
export class Feed {
  private readonly common: Room
  private readonly rare: Room
  private counts: Record<string, number> = {}
  private total = 0
  private last: FeedEvent | undefined
  private isClosed = false
  private wake: () => void = () => undefined
  private readonly onClose: (() => void)[] = []

  constructor(
    private readonly clock: Clock,
    private readonly options: FeedOptions = {},
  ) {
    const { rate = Number.POSITIVE_INFINITY, room = 500 } = options
    this.common = new Room(rate, room)
    this.rare = new Room(Math.max(rate, RARE_RATE), room)
  }

  /** Tells an event of a sort, which is made only if it can be taken; false when it is left out. */
  offer(sort: string, make: () => FeedEvent, isRare = false): boolean {
    if (this.isClosed) return false
    const room = isRare ? this.rare : this.common
    if (!room.admits(this.clock.now())) {
      this.counts[sort] = (this.counts[sort] ?? 0) + 1
      this.total++
      this.wake()
      return false
    }
    room.events.push(make())
    this.wake()
    return true
  }

  /** Ends it, with a last event; what waits is read first. Calling again does nothing. */
  close(last?: FeedEvent): void {
    if (this.isClosed) return
    this.isClosed = true
    this.last = last
    for (const done of this.onClose) done()
    this.wake()
  }

  /** Calls `done` once when it ends, from whichever side. */
  closed(done: () => void): void {
    if (this.isClosed) done()
    else this.onClose.push(done)
  }

  /** What was told, in batches, for one reader. Leaving the loop closes the feed. */
  async *batches(): AsyncGenerator<readonly FeedEvent[]> {
    const { gatherMs = 250, idleMs = 15_000 } = this.options
    try {
      while (!this.isClosed) {
        if (!this.hasNews) await this.pause(idleMs)
        // One turn of the timer for many events.
        else await this.pause(gatherMs, true)
        if (!this.isClosed) yield this.take()
      }
      const rest = this.take()
      if (rest.length > 0 || this.last !== undefined) yield this.last === undefined ? rest : [...rest, this.last]
    } finally {
      this.close()
    }
  }

  private get hasNews(): boolean {
    return this.common.events.length > 0 || this.rare.events.length > 0 || this.total > 0
  }

  private take(): FeedEvent[] {
    const events = [...this.rare.take(), ...this.common.take()]
    if (this.total > 0) {
      const told = this.options.leftOut?.(this.counts, this.total)
      if (told !== undefined) events.push(told)
      this.counts = {}
      this.total = 0
    }
    return events
  }

  /** Until it is time, or until something comes, unless `isGathering`; a close ends it at once. */
  private pause(ms: number, isGathering = false): Promise<void> {
    return new Promise(resolve => {
      const end = () => {
        cancel()
        this.wake = () => undefined
        resolve()
      }
      const cancel = this.clock.after(ms, end)
      this.wake = () => {
        if (this.isClosed || !isGathering) end()
      }
    })
  }
}

/** Events of one sort that wait, and how many more may come in this second. */
class Room {
  events: FeedEvent[] = []
  private taken = 0
  private second = Number.NEGATIVE_INFINITY

  constructor(
    private readonly rate: number,
    private readonly most: number,
  ) {}

  admits(now: number): boolean {
    if (now - this.second >= 1000) {
      this.second = now
      this.taken = 0
    }
    if (this.events.length >= this.most || this.taken >= this.rate) return false
    this.taken++
    return true
  }

  take(): FeedEvent[] {
    const { events } = this
    this.events = []
    return events
  }
}
