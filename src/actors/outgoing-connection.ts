/*
 * One stream to another server: feeds the machine of `protocols/stream/s2s-out.ts`, then writes what its owner, the actor of
 * the pair of domains, hands to it. Where both agreed on it, the other domain's stanzas come back on the stream (XEP-0288).
 * Whatever becomes of it, the owner hears. RFC 6120 §13, XEP-0220
 */

import type { DomainPair } from '../protocols/dialback.js'
import { StreamError } from '../protocols/errors.js'
import type { Stanza } from '../protocols/stanza/stanza.js'
import { serverHeader } from '../protocols/stream/s2s-header.js'
import type { PeerCertificate } from '../protocols/stream/s2s-in.js'
import * as s2s from '../protocols/stream/s2s-out.js'
import type { Frame, Header } from '../protocols/xml/framer.js'
import { buildElement } from '../protocols/xml/tree.js'
import type { OpenTransport, Transport } from '../transports/transport.js'
import type { ActorInit } from './runtime/index.js'
import { isServerStanza, relayed, serverContent } from './server-stanza.js'
import { StreamConnection, type StreamServices } from './stream-connection.js'

/** Elements but stanzas that a peer may send on a stream which is ours to speak on; no option lifts it. */
const MOST_ELEMENTS = 10_000
/** Longest language tag that is remembered, in bytes. spec/listeners.md §3.1.1 */
const LANG_BYTES = 35
/** The deadline of each state, and of rest. */
const STATE = 'state'

/** What a connection to another server needs of ours. */
export interface OutgoingServices extends StreamServices {
  /** Begins our side of TLS with the server of this domain. */
  secure(transport: Transport, pair: DomainPair, onSecured: (certificate: PeerCertificate) => void): void
  /** Bytes a second that may be read where stanzas come back; undefined = no limit. */
  rateOf(pair: DomainPair): number | undefined
  /** Takes a stanza of the other domain's on its way. */
  route(stanza: Stanza): void | Promise<void>
}

/** The actor of the pair of domains, as its connection sees it. */
export interface OutgoingOwner {
  /** Stanzas may be delivered. */
  established(connection: OutgoingConnection, mechanism: string): void
  answered(pair: DomainPair, id: string, isValid: boolean): void
  externalRefused(): void
  /** Told once, at the end. */
  gone(connection: OutgoingConnection, loss: Loss): void
}

/** How a connection ended. */
export interface Loss {
  readonly reason: string
  /** It was an XMPP server. */
  readonly hasSpoken: boolean
  /** The peer had stopped reading. */
  readonly wasStuck: boolean
  /** In order. */
  readonly undelivered: readonly Stanza[]
}

/** What the owner says. */
type Order = Extract<s2s.Event, { type: 'wanted' | 'asked' }>

export class OutgoingConnection extends StreamConnection {
  declare protected readonly services: OutgoingServices
  private state: s2s.State
  private certificate: PeerCertificate | undefined = undefined
  private elements = 0
  private hasSpoken = false
  /** Orders from before the stream, while direct TLS is on its way. */
  private readonly early: Order[] = []
  private hasBegun = false
  private reason = ''

  constructor(
    init: ActorInit,
    open: OpenTransport,
    services: OutgoingServices,
    private readonly environment: s2s.Environment,
    private readonly owner: OutgoingOwner,
    /** TLS comes before the first byte of the stream. XEP-0368 */
    private readonly isDirectTls: boolean,
  ) {
    super(init, open, services)
    this.state = { phase: 'closed' }
  }

  protected override started(): void {
    if (this.isDirectTls) this.handshake()
    else this.begin()
  }

  private begin(): void {
    this.hasBegun = true
    this.take(s2s.begin(this.environment, this.isDirectTls))
    for (const order of this.early.splice(0)) this.negotiate(order)
  }

  /** There are stanzas to send. */
  want(): void {
    this.order({ type: 'wanted' })
  }

  ask(question: s2s.Question): void {
    this.order({ type: 'asked', question })
  }

  private order(event: Order): void {
    this.tell({ type: 'told', event })
  }

  protected override told(event: object): void {
    const order = event as Order // nobody else tells it anything
    if (this.hasBegun) this.negotiate(order)
    else this.early.push(order)
  }

  protected override timedOut(kind: string | number): void | Promise<void> {
    if (kind !== STATE) return super.timedOut(kind)
    if (this.transport.isSecuring) this.quit('the TLS handshake took too long')
    else this.negotiate({ type: 'timedOut' })
  }

  // ---- what the peer sends

  protected get isDeaf(): boolean {
    return this.state.phase === 'securing'
  }

  protected gotFrame(frame: Frame): void | Promise<void> {
    if (isServerStanza(frame) && s2s.isTwoWay(this.state)) return this.stanza(frame)
    if (++this.elements > MOST_ELEMENTS) {
      this.negotiate({ type: 'broken', error: new StreamError('policy-violation', 'too much on a stream of ours') })
    } else this.negotiate({ type: 'received', element: buildElement(frame) })
  }

  private stanza(frame: Frame): void | Promise<void> {
    const stanza = relayed(frame, this.lang, (from, to) => s2s.mayRelay(this.state, from, to, this.environment))
    if (stanza instanceof StreamError) return this.part({ error: stanza })
    this.stanzasIn++
    this.services.counters.stanzasIn++
    this.rest()
    return this.services.route(stanza)
  }

  protected gotHeader(header: Header): void {
    this.hasSpoken = true
    const { lang } = header
    if (lang !== undefined && lang !== '' && Buffer.byteLength(lang) <= LANG_BYTES) this.lang = lang
    this.negotiate({ type: 'opened', header })
  }

  protected gotEnd(): void {
    this.negotiate({ type: 'ended' })
  }

  protected gotBroken(error: StreamError): void {
    this.negotiate({ type: 'broken', error })
  }

  protected secured(): void {
    const { certificate } = this
    if (certificate === undefined) return
    if (this.state.phase === 'securing') {
      this.negotiate({ type: 'secured', certificate })
      return
    }
    const problem = s2s.distrust(certificate, this.environment)
    if (problem === undefined) this.begin()
    else this.quit(`the certificate is not trusted: ${problem}`)
  }

  private handshake(): void {
    this.arm(STATE, this.services.transport.now() + s2s.HANDSHAKE_MS)
    this.services.secure(this.transport, this.environment.pair, certificate => {
      this.certificate = certificate
      this.tell({ type: 'secured' })
    })
  }

  private quit(reason: string): void {
    this.reason = reason
    this.part({ isSilent: true })
  }

  // ---- what it does

  private negotiate(event: s2s.Event): void {
    this.take(s2s.transition(this.state, event, this.environment))
  }

  private take({ state, effects }: s2s.Step): void {
    // What means nothing wins the peer no time.
    const isNothing = state === this.state && effects.length === 0
    this.state = state
    if (state.phase !== 'closed' && !isNothing) this.arm(STATE, this.services.transport.now() + s2s.limitOf(state))
    for (const effect of effects) this.perform(effect)
  }

  private perform(effect: s2s.Effect): void {
    const { transport } = this
    switch (effect.type) {
      case 'open':
        this.hasOpened = true
        transport.send(this.header(effect.hasVersion))
        return
      case 'send':
        transport.send(effect.xml)
        return
      case 'restart':
        this.restart()
        return
      case 'startTls':
        this.endClear()
        this.handshake()
        return
      case 'established':
        if (s2s.isTwoWay(this.state)) {
          this.trust()
          this.shape(this.services.rateOf(this.environment.pair))
        }
        this.owner.established(this, effect.mechanism)
        return
      case 'answered':
        this.owner.answered(effect.pair, effect.id, effect.isValid)
        return
      case 'externalRefused':
        this.owner.externalRefused()
        return
      case 'close':
        this.reason = effect.reason
        this.part({ error: effect.error })
        return
    }
  }

  private header(hasVersion: boolean): string {
    const { originating: from, receiving: to } = this.environment.pair
    return serverHeader({ from, to, hasVersion, lang: this.services.language })
  }

  protected override openingBeforeError(): string {
    return this.header(true)
  }

  /** Rest is counted from what we send, and from what comes back. spec/listeners.md §3.2.5 */
  protected override write(stanza: Stanza): void {
    super.write(serverContent.outgoing(stanza))
    this.rest()
  }

  private rest(): void {
    this.arm(STATE, this.services.transport.now() + s2s.limitOf(this.state))
  }

  // ---- the end

  protected override leave(_error: StreamError | undefined, reason: string, undelivered: readonly Stanza[]): void {
    // Lost over our certificate: the machine has not seen it.
    if (this.state.phase === 'authenticating') this.owner.externalRefused()
    const { isBlocked: wasStuck } = this.transport
    const { hasSpoken } = this
    this.owner.gone(this, { reason: this.reason === '' ? reason : this.reason, hasSpoken, wasStuck, undelivered })
  }

  override inspected(): Record<string, string | number | boolean> {
    return { phase: this.state.phase, isBidi: s2s.isTwoWay(this.state), ...super.inspected() }
  }
}
