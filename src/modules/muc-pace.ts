import { StanzaError } from '../protocols/errors.js'
import type { Stanza } from '../protocols/stanza/stanza.js'
import { TokenBucket } from '../transports/token-bucket.js'

/** How fast a room takes what its occupants send. Rates in bytes a second; undefined: no limit. */
export interface PaceOptions {
  /** Milliseconds between two messages, and between two presences, of one session. */
  readonly messageInterval: number
  readonly presenceInterval: number
  readonly messageRate: number | undefined
  readonly presenceRate: number | undefined
  /** Of all messages of the room together. */
  readonly roomRate: number | undefined
}

/** Stanzas of one room that may wait for their time. */
const mostHeld = 1000

interface Lane {
  /** Before this, in milliseconds of the clock, nothing more passes. */
  next: number
  readonly bucket: TokenBucket | undefined
  isHolding: boolean
}

interface Held {
  readonly stanza: Stanza
  readonly at: number
  readonly lane: Lane
}

/** Holds back what comes too fast: one stanza of each kind for each session; who sends another meanwhile is refused. */
export class Pace {
  /** Of sessions that sent something, by full JID and kind. */
  readonly #lanes = new Map<string, Lane>()
  readonly #held: Held[] = []
  readonly #room: TokenBucket | undefined
  /** No message passes before this. */
  #roomNext = 0

  constructor(
    private readonly options: PaceOptions,
    now: number,
  ) {
    this.#room = options.roomRate === undefined ? undefined : new TokenBucket(options.roomRate, now)
  }

  /** When the first of what is held back may go on; undefined: nothing is. */
  get due(): number | undefined {
    return this.#held[0]?.at
  }

  /** True: the stanza goes on now. False: it is kept until `due`. Throws `resource-constraint` when one waits already. */
  admits(stanza: Stanza, now: number): boolean {
    const kind = kindOf(stanza)
    if (kind === undefined) return true
    const lane = this.#lane(kind, stanza, now)
    const earliest = Math.max(lane.next, kind === 'message' ? this.#roomNext : 0)
    if (earliest <= now && !lane.isHolding) {
      this.#passes(kind, lane, stanza, now)
      return true
    }
    if (lane.isHolding || this.#held.length >= mostHeld) {
      throw new StanzaError('resource-constraint', 'too much at one time')
    }
    lane.isHolding = true
    this.#held.push({ stanza: stanza.compact(), at: earliest, lane })
    this.#held.sort((a, b) => a.at - b.at)
    return false
  }

  /** What was held back and may go on; each is taken away. */
  *released(now: number): IterableIterator<Stanza> {
    for (let first = this.#held[0]; first !== undefined && first.at <= now; first = this.#held[0]) {
      this.#held.shift()
      first.lane.isHolding = false
      const kind = kindOf(first.stanza)
      if (kind !== undefined) this.#passes(kind, first.lane, first.stanza, now)
      yield first.stanza
    }
  }

  /** Forgets the sessions that are none of these full JIDs. */
  prune(inside: ReadonlySet<string>): void {
    for (const key of this.#lanes.keys()) if (!inside.has(key.slice(key.indexOf(' ') + 1))) this.#lanes.delete(key)
  }

  #lane(kind: 'message' | 'presence', stanza: Stanza, now: number): Lane {
    const key = `${kind} ${stanza.from!.text}`
    let lane = this.#lanes.get(key)
    if (lane === undefined) {
      const rate = kind === 'message' ? this.options.messageRate : this.options.presenceRate
      lane = { next: 0, bucket: rate === undefined ? undefined : new TokenBucket(rate, now), isHolding: false }
      this.#lanes.set(key, lane)
    }
    return lane
  }

  #passes(kind: 'message' | 'presence', lane: Lane, stanza: Stanza, now: number): void {
    const { messageInterval, presenceInterval } = this.options
    const size = stanza.encodedLength()
    const pause = lane.bucket?.take(size, now) ?? 0
    lane.next = now + Math.max(pause, kind === 'message' ? messageInterval : presenceInterval)
    if (kind === 'message') this.#roomNext = now + (this.#room?.take(size, now) ?? 0)
  }
}

/** The pace of a room; undefined when there is no limit. */
export function paceOf(options: PaceOptions, now: number): Pace | undefined {
  const { messageInterval, presenceInterval, messageRate, presenceRate, roomRate } = options
  const isLimited = [messageRate, presenceRate, roomRate].some(rate => rate !== undefined)
  return isLimited || messageInterval > 0 || presenceInterval > 0 ? new Pace(options, now) : undefined
}

/** What is limited: what all occupants hear. */
function kindOf({ kind, type }: Stanza): 'message' | 'presence' | undefined {
  if (kind === 'message') return type === 'groupchat' ? 'message' : undefined
  return kind === 'presence' && type === '' ? 'presence' : undefined
}
