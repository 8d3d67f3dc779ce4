/*
 * A client's session, once its resource is bound: a stanza takes the short path (`stanza` → `route`, `deliver` → the transport) with
 * no transition and no effect. Stream management, client state, what waits for a client that is away, and the end of the session.
 */

import { Element } from 'ltx'
import type { HostCounters } from '../observability/metrics/host-counters.js'
import { StreamError } from '../protocols/errors.js'
import { Jid } from '../protocols/jid.js'
import { NS } from '../protocols/namespaces.js'
import { Stanza } from '../protocols/stanza/stanza.js'
import { compressed, compressionFailed, compressionRefusal } from '../protocols/stream/c2s.js'
import { HeldStanzas, isAside } from '../protocols/stream/client-state.js'
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
import { type Frame, interest } from '../protocols/xml/framer.js'
import { buildElement } from '../protocols/xml/tree.js'
import type { Session } from '../sessions/session.js'
import type { StoredCopy } from '../sessions/stored-copy.js'
import type { StreamManagement, WaitingMessages } from '../sessions/stream-management.js'
import { MAX_UNWRITTEN, type Peer } from '../transports/transport.js'
import type { Handover } from './handover.js'
import { isTheSame, ManagedStream } from './managed-stream.js'
import { oneByOne, StreamConnection, type StreamServices } from './stream-connection.js'

/** Deadlines: the state before the session, or of one whose stream is opened again. */
export const STATE = 'state'
/** The time to resume the session, and the time to acknowledge. */
const RESUME = 'resume'
const UNACKNOWLEDGED = 'unacknowledged'
/** Between finding too many unacknowledged stanzas and looking again, in milliseconds. spec/listeners.md §3.1.6 */
const UNACKNOWLEDGED_MS = 5_000

const nothing: ReadonlyMap<Stanza, StoredCopy> = new Map()

/** Namespaces whose children a client may not send. spec/listeners.md §3.1.6 */
const stripped = interest(NS.delay) | interest(NS.legacyDelay)

/** What a session needs of the rest of the server. */
export interface SessionServices extends StreamServices {
  readonly node: string
  /** Bytes that one read may inflate to; undefined without compression. */
  readonly inflatedBytes: number | undefined
  /** Milliseconds in each state before the session, and until the stream is opened again after compression. */
  readonly stateTimeout: number
  /** Bytes a second that may be read; undefined = no limit. Asked with the served domain first, then with the full JID. */
  rateOf(jid: Jid): number | undefined
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
  /** Unregisters the session and tells its contacts. */
  leave(session: Session, status: string | undefined): void
  /** Takes a stanza from the client on its way. */
  route(session: Session, stanza: Stanza): void | Promise<void>
  /** Finds another way for a stanza that this session took and could not deliver any more. */
  reroute(session: Session, stanza: Stanza): void | Promise<void>
}

/** The connection of a client, as far as its session goes; the class that extends it makes the session. */
export abstract class ClientSession extends StreamConnection implements Session {
  // ---- Session
  jid!: Jid
  priority = 0
  presence: string | undefined = undefined
  isInterested = false
  directed: Set<string> | undefined = undefined

  declare protected readonly services: SessionServices
  protected isBound = false
  /** The client asked for compression in its session and has not opened its stream again. */
  protected isReopening = false
  /** Once stream management is enabled. */
  protected managed: ManagedStream | undefined = undefined
  /** While the client says that nobody looks at it. */
  private held: HeldStanzas | undefined = undefined

  get node(): string {
    return this.services.node
  }

  get peer(): Peer {
    return this.transport.peer
  }

  protected override timedOut(kind: string | number): void | Promise<void> {
    switch (kind) {
      case RESUME:
        return this.part({ isSilent: true })
      case UNACKNOWLEDGED:
        return this.checkUnacknowledged()
      case STATE:
        return this.part({ error: new StreamError('connection-timeout') })
      default:
        return super.timedOut(kind)
    }
  }

  protected override get mayDeliver(): boolean {
    return !this.isReopening
  }

  // ---- an established session: the short path

  /** An element of the client's in its session. */
  protected stanza(frame: Frame): void | Promise<void> {
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
    const refusal = compressionRefusal(buildElement(frame))
    if (refusal !== undefined) {
      this.transport.send(compressionFailed(refusal).xml)
      return
    }
    // The session goes on; what comes for it waits until the client has opened its stream again.
    this.transport.send(compressed)
    this.compress(inflatedBytes)
    this.framer.reset()
    this.isReopening = true
    this.pauseStanzas()
    this.arm(STATE, this.services.transport.now() + this.services.stateTimeout)
  }

  /** spec/listeners.md §3.1.2: there is nothing left to negotiate. */
  protected reopened(): void {
    const { newStreamId, language: lang } = this.services
    this.isReopening = false
    this.disarm(STATE)
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

  protected resumesAs(previd: string): boolean {
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
