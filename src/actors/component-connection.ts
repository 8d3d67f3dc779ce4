/*
 * One connection of an external component: feeds the machine of `protocols/stream/component.ts`, then routes what the component
 * sends and takes what others send to its domains. XEP-0114
 */

import { StanzaError, StreamError } from '../protocols/errors.js'
import { Jid } from '../protocols/jid.js'
import { NS } from '../protocols/namespaces.js'
import { ContentNamespace } from '../protocols/stanza/content-namespace.js'
import type { Stanza } from '../protocols/stanza/stanza.js'
import * as component from '../protocols/stream/component.js'
import type { Frame, Header } from '../protocols/xml/framer.js'
import { buildElement } from '../protocols/xml/tree.js'
import { checkIq } from '../routing/iq.js'
import type { Route } from '../routing/routes.js'
import type { OpenTransport } from '../transports/transport.js'
import { type ActorInit, type StopReason, stopTree } from './runtime/index.js'
import { oneByOne, StreamConnection, type StreamServices } from './stream-connection.js'

/** From accept to handshake, in milliseconds; no option lifts it. spec/listeners.md §1.3 */
const LOGIN_MS = 120_000
/** How long a component may take to go that a newer one replaces, in milliseconds. spec/listeners.md §3.3.5 */
const EVICTION_MS = 5_000
/** Longest language tag that is remembered, in bytes. spec/listeners.md §3.1.1 */
const LANG_BYTES = 35
/** Deadlines: the state before the handshake, and everything before it together. */
const STATE = 'state'
const LOGIN = 'login'

const content = new ContentNamespace(NS.component)

/** A component as the route table knows it. */
export interface Recipient {
  /** False when it takes nothing any more, and when too much waits for it. */
  deliver(stanza: Stanza): boolean
  /** Ends it with `conflict`; resolves when it is gone. */
  evict(): Promise<void>
}

/** What a component's connection needs of the rest of the server; one value per listener, shared by its connections. */
export interface ComponentServices extends StreamServices {
  readonly environment: component.Environment
  /** Milliseconds in each state before the handshake is done. */
  readonly stateTimeout: number
  /** Bytes a second that may be read; undefined = no limit. */
  readonly rate: number | undefined
  /** Refuse senders that are not of the component's domains. */
  readonly checksFrom: boolean
  /** Whether the listener's access rule lets somebody register this domain. */
  mayRegister(domain: string): boolean
  /** What stands in the route table for a component. */
  routeTo(recipient: Recipient): Route
  /** Enters the route for all the domains or for none; a promise where others have to go first. */
  register(domains: readonly string[], route: Route, isWanted: () => boolean): boolean | Promise<boolean>
  unregister(domains: readonly string[], route: Route): void
  /** Takes a stanza from the component on its way. */
  route(stanza: Stanza): void | Promise<void>
  /** Tells the sender of a stanza that the component did not get it. */
  bounce(stanza: Stanza): void | Promise<void>
}

export class ComponentConnection extends StreamConnection implements Recipient {
  declare protected readonly services: ComponentServices
  private state: component.State = component.initial
  private readonly route: Route
  /** In the route table, or on the way into it. */
  private domains: readonly string[] = []
  private isEstablished = false

  constructor(init: ActorInit, open: OpenTransport, services: ComponentServices) {
    super(init, open, services)
    this.route = services.routeTo(this)
  }

  protected override started(): void {
    const now = this.services.transport.now()
    this.arm(LOGIN, now + LOGIN_MS)
    this.arm(STATE, now + this.services.stateTimeout)
    // From the first byte. spec/listeners.md §1.13
    this.shape(this.services.rate)
  }

  protected override timedOut(kind: string | number): void | Promise<void> {
    if (kind !== STATE && kind !== LOGIN) return super.timedOut(kind)
    if (!this.isEstablished) return this.negotiate({ type: 'timedOut' })
  }

  // ---- what the component sends

  protected get isDeaf(): boolean {
    return false
  }

  protected gotFrame(frame: Frame): void | Promise<void> {
    if (this.isEstablished) return this.stanza(frame)
    const { name, ns } = frame
    return this.negotiate({ type: 'received', name, ns, text: buildElement(frame).getText() })
  }

  protected gotHeader(header: Header): void | Promise<void> {
    const { lang } = header
    if (lang !== undefined && lang !== '' && Buffer.byteLength(lang) <= LANG_BYTES) this.lang = lang
    return this.negotiate({ type: 'opened', header, id: this.services.newStreamId() })
  }

  protected gotEnd(): void | Promise<void> {
    return this.isEstablished ? this.part({}) : this.negotiate({ type: 'ended' })
  }

  protected gotBroken(error: StreamError): void | Promise<void> {
    return this.isEstablished ? this.part({ error }) : this.negotiate({ type: 'broken', error })
  }

  /** There is no TLS on these listeners. spec/listeners.md §1.13 */
  protected secured(): void {}

  // ---- an established component: the short path. spec/listeners.md §3.3.6

  private stanza(frame: Frame): void | Promise<void> {
    const { name, ns, from } = frame
    const isStanza = name === 'message' || name === 'presence' || name === 'iq'
    const sender = from === undefined ? undefined : Jid.parse(from)
    if (!isStanza || (ns !== NS.component && ns !== NS.client)) return this.refuse(frame)
    this.stanzasIn++
    this.services.counters.stanzasIn++
    if (sender === undefined || !this.maySpeakFor(sender)) return this.refuse(frame)
    const stanza = content.stanza(frame, sender, this.lang)
    if (stanza.to === undefined) return this.refuse(frame)
    try {
      if (stanza.kind === 'iq') checkIq(stanza)
    } catch (error) {
      if (!(error instanceof StanzaError)) throw error
      return this.refuse(frame, error)
    }
    return this.services.route(stanza)
  }

  protected override write(stanza: Stanza): void {
    super.write(content.outgoing(stanza))
  }

  private maySpeakFor({ domain }: Jid): boolean {
    return !this.services.checksFrom || this.domains.includes(domain)
  }

  private refuse(frame: Frame, error?: StanzaError): void {
    const reply = component.refusal(frame, error)
    if (reply === undefined) return
    this.stanzasOut++
    this.services.counters.stanzasOut++
    this.transport.send(reply)
  }

  // ---- negotiation

  private negotiate(event: component.Event): void | Promise<void> {
    const { state, effects } = component.transition(this.state, event, this.services.environment)
    this.state = state
    if (state.phase !== 'closed') this.arm(STATE, this.services.transport.now() + this.services.stateTimeout)
    for (const effect of effects) {
      const following = this.perform(effect)
      // Nothing comes behind the one that may take time.
      if (following !== undefined) return following
    }
  }

  private perform(effect: component.Effect): void | Promise<void> {
    switch (effect.type) {
      case 'open':
        this.hasOpened = true
        this.transport.send(component.componentHeader(effect.id, effect.from))
        return
      case 'register':
        return this.register(effect.domains)
      case 'send':
        this.transport.send(effect.xml)
        return
      case 'established':
        return this.established()
      case 'refused':
        this.services.counters.componentsRefused++
        this.services.emit('component.refused', {
          domains: effect.domains.join(' '),
          address: this.transport.peer.address,
          condition: effect.condition,
        })
        return
      case 'close':
        this.part(effect)
        return
    }
  }

  private register(domains: readonly string[]): void | Promise<void> {
    if (!domains.every(domain => this.services.mayRegister(domain))) {
      return this.negotiate({ type: 'refused', condition: 'not-authorized' })
    }
    this.domains = domains
    const isRegistered = this.services.register(domains, this.route, () => !this.isStopping)
    if (!(isRegistered instanceof Promise)) return this.registered(isRegistered)
    return isRegistered.then(is => this.registered(is))
  }

  private registered(isRegistered: boolean): void | Promise<void> {
    // Whoever ended meanwhile has nobody to tell.
    if (this.isStopping) return
    return this.negotiate(isRegistered ? { type: 'registered' } : { type: 'refused', condition: 'conflict' })
  }

  private established(): void {
    this.isEstablished = true
    this.disarm(STATE)
    this.disarm(LOGIN)
    this.trust()
    const { counters, emit } = this.services
    counters.componentsRegistered++
    counters.componentsNow++
    emit('component.registered', { domains: this.domains.join(' '), address: this.transport.peer.address })
  }

  protected override openingBeforeError(): string {
    return component.componentHeader('none', this.services.defaultHost)
  }

  // ---- the end

  /** At once, as its supervisor would stop it: whatever its handler waits for, and whether or not the component still reads. */
  evict(): Promise<void> {
    this.part({ error: new StreamError('conflict') })
    return stopTree(this, 'ended', EVICTION_MS)
  }

  /** Whatever happens on the way out, and whyever it is taken: nobody finds the way here any more. */
  protected override stopped(reason: StopReason): void | Promise<void> {
    this.services.unregister(this.domains, this.route)
    return super.stopped(reason)
  }

  protected override leave(
    _error: StreamError | undefined,
    reason: string,
    undelivered: readonly Stanza[],
  ): void | Promise<void> {
    if (!this.isEstablished) return
    this.services.counters.componentsNow--
    this.services.emit('component.closed', { domains: this.domains.join(' '), reason })
    if (undelivered.length > 0) return oneByOne(undelivered, stanza => this.services.bounce(stanza))
  }

  override inspected(): Record<string, string | number | boolean> {
    const { phase } = this.state
    return { phase, ...(this.domains.length > 0 && { domains: this.domains.join(' ') }), ...super.inspected() }
  }
}
