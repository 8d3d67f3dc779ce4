/*
 * What one domain of ours sends to one domain elsewhere: finds the server, connects, keeps what waits for that, hands it to
 * the connection, and tells the senders when there is no way. While a stream is there that the other server opened and takes
 * stanzas on, they go on that one (XEP-0288). spec/listeners.md §3.2.5
 */

import type { DomainPair } from '../protocols/dialback.js'
import { type StanzaCondition, StanzaError } from '../protocols/errors.js'
import type { Stanza } from '../protocols/stanza/stanza.js'
import { type Environment, IDLE, type Question } from '../protocols/stream/s2s-out.js'
import { Dial, type Reached } from '../transports/dial.js'
import { type DnsOptions, type Endpoint, ServerLookup } from '../transports/dns.js'
import { TcpTransport } from '../transports/tcp.js'
import type { TransportContext } from '../transports/transport.js'
import { peerOf } from './acceptor.js'
import { type Loss, OutgoingConnection, type OutgoingOwner, type OutgoingServices } from './outgoing-connection.js'
import { Actor, type ActorInit, type StopReason, spawnActor } from './runtime/index.js'
import type { LentLoss, LentStream } from './server-connection.js'
import { connection as connectionPolicy } from './supervision.js'

/** Bytes that may wait for one server; no option lifts it. */
const MOST_BYTES = 16 * 1024 * 1024
/** Questions that may wait for the answer of one server. */
const MOST_QUESTIONS = 100
/** For the answer to a question, in milliseconds. spec/listeners.md §3.2.5 */
const ANSWER_MS = 30_000
/** Before the second attempt, in milliseconds: at random between these. spec/listeners.md §3.2.5 */
const FIRST_DELAY_MS = [1_000, 15_000] as const
/** A connection that ends sooner than this after it was established is a failure as well, in milliseconds. */
const SHORT_LIFE_MS = 5_000
/** An endpoint that turns out to be no XMPP server makes room for the next one, for so many milliseconds. */
const SEARCH_MS = 30_000
/** Deadlines: the end of the back-off, the memory of it, and the oldest question. */
const RETRY = 'retry'
const FORGET = 'forget'
const ANSWER = 'answer'

/** Bytes that wait for all servers together. */
export interface Waiting {
  bytes: number
}

/** What the actors of outgoing pairs need of the rest of the server; one value for all. */
export interface PairServices {
  readonly connections: OutgoingServices
  readonly transport: TransportContext
  readonly dns: Omit<DnsOptions, 'now' | 'newAlarm' | 'random'>
  /** Of one attempt to connect, in milliseconds. */
  readonly attemptMs: number
  /** Stanzas that may wait for a connection, and behind one that does not drain; undefined: no limit. */
  readonly queueLimit: number | undefined
  /** For all servers together. */
  readonly waiting: Waiting
  readonly mostWaitingBytes: number
  /** From 0 up to 1. */
  random(): number
  /** What `s2s.address` says of a domain. */
  addressOf(domain: string): Endpoint | undefined
  environmentOf(pair: DomainPair, mayUseExternal: boolean): Environment
  /** Milliseconds that the delay between attempts grows to. */
  longestDelayOf(local: string): number
  /** Tells the senders, one after the other. */
  bounce(stanzas: readonly Stanza[], error: StanzaError): void
  /** `detail` is how a stream was established, or the reason. */
  tell(what: 'established' | 'failed' | 'closed', pair: DomainPair, detail: string): void
  ended(server: OutgoingServer): void
}

type Answer = (isValid: boolean) => void
interface Asked {
  readonly question: Question
  readonly answer: Answer
  readonly until: number
}

export type OutgoingMessage =
  | { readonly type: 'wake' }
  | { readonly type: 'ask'; readonly question: Question; readonly answer: Answer }
  | { readonly type: 'distrust' }
  | { readonly type: 'lent'; readonly stream: LentStream }
  | { readonly type: 'givenBack'; readonly stream: LentStream; readonly loss: LentLoss }
  | { readonly type: 'located'; readonly lookup: ServerLookup; readonly endpoints: readonly Endpoint[] }
  | { readonly type: 'dialled'; readonly reached: Reached | undefined }
  | { readonly type: 'established'; readonly connection: OutgoingConnection; readonly mechanism: string }
  | { readonly type: 'answered'; readonly pair: DomainPair; readonly id: string; readonly isValid: boolean }
  | { readonly type: 'externalRefused' }
  | { readonly type: 'gone'; readonly connection: OutgoingConnection; readonly loss: Loss }

type Phase = 'idle' | 'locating' | 'dialling' | 'connected' | 'waiting'

export class OutgoingServer extends Actor<OutgoingMessage> implements OutgoingOwner {
  private phase: Phase = 'idle'
  private readonly queue: Stanza[] = []
  /** What of it counts. `Stanza.weight` */
  private queuedStanzas = 0
  private queuedBytes = 0
  private readonly questions = new Map<string, Asked>()
  private lookup: ServerLookup | undefined = undefined
  private dial: Dial | undefined = undefined
  private connection: OutgoingConnection | undefined = undefined
  /** Streams that the other server opened, the oldest first. */
  private readonly lentStreams: LentStream[] = []
  /**
   * The stream that stanzas go to without waiting: of its own and those that are lent the one that was there first, so that
   * stanzas keep their order.
   */
  private open: LentStream | undefined = undefined
  private establishedAt: number | undefined = undefined
  private mayUseExternal = true
  private isRepeating = false
  /** Of the last back-off, in milliseconds; 0 after success. */
  private delay = 0
  private refusal: StanzaCondition = 'remote-server-not-found'
  private connections = 0
  /** Where else the server may be, while that is not decided, and since when it is looked for. */
  private others: readonly Endpoint[] = []
  private searchedSince = 0

  constructor(
    init: ActorInit,
    readonly pair: DomainPair,
    private readonly services: PairServices,
  ) {
    super(init)
  }

  // ---- what others ask of it

  /** Takes a stanza on its way. Throws the `StanzaError` for its sender when there is none. */
  send(stanza: Stanza): void {
    if (this.open?.deliver(stanza)) return
    if (this.phase === 'waiting') {
      // Nobody waits for presence. spec/listeners.md §3.2.5
      if (stanza.kind === 'presence') return
      throw new StanzaError(this.refusal)
    }
    const waiting = stanza.compact()
    const size = waiting.encodedLength()
    const { queueLimit = Number.POSITIVE_INFINITY, waiting: all, mostWaitingBytes } = this.services
    const isFull = this.queuedStanzas + waiting.weight > queueLimit || this.queuedBytes + size > MOST_BYTES
    if (isFull || all.bytes + size > mostWaitingBytes) {
      throw new StanzaError('resource-constraint', 'too much waits for the other server')
    }
    this.keep(waiting, size)
    if (this.queue.length === 1) this.tell({ type: 'wake' })
  }

  /** Asks the other server about a key; `answer` is called once. */
  ask(question: Question, answer: Answer): void {
    if (!this.tell({ type: 'ask', question, answer })) answer(false)
  }

  /** The stream takes stanzas of the pair, until it is given back. */
  lent(stream: LentStream): void {
    this.tell({ type: 'lent', stream })
  }

  givenBack(stream: LentStream, loss: LentLoss): void {
    if (this.tell({ type: 'givenBack', stream, loss })) return
    this.services.bounce(loss.undelivered, new StanzaError('remote-server-timeout'))
  }

  // ---- OutgoingOwner: what its connection tells

  established(connection: OutgoingConnection, mechanism: string): void {
    this.tell({ type: 'established', connection, mechanism })
  }

  answered(pair: DomainPair, id: string, isValid: boolean): void {
    this.tell({ type: 'answered', pair, id, isValid })
  }

  externalRefused(): void {
    this.tell({ type: 'externalRefused' })
  }

  gone(connection: OutgoingConnection, loss: Loss): void {
    this.tell({ type: 'gone', connection, loss })
  }

  // ---- the messages

  protected override receive(message: OutgoingMessage): void {
    switch (message.type) {
      case 'wake':
        this.wake()
        return
      case 'ask':
        this.asked(message.question, message.answer)
        return
      case 'distrust':
        this.connection?.end('policy-violation', 'the certificate is not trusted')
        return
      case 'lent':
        this.borrow(message.stream)
        return
      case 'givenBack':
        this.returned(message.stream, message.loss)
        return
      case 'located':
        this.located(message.lookup, message.endpoints)
        return
      case 'dialled':
        this.dialled(message.reached)
        return
      case 'established':
        this.opened(message.connection, message.mechanism)
        return
      case 'answered':
        this.settle(keyOf(message.pair, message.id), message.isValid)
        return
      case 'externalRefused':
        this.mayUseExternal = false
        this.isRepeating = true
        return
      case 'gone':
        this.lost(message.connection, message.loss)
    }
  }

  protected override timedOut(kind: string | number): void {
    switch (kind) {
      case RETRY:
        this.phase = 'idle'
        this.arm(FORGET, this.now() + this.delay)
        this.wake()
        return
      case FORGET:
        this.delay = 0
        this.restIfDone()
        return
      case ANSWER:
        this.expire()
    }
  }

  /** Does what comes next, if there is anything to do. */
  private wake(): void {
    // What a stream that is lent did not take waits until that one is given back.
    const isWanted = this.queue.length > 0 && this.lentStreams.length === 0
    if (!isWanted && this.questions.size === 0) return
    if (this.phase === 'idle') this.locate()
    else if (isWanted) this.connection?.want()
  }

  private asked(question: Question, answer: Answer): void {
    const key = keyOf(question.pair, question.id)
    if (this.questions.has(key) || this.questions.size >= MOST_QUESTIONS) {
      answer(false)
      return
    }
    this.questions.set(key, { question, answer, until: this.now() + ANSWER_MS })
    if (this.questions.size === 1) this.arm(ANSWER, this.now() + ANSWER_MS)
    if (this.connection !== undefined) {
      this.connection.ask(question)
      return
    }
    // Whoever wants to be recognized is there again, it seems.
    if (this.phase === 'waiting') {
      this.disarm(RETRY)
      this.phase = 'idle'
    }
    this.wake()
  }

  private locate(): void {
    this.disarm(FORGET)
    this.searchedSince = this.now()
    const known = this.services.addressOf(this.pair.receiving)
    if (known !== undefined) {
      this.call([known])
      return
    }
    this.phase = 'locating'
    const { dns, transport, random } = this.services
    const { now, newAlarm } = transport
    const lookup = new ServerLookup({ ...dns, random, now, newAlarm })
    this.lookup = lookup
    void lookup.locate(this.pair.receiving).then(endpoints => this.tell({ type: 'located', lookup, endpoints }))
  }

  private located(lookup: ServerLookup, endpoints: readonly Endpoint[]): void {
    if (lookup !== this.lookup) return
    this.lookup = undefined
    if (endpoints.length === 0) this.fail('remote-server-not-found', 'the domain has no address')
    else this.call(endpoints)
  }

  private call(endpoints: readonly Endpoint[]): void {
    this.phase = 'dialling'
    const { now, newAlarm } = this.services.transport
    const { attemptMs } = this.services
    this.dial = new Dial(endpoints, {
      attemptMs,
      now,
      newAlarm,
      done: reached => {
        if (!this.tell({ type: 'dialled', reached })) reached?.socket.destroy()
      },
    })
  }

  private dialled(reached: Reached | undefined): void {
    this.dial = undefined
    const peer = reached && peerOf(reached.socket)
    if (reached === undefined || peer === undefined || reached.socket.destroyed) {
      reached?.socket.destroy()
      this.fail('remote-server-not-found', 'nobody answers at its address')
      return
    }
    const { connections, queueLimit } = this.services
    const { socket, endpoint, others } = reached
    this.others = others
    this.phase = 'connected'
    this.connections++
    this.connection = spawnActor(
      this,
      init =>
        new OutgoingConnection(
          init,
          (owner, context) => new TcpTransport(socket, peer, owner, context),
          connections,
          this.services.environmentOf(this.pair, this.mayUseExternal),
          this,
          endpoint.isDirectTls,
        ),
      {
        name: `connection-${this.connections}`,
        policy: connectionPolicy,
        hibernateAfter: 0,
        ...(queueLimit !== undefined && { mailboxLimit: queueLimit }),
      },
    )
    for (const { question } of this.questions.values()) this.connection.ask(question)
    if (this.queue.length > 0) this.connection.want()
  }

  private opened(connection: OutgoingConnection, mechanism: string): void {
    if (connection !== this.connection) return
    this.delay = 0
    this.establishedAt = this.now()
    this.services.tell('established', this.pair, mechanism)
    this.goOn()
  }

  /** Sends what waits on a stream that is there, if there is one. What cannot go on its way now waits for the next. */
  private goOn(): void {
    if (this.open !== undefined) return
    const stream = this.establishedAt === undefined ? this.lentStreams[0] : this.connection
    if (stream === undefined) return
    while (this.queue.length > 0 && stream.deliver(this.queue[0]!)) this.drop(this.queue.shift()!)
    if (this.queue.length === 0) this.open = stream
  }

  private borrow(stream: LentStream): void {
    this.lentStreams.push(stream)
    // Whatever was in the way, the other server is there again.
    this.delay = 0
    this.disarm(FORGET)
    if (this.phase === 'waiting') {
      this.disarm(RETRY)
      this.phase = 'idle'
    }
    this.services.tell('established', this.pair, 'bidi')
    this.goOn()
  }

  private returned(stream: LentStream, { reason, wasStuck, undelivered }: LentLoss): void {
    const index = this.lentStreams.indexOf(stream)
    // One that was lent to the actor before this one was counted then.
    if (index !== -1) {
      this.lentStreams.splice(index, 1)
      this.services.tell('closed', this.pair, reason)
    }
    if (this.open === stream) this.open = undefined
    this.requeue(undelivered)
    this.goOn()
    if (this.queue.length > 0 && this.lentStreams.length === 0) {
      if (this.phase === 'waiting') this.refuse(this.refusal)
      else if (wasStuck && this.phase === 'idle') this.fail('remote-server-timeout', reason)
      else if (wasStuck) this.refuse('remote-server-timeout')
    }
    this.wake()
    this.restIfDone()
  }

  private lost(connection: OutgoingConnection, { reason, wasStuck, hasSpoken, undelivered }: Loss): void {
    if (connection !== this.connection) return
    const lived = this.establishedAt === undefined ? undefined : this.now() - this.establishedAt
    this.connection = undefined
    if (this.open === connection) this.open = undefined
    this.establishedAt = undefined
    this.phase = 'idle'
    if (lived !== undefined) this.services.tell('closed', this.pair, reason)
    this.requeue(undelivered)
    this.goOn()
    const isRepeating = this.isRepeating
    this.isRepeating = false
    const isSearching = !hasSpoken && this.others.length > 0 && this.now() - this.searchedSince < SEARCH_MS
    if (isSearching) {
      this.call(this.others)
      return
    }
    const isDone = this.queue.length === 0 && this.questions.size === 0
    // Where nobody waits, nobody has to be told, and it may be tried again at once.
    const isHarmless = isDone || reason === IDLE || isRepeating || (lived !== undefined && lived >= SHORT_LIFE_MS)
    if (!isHarmless || wasStuck) {
      this.fail('remote-server-timeout', reason)
      return
    }
    this.wake()
    this.restIfDone()
  }

  /** There is no way for now: the senders are told, and it is not tried again for a while. */
  private fail(refusal: StanzaCondition, reason: string): void {
    const [least, most] = FIRST_DELAY_MS
    const grown = this.delay === 0 ? least + this.services.random() * (most - least) : 2 * this.delay
    this.delay = Math.min(grown, this.services.longestDelayOf(this.pair.originating))
    this.refusal = refusal
    this.phase = 'waiting'
    this.arm(RETRY, this.now() + this.delay)
    this.services.tell('failed', this.pair, reason)
    this.giveUp(refusal)
  }

  private giveUp(refusal: StanzaCondition): void {
    this.refuse(refusal)
    for (const key of [...this.questions.keys()]) this.settle(key, false)
  }

  /** Tells the senders of what waits. */
  private refuse(refusal: StanzaCondition): void {
    const stanzas = this.queue.splice(0)
    for (const stanza of stanzas) this.drop(stanza)
    if (stanzas.length > 0) this.services.bounce(stanzas, new StanzaError(refusal))
  }

  // ---- questions

  private settle(key: string, isValid: boolean): void {
    const asked = this.questions.get(key)
    if (asked === undefined) return
    this.questions.delete(key)
    if (this.questions.size === 0) this.disarm(ANSWER)
    asked.answer(isValid)
  }

  /** They are in the order in which they were asked. */
  private expire(): void {
    for (const [key, { until }] of this.questions) {
      if (until > this.now()) {
        this.arm(ANSWER, until)
        return
      }
      this.settle(key, false)
    }
  }

  // ---- what waits

  private keep(stanza: Stanza, size: number): void {
    this.queue.push(stanza)
    this.queuedStanzas += stanza.weight
    this.queuedBytes += size
    this.services.waiting.bytes += size
  }

  /** They were on their way already, so they come before the others. */
  private requeue(undelivered: readonly Stanza[]): void {
    const behind = this.queue.splice(0)
    for (const stanza of undelivered) this.keep(stanza, stanza.encodedLength())
    this.queue.push(...behind)
  }

  private drop(stanza: Stanza): void {
    const size = stanza.encodedLength()
    this.queuedStanzas -= stanza.weight
    this.queuedBytes -= size
    this.services.waiting.bytes -= size
  }

  private now(): number {
    return this.services.transport.now()
  }

  // ---- the end

  /** Where nothing is to be remembered, the next stanza finds another actor. */
  private restIfDone(): void {
    const isUnused = this.connection === undefined && this.lentStreams.length === 0
    const isDone = this.queue.length === 0 && this.questions.size === 0 && isUnused
    if (isDone && this.delay === 0 && this.phase === 'idle') this.stop('idle')
  }

  protected override stopped(reason: StopReason): void {
    this.lookup?.cancel()
    this.dial?.cancel()
    this.services.ended(this)
    for (const message of this.unhandled().control) {
      if (message.type === 'ask') message.answer(false)
      if (message.type === 'dialled') message.reached?.socket.destroy()
      if (message.type === 'gone' || message.type === 'givenBack') this.requeue(message.loss.undelivered)
    }
    const streams = this.lentStreams.length + (this.establishedAt === undefined ? 0 : 1)
    for (let i = 0; i < streams; i++) this.services.tell('closed', this.pair, reason)
    // At a shutdown there is nobody to be told.
    if (reason === 'shutdown') for (const stanza of this.queue.splice(0)) this.drop(stanza)
    this.giveUp('remote-server-timeout')
  }

  override inspected(): Record<string, string | number | boolean> {
    const { originating: local, receiving: remote } = this.pair
    const { phase, queuedBytes, delay } = this
    const { lentStreams, questions, queue } = this
    const counts = { queued: queue.length, queuedBytes, questions: questions.size, lent: lentStreams.length }
    return { local, remote, phase, ...counts, delay }
  }
}

const keyOf = ({ originating, receiving }: DomainPair, id: string) => `${originating} ${receiving} ${id}`
