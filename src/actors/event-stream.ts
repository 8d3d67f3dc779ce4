import type { Counters } from '../observability/counters.js'
import type { Emit } from '../observability/events.js'
import type { StreamCondition } from '../protocols/errors.js'
import { emptyComment, eventOf, isEvent } from '../protocols/event-stream.js'
import type { Jid } from '../protocols/jid.js'
import { Stanza } from '../protocols/stanza/stanza.js'
import type { Session } from '../sessions/session.js'
import { type EventResponse, EventWriter, type EventWriterOwner } from '../transports/event-stream.js'
import type { Peer, TransportContext } from '../transports/transport.js'
import type { Backlog } from './backlog.js'
import { Actor, type ActorInit, type StopReason } from './runtime/index.js'
import { oneByOne } from './stream-connection.js'

/** Bytes of stanzas that may wait for a client that is slow to read, besides the one that is being written. spec/sse.md §5 */
const MOST_WAITING = 1024 * 1024
/** Between two comments, in milliseconds. S-14 */
const COMMENT_MS = 30_000
const COMMENT = 'comment'

/** What an event stream needs of the rest of the server. */
export interface EventStreamServices {
  readonly transport: TransportContext
  readonly emit: Emit
  readonly counters: Counters
  readonly backlog: Backlog
  /** Milliseconds since 1970. */
  wall(): number
  open(session: Session): void
  leave(session: Session, status: string | undefined): void
  /** Finds another way for a stanza that it took and did not write. */
  reroute(session: Session, stanza: Stanza): void | Promise<void>
}

type Message =
  | Stanza
  | { readonly type: 'lost'; readonly reason: string }
  | { readonly type: 'tooSlow' }
  | { readonly type: 'end'; readonly condition: StreamCondition; readonly text: string | undefined }

/** Why it ends, and what others are told of that. */
interface Parting {
  readonly reason: string
  readonly status?: string | undefined
  /** The client is gone, or has to go: nothing more is written. */
  readonly isCut: boolean
}

/**
 * A stream of server-sent events: a session whose client takes messages and says nothing. It has no presence, so that nobody
 * learns of it. spec/sse.md S-5
 */
export class EventStream extends Actor<Message> implements Session, EventWriterOwner {
  readonly node = 'local'
  readonly onlyListens = true
  readonly priority = 1
  readonly isInterested = false
  presence: string | undefined = undefined
  directed: Set<string> | undefined = undefined
  private readonly writer: EventWriter
  private events = 0
  /** Bytes of the stanzas in the mailbox. */
  private waitingBytes = 0
  private parting: Parting | undefined = undefined

  constructor(
    init: ActorInit,
    readonly jid: Jid,
    readonly peer: Peer,
    private readonly opened: EventResponse,
    private readonly services: EventStreamServices,
  ) {
    super(init)
    this.writer = new EventWriter(opened, this, services.transport)
  }

  protected override started(): void {
    const { counters, emit, transport, open } = this.services
    counters.sessionsOpened++
    counters.sessionsNow++
    emit('session.opened', { jid: this.jid.text })
    open(this)
    // Whoever sees the head may count on it.
    this.writer.begin(this.opened.headers)
    this.arm(COMMENT, transport.now() + COMMENT_MS)
  }

  protected override receive(message: Message): void {
    if (message instanceof Stanza) {
      this.forward(message)
      return
    }
    switch (message.type) {
      case 'lost':
        this.part({ reason: message.reason, isCut: true })
        return
      case 'tooSlow':
        this.part({ reason: 'too much waits for a slow client', isCut: true })
        return
      case 'end':
        this.part({ reason: message.text ?? message.condition, status: message.text, isCut: false })
    }
  }

  protected override timedOut(): void {
    if (!this.writer.isBlocked) this.writer.write(emptyComment)
    this.arm(COMMENT, this.services.transport.now() + COMMENT_MS)
  }

  /** At rest there is nothing to reduce. */
  protected override pack(): string {
    return ''
  }

  // ---- Session

  /** What makes no event is for another session, or none: who asks something is told so. S-10 */
  deliver(stanza: Stanza): boolean {
    if (!isEvent(stanza)) return stanza.kind === 'presence' && !this.isStopping
    const size = stanza.encodedLength()
    const { isBlocked } = this.writer
    if (isBlocked && this.waitingBytes + size > MOST_WAITING) {
      this.tell({ type: 'tooSlow' })
      return false
    }
    // What waits must not keep the chunk alive that it came in.
    if (!this.tellStanza(isBlocked ? stanza.compact() : stanza)) return false
    this.waitingBytes += size
    this.services.backlog.bytes += size
    return true
  }

  end(condition: StreamCondition, text?: string): void {
    this.tell({ type: 'end', condition, text })
  }

  // ---- EventWriterOwner

  blocked(): void {
    this.pauseStanzas()
    if (this.waitingBytes > MOST_WAITING) this.tell({ type: 'tooSlow' })
  }

  drained(): void {
    this.resumeStanzas()
  }

  lost(reason: string): void {
    this.tell({ type: 'lost', reason })
  }

  private forward(stanza: Stanza): void {
    this.stopWaiting(stanza.encodedLength())
    this.write(stanza)
  }

  private write(stanza: Stanza): void {
    this.events++
    this.services.counters.stanzasOut++
    this.writer.write(eventOf(stanza, this.events, this.services.wall() * 1000))
  }

  private stopWaiting(bytes: number): void {
    this.waitingBytes -= bytes
    this.services.backlog.removed(bytes)
  }

  // ---- the one way out

  private part(parting: Parting): void {
    this.parting ??= parting
    this.stop('ended')
  }

  /** Writes what waits for a client that reads; for one that does not it finds another way. */
  protected override stopped(stopReason: StopReason): void | Promise<void> {
    const waiting = this.unhandled().stanzas.filter(message => message instanceof Stanza)
    this.stopWaiting(this.waitingBytes)
    const isBroken = stopReason === 'fault' || stopReason === 'queue-limit'
    const { reason, status, isCut } = this.parting ?? { reason: stopReason, isCut: isBroken }
    for (; !isCut && !this.writer.isBlocked && waiting[0] !== undefined; waiting.shift()) this.write(waiting[0])
    if (isCut) this.writer.destroy()
    else this.writer.end()
    const { counters, emit, leave, reroute } = this.services
    counters.sessionsNow--
    emit('session.closed', { jid: this.jid.text, reason })
    leave(this, status)
    const rerouted = waiting.length > 0 ? oneByOne(waiting, stanza => reroute(this, stanza)) : undefined
    // At a shutdown the process waits for the last events to be on their way.
    if (stopReason !== 'shutdown') return rerouted
    return rerouted === undefined ? this.writer.finished() : rerouted.then(() => this.writer.finished())
  }

  override get servedJid(): string {
    return this.jid.text
  }

  override inspected(): Record<string, string | number | boolean> {
    const { jid, peer, events, waitingBytes } = this
    const { isBlocked, isCompressed, bytesOut } = this.writer
    const { address, port } = peer
    return { jid: jid.text, address, port, isBlocked, isCompressed, bytesOut, events, waitingBytes }
  }
}
