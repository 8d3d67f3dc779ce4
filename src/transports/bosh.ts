import type { X509Certificate } from 'node:crypto'
import * as bosh from '../protocols/bosh.js'
import { answerStart, type Body, type Opening, streamHeader, terminate } from '../protocols/bosh-body.js'
import { NS } from '../protocols/namespaces.js'
import type { Encoding, Stanza } from '../protocols/stanza/stanza.js'
import { BoshFraming } from '../protocols/stream/bosh-framing.js'
import { Output, returnSlab } from './output.js'
import {
  type Alarm,
  MAX_UNWRITTEN,
  type Peer,
  type Transport,
  type TransportContext,
  type TransportOwner,
} from './transport.js'

/** Requests that may wait while nothing is read; a client that sends more does not keep to the rules. XEP-0124 §11 */
const MAX_WAITING = 8

/** The one deadline of a session: the first of all that the machine knows. */
const NEXT = 0

/** Gives an open request its answer; called once. */
export type Reply = (body: string) => void

/** What is known of a session when it is created. */
export interface BoshSession {
  readonly sid: string
  readonly terms: bosh.Terms
  readonly opening: Opening
  /** Who created it. B-10 */
  readonly peer: Peer
  readonly isEncrypted: boolean
  readonly clientCertificate: X509Certificate | undefined
  /** Calls `gathered` when what goes out first has had its time. B-5 */
  gatherFor(transport: BoshTransport): void
  /** Nobody may ask for the session any more. */
  vanished(): void
}

/** A request that is not done with. */
interface Exchange {
  /** Undefined once its stanzas are with the connection. */
  body: Body | undefined
  /** Undefined when whoever asked is gone: the answer is sent and kept all the same. */
  reply: Reply | undefined
}

/** Stanzas stand in a body of another namespace. B-19 */
const encoding: Encoding = { xmlns: NS.client }

/** A stream in the bodies of HTTP requests and their answers. What is answered when is the machine's; XEP-0124, spec/bosh.md */
export class BoshTransport implements Transport {
  readonly framing = new BoshFraming()
  readonly isSecuring = false
  readonly isCompressed = false
  /** The connections of the requests may end anywhere: no channel bindings. B-8 */
  readonly tls = undefined
  /** No request is open that could take anything: what is sent had better wait where it can find another way. */
  isBlocked = false
  bytesIn = 0
  bytesOut = 0
  private state: bosh.State
  private readonly exchanges = new Map<number, Exchange>()
  /** Came while nothing was to be read. */
  private readonly waiting: number[] = []
  private readonly answers = new Map<number, string>()
  private answeredBytes = 0
  private readonly output = new Output()
  private lastId = 0
  private isPaused = false
  private isFlushing = false
  private isClosing = false
  private alarm: Alarm | undefined = undefined
  private dueAt: number | undefined = undefined

  constructor(
    private readonly session: BoshSession,
    rid: number,
    private owner: TransportOwner,
    private readonly context: TransportContext,
  ) {
    this.state = bosh.initial(session.terms, rid)
  }

  get peer(): Peer {
    return this.session.peer
  }

  get isEncrypted(): boolean {
    return this.session.isEncrypted
  }

  get clientCertificate(): X509Certificate | undefined {
    return this.session.clientCertificate
  }

  /** Nobody may ask for it any more. */
  get isGone(): boolean {
    return this.state.phase === 'gone'
  }

  handTo(owner: TransportOwner): void {
    this.owner = owner
  }

  compress(): void {
    throw new Error('a session of BOSH is not compressed')
  }

  // ---- from the HTTP server

  /** Takes a request, and answers it when there is something to say; the number is for `abandoned`. */
  arrived(body: Body, bytes: number, reply: Reply): number {
    const id = ++this.lastId
    this.bytesIn += bytes
    this.context.traffic.bytesIn += bytes
    this.exchanges.set(id, { body, reply })
    this.waiting.push(id)
    if (this.waiting.length > MAX_WAITING) {
      this.breakOff('policy-violation')
      return id
    }
    this.unblock()
    this.takeWaiting()
    return id
  }

  /** Whoever sent the request is gone; true when it had no answer. Nothing else changes: the answer can still be asked for again. spec/bosh.md §14 */
  abandoned(id: number): boolean {
    const exchange = this.exchanges.get(id)
    if (exchange !== undefined) exchange.reply = undefined
    return exchange !== undefined
  }

  /** Ends the session against the will of its client. */
  breakOff(condition: string): void {
    this.step({ type: 'broken', condition, now: this.context.now() })
  }

  gathered(): void {
    // Later ones may gather already, which then have less time.
    this.flush()
    this.step({ type: 'gathered', now: this.context.now() })
  }

  timedOut(): void {
    this.dueAt = undefined
    // Not silent: nobody listened.
    if (this.waiting.length > 0) this.unblock()
    else this.step({ type: 'timedOut', now: this.context.now() })
  }

  private takeWaiting(): void {
    while (!this.isPaused && !this.isGone) {
      const id = this.waiting.shift()
      const exchange = id === undefined ? undefined : this.exchanges.get(id)
      if (id === undefined || exchange?.body === undefined) return
      const { rid, kind, pause, ack, key, newKey } = exchange.body
      const request = { id, rid, kind, pause, ack, key, newKey }
      this.step({ type: 'arrived', request, now: this.context.now() })
    }
  }

  // ---- from the connection

  send(xml: string): void {
    if (xml === '' || this.isClosing || this.isGone) return
    this.output.write(xml)
    this.mark()
  }

  sendStanza(stanza: Stanza): void {
    if (this.isClosing || this.isGone) return
    const slab = this.output.reserve(stanza.encodedLength(encoding))
    const size = stanza.encode(slab.bytes, slab.used, encoding)
    this.context.sizes?.sent.xml_stanza_size.add(size)
    this.output.wrote(slab, size)
    this.mark()
  }

  flush(): void {
    this.isFlushing = false
    if (this.output.length === 0 || this.isClosing || this.isGone) return
    this.step({ type: 'output', now: this.context.now() })
  }

  pause(): void {
    this.isPaused = true
  }

  resume(): void {
    this.isPaused = false
    this.takeWaiting()
  }

  close(): void {
    if (this.isClosing || this.isGone) return
    this.isClosing = true
    this.isPaused = false
    const { failure } = this.framing
    const condition = failure?.condition === 'system-shutdown' ? failure.condition : failure && 'remote-stream-error'
    this.step({ type: 'ended', condition, now: this.context.now() })
    this.takeWaiting()
  }

  /** Answers are with the HTTP server, which waits for them itself. */
  finished(): Promise<void> {
    return Promise.resolve()
  }

  destroy(): void {
    this.close()
  }

  private mark(): void {
    if (this.output.length + this.answeredBytes > MAX_UNWRITTEN) {
      this.owner.outputOverflowed()
      return
    }
    if (this.isFlushing) return
    this.isFlushing = true
    this.context.flushLater(this)
  }

  // ---- what the machine says

  private step(event: bosh.Event): void {
    const { state, effects } = bosh.transition(this.state, event)
    const wasGathering = this.state.isGathering
    this.state = state
    for (const effect of effects) this.perform(effect)
    if (state.isGathering && !wasGathering) this.session.gatherFor(this)
    this.watch()
  }

  private perform(effect: bosh.Effect): void {
    switch (effect.type) {
      case 'answer':
        this.answer(effect)
        break
      case 'repeat':
        this.repeat(effect)
        break
      case 'deliver':
        this.deliver(effect.id)
        break
      case 'forget':
        this.forget(effect.rid)
        break
      case 'lose':
        this.owner.lost(effect.reason)
        break
      case 'vanish':
        this.vanish()
    }
  }

  private deliver(id: number): void {
    const exchange = this.exchanges.get(id)
    if (exchange?.body === undefined || this.isClosing) return
    const { kind, to, version, lang, content } = exchange.body
    exchange.body = undefined
    const parts = [content]
    if (kind === 'create' || kind === 'restart') {
      parts.unshift(Buffer.from(streamHeader(to ?? this.session.opening.from, version, lang)))
    } else if (kind === 'terminate') parts.push(Buffer.from('</stream:stream>'))
    const [only] = parts
    const bytes = parts.length === 1 && only !== undefined ? only : Buffer.concat(parts)
    if (bytes.length > 0) this.owner.received(bytes)
  }

  private answer(answer: bosh.Answer): void {
    const { id, rid, takesOutput } = answer
    const body = this.bodyOf(answer, takesOutput)
    if (rid !== undefined) {
      this.answers.set(rid, body)
      this.answeredBytes += body.length
    }
    this.reply(id, body)
  }

  /** Text: a buffer for each would be memory outside of the heap, which costs more to have and to lose. */
  private bodyOf(answer: bosh.Answer, takesOutput: boolean): string {
    const { sid, opening } = this.session
    const { framing, output } = this
    const isEmpty = !takesOutput || output.length === 0
    const start = answerStart(answer, sid, opening, takesOutput && framing.usesPrefix)
    if (isEmpty) return `${start}/>`
    let content = ''
    // Each slab ends where an element, or a piece of text from the server, does.
    for (const slab of output.take()) {
      content += slab.bytes.toString('utf8', 0, slab.used)
      returnSlab(slab)
    }
    framing.usesPrefix = false
    return `${start}>${content}</body>`
  }

  private repeat({ id, rid }: { id: number; rid: number }): void {
    this.reply(id, this.answers.get(rid) ?? terminate('item-not-found'))
  }

  private reply(id: number, body: string): void {
    const exchange = this.exchanges.get(id)
    this.exchanges.delete(id)
    const bytes = Buffer.byteLength(body)
    this.bytesOut += bytes
    this.context.traffic.bytesOut += bytes
    exchange?.reply?.(body)
  }

  private forget(rid: number): void {
    this.answeredBytes -= this.answers.get(rid)?.length ?? 0
    this.answers.delete(rid)
  }

  private vanish(): void {
    this.alarm?.drop()
    this.alarm = undefined
    for (const slab of this.output.take()) returnSlab(slab)
    const end = terminate('item-not-found')
    for (const id of [...this.exchanges.keys()]) this.reply(id, end)
    this.waiting.length = 0
    this.answers.clear()
    this.session.vanished()
  }

  // ---- deadlines and back-pressure

  private watch(): void {
    if (this.isGone) return
    const due = bosh.dueAt(this.state)
    if (due !== undefined && due !== this.dueAt) {
      this.alarm ??= this.context.newAlarm(this)
      this.alarm.arm(NEXT, due)
    }
    this.dueAt = due
    const { phase, held, deferred } = this.state
    const isBlocked = phase === 'open' && held.length === 0 && deferred === undefined && this.waiting.length === 0
    if (!isBlocked) this.unblock()
    else if (!this.isBlocked && !this.isClosing) {
      this.isBlocked = true
      this.owner.blocked()
    }
  }

  private unblock(): void {
    if (!this.isBlocked || this.isGone) return
    this.isBlocked = false
    if (!this.isClosing) this.owner.drained()
  }
}
