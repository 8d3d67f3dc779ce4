/*
 * One client connection: feeds the stream machine, performs its effects, owns the session.
 * Until the resource is bound everything goes through `protocols/stream/c2s.ts`; after that a stanza takes the short path
 * (`stanza` → `route`, `deliver` → the transport) with no transition and no effect.
 */

import { Element } from 'ltx'
import type { Login, LoginFacts } from '../auth/login.js'
import { StreamError } from '../protocols/errors.js'
import { Jid } from '../protocols/jid.js'
import { NS } from '../protocols/namespaces.js'
import { Stanza } from '../protocols/stanza/stanza.js'
import * as c2s from '../protocols/stream/c2s.js'
import { offerFeatures } from '../protocols/stream/features.js'
import { type Frame, type Header, interest } from '../protocols/xml/framer.js'
import { buildElement } from '../protocols/xml/tree.js'
import type { Session } from '../sessions/session.js'
import type { OpenTransport, Peer, Transport } from '../transports/transport.js'
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
  secure(transport: Transport, onSecured: () => void): void
  /** Bytes a second that may be read; undefined = no limit. Asked with the served domain first, then with the full JID. */
  rateOf(jid: Jid): number | undefined
  /** Whether the listener's access rule lets this JID open a session. */
  mayOpen(jid: Jid): boolean
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
      case 'restart':
        this.restart()
        return
      case 'startTls':
        this.framer.reset()
        this.forgetUnshaped()
        this.transport.flush()
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
      this.transport.send(c2s.iqError(element.attrs.id, 'service-unavailable', host))
    }
  }

  private handshake(): void {
    this.arm(STATE, this.services.transport.now() + HANDSHAKE_MS)
    this.services.secure(this.transport, () => this.tell({ type: 'secured' }))
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
    this.shape(this.services.rateOf(jid))
    this.services.open(this)
    const result = new Element('iq', { type: 'result', id })
    result.c('bind', { xmlns: NS.bind }).c('jid').t(jid.text)
    this.transport.send(result.toString())
    return undefined
  }

  // ---- the end

  protected override leave(
    error: StreamError | undefined,
    reason: string,
    undelivered: readonly Stanza[],
  ): void | Promise<void> {
    if (!this.isBound) return
    const { counters, emit } = this.services
    counters.sessionsNow--
    if (error?.condition === 'conflict') counters.sessionsReplaced++
    emit('session.closed', { jid: this.jid.text, reason })
    this.services.leave(this, error?.text)
    if (undelivered.length > 0) return oneByOne(undelivered, stanza => this.services.reroute(this, stanza))
  }

  override inspected(): Record<string, string | number | boolean> {
    return { phase: this.state.phase, ...(this.isBound && { jid: this.jid.text }), ...super.inspected() }
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
