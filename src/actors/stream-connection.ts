/*
 * One XMPP stream over one transport, whoever is at the other end: back-pressure, shaping, limits, the client's bytes turned
 * into items, stanzas that wait, and the one way out. What the items mean is for the class that extends it.
 */

import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Counters } from '../observability/counters.js'
import type { Emit } from '../observability/events.js'
import { StreamError } from '../protocols/errors.js'
import { Stanza } from '../protocols/stanza/stanza.js'
import type { Frame, Header, Item, ItemReader } from '../protocols/xml/framer.js'
import { TokenBucket } from '../transports/token-bucket.js'
import {
  MAX_UNWRITTEN,
  type OpenTransport,
  type Transport,
  type TransportContext,
  type TransportOwner,
} from '../transports/transport.js'
import type { Backlog, Reader } from './backlog.js'
import { disown, Handover, Nowhere } from './handover.js'
import { Actor, type ActorInit, type StopReason } from './runtime/index.js'
import { transportFacts } from './transport-facts.js'

/** Bytes of one element before login; no option lifts it. spec/listeners.md §1.9 */
const ELEMENT_BEFORE_LOGIN = 10_000
/** Items of the peer's that are handled before what waits for it has its turn. */
const BURST = 8
/** Ends a pause that the shaper made. */
const SHAPER = 'shaper'
/** Longest piece that a shaper counts at a time, in bytes, and for slow ones in seconds: what a pause is for comes before it. */
const SHAPED_PIECE = { bytes: 16_384, seconds: 4 }

/** What a stream needs of the rest of the server; one value per listener, shared by its connections. */
export interface StreamServices {
  readonly listener: string
  readonly transport: TransportContext
  readonly emit: Emit
  readonly counters: Counters
  readonly backlog: Backlog
  /** Of stream headers and of the texts of stream errors where the peer names none. */
  readonly language: string
  /** Stands in stream headers when the peer addressed no domain of ours. */
  readonly defaultHost: string
  /** Bytes of one stanza after login. */
  readonly stanzaBytes: number
  /** 16 lower-case hex digits. */
  newStreamId(): string
}

export type StreamMessage =
  /** Bytes from the peer. */
  | Buffer
  /** A stanza for the peer. */
  | Stanza
  /** Goes on with the peer's bytes, after the stanzas that waited. */
  | { readonly type: 'goOn' }
  | { readonly type: 'secured' }
  | { readonly type: 'lost'; readonly reason: string }
  | { readonly type: 'end'; readonly error: StreamError | undefined }
  /** Something that only the extending class knows. */
  | { readonly type: 'told'; readonly event: object }
  /** Somebody comes with another transport for this session. XEP-0198 §5 */
  | Handover

export interface Parting {
  /** What the peer is told. */
  readonly error?: StreamError | undefined
  /** It is told nothing, not even the end of the stream. */
  readonly isSilent?: boolean
  /** Another connection goes on with the transport. */
  readonly heir?: StreamConnection
  readonly handover?: Handover
}

export abstract class StreamConnection extends Actor<StreamMessage> implements TransportOwner, Reader {
  protected transport: Transport
  protected framer: ItemReader
  /** Our header is out on the present stream. */
  protected hasOpened = false
  /** Set when the stream ends: what the peer is told, once. */
  protected parting: Parting | undefined = undefined
  protected lostBecause: string | undefined = undefined
  /** The peer's language, when it named one. */
  protected lang: string | undefined = undefined
  protected stanzasIn = 0
  protected stanzasOut = 0
  /** Chunks of the peer's bytes that are not wholly handled. */
  private chunks = 0
  /** Of those, the ones behind the one that the framer has. */
  private unread: Buffer[] | undefined = undefined
  private isReading = false
  /** The transport is about to be given up. */
  private isFinishing = false
  private inARow = 0
  /** Clear chunks that came before compression began and are in the mailbox still. */
  private staleChunks = 0
  /** Limits what is read; the pieces behind the one that overdrew it wait. */
  private shaper: TokenBucket | undefined = undefined
  private unshaped: Buffer[] | undefined = undefined
  private isShaped = false
  private shaperPauses = 0
  /** Too much waits in the whole server: nothing is read. */
  private isHeld = false
  /** Of the stanzas in the mailbox. */
  private waitingBytes = 0

  constructor(
    init: ActorInit,
    open: OpenTransport,
    protected readonly services: StreamServices,
  ) {
    super(init)
    this.transport = open(this, services.transport)
    this.framer = this.transport.framing.reader({ element: Math.min(ELEMENT_BEFORE_LOGIN, services.stanzaBytes) })
    services.counters.connectionsAccepted++
    services.counters.connectionsNow++
    services.emit('connection.opened', { connection: init.name, ...this.transport.peer })
  }

  // ---- what the extending class says

  /** A first-level element. */
  protected abstract gotFrame(frame: Frame): void | Promise<void>
  protected abstract gotHeader(header: Header): void | Promise<void>
  /** The peer ended its stream. */
  protected abstract gotEnd(): void | Promise<void>
  /** The peer's bytes broke a rule. */
  protected abstract gotBroken(error: StreamError): void | Promise<void>
  /** The TLS handshake is done. */
  protected abstract secured(): void | Promise<void>
  /** True while what was read in clear counts for nothing any more. */
  protected abstract get isDeaf(): boolean
  /** Nothing is left to say: gives back what the connection held. `undelivered` is in order. */
  protected abstract leave(
    error: StreamError | undefined,
    reason: string,
    undelivered: readonly Stanza[],
  ): void | Promise<void>

  protected override receive(message: StreamMessage): void | Promise<void> {
    if (message instanceof Stanza) return this.forward(message)
    if (message instanceof Uint8Array) return this.read(message as Buffer) // the only Uint8Array in StreamMessage
    if (message instanceof Handover) return this.finish(() => this.taken(message))
    switch (message.type) {
      case 'goOn':
        return this.pump()
      case 'secured':
        return this.secured()
      case 'lost':
        return this.left(message.reason)
      case 'end':
        return this.part({ error: message.error })
      case 'told':
        return this.told(message.event)
    }
  }

  /** What came as `told`. */
  protected told(_event: object): void | Promise<void> {}

  protected override timedOut(kind: string | number): void | Promise<void> {
    if (kind === SHAPER) this.shaperDone()
  }

  /** At rest nothing is left to reduce but the entries of past deadlines, which the runtime drops then. */
  protected override pack(): string {
    return ''
  }

  // ---- what others ask of this connection

  deliver(stanza: Stanza): boolean {
    const size = stanza.encodedLength()
    const { weight } = stanza
    const { isBlocked } = this.transport
    // What `max_fsm_queue` does not count is bounded by its bytes at any time.
    if ((isBlocked || weight === 0) && this.waitingBytes + size > MAX_UNWRITTEN) {
      this.outputOverflowed()
      return false
    }
    // What waits must not keep the chunk alive that it came in.
    if (!this.tellStanza(isBlocked ? stanza.compact() : stanza, weight)) return false
    this.waitingBytes += size
    this.services.backlog.bytes += size
    return true
  }

  end(condition: ConstructorParameters<typeof StreamError>[0], text?: string): void {
    this.tell({ type: 'end', error: new StreamError(condition, text) })
  }

  // ---- TransportOwner: what the transport tells

  received(chunk: Buffer): void {
    if (this.shaper === undefined) this.admit(chunk)
    else this.meter(chunk)
  }

  private admit(chunk: Buffer): void {
    // One chunk in flight: while it is not handled, the socket waits.
    this.chunks++
    if (this.chunks > 1) this.transport.pause()
    const { backlog } = this.services
    if (backlog.isHigh && !this.isHeld) {
      this.isHeld = true
      this.transport.pause()
      backlog.wait(this)
    }
    this.tell(chunk)
  }

  backlogDrained(): void {
    this.isHeld = false
    this.readOn()
  }

  private readOn(): void {
    if (this.chunks > 0 || this.isHeld || this.isShaped || this.transport.isBlocked) return
    this.transport.resume()
  }

  blocked(): void {
    this.transport.pause()
    this.pauseStanzas()
  }

  drained(): void {
    if (this.mayDeliver) this.resumeStanzas()
    this.readOn()
  }

  inputOverflowed(): void {
    this.tell({ type: 'end', error: new StreamError('policy-violation', 'child element too big') })
  }

  /** Whether stanzas may go out as far as the class is concerned; back-pressure is seen to here. */
  protected get mayDeliver(): boolean {
    return true
  }

  outputOverflowed(): void {
    this.tell({ type: 'end', error: new StreamError('resource-constraint') })
  }

  lost(reason: string): void {
    this.tell({ type: 'lost', reason })
  }

  // ---- the shaper: what overdraws it is handled, then nothing is read for a while. spec/listeners.md §2.4

  /** A fresh, full bucket for so many bytes a second, or none. */
  protected shape(rate: number | undefined): void {
    this.shaper = rate === undefined ? undefined : new TokenBucket(rate, this.services.transport.now())
    if (this.isShaped) this.disarm(SHAPER)
    this.shaperDone()
  }

  private meter(bytes: Buffer): void {
    this.unshaped ??= []
    this.unshaped.push(bytes)
    if (!this.isShaped) this.shapeOn()
  }

  /** Takes pieces until one overdraws the bucket. */
  private shapeOn(): void {
    for (let bytes = this.unshaped?.shift(); bytes !== undefined; bytes = this.unshaped?.shift()) {
      const size = this.shaper === undefined ? bytes.length : pieceOf(this.shaper)
      if (bytes.length > size) this.unshaped?.unshift(bytes.subarray(size))
      const piece = bytes.subarray(0, size)
      this.admit(piece)
      const now = this.services.transport.now()
      const delay = this.shaper?.take(piece.length, now) ?? 0
      if (delay === 0) continue
      this.isShaped = true
      this.shaperPauses++
      this.transport.pause()
      this.arm(SHAPER, now + delay)
      return
    }
    this.unshaped = undefined
  }

  private shaperDone(): void {
    this.isShaped = false
    this.shapeOn()
    this.readOn()
  }

  // ---- bytes from the peer

  private read(chunk: Buffer): void | Promise<void> {
    if (this.staleChunks > 0) {
      this.staleChunks--
      this.chunks--
      this.readOn()
      return
    }
    if (this.isReading) {
      this.unread ??= []
      this.unread.push(chunk)
      return
    }
    this.isReading = true
    this.feed(chunk)
    return this.pump()
  }

  private feed(chunk: Buffer): void {
    // What came in clear behind <starttls/> is not part of the stream. RFC 6120 §5.4.3.3
    if (this.parting !== undefined || this.isDeaf) return
    this.framer.feed(chunk)
  }

  /** Handles what the peer sent until nothing is left; where an item takes time, goes on after it. */
  protected pump(): void | Promise<void> {
    while (this.isReading) {
      if (this.mustYield()) {
        this.tellStanza({ type: 'goOn' }, 0)
        return
      }
      this.inARow++
      const waiting = this.next()
      if (waiting === 'nothing') this.nextChunk()
      else if (waiting instanceof Promise) return waiting.then(() => this.pump())
    }
  }

  /** A peer may ask more at once than its mailbox holds answers. */
  private mustYield(): boolean {
    if (this.inARow < BURST || !this.mayDeliver) return false
    this.inARow = 0
    return this.waitingStanzas > 0 && !this.isFinishing
  }

  private nextChunk(): void {
    this.chunks--
    const chunk = this.unread?.shift()
    if (chunk !== undefined) {
      this.feed(chunk)
      return
    }
    this.unread = undefined
    this.isReading = false
    this.readOn()
  }

  /** The peer is gone; what it sent before counts. */
  private left(reason: string): void | Promise<void> {
    this.lostBecause = reason
    return this.finish(() => this.abandoned())
  }

  /** Handles what the transport brought so far, then goes on. */
  private finish(then: () => void | Promise<void>): void | Promise<void> {
    this.isFinishing = true
    const waiting = this.pump()
    if (waiting === undefined) return then()
    return waiting.then(then)
  }

  /** There is no transport any more, and nothing to read. */
  protected abandoned(): void | Promise<void> {
    return this.part({ isSilent: true })
  }

  /** Another transport came for what this connection holds; `attach` takes it. */
  protected taken(handover: Handover): void | Promise<void> {
    this.turnAway(handover)
  }

  /** spec/listeners.md §3.5: the session cannot be resumed any more. */
  protected turnAway(handover: Handover): void {
    handover.refuse(new StreamError('internal-server-error'), this.services.language)
  }

  /** Handles one item; a promise when that takes time. */
  private next(): 'nothing' | void | Promise<void> {
    if (this.parting !== undefined) return 'nothing'
    let item: Item | undefined
    try {
      item = this.framer.next()
    } catch (error) {
      if (!(error instanceof StreamError)) throw error
      return this.framer.refusesSilently ? this.part({ isSilent: true }) : this.gotBroken(error)
    }
    if (item === undefined) return 'nothing'
    switch (item.kind) {
      case 'frame':
        this.services.transport.sizes?.received.xml_stanza_size.add(item.length)
        return this.gotFrame(item)
      case 'header':
        return this.gotHeader(item)
      case 'end':
        return this.gotEnd()
    }
  }

  /** Login is over: stanzas may be as long as the listener says. */
  protected trust(): void {
    this.framer.limits = { element: this.services.stanzaBytes }
  }

  /** Throws away everything that was read: the peer opens a new stream. */
  protected restart(): void {
    this.hasOpened = false
    this.framer.reset()
  }

  /** TLS begins: nothing that was read and not handled counts, and what was said goes out in clear. RFC 6120 §5.4.3.3 */
  protected endClear(): void {
    this.framer.reset()
    this.unshaped = undefined
    this.transport.flush()
  }

  /** Compresses both directions from here on; one read may inflate to `limit` bytes. XEP-0138 */
  protected compress(limit: number): void {
    this.transport.compress(limit)
    // What came in clear behind <compress/> is not part of the stream any more.
    const unread = this.unread?.length ?? 0
    this.staleChunks = this.chunks - 1 - unread
    this.chunks -= unread
    this.unread = undefined
    this.unshaped = undefined
  }

  /** Whether stanzas that wait are written before the stream ends in good order. */
  protected get writesToTheEnd(): boolean {
    return true
  }

  // ---- another transport for the same session. XEP-0198 §5

  /** It has no transport, and waits for another one. */
  get isDetached(): boolean {
    return this.transport instanceof Nowhere
  }

  /** Goes on without a transport. */
  protected detach(): void {
    const { counters, emit } = this.services
    counters.connectionsNow--
    emit('connection.closed', { connection: this.name, reason: this.lostBecause ?? '' })
    this.transport = new Nowhere(this.transport)
    this.forgetInput()
    this.resumeStanzas()
  }

  /** Ends, and gives the transport to another connection, with what came over it and is not handled. */
  protected bequeath(heir: StreamConnection, h: number): void {
    const { transport, framer, lang, unread = [] } = this
    this.transport = new Nowhere(transport)
    this.unread = undefined
    this.part({ isSilent: true, heir, handover: new Handover(transport, framer, unread, lang, h) })
  }

  /** The last of what came for the connection that gives it away. */
  private complete(handover: Handover, control: readonly StreamMessage[]): void {
    for (const message of control) {
      if (message instanceof Handover || message instanceof Stanza) continue
      // Buffer is the only Uint8Array in StreamMessage.
      if (message instanceof Uint8Array) handover.earlier.push(message as Buffer)
      else if (message.type === 'lost') handover.lost(message.reason)
      // Nobody but the transport ends what is no session yet: there is too much of something.
      else if (message.type === 'end') handover.inputOverflowed()
    }
    handover.earlier.push(...(this.unshaped ?? []))
  }

  /** Takes the transport, in the place of the one it had; `pump` reads on where the other connection stopped. */
  protected attach(handover: Handover): void {
    const { transport, framer, chunks, lang } = handover
    const { counters, emit } = this.services
    if (this.isDetached) {
      counters.connectionsNow++
      emit('connection.opened', { connection: this.name, ...transport.peer })
    }
    this.transport = transport
    this.framer = framer
    this.lang = lang
    this.hasOpened = true
    this.lostBecause = undefined
    this.forgetInput()
    transport.handTo(this)
    if (transport.isBlocked) this.pauseStanzas()
    else this.resumeStanzas()
    if (handover.overflow === 'input') this.inputOverflowed()
    if (handover.overflow === 'output') this.outputOverflowed()
    if (handover.lostBecause !== undefined) this.lost(handover.lostBecause)
    // What the framer has counts as a chunk.
    this.chunks = 1 + chunks.length
    this.unread = chunks
    this.isReading = true
  }

  /** From now on nothing of what the transport tells is heard; `taken` follows. */
  protected expectHandover(handover: Handover): boolean {
    disown(this.transport)
    return this.tell(handover)
  }

  /** Nothing is read, nothing waits to be, nothing keeps from reading. */
  private forgetInput(): void {
    this.services.backlog.forget(this)
    this.isHeld = false
    this.isFinishing = false
    this.isReading = false
    this.inARow = 0
    this.chunks = 0
    this.unread = undefined
    this.staleChunks = 0
    this.unshaped = undefined
    this.shape(undefined)
  }

  // ---- stanzas to the peer

  private forward(stanza: Stanza): void {
    this.stopWaiting(stanza.encodedLength())
    this.write(stanza)
  }

  protected write(stanza: Stanza): void {
    this.stanzasOut++
    this.services.counters.stanzasOut++
    this.transport.sendStanza(stanza)
  }

  /** So many bytes do not wait any more. */
  private stopWaiting(bytes: number): void {
    this.waitingBytes -= bytes
    this.services.backlog.removed(bytes)
  }

  // ---- the one way out

  protected part(parting: Parting): void {
    if (this.parting !== undefined) return
    this.parting = parting
    this.stop('ended')
  }

  /** Says goodbye as the reason asks, and finds another way for what was not delivered. */
  protected override stopped(reason: StopReason): void | Promise<void> {
    const { control, stanzas } = this.unhandled()
    this.stopWaiting(this.waitingBytes)
    this.services.backlog.forget(this)
    const { error, isSilent, heir, handover } = this.parting ?? partingFor(reason)
    for (const message of control) if (message instanceof Handover) this.turnAway(message)
    if (heir !== undefined && handover !== undefined) {
      this.complete(handover, control)
      if (!heir.expectHandover(handover)) this.turnAway(handover)
    }
    if (isSilent !== true && !this.transport.isBlocked && isInOrder(error) && this.writesToTheEnd) {
      for (const stanza of stanzas.splice(0)) if (stanza instanceof Stanza) this.write(stanza)
    }
    this.farewell(error, isSilent)
    const { counters, emit } = this.services
    const cause = this.lostBecause ?? error?.message ?? (heir === undefined ? reason : `resumed ${heir.name}`)
    // Where there is no transport that was told before.
    if (!this.isDetached || heir !== undefined) {
      counters.connectionsNow--
      if (error !== undefined) counters.streamErrors++
      emit('connection.closed', { connection: this.name, reason: cause })
    }
    const waiting = this.leave(
      error,
      cause,
      stanzas.filter(stanza => stanza instanceof Stanza),
    )
    // At a shutdown the process waits for the last words to be on their way.
    if (reason !== 'shutdown') return waiting
    const { transport } = this
    return waiting === undefined ? transport.finished() : waiting.then(() => transport.finished())
  }

  protected farewell(error: StreamError | undefined, isSilent = false): void {
    if (this.lostBecause !== undefined) return
    if (this.transport.isSecuring) {
      this.transport.destroy()
      return
    }
    if (!isSilent) {
      const { framing } = this.transport
      if (!this.hasOpened) this.transport.send(this.openingBeforeError())
      if (error !== undefined) this.transport.send(framing.error(error, this.lang ?? this.services.language))
      this.transport.send(framing.close)
    }
    this.transport.close()
  }

  /** RFC 6120 §4.9.1.2 wants a header of ours before an error. */
  protected openingBeforeError(): string {
    const { newStreamId, defaultHost: from, language: lang } = this.services
    return this.transport.framing.open({ id: newStreamId(), from, hasVersion: true, lang })
  }

  override examined(): Record<string, Record<string, string | number | boolean>> {
    const { chunks, isReading, isShaped, isHeld, waitingBytes, hasOpened, stanzasIn, stanzasOut, lang = '' } = this
    return {
      stream: {
        listener: this.services.listener,
        ...{ hasOpened, language: lang, stanzasIn, stanzasOut },
        ...{ unhandledChunks: chunks, isReading, isShaped, isHeld, waitingBytes },
      },
      ...transportFacts(this.transport),
    }
  }

  override inspected(): Record<string, string | number | boolean> {
    const { peer, isEncrypted, isCompressed, isBlocked, bytesIn, bytesOut } = this.transport
    const { shaper } = this
    return {
      address: peer.address,
      port: peer.port,
      isEncrypted,
      ...(isCompressed && { isCompressed }),
      isBlocked,
      ...(shaper !== undefined && { rate: shaper.rate, shaperPauses: this.shaperPauses, isShaped: this.isShaped }),
      bytesIn,
      bytesOut,
      stanzasIn: this.stanzasIn,
      stanzasOut: this.stanzasOut,
    }
  }
}

/** Gives stanzas another way one by one: whoever takes them has a limit too, and gets its turn before the next. */
export async function oneByOne(
  stanzas: readonly Stanza[],
  reroute: (stanza: Stanza) => void | Promise<void>,
): Promise<void> {
  for (const stanza of stanzas) {
    await reroute(stanza)
    await nextTurn()
  }
}

/** What the peer is told when the actor did not part by itself. */
function partingFor(reason: StopReason): Parting {
  switch (reason) {
    case 'queue-limit':
      return { error: new StreamError('resource-constraint') }
    case 'fault':
      return { error: new StreamError('internal-server-error') }
    default:
      return { error: new StreamError('system-shutdown') }
  }
}

/** Whether a stream ends behind what was on its way to the client (RFC 6120 §4.4): not when nobody knows if it still reads. */
function isInOrder(error: StreamError | undefined): boolean {
  switch (error?.condition) {
    case 'conflict':
    case 'resource-constraint':
    case 'internal-server-error':
      return false
    default:
      return true
  }
}

/** Bytes that are counted at a time. */
function pieceOf({ rate }: TokenBucket): number {
  return Math.min(SHAPED_PIECE.bytes, SHAPED_PIECE.seconds * rate)
}
