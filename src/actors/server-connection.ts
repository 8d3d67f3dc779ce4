/*
 * One stream that another server opened: feeds the machine of `protocols/stream/s2s-in.ts`, then routes the stanzas of the
 * domains that the peer has proven to speak for. Where the peer asked for it, it is lent to the actors of the opposite pairs, and
 * what they send goes back on it (XEP-0288); otherwise it carries nothing back but what is said about the stream itself.
 * RFC 6120 §13, XEP-0220
 */

import type { DomainPair } from '../protocols/dialback.js'
import { StreamError } from '../protocols/errors.js'
import type { Stanza } from '../protocols/stanza/stanza.js'
import { serverHeader } from '../protocols/stream/s2s-header.js'
import * as s2s from '../protocols/stream/s2s-in.js'
import type { Question } from '../protocols/stream/s2s-out.js'
import type { Frame, Header } from '../protocols/xml/framer.js'
import { buildElement } from '../protocols/xml/tree.js'
import type { OpenTransport, Transport } from '../transports/transport.js'
import type { ActorInit } from './runtime/index.js'
import { isServerStanza, relayed, serverContent } from './server-stanza.js'
import { StreamConnection, type StreamServices } from './stream-connection.js'

/** From accept to the first proof, in milliseconds; no option lifts it. spec/listeners.md §1.3 */
const LOGIN_MS = 120_000
/** For the TLS handshake, in milliseconds. spec/listeners.md §1.6.4 */
const HANDSHAKE_MS = 10_000
/** Without an element, in milliseconds. spec/listeners.md §3.2.4 */
const IDLE_MS = 600_000
/** Elements before the first proof; no option lifts it. */
const ELEMENTS_BEFORE_PROOF = 1000
/** Longest language tag that is remembered, in bytes. spec/listeners.md §3.1.1 */
const LANG_BYTES = 35
/** Deadlines: the state before the first proof, everything before it together, and rest after it. */
const STATE = 'state'
const LOGIN = 'login'
const IDLE = 'idle'

/** What a connection from another server needs of ours; one value per listener, shared by its connections. */
export interface ServerServices extends StreamServices {
  readonly environment: s2s.Environment
  /** Milliseconds in each state before the first proof. */
  readonly stateTimeout: number
  /** Begins our side of TLS, with the certificate of this domain. */
  secure(transport: Transport, local: string, onSecured: (certificate: s2s.PeerCertificate) => void): void
  /** Bytes a second that may be read; undefined = no limit. */
  rateOf(local: string, remote: string): number | undefined
  /** Asks the server of the question's domain; `answer` is called once, at any time. */
  verify(question: Question, answer: (isValid: boolean) => void): void
  /** Ends our own stream to the domain. */
  distrust(local: string, remote: string): void
  /** Stanzas of the pair may go on this stream, until it is given back. XEP-0288 */
  lend(pair: DomainPair, stream: LentStream): void
  /** The end of that. */
  giveBack(pair: DomainPair, stream: LentStream, loss: LentLoss): void
  /** Takes a stanza on its way. */
  route(stanza: Stanza): void | Promise<void>
}

/** A stream that the other server opened, as those see it who send on it. */
export interface LentStream {
  /** False when it takes nothing any more, and when too much waits for it. */
  deliver(stanza: Stanza): boolean
}

/** How it ended. */
export interface LentLoss {
  readonly reason: string
  /** The peer had stopped reading. */
  readonly wasStuck: boolean
  /** Of the pair, in order. */
  readonly undelivered: readonly Stanza[]
}

/** Told by others, at any time. */
class Verified {
  constructor(
    readonly question: Question,
    readonly isValid: boolean,
  ) {}
}

export class ServerConnection extends StreamConnection {
  declare protected readonly services: ServerServices
  private state: s2s.State = s2s.initial()
  private isProven = false
  private certificate: s2s.PeerCertificate | undefined = undefined
  /** Whom the peer addressed. */
  private local = ''
  private remote: string | undefined = undefined
  private elementsBefore = 0
  /** To whom it is lent. */
  private readonly lent: DomainPair[] = []

  constructor(init: ActorInit, open: OpenTransport, services: ServerServices) {
    super(init, open, services)
  }

  protected override started(): void {
    const now = this.services.transport.now()
    this.arm(LOGIN, now + LOGIN_MS)
    this.arm(STATE, now + this.services.stateTimeout)
  }

  protected override timedOut(kind: string | number): void | Promise<void> {
    if (kind === IDLE) return this.part({})
    if (kind !== STATE && kind !== LOGIN) return super.timedOut(kind)
    if (this.transport.isSecuring) return this.part({ isSilent: true })
    if (!this.isProven) return this.negotiate({ type: 'timedOut' })
  }

  // ---- what the peer sends

  protected get isDeaf(): boolean {
    return this.state.phase === 'securing'
  }

  protected gotFrame(frame: Frame): void | Promise<void> {
    if (isServerStanza(frame)) return this.stanza(frame)
    if (!this.isProven && ++this.elementsBefore > ELEMENTS_BEFORE_PROOF) {
      return this.negotiate({ type: 'broken', error: new StreamError('policy-violation', 'too much without a proof') })
    }
    return this.negotiate({ type: 'received', element: buildElement(frame) })
  }

  protected gotHeader(header: Header): void | Promise<void> {
    const { lang } = header
    if (lang !== undefined && lang !== '' && Buffer.byteLength(lang) <= LANG_BYTES) this.lang = lang
    return this.negotiate({ type: 'opened', header, id: this.services.newStreamId() })
  }

  protected gotEnd(): void | Promise<void> {
    return this.negotiate({ type: 'ended' })
  }

  protected gotBroken(error: StreamError): void | Promise<void> {
    return this.negotiate({ type: 'broken', error })
  }

  protected secured(): void | Promise<void> {
    const { certificate } = this
    if (certificate !== undefined) return this.negotiate({ type: 'secured', certificate })
  }

  protected override told(event: object): void | Promise<void> {
    if (!(event instanceof Verified)) return
    const { question, isValid } = event
    return this.negotiate({ type: 'verified', pair: question.pair, isValid })
  }

  // ---- the short path

  private stanza(frame: Frame): void | Promise<void> {
    const { serves } = this.services.environment
    const stanza = relayed(frame, this.lang, (from, to) => s2s.mayRelay(this.state, from, to, serves))
    if (stanza instanceof StreamError) return this.part({ error: stanza })
    this.stanzasIn++
    this.services.counters.stanzasIn++
    this.arm(IDLE, this.services.transport.now() + IDLE_MS)
    return this.services.route(stanza)
  }

  /** Sending is a sign of life as well. */
  protected override write(stanza: Stanza): void {
    super.write(serverContent.outgoing(stanza))
    this.arm(IDLE, this.services.transport.now() + IDLE_MS)
  }

  // ---- negotiation

  private negotiate(event: s2s.Event): void {
    const { state, effects } = s2s.transition(this.state, event, this.services.environment)
    this.state = state
    const now = this.services.transport.now()
    if (this.isProven) this.arm(IDLE, now + IDLE_MS)
    else if (state.phase !== 'closed') this.arm(STATE, now + this.services.stateTimeout)
    for (const effect of effects) this.perform(effect)
  }

  private perform(effect: s2s.Effect): void {
    const { services, transport } = this
    switch (effect.type) {
      case 'open': {
        const { id, from, to, hasVersion } = effect
        this.hasOpened = true
        this.local = from
        this.remote = to ?? this.remote
        transport.send(serverHeader({ id, from, to, hasVersion, lang: services.language }))
        return
      }
      case 'send':
        transport.send(effect.xml)
        return
      case 'restart':
        this.restart()
        return
      case 'startTls':
        this.endClear()
        this.arm(STATE, services.transport.now() + HANDSHAKE_MS)
        services.secure(transport, this.local, certificate => {
          this.certificate = certificate
          this.tell({ type: 'secured' })
        })
        return
      case 'verify': {
        const { pair, id, key } = effect
        const question: Question = { pair, id, key }
        services.verify(question, isValid => this.tell({ type: 'told', event: new Verified(question, isValid) }))
        return
      }
      case 'authenticated':
        this.authenticated(effect)
        return
      case 'lend':
        this.lent.push(effect.pair)
        services.lend(effect.pair, this)
        return
      case 'refused': {
        services.counters.serversRefused++
        const { remote, mechanism, reason } = effect
        services.emit('server.refused', { domain: remote, address: transport.peer.address, mechanism, reason })
        return
      }
      case 'shape':
        this.shape(services.rateOf(effect.local, effect.remote))
        return
      case 'distrust':
        services.distrust(effect.local, effect.remote)
        return
      case 'close':
        this.part(effect)
        return
    }
  }

  private authenticated({ remote, mechanism }: Extract<s2s.Effect, { type: 'authenticated' }>): void {
    const { counters, emit, transport } = this.services
    if (!this.isProven) {
      this.isProven = true
      this.disarm(STATE)
      this.disarm(LOGIN)
      this.trust()
      counters.serversInNow++
      this.arm(IDLE, transport.now() + IDLE_MS)
    }
    this.remote = remote
    counters.serversAuthenticated++
    emit('server.authenticated', { domain: remote, address: this.transport.peer.address, mechanism })
  }

  protected override openingBeforeError(): string {
    const { newStreamId, defaultHost: from, language: lang } = this.services
    return serverHeader({ id: newStreamId(), from, to: undefined, hasVersion: true, lang })
  }

  // ---- the end

  protected override leave(_error: StreamError | undefined, reason: string, undelivered: readonly Stanza[]): void {
    if (this.isProven) this.services.counters.serversInNow--
    const { isBlocked: wasStuck } = this.transport
    for (const pair of this.lent) {
      const { originating, receiving } = pair
      const own = undelivered.filter(({ from, to }) => from?.domain === originating && to?.domain === receiving)
      this.services.giveBack(pair, this, { reason, wasStuck, undelivered: own })
    }
  }

  override inspected(): Record<string, string | number | boolean> {
    const { phase } = this.state
    return {
      phase,
      isProven: this.isProven,
      isBidi: this.lent.length > 0,
      ...(this.local !== '' && { local: this.local }),
      ...(this.remote !== undefined && { remote: this.remote }),
      ...super.inspected(),
    }
  }
}
