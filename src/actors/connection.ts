/*
 * One client connection: until the resource is bound it feeds the stream machine, `protocols/stream/c2s.ts`, and performs its
 * effects. What it is after that, `client-session.ts` says.
 */

import { Element } from 'ltx'
import type { Login, LoginFacts } from '../auth/login.js'
import { StreamError } from '../protocols/errors.js'
import { Jid } from '../protocols/jid.js'
import { NS } from '../protocols/namespaces.js'
import { Stanza } from '../protocols/stanza/stanza.js'
import * as c2s from '../protocols/stream/c2s.js'
import { offerFeatures } from '../protocols/stream/features.js'
import { failed, handledTooMany } from '../protocols/stream/management.js'
import type { Frame, Header } from '../protocols/xml/framer.js'
import { buildElement } from '../protocols/xml/tree.js'
import type { Session } from '../sessions/session.js'
import type { OpenTransport, Peer, Transport } from '../transports/transport.js'
import { ClientSession, type SessionServices, STATE } from './client-session.js'
import { resourceIn } from './managed-stream.js'
import type { ActorInit } from './runtime/index.js'

/** Elements before the session; no option lifts it. DESIGN §10 */
const ELEMENTS_BEFORE_SESSION = 100
/** From accept to session, in milliseconds; no option lifts it. spec/listeners.md §1.3 */
const LOGIN_MS = 120_000
/** For the TLS handshake, in milliseconds. spec/listeners.md §1.6.4 */
const HANDSHAKE_MS = 10_000
/** Deadline of everything before the session together. */
const LOGIN = 'login'

/** What a client connection needs of the rest of the server; one value per listener, shared by its connections. */
export interface C2sServices extends SessionServices {
  readonly environment: c2s.Environment
  readonly login: Login
  /** Handshake at once, before the first byte of XML. `tls.mode = "tls"` */
  readonly isDirectTls: boolean
  /** Begins the server's side of TLS; throws when the listener has no certificate. */
  secure(transport: Transport, host: string | undefined, onSecured: () => void): void
  /** Whether the listener's access rule lets this JID open a session. */
  mayOpen(jid: Jid): boolean
  newResource(): string
  /** The session of a full JID. */
  sessionAt(jid: Jid): Session | undefined
  /** What modules offer at this point, as XML. */
  features(host: string, isAuthenticated: boolean): string
  /** Lets registration answer an IQ before login; undefined when nobody does. */
  offerIq(host: string, iq: Stanza, peer: Peer): Promise<Stanza | undefined>
  /** Registers the session; whatever it replaces is told. */
  open(session: Session): void
}

export class Connection extends ClientSession {
  declare protected readonly services: C2sServices
  private state: c2s.State
  /** The SASL mechanism tried last. */
  private mechanism = ''
  private elementsBefore = 0

  constructor(init: ActorInit, open: OpenTransport, services: C2sServices) {
    super(init, open, services)
    this.state = c2s.initial(this.transport.isEncrypted)
  }

  protected override started(): void {
    const now = this.services.transport.now()
    this.arm(LOGIN, now + LOGIN_MS)
    if (this.services.isDirectTls) this.handshake()
    else this.arm(STATE, now + this.services.stateTimeout)
  }

  protected override timedOut(kind: string | number): void | Promise<void> {
    if (this.isBound || (kind !== STATE && kind !== LOGIN)) return super.timedOut(kind)
    if (this.transport.isSecuring) return this.part({ isSilent: true })
    return this.negotiate({ type: 'timedOut' })
  }

  // ---- what the client sends

  protected get isDeaf(): boolean {
    return this.state.phase === 'securing'
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

  override inspected(): Record<string, string | number | boolean> {
    return { phase: this.state.phase, ...super.inspected() }
  }
}
