/*
 * One client connection: feeds the stream machine, performs its effects, owns the session.
 * Until the resource is bound everything goes through `protocols/stream/c2s.ts`; after that a stanza takes the short path
 * (`stanza` → `route`, `deliver` → the transport) with no transition and no effect.
 */

import { Element } from 'ltx'
import type { Login, LoginFacts } from '../auth/login.js'
import type { HostCounters } from '../observability/metrics/host-counters.js'
import { StreamError } from '../protocols/errors.js'
import { Jid } from '../protocols/jid.js'
import { NS } from '../protocols/namespaces.js'
import { Stanza } from '../protocols/stanza/stanza.js'
import * as c2s from '../protocols/stream/c2s.js'
import { HeldStanzas, isAside } from '../protocols/stream/client-state.js'
import { offerFeatures } from '../protocols/stream/features.js'
import {
  acknowledgement,
  type ClientElement,
  enabled,
  failed,
  handledTooMany,
  isManagement,
  readManagement,
  request,
  resumed,
} from '../protocols/stream/management.js'
import { type Frame, type Header, interest } from '../protocols/xml/framer.js'
import { buildElement } from '../protocols/xml/tree.js'
import type { Session } from '../sessions/session.js'
import type { StoredCopy } from '../sessions/stored-copy.js'
import type { StreamManagement, WaitingMessages } from '../sessions/stream-management.js'
import { MAX_UNWRITTEN, type OpenTransport, type Peer, type Transport } from '../transports/transport.js'
import type { Handover } from './handover.js'
import { isTheSame, ManagedStream, resourceIn } from './managed-stream.js'
import type { ActorInit } from './runtime/index.js'
import { oneByOne, StreamConnection, type StreamServices } from './stream-connection.js'

/** Elements before the session; no option lifts it. DESIGN §10 */
const ELEMENTS_BEFORE_SESSION = 100
/** From accept to session, in milliseconds; no option lifts it. spec/listeners.md §1.3 */
const LOGIN_MS = 120_000
/** For the TLS handshake, in milliseconds. spec/listeners.md §1.6.4 */
const HANDSHAKE_MS = 10_000
/** Deadlines: the state before the session, the handshake, and everything before the session together. */
const STATE = 'state'
const LOGIN = 'login'
/** In the session: the time to resume it, and the time to acknowledge. */
const RESUME = 'resume'
const UNACKNOWLEDGED = 'unacknowledged'
/** Between finding too many unacknowledged stanzas and looking again, in milliseconds. spec/listeners.md §3.1.6 */
const UNACKNOWLEDGED_MS = 5_000

const nothing: ReadonlyMap<Stanza, StoredCopy> = new Map()

/** Namespaces whose children a client may not send. spec/listeners.md §3.1.6 */
const stripped = interest(NS.delay) | interest(NS.legacyDelay)

/** What a client connection needs of the rest of the server; one value per listener, shared by its connections. */
export interface C2sServices extends StreamServices {
  readonly node: string
  readonly environment: c2s.Environment
  readonly login: Login
  /** Handshake at once, before the first byte of XML. `tls.mode = "tls"` */
  readonly isDirectTls: boolean
  /** Bytes that one read may inflate to; undefined without compression. */
  readonly inflatedBytes: number | undefined
  /** Milliseconds in each state before the session. */
  readonly stateTimeout: number
  /** Begins the server's side of TLS; throws when the listener has no certificate. */
  secure(transport: Transport, host: string | undefined, onSecured: () => void): void
  /** Bytes a second that may be read; undefined = no limit. Asked with the served domain first, then with the full JID. */
  rateOf(jid: Jid): number | undefined
  /** Whether the listener's access rule lets this JID open a session. */
  mayOpen(jid: Jid): boolean
  newResource(): string
  /** What no one can guess, for the id of a stream that can be resumed. */
  newSecret(): string
  /** Milliseconds of the wall clock. */
  wall(): number
  /** How streams of a host are managed; undefined where they are not. */
  streamManagement(host: string): StreamManagement | undefined
  /** Stanzas that are held back for an inactive client; undefined where clients may not say that they are. */
  heldStanzas(host: string): number | undefined
  /** Where messages are kept whose client is away; undefined where nothing is. */
  waitingMessages(host: string): WaitingMessages | undefined
  /** Where a host counts. */
  hostCounters(host: string): HostCounters
  /** The session of a full JID. */
  sessionAt(jid: Jid): Session | undefined
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

export class Connection extends StreamConnection implements Session {
  // ---- Session
  jid!: Jid
  priority = 0
  presence: string | undefined = undefined
  isInterested = false
  directed: Set<string> | undefined = undefined

  private state: c2s.State
  /** The SASL mechanism tried last. */
  private mechanism = ''
  private isBound = false
  /** The client asked for compression in its session and has not opened its stream again. */
  private isReopening = false
  private elementsBefore = 0
  /** Once stream management is enabled. */
  private managed: ManagedStream | undefined = undefined
  /** While the client says that nobody looks at it. */
  private held: HeldStanzas | undefined = undefined

  constructor(
    init: ActorInit,
    open: OpenTransport,
    private readonly services: C2sServices,
  ) {
    super(init, open, services)
    this.state = c2s.initial(this.transport.isEncrypted)
  }

  get node(): string {
    return this.services.node
  }

  get peer(): Peer {
    return this.transport.peer
  }

  protected override started(): void {
    const now = this.services.transport.now()
    this.arm(LOGIN, now + LOGIN_MS)
    if (this.services.isDirectTls) this.handshake()
    else this.arm(STATE, now + this.services.stateTimeout)
  }

  protected override timedOut(kind: string | number): void | Promise<void> {
    if (kind === RESUME) return this.part({ isSilent: true })
    if (kind === UNACKNOWLEDGED) return this.checkUnacknowledged()
    if (kind !== STATE && kind !== LOGIN) return super.timedOut(kind)
    if (this.isReopening) return this.part({ error: new StreamError('connection-timeout') })
    if (this.transport.isSecuring) return this.part({ isSilent: true })
    if (!this.isBound) return this.negotiate({ type: 'timedOut' })
  }

  // ---- what the client sends

  protected get isDeaf(): boolean {
    return this.state.phase === 'securing'
  }

  protected override get mayDeliver(): boolean {
    return !this.isReopening
  }

  protected gotFrame(frame: Frame): void | Promise<void> {
    if (this.isBound) return this.stanza(frame)
    if (++this.elementsBefore > ELEMENTS_BEFORE_SESSION) {
      return this.negotiate({ type: 'broken', error: new StreamError('policy-violation', 'too much before login') })
    }
    return this.negotiate({ type: 'received', element: buildElement(frame) })
  }

  protected gotHeader(header: Header): void | Promise<void> {
    if (this.isReopening) return this.reopened()
    if (this.isBound) return this.part({ error: new StreamError('policy-violation') })
    return this.negotiate({ type: 'opened', header })
  }

  protected gotEnd(): void | Promise<void> {
    return this.isBound ? this.part({}) : this.negotiate({ type: 'ended' })
  }

  protected gotBroken(error: StreamError): void | Promise<void> {
    return this.isBound ? this.part({ error }) : this.negotiate({ type: 'broken', error })
  }

  // ---- an established session: the short path

  private stanza(frame: Frame): void | Promise<void> {
    const { name } = frame
    if (frame.ns !== NS.client) return this.nonza(frame)
    // What belongs to an extension that is not here is ignored. spec/listeners.md §3.1.3
    if (name !== 'message' && name !== 'presence' && name !== 'iq') return this.nonza(frame)
    const { from } = frame
    if (from !== undefined && from !== this.jid.text && !this.isOwn(from)) {
      return this.part({ error: new StreamError('invalid-from') })
    }
    this.stanzasIn++
    this.services.counters.stanzasIn++
    const stanza = Stanza.fromFrame(frame, this.jid, this.lang)
    const waiting = this.services.route(this, frame.mask & stripped ? withoutDelay(stanza) : stanza)
    if (this.managed !== undefined) return this.handled(waiting)
    return waiting
  }

  /** First-level elements that are no stanzas. What belongs to an extension that is not here is ignored. */
  private nonza(frame: Frame): void {
    switch (frame.ns) {
      case NS.clientState:
        this.countClientState(frame.name)
        this.clientState(frame.name)
        return
      case NS.compress:
        this.compressLate(frame)
        return
    }
    const management = isManagement(frame.name) ? this.services.streamManagement(this.jid.domain) : undefined
    const said = management === undefined ? undefined : readManagement(buildElement(frame))
    if (management !== undefined && said !== undefined) this.manage(said, management)
  }

  private compressLate(frame: Frame): void {
    const { inflatedBytes } = this.services
    if (frame.name !== 'compress') return
    if (inflatedBytes === undefined || this.transport.isCompressed) return
    const refusal = c2s.compressionRefusal(buildElement(frame))
    if (refusal !== undefined) {
      this.transport.send(c2s.compressionFailed(refusal).xml)
      return
    }
    // The session goes on; what comes for it waits until the client has opened its stream again.
    this.transport.send(c2s.compressed)
    this.compress(inflatedBytes)
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
    this.transport.send(
      this.transport.framing.open({ id: newStreamId(), from: this.jid.domain, hasVersion: true, lang }),
    )
    this.transport.send(this.transport.framing.features(''))
    if (!this.transport.isBlocked) this.resumeStanzas()
  }

  // ---- stream management. XEP-0198

  private manage(said: ClientElement, management: StreamManagement): void {
    if (said.type === 'broken') this.part({ error: said.error })
    else if (this.managed === undefined) this.manageFirst(said, management)
    else this.manageOn(said, this.managed)
  }

  private manageFirst(said: ClientElement, management: StreamManagement): void {
    if (said.type === 'enable') this.enable(said, management)
    else this.transport.send(failed('unexpected-request'))
  }

  private manageOn(said: ClientElement, managed: ManagedStream): void {
    switch (said.type) {
      case 'request':
        this.transport.send(acknowledgement(managed.handled))
        return
      case 'acknowledgement':
        if (!managed.acknowledge(said.h)) this.part({ error: handledTooMany(said.h, managed.sent) })
        return
      default:
        this.transport.send(failed('unexpected-request'))
        // XEP-0198 §3: a client makes one attempt.
        if (said.type === 'enable') this.part({ error: new StreamError('policy-violation') })
    }
  }

  private enable({ resume, max }: Extract<ClientElement, { type: 'enable' }>, management: StreamManagement): void {
    const wanted = max === undefined || max === 0 ? management.resumeSeconds : max
    const seconds = Math.min(wanted, management.resumeSeconds)
    // Where nothing is kept nothing can be sent again.
    const id = resume && management.keeps ? `${this.services.newSecret()}${this.jid.resource}` : undefined
    this.managed = new ManagedStream(management, id, seconds)
    this.transport.send(enabled(id === undefined ? undefined : { id, max: seconds }))
  }

  /** Counts a stanza as soon as everything that it causes is done: what is acknowledged is kept. DESIGN §7 */
  private handled(waiting: void | Promise<void>): void | Promise<void> {
    if (waiting === undefined) {
      this.managed?.countHandled()
      return
    }
    return waiting.then(() => this.managed?.countHandled())
  }

  protected override write(stanza: Stanza): void {
    if (this.held !== undefined && !this.passes(stanza, this.held)) return
    if (this.managed === undefined) super.write(stanza)
    else this.writeManaged(stanza, this.managed)
  }

  private writeManaged(stanza: Stanza, managed: ManagedStream): void {
    const { isDetached } = this
    if (!isDetached) super.write(stanza)
    // What waits must not keep the chunk alive that it came in.
    const kept = managed.keeps ? stanza.compact() : stanza
    managed.moveCopy(stanza, kept)
    if (isDetached && !managed.isStored(kept)) void this.store(kept, kept, managed, this.services.wall())
    if (managed.send(kept, kept.encodedLength(), this.services.wall())) this.transport.send(request)
    if (managed.bytes > MAX_UNWRITTEN) this.outputOverflowed()
    if (managed.isOver || !managed.hasTooMany) return
    managed.isOver = true
    this.arm(UNACKNOWLEDGED, this.services.transport.now() + UNACKNOWLEDGED_MS)
  }

  private checkUnacknowledged(): void {
    const { managed } = this
    if (managed === undefined) return
    managed.isOver = false
    if (managed.hasTooMany) this.part({ error: new StreamError('resource-constraint', 'too many unacked stanzas') })
  }

  // ---- what waits for a client that is away stands in the store too. DESIGN §7

  override deliver(stanza: Stanza): boolean {
    const { managed } = this
    if (managed === undefined || !this.isDetached) return super.deliver(stanza)
    // What waits must not keep the chunk alive that it came in.
    const kept = stanza.compact()
    if (!super.deliver(kept)) return false
    managed.storing = this.store(stanza, kept, managed, this.services.wall())
    return true
  }

  get storing(): Promise<void> | undefined {
    return this.managed?.storing
  }

  holds(message: Stanza, copy: StoredCopy): boolean {
    const { managed } = this
    if (managed?.keeps !== true) return false
    managed.addCopy(message, copy)
    return true
  }

  /** `message` as others have it too, and as this session keeps it. */
  private store(message: Stanza, kept: Stanza, managed: ManagedStream, at: number): Promise<void> | undefined {
    // What is held back for an inactive client says nothing later.
    if (message.kind !== 'message' || (this.held !== undefined && isAside(message))) return
    const copy = this.services.waitingMessages(this.jid.domain)?.keep(this, message, at)
    if (copy === undefined) return
    managed.addCopy(kept, copy)
    return copy.stored
  }

  /** Where the client is gone, what it has not acknowledged waits from here on. */
  private storeUnacknowledged(managed: ManagedStream): void {
    for (const { item, at } of managed.unacknowledged) {
      if (!managed.isStored(item)) void this.store(item, item, managed, at)
    }
  }

  /** The client asks to go on with a session that it had. XEP-0198 §5 */
  private resumeSession({ host, account, previd, h }: Extract<c2s.Effect, { type: 'resume' }>): void {
    const jid = Jid.of(account, host, resourceIn(previd))
    const found = jid === undefined ? undefined : this.services.sessionAt(jid)
    if (!(found instanceof Connection) || !found.resumesAs(previd)) {
      const ended = this.services.streamManagement(host)?.ended?.find(`${account}@${host}`, previd)
      this.transport.send(failed('item-not-found', ended))
    } else if (!this.services.mayOpen(found.jid)) {
      this.refused(found.jid)
      this.transport.send(failed('not-allowed'))
    } else if (!found.managed!.allows(h)) {
      // resumesAs: it is managed.
      this.part({ error: handledTooMany(h, found.managed!.sent) })
    } else {
      this.bequeath(found, h)
    }
  }

  private resumesAs(previd: string): boolean {
    const id = this.managed?.id
    return id !== undefined && !this.isStopping && isTheSame(id, previd)
  }

  protected override abandoned(): void | Promise<void> {
    const { managed } = this
    if (managed?.id === undefined || this.isStopping) return super.abandoned()
    this.isReopening = false
    this.disarm(STATE)
    this.services.counters.sessionsDetached++
    this.services.counters.sessionsDetachedNow++
    this.services.emit('session.detached', { jid: this.jid.text, reason: this.lostBecause ?? '' })
    this.detach()
    this.storeUnacknowledged(managed)
    this.arm(RESUME, this.services.transport.now() + managed.resumeSeconds * 1000)
  }

  protected override expectHandover(handover: Handover): boolean {
    if (this.managed !== undefined) this.managed.newest = handover
    return super.expectHandover(handover)
  }

  protected override taken(handover: Handover): void | Promise<void> {
    const { managed, services } = this
    if (managed?.id === undefined || this.isStopping) return super.taken(handover)
    const conflict = new StreamError('conflict', 'Resumed by new connection')
    if (managed.newest !== handover) {
      handover.refuse(conflict, services.language)
      return
    }
    managed.newest = undefined
    managed.storing = undefined
    services.counters.sessionsResumed++
    if (this.isDetached) services.counters.sessionsDetachedNow--
    else this.farewell(conflict)
    this.disarm(RESUME)
    this.disarm(STATE)
    this.isReopening = false
    this.attach(handover)
    this.state = { phase: 'bound', isEncrypted: this.transport.isEncrypted, jid: this.jid }
    this.shape(services.rateOf(this.jid))
    // Some of it may have been acknowledged since.
    if (!managed.acknowledge(handover.h)) return this.part({ error: handledTooMany(handover.h, managed.sent) })
    const { address } = this.transport.peer
    services.emit('session.resumed', { jid: this.jid.text, address, unacknowledged: managed.outstanding })
    this.sendAgain(managed, managed.id)
    return this.pump()
  }

  private sendAgain(managed: ManagedStream, id: string): void {
    this.transport.send(resumed(id, managed.handled))
    for (const { item } of managed.unacknowledged) super.write(item)
    if (managed.unacknowledged.length > 0 && managed.asks) this.transport.send(request)
    // XEP-0352 §5: a stream that is resumed is active.
    this.clientState('active')
  }

  protected override get writesToTheEnd(): boolean {
    // What a client cannot acknowledge any more finds another way.
    return !this.isReopening && this.managed?.keeps !== true
  }

  // ---- client state. XEP-0352

  private clientState(state: string): void {
    const limit = this.services.heldStanzas(this.jid.domain)
    if (state === 'inactive' && limit !== undefined) this.held ??= new HeldStanzas(limit)
    if (state !== 'active' || this.held === undefined) return
    const stanzas = this.held.take()
    this.held = undefined
    for (const stanza of stanzas) this.write(stanza)
  }

  private countClientState(state: string): void {
    if (this.services.heldStanzas(this.jid.domain) === undefined) return
    const counters = this.services.hostCounters(this.jid.domain)
    if (state === 'inactive') counters.modCSIInactive++
    if (state === 'active') counters.modCSIActive++
  }

  /** What can wait is held; all that was held goes before what cannot. */
  private passes(stanza: Stanza, held: HeldStanzas): boolean {
    if (held.hold(stanza)) return false
    this.held = undefined
    for (const one of held.take()) this.write(one)
    this.held = held
    return true
  }

  private isOwn(from: string): boolean {
    const jid = Jid.parse(from)
    return jid !== undefined && (jid.text === this.jid.text || jid.text === this.jid.bareText)
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
          this.transport.framing.open({
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
      case 'reply':
        this.transport.sendStanza(Stanza.fromElement(effect.iq))
        return
      case 'restart':
        this.restart()
        return
      case 'startTls':
        this.endClear()
        this.handshake()
        return
      case 'compress':
        this.compress(this.services.inflatedBytes ?? 0)
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
        this.trust()
        this.services.counters.loginsSucceeded++
        if (this.mechanism === 'ANONYMOUS') this.services.hostCounters(effect.jid.domain).sessionAuthAnonymous++
        this.services.emit('auth.succeeded', {
          jid: effect.jid.text,
          address: this.transport.peer.address,
          mechanism: this.mechanism,
        })
        return
      case 'loginFailed':
        this.services.counters.loginsFailed++
        this.services.hostCounters(effect.host).sessionAuthFails++
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
      case 'resume':
        this.resumeSession(effect)
        return
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
    if (domain !== undefined) this.shape(this.services.rateOf(domain))
    const { mechanisms, channelBindings } = features.isAuthenticated
      ? { mechanisms: [], channelBindings: [] }
      : this.services.login.offer(this.facts(host))
    const fromModules = this.services.features(host, features.isAuthenticated)
    const maxBytes = this.framer.limits.element
    const offered = offerFeatures({ ...features, mechanisms, channelBindings, maxBytes, fromModules })
    this.transport.send(this.transport.framing.features(offered))
  }

  private async check({ host, exchange, step }: Extract<c2s.Effect, { type: 'check' }>): Promise<c2s.Event> {
    return { type: 'checked', exchange, step: await this.services.login.check(host, exchange, step) }
  }

  private async offerIq({ host, element }: Extract<c2s.Effect, { type: 'offerIq' }>): Promise<undefined> {
    const reply = await this.services.offerIq(host, Stanza.fromElement(element), this.transport.peer)
    if (reply !== undefined) this.transport.sendStanza(reply)
    else if (element.attrs.type === 'get' || element.attrs.type === 'set') {
      this.transport.sendStanza(Stanza.fromElement(c2s.iqError(element.attrs.id, 'service-unavailable', host)))
    }
  }

  private handshake(): void {
    this.arm(STATE, this.services.transport.now() + HANDSHAKE_MS)
    const host = this.state.phase === 'securing' ? this.state.host : undefined
    this.services.secure(this.transport, host, () => this.tell({ type: 'secured' }))
  }

  protected secured(): void | Promise<void> {
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
      this.refused(jid)
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
    this.shape(this.services.rateOf(jid))
    this.services.open(this)
    const result = new Element('iq', { type: 'result', id })
    result.c('bind', { xmlns: NS.bind }).c('jid').t(jid.text)
    this.transport.sendStanza(Stanza.fromElement(result))
    return undefined
  }

  private refused(jid: Jid): void {
    this.services.counters.sessionsRefused++
    this.services.emit('session.refused', { jid: jid.text, address: this.transport.peer.address })
  }

  // ---- the end

  protected override leave(
    error: StreamError | undefined,
    reason: string,
    undelivered: readonly Stanza[],
  ): void | Promise<void> {
    if (!this.isBound) return
    const { counters, emit } = this.services
    if (this.managed?.newest !== undefined) this.turnAway(this.managed.newest)
    this.rememberEnd()
    // What stands in the store needs no other way.
    const stored = this.managed?.takeCopies() ?? nothing
    const left = undelivered.filter(stanza => !stored.has(stanza))
    const lost = [...this.unacknowledged(stored), ...(this.held?.take() ?? []), ...left]
    counters.sessionsNow--
    if (this.isDetached) this.givenUp(lost.length + stored.size)
    if (error?.condition === 'conflict') counters.sessionsReplaced++
    emit('session.closed', { jid: this.jid.text, reason })
    this.services.leave(this, error?.text)
    this.release(stored)
    if (lost.length > 0) return oneByOne(lost, stanza => this.services.reroute(this, stanza))
  }

  /** The client did not come back. */
  private givenUp(unacknowledged: number): void {
    const { counters, emit } = this.services
    counters.sessionsDetachedNow--
    counters.sessionsLost++
    emit('session.lost', { jid: this.jid.text, unacknowledged })
  }

  private rememberEnd(): void {
    const { managed } = this
    if (managed?.id !== undefined) managed.management.ended?.remember(this.jid.bareText, managed.id, managed.handled)
  }

  private release(copies: ReadonlyMap<Stanza, StoredCopy>): void {
    if (copies.size === 0) return
    for (const copy of copies.values()) copy.released()
    this.services.waitingMessages(this.jid.domain)?.handOverReleased(this.jid.bareText)
  }

  /** XEP-0198 §4: as if it had been sent to a resource that is not there, with the time when it was. */
  private unacknowledged(stored: ReadonlyMap<Stanza, StoredCopy>): Stanza[] {
    const { domain } = this.jid
    const left = (this.managed?.unacknowledged ?? []).filter(({ item }) => !stored.has(item))
    return left.map(({ item, at }) => withDelay(item, domain, at))
  }

  override get servedJid(): string | undefined {
    return this.isBound ? this.jid.text : undefined
  }

  override examined(): Record<string, Record<string, string | number | boolean>> {
    const { managed, isDetached, priority, isInterested, directed } = this
    const session = this.isBound && {
      session: {
        jid: this.jid.text,
        isAvailable: this.presence !== undefined,
        ...{ priority, isInterested, directedPresences: directed?.size ?? 0 },
        ...(this.held !== undefined && { held: this.held.size }),
      },
    }
    const management = managed !== undefined && {
      // The id of the stream lets anybody take the session over, so that it is not shown.
      management: {
        ...{ isDetached, isResumable: managed.id !== undefined, resumeSeconds: managed.resumeSeconds },
        ...{ handled: managed.handled, sent: managed.sent },
        ...{ unacknowledged: managed.outstanding, unacknowledgedBytes: managed.bytes },
      },
    }
    return { ...super.examined(), ...session, ...management }
  }

  override inspected(): Record<string, string | number | boolean> {
    const { managed, isDetached } = this
    return {
      phase: this.state.phase,
      ...(this.isBound && { jid: this.jid.text }),
      ...(managed !== undefined && { unacknowledged: managed.outstanding, isDetached }),
      ...(this.held !== undefined && { held: this.held.size }),
      ...super.inspected(),
    }
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

/** XEP-0203 */
function withDelay(stanza: Stanza, from: string, at: number): Stanza {
  if (stanza.kind !== 'message') return stanza
  const element = new Element(stanza.element.name, stanza.element.attrs)
  // Not `cnode`, which would take the children from the tree that others share.
  element.children.push(...stanza.element.children)
  element.c('delay', { xmlns: NS.delay, from, stamp: new Date(at).toISOString() })
  return Stanza.fromElement(element)
}
