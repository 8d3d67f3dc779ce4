import type { Element } from 'ltx'
import { createHostCounters } from '../observability/metrics/host-counters.js'
import type { Jid } from '../protocols/jid.js'
import type { Stanza, StanzaKind } from '../protocols/stanza/stanza.js'
import type { RosterView } from '../sessions/rosters.js'
import type { Sender, Session } from '../sessions/session.js'
import { blamed, type OfPart, type Part, registrant, withEntry } from './parts.js'

/** What a transform returns to end a stanza's way. */
export const drop: unique symbol = Symbol('drop')
/** What a transform returns to keep a stanza from a session as if that could not take it: it finds another way, or bounces. */
export const refuse: unique symbol = Symbol('refuse')
/** What a transform returns: the stanza that goes on, or `drop`. */
export type Transformed = Stanza | typeof drop
/** What becomes of a stanza where not every receiver takes it. */
export type Offered = Transformed | typeof refuse

/** Which stanzas a handler is called for; nobody parses for the others. */
export interface Filter {
  /** Absent: of every kind. */
  readonly kinds?: readonly StanzaKind[]
  /** Namespaces of the first child element; absent: whatever it is, or none. */
  readonly namespaces?: readonly string[]
}

type Result = Offered | undefined
type Handler<Context> = (stanza: Stanza, context: Context) => Result | Promise<Result>

interface Entry<Context> extends OfPart {
  readonly filter: Filter
  readonly handler: Handler<Context>
}

/** Whether a stanza passes the filter. */
export function wants({ kinds, namespaces }: Filter, stanza: Stanza): boolean {
  if (kinds && !kinds.includes(stanza.kind)) return false
  return !namespaces || (stanza.payload !== undefined && namespaces.includes(stanza.payload.ns))
}

/** A place on a stanza's way where modules join, in the order of the modules; each sees what the one before it made of the stanza. */
class StanzaHook<Context> {
  /** @internal How often a stanza came by. */
  runs = 0
  #entries: readonly Entry<Context>[] = []

  /** @internal Nobody joined: the stanza need not pass here at all. */
  get isEmpty(): boolean {
    return this.#entries.length === 0
  }

  /** @internal */
  protected add(filter: Filter, handler: Handler<Context>): () => void {
    const entry = { filter, handler, part: registrant() }
    this.#entries = withEntry(this.#entries, entry)
    return () => {
      this.#entries = this.#entries.filter(other => other !== entry)
    }
  }

  /** @internal The stanza that goes on, or `drop`; a promise only when a handler returned one. */
  protected pass(stanza: Stanza, context: Context, from = 0, entries = this.#entries): Offered | Promise<Offered> {
    let current = stanza
    let i = from
    try {
      for (; i < entries.length; i += 1) {
        const { filter, handler, part } = entries[i]!
        if (!wants(filter, current)) continue
        const result = handler(current, context)
        if (result instanceof Promise) {
          const before = current
          const next = i + 1
          return result.then(
            later => (isEnd(later) ? later : this.pass(later ?? before, context, next, entries)),
            (error: unknown) => rejected(error, part),
          )
        }
        if (isEnd(result)) return result
        current = result ?? current
      }
    } catch (error) {
      throw blamed(error, entries[i]?.part)
    }
    return current
  }
}

function rejected(error: unknown, part: Part | undefined): never {
  throw blamed(error, part)
}

const isEnd = (result: Result) => result === drop || result === refuse

/** A hook whose handlers may await: whoever sent the stanza waits with them, so its order is kept. */
export class WaitingHook<Context> extends StanzaHook<Context> {
  /** Shows each stanza that passes the filter, and waits for the handler's promise; the returned function ends that. */
  observe(filter: Filter, handler: (stanza: Stanza, context: Context) => void | Promise<void>): () => void {
    return this.add(filter, (stanza, context) => {
      const waiting = handler(stanza, context)
      return waiting instanceof Promise ? waiting.then(() => undefined) : undefined
    })
  }

  /** Lets the handler change or drop each stanza that passes the filter; the returned function ends that. */
  transform(
    filter: Filter,
    handler: (stanza: Stanza, context: Context) => Transformed | Promise<Transformed>,
  ): () => void {
    return this.add(filter, handler)
  }

  /** @internal */
  run(stanza: Stanza, context: Context): Transformed | Promise<Transformed> {
    this.runs++
    return this.pass(stanza, context) as Transformed | Promise<Transformed> // no handler may refuse here
  }
}

/** A hook whose handlers answer at once, because stanzas from many senders meet there. */
export class PromptHook<Context> extends StanzaHook<Context> {
  /** Shows each stanza that passes the filter; the returned function ends that. */
  observe(filter: Filter, handler: (stanza: Stanza, context: Context) => void): () => void {
    return this.add(filter, (stanza, context) => {
      handler(stanza, context)
      return undefined
    })
  }

  /** Lets the handler change or drop each stanza that passes the filter; the returned function ends that. */
  transform(filter: Filter, handler: (stanza: Stanza, context: Context) => Offered): () => void {
    return this.add(filter, handler)
  }

  /** @internal */
  run(stanza: Stanza, context: Context): Offered {
    this.runs++
    const result = this.pass(stanza, context)
    if (result instanceof Promise) throw new Error('a handler of a prompt hook waited')
    return result
  }
}

/** Something happened; handlers run in the order of the modules, one after the other. */
export class EventHook<Event> {
  /** @internal How often it happened. */
  runs = 0
  #observers: readonly Observer<Event>[] = []

  /** Tells of each; the returned function ends that. What a handler throws is what whoever made it happen gets. */
  observe(handler: (event: Event) => void | Promise<void>): () => void {
    const observer = { handler, part: registrant() }
    this.#observers = withEntry(this.#observers, observer)
    return () => {
      this.#observers = this.#observers.filter(other => other !== observer)
    }
  }

  /** @internal Nobody observes. */
  get isEmpty(): boolean {
    return this.#observers.length === 0
  }

  /** @internal A promise only when a handler returned one. */
  emit(event: Event): void | Promise<void> {
    this.runs++
    let waiting: Promise<void> | undefined
    for (const observer of this.#observers) {
      if (waiting) waiting = waiting.then(() => tell(observer, event))
      else waiting = tell(observer, event) ?? undefined
    }
    return waiting
  }
}

interface Observer<Event> extends OfPart {
  readonly handler: (event: Event) => void | Promise<void>
}

function tell<Event>({ handler, part }: Observer<Event>, event: Event): void | Promise<void> {
  try {
    const waiting = handler(event)
    // Beside whoever waits for it, so that nobody waits longer.
    if (part !== undefined && waiting instanceof Promise) waiting.catch(error => blamed(error, part))
    return waiting
  } catch (error) {
    throw blamed(error, part)
  }
}

/** Why a session is gone; undefined when nothing but the connection's end is known. */
export interface SessionEnd {
  /** Who was there. */
  readonly session: Session
  /** The status of its last unavailable presence. RFC 6121 §4.5.2 */
  readonly status: string | undefined
}

/** A session's presence on its way to a contact. */
export interface Showing {
  /** Whose presence it is. */
  readonly session: Session
  /** Who is to see it: a bare JID. */
  readonly contact: Jid
  /** @internal */
  readonly roster: RosterView
}

/** A roster on its way to its owner. */
export interface RosterReading {
  /** The owner. */
  readonly account: Jid
  /** `<item/>` elements beside those of the contacts; observers add to them. */
  readonly items: Element[]
}

/** The places where the modules of one virtual host join. */
export class Hooks {
  /** @internal What is counted on the way of stanzas, and by modules. */
  readonly counters = createHostCounters()
  /**
   * A client of this host sent a stanza: `from` is stamped, `to` is as the client wrote it, nothing has been done with it yet.
   * What an account sends without a client, by a REST API, comes here too: its sender is no session.
   */
  readonly sent = new WaitingHook<Sender>()
  /**
   * A message of a sender of this host has passed `sent` and has an addressee. It goes on when all that is begun here is done;
   * a failure goes back to the sender instead. What handlers return does not change it.
   */
  readonly leaving = new WaitingHook<Sender>()
  /**
   * A message that is no error is for this account of this host, or one of its resources, and nobody has it yet; the account
   * need not exist. Once per message: what a session could not hand on any more does not pass again.
   */
  readonly arriving = new WaitingHook<Jid>()
  /** A stanza is about to be handed to a client session of this host. Who throws a `StanzaError` keeps it, and the sender is told. */
  readonly received = new PromptHook<Session>()
  /** A message was handed to a client session of this host; to others of its account too, where the addressee is not that session alone. */
  readonly delivered = new PromptHook<Session>()
  /** A session's presence, available or not, is about to be sent to a contact who may see it. */
  readonly shown = new PromptHook<Showing>()
  /** The server is about to answer an IQ, a probe or a subscription from somebody else on behalf of an account of this host. */
  readonly onBehalf = new WaitingHook<Jid>()
  /** A message for an account of this host found no resource to go to; a transform that drops it has taken care of it, else it bounces. */
  readonly undeliverable = new WaitingHook<Jid>()
  /** Somebody says to be this account and has not proven it: what a session will ask the store for can be asked along now. */
  readonly loginBegun = new EventHook<Jid>()
  /** A client asks for its roster. Nobody tells it later of what is added here. */
  readonly rosterRead = new EventHook<RosterReading>()
  /** A session was registered; it has not sent presence yet. */
  readonly sessionOpened = new EventHook<Session>()
  /** A session was unregistered; its contacts have been told, or are being told. */
  readonly sessionClosed = new EventHook<SessionEnd>()
  /** A session became available with a priority of zero or more, or raised its priority to that: it takes messages for the account. */
  readonly becameAvailable = new EventHook<Session>()
  /** A session that was available, with whatever priority, is not any more. */
  readonly becameUnavailable = new EventHook<Session>()
  /** An account is being removed: its sessions have been told to end and what the store held of it is gone. */
  readonly accountRemoved = new EventHook<Jid>()
  /** What the store holds of an account was changed past the modules, as by an import: what they remember of it is to be forgotten. */
  readonly accountChanged = new EventHook<Jid>()
}
