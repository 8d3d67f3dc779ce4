/*
 * One client connection: feeds the stream machine, performs its effects, owns the session and the transport.
 * Until the resource is bound everything goes through `protocols/stream/c2s.ts`; after that a stanza takes the short path
 * (`stanza` → `route`, `deliver` → the transport) with no transition and no effect.
 */

import type { Socket } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { Element } from 'ltx'
import type { Login, LoginFacts } from '../auth/login.js'
import type { Counters } from '../observability/counters.js'
import type { Emit } from '../observability/events.js'
import { StreamError } from '../protocols/errors.js'
import { Jid } from '../protocols/jid.js'
import { NS } from '../protocols/namespaces.js'
import { Stanza } from '../protocols/stanza/stanza.js'
import * as c2s from '../protocols/stream/c2s.js'
import { offerFeatures } from '../protocols/stream/features.js'
import { tcpFraming as framing } from '../protocols/stream/framing.js'
import { type Frame, interest } from '../protocols/xml/frame.js'
import { Framer } from '../protocols/xml/framer.js'
import { buildElement } from '../protocols/xml/tree.js'
import type { Session } from '../sessions/session.js'
import { TcpTransport } from '../transports/tcp.js'
import { TokenBucket } from '../transports/token-bucket.js'
import { MAX_UNWRITTEN, type Peer, type TransportContext, type TransportOwner } from '../transports/transport.js'
import type { Backlog, Reader } from './backlog.js'
import { Actor, type ActorInit, type StopReason } from './runtime/index.js'

/** Bytes of one element before login; no option lifts it. spec/listeners.md §1.9 */
const ELEMENT_BEFORE_LOGIN = 10_000
/** Elements before the session; no option lifts it. DESIGN §10 */
const ELEMENTS_BEFORE_SESSION = 100
/** From accept to session, in milliseconds; no option lifts it. spec/listeners.md §1.3 */
const LOGIN_MS = 120_000
/** For the TLS handshake, in milliseconds. spec/listeners.md §1.6.4 */
const HANDSHAKE_MS = 10_000
/** Items of the client's that are handled before what waits for the client has its turn. */
const BURST = 8
/** Deadlines: the state before the session, the handshake, and everything before the session together. */
const STATE = 'state'
const LOGIN = 'login'
/** Ends a pause that the shaper made. */
const SHAPER = 'shaper'
/** Longest piece that a shaper counts at a time, in bytes, and for slow ones in seconds: what a pause is for comes before it. */
const SHAPED_PIECE = { bytes: 16_384, seconds: 4 }

/** Namespaces whose children a client may not send. spec/listeners.md §3.1.6 */
const stripped = interest(NS.delay) | interest(NS.legacyDelay)

/** What a connection needs of the rest of the server; one value per listener, shared by its connections. */
export interface C2sServices {
  readonly listener: string
  readonly node: string
  readonly environment: c2s.Environment
  readonly login: Login
  readonly transport: TransportContext
  readonly emit: Emit
  readonly counters: Counters
  readonly backlog: Backlog
  /** Handshake at once, before the first byte of XML. `tls.mode = "tls"` */
  readonly isDirectTls: boolean
  /** Bytes of one stanza after login. */
  readonly stanzaBytes: number
  /** Bytes that one read may inflate to; undefined without compression. */
  readonly inflatedBytes: number | undefined
  /** Milliseconds in each state before the session. */
  readonly stateTimeout: number
  /** Begins the server's side of TLS; throws when the listener has no certificate. */
  secure(transport: TcpTransport, onSecured: () => void): void
  /** Bytes a second that may be read; undefined = no limit. Asked with the served domain first, then with the full JID. */
  rateOf(jid: Jid): number | undefined
  /** Whether the listener's access rule lets this JID open a session. */
  mayOpen(jid: Jid): boolean
  /** 16 lower-case hex digits. */
  newStreamId(): string
  newResource(): string
  /** What modules offer at this point, as XML. */
  features(host: string, isAuthenticated: boolean): string
  /** Lets registration answer an IQ before login; undefined when nobody does. */
  offerIq(host: string, iq: Stanza, peer: Peer): Promise<Stanza | undefined>
  /** Registers the session; whatever it replaces is told. */
  open(session: Session): void
  /** Unregisters the session and tells its contacts. */
  leave(session: Session, status: string | undefined): void
  /** Takes a stanza from the client on its way. */
  route(session: Session, stanza: Stanza): void | Promise<void>
  /** Finds another way for a stanza that this session took and could not deliver any more. */
  reroute(session: Session, stanza: Stanza): void | Promise<void>
}

export type ConnectionMessage =
  /** Bytes from the client. */
  | Buffer
  /** A stanza for the client. */
  | Stanza
  /** Goes on with the client's bytes, after the stanzas that waited. */
  | { readonly type: 'goOn' }
  | { readonly type: 'secured' }
  | { readonly type: 'lost'; readonly reason: string }
  | { readonly type: 'end'; readonly error: StreamError | undefined }

export class Connection extends Actor<ConnectionMessage> implements Session, TransportOwner, Reader {
  // ---- Session
  jid!: Jid
  priority = 0
  presence: string | undefined = undefined
  isInterested = false
  directed: Set<string> | undefined = undefined

  private readonly transport: TcpTransport
  private readonly framer: Framer
  private state: c2s.State
  /** The client's language, when it named one. */
  private lang: string | undefined = undefined
  /** The SASL mechanism tried last. */
  private mechanism = ''
  private isBound = false
  private hasOpened = false
  /** Set when the stream ends: what the peer is told, once. */
  private parting: { readonly error?: StreamError | undefined; readonly isSilent?: boolean } | undefined = undefined
  private lostBecause: string | undefined = undefined
  /** Chunks of the client's bytes that are not wholly handled. */
  private chunks = 0
  /** Of those, the ones behind the one that the framer has. */
  private unread: Uint8Array[] | undefined = undefined
  private isReading = false
  private inARow = 0
  /** Limits what is read; the pieces behind the one that overdrew it wait. */
  private shaper: TokenBucket | undefined = undefined
  private unshaped: Buffer[] | undefined = undefined
  private isShaped = false
  private shaperPauses = 0
  /** The client asked for compression in its session and has not opened its stream again. */
  private isReopening = false
  /** Clear chunks that came before compression began and are in the mailbox still. */
  private staleChunks = 0
  /** Too much waits in the whole server: nothing is read. */
  private isHeld = false
  /** Of the stanzas in the mailbox. */
  private waitingBytes = 0
  private elementsBefore = 0
  private stanzasIn = 0
  private stanzasOut = 0

  constructor(
    init: ActorInit,
    socket: Socket,
    peer: Peer,
    private readonly services: C2sServices,
  ) {
    super(init)
    this.framer = new Framer({ element: Math.min(ELEMENT_BEFORE_LOGIN, services.stanzaBytes) })
    this.transport = new TcpTransport(socket, peer, this, services.transport)
    this.state = c2s.initial(false)
    services.counters.connectionsAccepted++
    services.counters.connectionsNow++
    services.emit('connection.opened', { connection: init.name, ...peer })
  }

  get node(): string {
    return this.services.node
  }

  protected override started(): void {
    const now = this.services.transport.now()
    this.arm(LOGIN, now + LOGIN_MS)
    if (this.services.isDirectTls) this.handshake()
    else this.arm(STATE, now + this.services.stateTimeout)
  }

  protected override receive(message: ConnectionMessage): void | Promise<void> {
    if (message instanceof Stanza) return this.forward(message)
    if (message instanceof Uint8Array) return this.read(message)
    switch (message.type) {
      case 'goOn':
        return this.pump()
      case 'secured':
        return this.secured()
      case 'lost':
        return this.left(message.reason)
      case 'end':
        return this.part({ error: message.error })
    }
  }

  protected override timedOut(kind: string | number): void | Promise<void> {
    if (kind === SHAPER) return this.shaperDone()
    if (this.isReopening) return this.part({ error: new StreamError('connection-timeout') })
    if (this.transport.isSecuring) return this.part({ isSilent: true })
    if (!this.isBound) return this.negotiate({ type: 'timedOut' })
  }

  /** At rest nothing is left to reduce but the entries of past deadlines, which the runtime drops then. */
  protected override pack(): string {
    return ''
  }

  // ---- Session: what others ask of this connection

  deliver(stanza: Stanza): boolean {
    const size = stanza.encodedLength()
    const { isBlocked } = this.transport
    if (isBlocked && this.waitingBytes + size > MAX_UNWRITTEN) {
      this.outputOverflowed()
      return false
    }
    // What waits must not keep the chunk alive that it came in.
    if (!this.tellStanza(isBlocked ? stanza.compact() : stanza)) return false
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
    else this.shape(chunk)
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
    if (!this.isReopening) this.resumeStanzas()
    this.readOn()
  }

  inputOverflowed(): void {
    this.tell({ type: 'end', error: new StreamError('policy-violation', 'child element too big') })
  }

  outputOverflowed(): void {
    this.tell({ type: 'end', error: new StreamError('resource-constraint') })
  }

  lost(reason: string): void {
    this.tell({ type: 'lost', reason })
  }

  // ---- the shaper: what overdraws it is handled, then nothing is read for a while. spec/listeners.md §2.4

  /** A fresh, full bucket, or none. */
  private shapeAs(jid: Jid): void {
    const rate = this.services.rateOf(jid)
    this.shaper = rate === undefined ? undefined : new TokenBucket(rate, this.services.transport.now())
    if (this.isShaped) this.disarm(SHAPER)
    this.shaperDone()
  }

  private shape(bytes: Buffer): void {
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

  // ---- bytes from the client

  private read(chunk: Uint8Array): void | Promise<void> {
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

  private feed(chunk: Uint8Array): void {
    // What came in clear behind <starttls/> is not part of the stream. RFC 6120 §5.4.3.3
    if (this.parting !== undefined || this.state.phase === 'securing') return
    this.framer.feed(chunk as Buffer) // `Buffer` is the only Uint8Array in ConnectionMessage
  }

  /** Handles what the client sent until nothing is left; where an item takes time, goes on after it. */
  private pump(): void | Promise<void> {
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

  /** A client may ask more at once than its mailbox holds answers. */
  private mustYield(): boolean {
    if (this.inARow < BURST || this.isReopening) return false
    this.inARow = 0
    return this.waitingStanzas > 0 && this.lostBecause === undefined
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

  /** The client is gone; what it sent before counts. */
  private left(reason: string): void | Promise<void> {
    this.lostBecause = reason
    const waiting = this.pump()
    if (waiting === undefined) return this.part({ isSilent: true })
    return waiting.then(() => this.part({ isSilent: true }))
  }

  /** Handles one item; a promise when that takes time. */
  private next(): 'nothing' | void | Promise<void> {
    if (this.parting !== undefined) return 'nothing'
    let item: ReturnType<Framer['next']>
    try {
      item = this.framer.next()
    } catch (error) {
      if (!(error instanceof StreamError)) throw error
      return this.isBound ? this.part({ error }) : this.negotiate({ type: 'broken', error })
    }
    if (item === undefined) return 'nothing'
    switch (item.kind) {
      case 'frame':
        if (this.isBound) return this.stanza(item)
        if (++this.elementsBefore > ELEMENTS_BEFORE_SESSION) {
          return this.negotiate({ type: 'broken', error: new StreamError('policy-violation', 'too much before login') })
        }
        return this.negotiate({ type: 'received', element: buildElement(item) })
      case 'header':
        if (this.isReopening) return this.reopened()
        if (this.isBound) return this.part({ error: new StreamError('policy-violation') })
        return this.negotiate({ type: 'opened', header: item })
      case 'end':
        return this.isBound ? this.part({}) : this.negotiate({ type: 'ended' })
    }
  }

  // ---- an established session: the short path

  private stanza(frame: Frame): void | Promise<void> {
    const { name } = frame
    if (frame.ns !== NS.client) return this.nonza(frame)
    // What belongs to an extension that is not here is ignored. spec/listeners.md §3.1.3
    if (name !== 'message' && name !== 'presence' && name !== 'iq') return
    const { from } = frame
    if (from !== undefined && from !== this.jid.text && !this.isOwn(from)) {
      return this.part({ error: new StreamError('invalid-from') })
    }
    this.stanzasIn++
    this.services.counters.stanzasIn++
    const stanza = Stanza.fromFrame(frame, this.jid, this.lang)
    return this.services.route(this, frame.mask & stripped ? withoutDelay(stanza) : stanza)
  }

  private nonza(frame: Frame): void {
    const { inflatedBytes } = this.services
    if (frame.name !== 'compress' || frame.ns !== NS.compress) return
    if (inflatedBytes === undefined || this.transport.isCompressed) return
    const refusal = c2s.compressionRefusal(buildElement(frame))
    if (refusal !== undefined) {
      this.transport.send(c2s.compressionFailed(refusal).xml)
      return
    }
    // The session goes on; what comes for it waits until the client has opened its stream again.
    this.transport.send(c2s.compressed)
    this.compress()
    this.framer.reset()
    this.isReopening = true
    this.pauseStanzas()
    this.arm(STATE, this.services.transport.now() + this.services.stateTimeout)
  }

  /** spec/listeners.md §3.1.2: there is nothing left to negotiate. */
  private reopened(): void {
    const { newStreamId, environment } = this.services
    this.isReopening = false
    this.disarm(STATE)
    const { language: lang } = environment
    this.transport.send(framing.open({ id: newStreamId(), from: this.jid.domain, hasVersion: true, lang }))
    this.transport.send(framing.features(''))
    if (!this.transport.isBlocked) this.resumeStanzas()
  }

  private compress(): void {
    this.transport.compress(this.services.inflatedBytes ?? 0)
    // What came in clear behind <compress/> is not part of the stream any more.
    this.staleChunks = this.chunks - 1 - (this.unread?.length ?? 0)
    this.chunks -= this.unread?.length ?? 0
    this.unread = undefined
    this.unshaped = undefined
  }

  private isOwn(from: string): boolean {
    const jid = Jid.parse(from)
    return jid !== undefined && (jid.text === this.jid.text || jid.text === this.jid.bareText)
  }

  private forward(stanza: Stanza): void {
    this.taken(stanza.encodedLength())
    this.write(stanza)
  }

  private write(stanza: Stanza): void {
    this.stanzasOut++
    this.services.counters.stanzasOut++
    this.transport.sendStanza(stanza)
  }

  /** So many bytes do not wait any more. */
  private taken(bytes: number): void {
    this.waitingBytes -= bytes
    this.services.backlog.removed(bytes)
  }

  // ---- negotiation

  private negotiate(event: c2s.Event): void | Promise<void> {
    const { state, effects } = c2s.transition(this.state, event, this.services.environment)
    this.state = state
    if (state.phase !== 'closed' && state.phase !== 'securing') {
      this.arm(STATE, this.services.transport.now() + this.services.stateTimeout)
    }
    return this.performFrom(effects, 0)
  }

  /** In order, each with what follows from it; a promise only where something takes time. */
  private performFrom(effects: readonly c2s.Effect[], start: number): void | Promise<void> {
    for (let i = start; i < effects.length; i++) {
      const following = this.perform(effects[i]!) // i is below length
      if (following === undefined) continue
      const waiting =
        following instanceof Promise ? following.then(after => this.followUp(after)) : this.followUp(following)
      if (waiting instanceof Promise) return waiting.then(() => this.performFrom(effects, i + 1))
    }
  }

  private followUp(event: c2s.Event | undefined): void | Promise<void> {
    if (event !== undefined) return this.negotiate(event)
  }

  private perform(effect: c2s.Effect): c2s.Event | undefined | Promise<c2s.Event | undefined> {
    switch (effect.type) {
      case 'open':
        this.hasOpened = true
        this.transport.send(
          framing.open({
            id: this.services.newStreamId(),
            from: effect.from,
            hasVersion: effect.hasVersion,
            lang: this.services.environment.language,
          }),
        )
        return
      case 'offer':
        return this.offer(effect)
      case 'send':
        this.transport.send(effect.xml)
        return
      case 'restart':
        this.hasOpened = false
        this.framer.reset()
        return
      case 'startTls':
        this.framer.reset()
        this.unshaped = undefined
        this.transport.flush()
        this.handshake()
        return
      case 'compress':
        this.compress()
        return
      case 'exchange':
        this.mechanism = effect.mechanism
        return {
          type: 'exchangeStarted',
          exchange: this.services.login.exchange(this.facts(effect.host), effect.mechanism),
          initial: effect.initial,
        }
      case 'check':
        return this.check(effect)
      case 'authenticated':
        this.framer.limits = { element: this.services.stanzaBytes }
        this.services.counters.loginsSucceeded++
        this.services.emit('auth.succeeded', {
          jid: effect.jid.text,
          address: this.transport.peer.address,
          mechanism: this.mechanism,
        })
        return
      case 'loginFailed':
        this.services.counters.loginsFailed++
        this.services.emit('auth.failed', {
          address: this.transport.peer.address,
          mechanism: this.mechanism,
          condition: effect.reason,
        })
        return
      case 'offerIq':
        return this.offerIq(effect)
      case 'remember':
        this.lang = effect.lang
        return
      case 'bind':
        return this.bind(effect)
      case 'close':
        this.part(effect)
        return
    }
  }

  private facts(host: string): LoginFacts {
    const { isEncrypted, tls, clientCertificate, peer } = this.transport
    return { host, isEncrypted, tls, clientCertificate, address: peer.address }
  }

  private offer({ host, features }: Extract<c2s.Effect, { type: 'offer' }>): undefined {
    const domain = Jid.of('', host)
    if (domain !== undefined) this.shapeAs(domain)
    const { mechanisms, channelBindings } = features.isAuthenticated
      ? { mechanisms: [], channelBindings: [] }
      : this.services.login.offer(this.facts(host))
    const fromModules = this.services.features(host, features.isAuthenticated)
    this.transport.send(framing.features(offerFeatures({ ...features, mechanisms, channelBindings, fromModules })))
  }

  private async check({ host, exchange, step }: Extract<c2s.Effect, { type: 'check' }>): Promise<c2s.Event> {
    return { type: 'checked', exchange, step: await this.services.login.check(host, exchange, step) }
  }

  private async offerIq({ host, element }: Extract<c2s.Effect, { type: 'offerIq' }>): Promise<undefined> {
    const reply = await this.services.offerIq(host, Stanza.fromElement(element), this.transport.peer)
    if (reply !== undefined) this.transport.sendStanza(reply)
    else if (element.attrs.type === 'get' || element.attrs.type === 'set') {
      this.transport.send(c2s.iqError(element.attrs.id, 'service-unavailable', host))
    }
  }

  private handshake(): void {
    this.arm(STATE, this.services.transport.now() + HANDSHAKE_MS)
    this.services.secure(this.transport, () => this.tell({ type: 'secured' }))
  }

  private secured(): void | Promise<void> {
    // With direct TLS the machine starts on the encrypted stream.
    if (this.state.phase === 'securing') return this.negotiate({ type: 'secured' })
    this.state = c2s.initial(true)
    this.arm(STATE, this.services.transport.now() + this.services.stateTimeout)
  }

  /** RFC 6120 §7; the newest session of a full JID wins. spec/listeners.md §3.1.6 */
  private bind({ host, account, resource, id }: Extract<c2s.Effect, { type: 'bind' }>): c2s.Event | undefined {
    const jid = Jid.of(account, host, resource ?? this.services.newResource())
    if (jid === undefined) return { type: 'bindRefused', id, condition: 'bad-request' }
    if (!this.services.mayOpen(jid)) {
      this.services.counters.sessionsRefused++
      this.services.emit('session.refused', { jid: jid.text, address: this.transport.peer.address })
      return { type: 'bindRefused', id, condition: 'not-allowed' }
    }
    this.jid = jid
    this.isBound = true
    this.state = { phase: 'bound', isEncrypted: this.transport.isEncrypted, jid }
    this.disarm(STATE)
    this.disarm(LOGIN)
    this.mechanism = ''
    this.services.counters.sessionsOpened++
    this.services.counters.sessionsNow++
    this.services.emit('session.opened', { jid: jid.text })
    this.shapeAs(jid)
    this.services.open(this)
    const result = new Element('iq', { type: 'result', id })
    result.c('bind', { xmlns: NS.bind }).c('jid').t(jid.text)
    this.transport.send(result.toString())
    return undefined
  }

  // ---- the one way out

  private part(parting: { error?: StreamError | undefined; isSilent?: boolean }): void {
    if (this.parting !== undefined) return
    this.parting = parting
    this.stop('ended')
  }

  /** Says goodbye as the reason asks, gives the session back, and finds another way for what was not delivered. */
  protected override stopped(reason: StopReason): void | Promise<void> {
    const { stanzas } = this.unhandled()
    this.taken(this.waitingBytes)
    this.services.backlog.forget(this)
    const { error, isSilent } = this.parting ?? partingFor(reason)
    if (isSilent !== true && !this.transport.isBlocked && isInOrder(error)) {
      for (const stanza of stanzas.splice(0)) if (stanza instanceof Stanza) this.write(stanza)
    }
    this.farewell(error, isSilent)
    this.count(error, reason)
    if (this.isBound) this.services.leave(this, error?.text)
    // At a shutdown the process waits for the last words to be on their way.
    const isLast = reason === 'shutdown'
    if (this.isBound && stanzas.length > 0) {
      return this.rerouteAll(stanzas).then(() => (isLast ? this.transport.finished() : undefined))
    }
    if (isLast) return this.transport.finished()
  }

  private async rerouteAll(messages: readonly ConnectionMessage[]): Promise<void> {
    for (const stanza of messages) {
      if (stanza instanceof Stanza) await this.services.reroute(this, stanza)
      // Whoever takes it has a limit too, and gets its turn before the next.
      await nextTurn()
    }
  }

  private count(error: StreamError | undefined, reason: StopReason): void {
    const { counters, emit } = this.services
    counters.connectionsNow--
    if (error !== undefined) counters.streamErrors++
    const cause = this.lostBecause ?? error?.message ?? reason
    emit('connection.closed', { connection: this.name, reason: cause })
    if (!this.isBound) return
    counters.sessionsNow--
    if (error?.condition === 'conflict') counters.sessionsReplaced++
    emit('session.closed', { jid: this.jid.text, reason: cause })
  }

  private farewell(error: StreamError | undefined, isSilent = false): void {
    if (this.lostBecause !== undefined) return
    if (this.transport.isSecuring) {
      this.transport.destroy()
      return
    }
    if (!isSilent) {
      const { environment, newStreamId } = this.services
      if (!this.hasOpened) {
        const { defaultHost: from, language: lang } = environment
        this.transport.send(framing.open({ id: newStreamId(), from, hasVersion: true, lang }))
      }
      if (error !== undefined) this.transport.send(framing.error(error, this.lang ?? environment.language))
      this.transport.send(framing.close)
    }
    this.transport.close()
  }

  override inspected(): Record<string, string | number | boolean> {
    const { peer, isEncrypted, isBlocked, bytesIn, bytesOut } = this.transport
    return {
      phase: this.state.phase,
      ...(this.isBound && { jid: this.jid.text }),
      address: peer.address,
      port: peer.port,
      isEncrypted,
      isBlocked,
      ...(this.transport.isCompressed && { isCompressed: true }),
      ...(this.shaper !== undefined && {
        rate: this.shaper.rate,
        shaperPauses: this.shaperPauses,
        isShaped: this.isShaped,
      }),
      bytesIn,
      bytesOut,
      stanzasIn: this.stanzasIn,
      stanzasOut: this.stanzasOut,
    }
  }
}

/** What the peer is told when the actor did not part by itself. */
function partingFor(reason: StopReason): { error?: StreamError; isSilent?: boolean } {
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

function withoutDelay(stanza: Stanza): Stanza {
  const element = new Element(stanza.element.name, stanza.element.attrs)
  for (const child of stanza.element.children) {
    const isDelay = child instanceof Element && (child.is('delay', NS.delay) || child.is('x', NS.legacyDelay))
    // Not `cnode`, which would take the child from the tree that others share.
    if (!isDelay) element.children.push(child)
  }
  return Stanza.fromElement(element)
}

/** Bytes that are counted at a time. */
function pieceOf({ rate }: TokenBucket): number {
  return Math.min(SHAPED_PIECE.bytes, SHAPED_PIECE.seconds * rate)
}
