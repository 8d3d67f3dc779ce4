import { Expired, Sent } from './signals.js'

/** One message that an actor handled. */
export interface HandledMessage {
  /** Ms since 1970. */
  readonly at: number
  /** A word of the message's own or its class, never what is in it. */
  readonly type: string
}

/** Types that are kept of each actor that is watched. */
const KEPT = 50
/** Ms for which an actor is watched after somebody asked. */
const WATCHED_MS = 60_000
/** Actors that are watched at a time. */
const MOST_WATCHED = 64

/** The types of the last messages that one actor handled, since somebody looks. */
export class Watch {
  readonly since: number
  /** Ms since 1970. */
  until: number
  #types: HandledMessage[] = []

  constructor(now: number) {
    this.since = now
    this.until = now + WATCHED_MS
  }

  /** The newest last. */
  get types(): readonly HandledMessage[] {
    return this.#types.slice(-KEPT)
  }

  note(at: number, item: unknown): void {
    this.#types.push({ at, type: messageType(item) })
    if (this.#types.length >= 2 * KEPT) this.#types = this.#types.slice(-KEPT)
  }
}

/** Who is watched, each for a minute after it was asked about last. */
export class Watches<Actor extends object> {
  readonly #watches = new Map<Actor, Watch>()

  get size(): number {
    return this.#watches.size
  }

  /** Watches the actor from now on, or on. */
  watch(actor: Actor, now: number): Watch {
    for (const [other, { until }] of this.#watches) if (until <= now) this.#watches.delete(other)
    const watch = this.#watches.get(actor) ?? new Watch(now)
    watch.until = now + WATCHED_MS
    // Behind the others: whoever was asked about longest ago is in front.
    this.#watches.delete(actor)
    this.#watches.set(actor, watch)
    const [first] = this.#watches.keys()
    if (this.#watches.size > MOST_WATCHED && first !== undefined) this.#watches.delete(first)
    return watch
  }

  of(actor: Actor): Watch | undefined {
    return this.#watches.get(actor)
  }

  forget(actor: Actor): void {
    this.#watches.delete(actor)
  }

  /** Forgets those about whom nobody asked for long. */
  expire(now: number): void {
    for (const [actor, { until }] of this.#watches) if (until <= now) this.#watches.delete(actor)
  }
}

/** What a message is called: a word of its own or its class, never what is in it. */
export function messageType(item: unknown): string {
  if (item instanceof Expired) return `deadline ${String(item.deadline.kind)}`
  const message = item instanceof Sent ? item.message : item
  if (message instanceof Uint8Array) return 'bytes'
  if (typeof message !== 'object' || message === null) return typeof message
  return wordOf(message, 'kind') ?? wordOf(message, 'type') ?? (message.constructor?.name || 'object')
}

/** A property that is a plain word; anything longer may be somebody's data. */
function wordOf(message: object, property: 'kind' | 'type'): string | undefined {
  const value: unknown = (message as Record<string, unknown>)[property] // any object may have any property
  return typeof value === 'string' && /^[a-z][a-zA-Z-]{0,39}$/.test(value) ? value : undefined
}
