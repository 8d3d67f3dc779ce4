import { Children, childless } from './children.js'
import type { Deadline } from './deadlines.js'
import type { ActorCounters, ActorInit, ActorState, ActorSupervision, Child, StopReason, Unhandled } from './init.js'
import { Overflow, Succession } from './jobs.js'
import { Lane } from './lane.js'
import { type NactActor, type NactParent, type NactReference, StockActor } from './nact.js'
import { ActorPath } from './path.js'
import { type Ref, Reference } from './ref.js'
import type { Runtime } from './runtime.js'
import { Expired, Sent, Signal } from './signals.js'
import { bounded, oneByOne, stopStock, together } from './stop.js'
import {
  causeOf,
  type FaultAction,
  type FaultMoment,
  type FaultRecord,
  mayRestart,
  newRecord,
  type Policy,
} from './supervise.js'
import { thenable } from './thenable.js'

/** A stop under way. */
interface Stopping {
  readonly reason: StopReason
  /** When waiting for asynchronous `stopped`s ends, in ms of the clock. */
  readonly dueAt: number
  readonly waiters: (() => void)[]
  /** Called when the promise of its last handler settles. */
  settled: (() => void) | undefined
}

/** Milliseconds that a stop nobody gave a bound waits for asynchronous `stopped`s. */
export const STOP_WITHIN_MS = 5000

// Bits of `#flags`.
const QUEUED = 1 // on the run queue
const RUNNING = 2 // a handler of it is on the stack
const SUSPENDED = 4 // a promise of its handler has not settled
const PAUSED = 8 // the stanza lane waits
const HIBERNATED = 16
const OVERFLOWED = 32 // the decision about a full mailbox is on its way
const STOPPING = 64 // takes no more messages
const STOPPED = 128
const RESTARTING = 256 // a successor is to follow
const UNAVAILABLE = RUNNING | SUSPENDED | STOPPING

const noMailbox = { length: 0 }

const nothing = (): void => undefined
// Shared, so that nact makes no closure per actor.
const stockOptions = { afterStop: nothing, onCrash: nothing }

/** The deadline of an actor that hibernates after N ms; never delivered as a message. */
const restTime = Symbol('rest time')

/** Restart intensities of stock nact children. */
const stockRecords = new WeakMap<NactActor, FaultRecord>()

/**
 * Any actor of ours, whatever it receives: a subclass of nact's `Actor` (same system, paths and references) with our run
 * queue, lanes, limits, hibernation, deadlines and supervision. The private fields are the slim leaf: numbers and nothing
 * else until something happens. Extend `Actor`, which adds the type of the messages.
 */
export abstract class AnyActor extends StockActor {
  /** Where it stands, from root. */
  declare readonly path: ActorPath
  /** @internal nact's name for `ref`. */
  declare readonly reference: Reference<never>
  /** The actors under it by their names, ours and stock ones. Only to be looked at. */
  declare children: Children
  /** @internal */
  declare childReferences: Map<string, unknown>
  /** @internal */
  declare mailbox: { readonly length: number }
  /** @internal */
  declare readonly parent: NactParent
  /** The runtime it lives in. */
  readonly runtime: Runtime
  /** What its parent does about its faults. */
  readonly policy: Policy
  /** @internal */
  deadlines: Deadline | undefined = undefined
  /** @internal The sweep at which it came to rest; -1 when it is not in the hibernation's list. */
  restingSince = -1
  #flags = 0
  #control: Lane | undefined = undefined
  /** Each message is followed by its weight. */
  #stanzas: Lane | undefined = undefined
  #waitingStanzas = 0
  #messages = 0
  #turns = 0
  #peak = 0
  #hibernations = 0
  /** Milliseconds after the runtime's start: a small integer, which takes no object. */
  readonly #startedAt: number
  /** -1: no limit. */
  readonly #mailboxLimit: number
  /** -1: never. */
  readonly #hibernateAfter: number
  #record: string | undefined = undefined
  #history: FaultRecord | undefined = undefined
  #stopping: Stopping | undefined = undefined
  /** What a restart needs; undefined where the policy never restarts. */
  readonly #init: ActorInit | undefined

  constructor(init: ActorInit) {
    super(init.parent, init.name, init.parent.system, nothing, stockOptions)
    // nact's constructor shadows our method by a boolean of its own, which only the methods that we replace read.
    this.stopped = new.target.prototype.stopped
    // What nact made for it and ours never uses becomes garbage at once.
    this.children = childless
    this.childReferences = childless
    this.mailbox = noMailbox
    this.runtime = init.runtime
    this.policy = init.policy
    if (!(init.parent instanceof AnyActor)) this.path = new ActorPath(init.parent.system.name, [init.name])
    this.reference = new Reference(this, this.path, init.runtime.systemId)
    this.#startedAt = init.runtime.age()
    this.#mailboxLimit = init.mailboxLimit ?? -1
    this.#hibernateAfter = init.hibernateAfter ?? -1
    this.#init = init.create === undefined ? undefined : init
    if (init.predecessor !== undefined) this.#succeed(init.predecessor)
    init.built = this
  }

  // What a class of actors says.

  /** Handles one message, alone: a promise suspends this actor until it settles. A throw is a fault for the supervisor. */
  protected abstract receive(message: unknown): void | Promise<void>

  /** Runs once, at the end of `spawnActor`; a throw is a fault. */
  protected started(): void | Promise<void> {}

  /** Runs exactly once, whatever the reason, before the children stop: whoever sends them work may be kept off. A throw is caught and told. */
  protected stopping(_reason: StopReason): void {}

  /**
   * Releases what it holds. Runs exactly once, whatever the reason, after the children stopped; does not wait for a
   * handler's promise. A throw is caught and told.
   */
  protected stopped(_reason: StopReason): void | Promise<void> {}

  /** A deadline that it armed has passed. */
  protected timedOut(kind: string | number): void | Promise<void> {
    throw new Error(`deadline ${kind} expired and ${this.kind} has no timedOut`)
  }

  /** Reduces it to a record while it rests and drops what the record replaces; undefined when it cannot be reduced now. */
  protected pack(): string | undefined {
    return undefined
  }

  /** Puts back what `pack` made a record of; before the next message, or before `stopped`. */
  protected unpack(_record: string): void {}

  /** What to do about a child's fault. A throw counts as `stop`. */
  protected childFaulted(child: Child, _error: unknown): Policy {
    return child.policy
  }

  /** A child's stanza lane is above its limit: stops it with `queue-limit`. An override may leave it; the stanza is refused anyway. */
  protected childOverflowed(child: AnyActor): void {
    child.stop('queue-limit')
  }

  /** Whether its children stop one after another, the last started first, instead of together. */
  protected stopsInOrder(): boolean {
    return false
  }

  /** What `inspect` shows of it besides the runtime's counters. It may be packed at that time. */
  inspected(): Record<string, string | number | boolean> {
    return {}
  }

  /** Whom it serves, as lists show it: cheap, because they ask all actors. The same as `jid` of `inspected`. */
  get servedJid(): string | undefined {
    return undefined
  }

  /** What `examine` shows of it, in sections; without secrets. It may be packed at that time. */
  examined(): Record<string, Record<string, string | number | boolean>> {
    return {}
  }

  /** What `inspect` and faults call this sort of actor. */
  get kind(): string {
    return this.constructor.name
  }

  // What others may ask of it.

  /** The way to this incarnation for those who must not hold the actor itself. */
  get ref(): Ref<never> {
    return this.reference
  }

  /** True from the moment it takes no more messages. */
  get isStopping(): boolean {
    return (this.#flags & STOPPING) !== 0
  }

  /** Inside `stopped`: whether a successor is to follow. Reason `fault` alone does not say: it is also what the children are told. */
  protected get isRestarting(): boolean {
    return (this.#flags & RESTARTING) !== 0
  }

  /** How many stanzas wait, by weight. */
  get waitingStanzas(): number {
    return this.#waitingStanzas
  }

  /** From now on stanzas wait; control messages are handled. */
  pauseStanzas(): void {
    this.#flags |= PAUSED
  }

  /** Stanzas are handled again. */
  resumeStanzas(): void {
    if ((this.#flags & PAUSED) === 0) return
    this.#flags &= ~PAUSED
    if (this.#stanzas !== undefined) this.#schedule()
  }

  /**
   * Stops its children, then itself; idempotent. Takes effect at once, or when the handler that is on the stack returns.
   * `stopTree` also says when it is done.
   */
  override stop(reason: StopReason = 'stopped'): void {
    this.beginStop(reason, this.runtime.clock.now() + STOP_WITHIN_MS)
  }

  /**
   * Stops it, and starts a successor with the messages that wait, as after a fault, but that nothing is counted. False, and nothing
   * happens, where its policy never restarts, and when it is stopping.
   */
  startAgain(): boolean {
    if (this.#init === undefined || (this.#flags & STOPPING) !== 0) return false
    this.#flags |= RESTARTING
    this.#beginStop('restarted', this.runtime.clock.now() + STOP_WITHIN_MS)
    return true
  }

  /** Sets its deadline of this kind to `atMs` of the clock's `now()`; replaces the one before. Nothing once it stops. */
  arm(kind: string | number, atMs: number): void {
    if ((this.#flags & STOPPING) === 0) this.runtime.deadlines.arm(this, kind, atMs)
  }

  /** Takes back a deadline: `timedOut` is not called for it, even if it has just expired. */
  disarm(kind: string | number): void {
    this.runtime.deadlines.clear(this, kind)
  }

  /** Who sent the message in hand by nact's `dispatch` or `query`; only while the handler is on the stack. */
  get sender(): NactReference | undefined {
    return this.runtime.sender
  }

  /** Counts a fault that it has dealt with by itself, and tells of it; its supervisor is not asked. */
  countFault(error: unknown): void {
    this.#noteFault(error)
    this.runtime.tell(this, 'receive', error, 'resume')
  }

  // What nact calls: its dispatch, query and stop, its system, and stock actors above, below or beside.

  /** @internal */
  override dispatch(message: unknown, sender?: NactReference): void {
    if ((this.#flags & STOPPING) === 0) this.#push(sender === undefined ? message : new Sent(message, sender))
  }

  /** @internal */
  override query(message: unknown, timeoutMs: number): Promise<unknown> {
    if ((this.#flags & STOPPING) !== 0) return Promise.reject(new Error(`${this.path} has stopped`))
    return super.query(message, timeoutMs)
  }

  /** @internal nact's system finds concrete actors by it, so that its `stop` reaches our root. */
  get type(): 'actor' {
    return 'actor'
  }

  /** @internal Throws when nothing can be spawned under it. */
  assertNotStopped(): true {
    if ((this.#flags & STOPPING) !== 0) throw new Error(`${this.path} has stopped: nothing can be spawned under it`)
    return true
  }

  /** @internal */
  override childSpawned(child: NactActor): void {
    if (this.children === childless) this.children = new Children()
    this.children.set(child.name, child)
  }

  /** @internal */
  override childStopped(child: NactActor): void {
    if (this.children.get(child.name) !== child) return
    this.children.delete(child.name)
    if (this.children.size === 0) this.children = childless
  }

  /** @internal A stock sibling's policy resets its peers: ours is asked what a fault of it means. */
  override reset(): void {
    this.failWith(new Error('reset by a sibling'))
  }

  /** @internal Ours goes on by itself: a second handler must not start. */
  override resume(): void {}

  /** @internal A stock child escalated. The message that it failed on is not looked at. */
  override handleFault(_message: unknown, _sender: unknown, error: unknown, child?: { readonly name: string }): void {
    const stock = child && this.children.get(child.name)
    if (stock === undefined) this.failWith(error)
    else if (!(stock instanceof AnyActor)) this.#superviseStock(stock, error)
  }

  // What the runtime's own files call.

  /** @internal `tell`. */
  addControl(message: unknown): boolean {
    if ((this.#flags & STOPPING) !== 0) return false
    this.#push(message)
    return true
  }

  /** @internal `tellStanza`. */
  addStanza(message: unknown, weight: number): boolean {
    if ((this.#flags & (STOPPING | OVERFLOWED)) !== 0) return false
    if (this.#mailboxLimit >= 0 && this.#waitingStanzas + weight > this.#mailboxLimit) {
      this.#overflow()
      return false
    }
    this.#waitingStanzas += weight
    if (this.#stanzas === undefined) this.#stanzas = new Lane([message, weight])
    else {
      this.#stanzas.push(message)
      this.#stanzas.push(weight)
    }
    if ((this.#flags & PAUSED) === 0) this.#schedule()
    return true
  }

  /** @internal `unhandled`. */
  takeUnhandled(): Unhandled<unknown> {
    const unhandled: Unhandled<unknown> = { control: [], stanzas: [] }
    if ((this.#flags & RESTARTING) !== 0) return unhandled
    for (const lane = this.#control; lane !== undefined && lane.size > 0; ) {
      const item = lane.shift()
      const message = item instanceof Sent ? item.message : item
      if (!(message instanceof Signal)) unhandled.control.push(message)
    }
    for (const lane = this.#stanzas; lane !== undefined && lane.size > 0; lane.shift()) {
      unhandled.stanzas.push(lane.shift())
    }
    return unhandled
  }

  /** @internal Builds an actor and starts it. Throws what the constructor threw, with nothing left behind. */
  static start<A extends AnyActor>(init: ActorInit, create: (init: ActorInit) => A): A {
    let actor: A
    try {
      actor = create(init)
      if (init.built !== actor) throw new Error('the factory must return an actor built from the init it was given')
    } catch (error) {
      if (init.built !== undefined) init.built.#abandon(init.predecessor)
      throw error
    }
    const { runtime } = actor
    runtime.spawned++
    if (runtime.observer !== undefined) actor.#tellStart(init.predecessor !== undefined)
    // Kept for a restart: it must not keep every incarnation before.
    init.predecessor = undefined
    actor.#begin()
    // Messages may have come with a predecessor's mailbox.
    actor.#schedule()
    return actor
  }

  #tellStart(isSuccessor: boolean): void {
    if (isSuccessor) this.runtime.happened('restarted', this, { restarts: this.#history?.restarts ?? 0 })
    else this.runtime.happened('spawned', this)
  }

  /** @internal Fails as if its handler had thrown. */
  failWith(error: unknown): void {
    this.#failed(error, 'receive')
  }

  /** @internal One turn on the run queue: at most `budget` messages. */
  turn(budget: number): number {
    this.#flags &= ~QUEUED
    if ((this.#flags & UNAVAILABLE) !== 0) return 0
    this.#turns++
    const waiting = this.#mailbox()
    if (waiting > this.#peak) this.#peak = waiting
    if ((this.#flags & HIBERNATED) !== 0) this.#wake()
    const watch = this.runtime.watches?.of(this)
    let handled = 0
    while (handled < budget && (this.#flags & UNAVAILABLE) === 0) {
      if (this.#control !== undefined) {
        const item = this.#control.shift()
        if (this.#control.size === 0) this.#control = undefined
        if (watch !== undefined) watch.note(this.runtime.clock.wall(), item)
        this.#handle(item)
      } else if (this.#stanzas !== undefined && (this.#flags & PAUSED) === 0) {
        const message = this.#stanzas.shift()
        // tellStanza puts a weight behind each message.
        this.#waitingStanzas -= this.#stanzas.shift() as number
        if (this.#stanzas.size === 0) this.#stanzas = undefined
        if (watch !== undefined) watch.note(this.runtime.clock.wall(), message)
        this.#handle(message)
      } else break
      handled++
    }
    this.#messages += handled
    this.#schedule()
    return handled
  }

  /** @internal */
  deadlineExpired(deadline: Deadline): void {
    if (deadline.kind === restTime) {
      deadline.hasExpired = false
      if (this.#isAtRest()) this.#hibernate()
    } else {
      this.#push(new Expired(deadline))
    }
  }

  /** @internal The drain in which it had nothing left to do has ended. */
  restAfterDrain(): void {
    if (!this.#isAtRest()) return
    if (this.#hibernateAfter === 0) this.#hibernate()
    else this.runtime.deadlines.arm(this, restTime, this.runtime.clock.now() + this.#hibernateAfter)
  }

  /** @internal */
  get isHibernated(): boolean {
    return (this.#flags & HIBERNATED) !== 0
  }

  /** @internal Keeps only the record, where the actor makes one. */
  packAtRest(): void {
    let record: string | undefined
    try {
      record = this.pack()
    } catch (error) {
      this.#flags &= ~HIBERNATED
      this.#failed(error, 'pack')
      return
    }
    if (record === undefined) return
    this.#record = record
    this.runtime.deadlines.trim(this)
  }

  /** @internal The parent's decision about a full mailbox. */
  decideOverflow(): void {
    if ((this.#flags & STOPPING) !== 0) return
    try {
      // Root has nobody above it.
      if (this.parent instanceof AnyActor) this.parent.childOverflowed(this)
      else this.stop('queue-limit')
    } catch (error) {
      this.runtime.tell(this, 'supervise', error, 'stop')
      this.stop('queue-limit')
    }
    this.#flags &= ~OVERFLOWED
  }

  /** @internal `done` is called when it has stopped, at once if it has already. */
  beginStop(reason: StopReason, dueAt: number, done?: () => void): void {
    if ((this.#flags & RESTARTING) !== 0) {
      // Whoever stops an actor that is about to be restarted wants it gone, and its name free.
      this.#flags &= ~RESTARTING
      if ((this.#flags & STOPPED) !== 0) this.parent.childStopped(this)
    }
    this.#beginStop(reason, dueAt, done)
  }

  /** @internal The successor of a stopped actor, unless somebody stopped it meanwhile. */
  startSuccessor(): void {
    const { parent } = this
    const isWanted = (this.#flags & RESTARTING) !== 0 && parent instanceof AnyActor && !parent.isStopping
    this.#flags &= ~RESTARTING
    if (this.#init?.create === undefined || !isWanted) {
      parent.childStopped(this)
      return
    }
    const { children } = parent
    children.replaced = this.name
    try {
      AnyActor.start({ ...this.#init, predecessor: this, built: undefined }, this.#init.create)
    } catch (error) {
      // It still has the name and what waits, until it is decided what comes next.
      this.#failedToRestart(error)
    } finally {
      children.replaced = undefined
    }
  }

  /** @internal */
  readCounters(): ActorCounters {
    const mailbox = this.#mailbox()
    return {
      state: this.#state(),
      messages: this.#messages,
      turns: this.#turns,
      mailbox,
      mailboxPeak: Math.max(mailbox, this.#peak),
      waitingStanzas: this.#waitingStanzas,
      hibernations: this.#hibernations,
      history: this.#history,
      startedAt: this.#startedAt,
    }
  }

  /** @internal */
  get currentState(): ActorState {
    return this.#state()
  }

  /** @internal Messages on both lanes. */
  get waitingMessages(): number {
    return this.#mailbox()
  }

  /** @internal Messages handled so far. */
  get handledMessages(): number {
    return this.#messages
  }

  /** @internal */
  get faults(): number {
    return this.#history?.faults ?? 0
  }

  /** @internal What `examine` reads of one actor; of what waits the first `most` of each lane. */
  readSupervision(most: number): ActorSupervision {
    return {
      mayRestart: this.#init !== undefined,
      mailboxLimit: this.#mailboxLimit < 0 ? undefined : this.#mailboxLimit,
      hibernateAfter: this.#hibernateAfter < 0 ? undefined : this.#hibernateAfter,
      control: this.#control?.first(most) ?? [],
      // Each is followed by its weight.
      stanzas: (this.#stanzas?.first(2 * most) ?? []).filter((_item, index) => index % 2 === 0),
    }
  }

  // Messages.

  #push(item: unknown): void {
    if (this.#control === undefined) this.#control = new Lane([item])
    else this.#control.push(item)
    this.#schedule()
  }

  #mailbox(): number {
    return (this.#control?.size ?? 0) + (this.#stanzas === undefined ? 0 : this.#stanzas.size / 2)
  }

  #hasWork(): boolean {
    return this.#control !== undefined || (this.#stanzas !== undefined && (this.#flags & PAUSED) === 0)
  }

  /** Queues a turn if there is something to do, or notes that there is nothing. */
  #schedule(): void {
    if ((this.#flags & (UNAVAILABLE | QUEUED)) !== 0) return
    if (this.#hasWork()) {
      this.#flags |= QUEUED
      this.runtime.queue.push(this)
    } else if (this.#hibernateAfter >= 0 && this.#stanzas === undefined) {
      this.runtime.hibernation.rested(this)
    }
  }

  #handle(item: unknown): void {
    let pending: PromiseLike<unknown> | undefined
    this.#flags |= RUNNING
    try {
      pending = thenable(item instanceof Signal ? this.#signalled(item) : this.receive(item))
    } catch (error) {
      this.#threw(error, 'receive')
      return
    }
    this.#returned(pending, 'receive')
  }

  #signalled(signal: Signal): unknown {
    if (signal instanceof Expired) {
      const { deadline } = signal
      // Cleared or armed again since it expired.
      if (!deadline.hasExpired) return undefined
      deadline.hasExpired = false
      // Symbols are the runtime's own and never come here.
      return this.timedOut(deadline.kind as string | number)
    }
    if (!(signal instanceof Sent)) return undefined
    this.runtime.sender = signal.sender
    try {
      return this.receive(signal.message)
    } finally {
      this.runtime.sender = undefined
    }
  }

  #begin(): void {
    let pending: PromiseLike<unknown> | undefined
    this.#flags |= RUNNING
    try {
      pending = thenable(this.started())
    } catch (error) {
      this.#threw(error, 'start')
      return
    }
    this.#returned(pending, 'start')
  }

  #returned(pending: PromiseLike<unknown> | undefined, during: FaultMoment): void {
    this.#flags &= ~RUNNING
    if (pending !== undefined) {
      this.#flags |= SUSPENDED
      Promise.resolve(pending).then(
        () => this.#settled(),
        error => this.#rejected(error, during),
      )
    }
    if ((this.#flags & STOPPING) !== 0) this.#stopChildren()
  }

  #threw(error: unknown, during: FaultMoment): void {
    this.#flags &= ~RUNNING
    // A stop asked for by the handler itself has waited for it to end.
    const isStopAsked = (this.#flags & STOPPING) !== 0
    this.#failed(error, during)
    if (isStopAsked) this.#stopChildren()
  }

  #settled(): void {
    this.#flags &= ~SUSPENDED
    this.#stopping?.settled?.()
    this.#schedule()
  }

  #rejected(error: unknown, during: FaultMoment): void {
    this.#flags &= ~SUSPENDED
    this.#failed(error, during)
    this.#stopping?.settled?.()
    this.#schedule()
  }

  #overflow(): void {
    this.#flags |= OVERFLOWED
    this.runtime.overflows++
    if (this.runtime.observer !== undefined) {
      this.runtime.happened('overflowed', this, { waiting: this.#waitingStanzas, limit: this.#mailboxLimit })
    }
    // From the queue: the sender's handler must not run somebody else's end.
    this.runtime.queue.push(new Overflow(this))
  }

  // Rest.

  #isAtRest(): boolean {
    const isEmpty = this.#control === undefined && this.#stanzas === undefined
    return isEmpty && (this.#flags & (QUEUED | UNAVAILABLE | HIBERNATED)) === 0
  }

  #hibernate(): void {
    this.#flags |= HIBERNATED
    this.#hibernations++
    if (this.runtime.observer !== undefined) this.runtime.happened('hibernated', this)
    this.runtime.hibernation.hibernated(this)
  }

  #wake(): void {
    this.#flags &= ~HIBERNATED
    if (this.#record === undefined) return
    try {
      this.#unpacked()
    } catch (error) {
      this.#failed(error, 'unpack')
    }
  }

  #unpacked(): void {
    const record = this.#record
    if (record === undefined) return
    this.#record = undefined
    this.unpack(record)
  }

  #state(): ActorState {
    if ((this.#flags & STOPPING) !== 0) return 'stopped'
    if ((this.#flags & (RUNNING | SUSPENDED)) !== 0) return 'busy'
    if ((this.#flags & QUEUED) !== 0) return 'runnable'
    return (this.#flags & HIBERNATED) !== 0 ? 'hibernated' : 'idle'
  }

  // Faults.

  #failed(error: unknown, during: FaultMoment): void {
    const record = this.#noteFault(error)
    let action = (this.#flags & STOPPING) !== 0 ? 'none' : this.#decide(error, during, record)
    // A supervisor may stop the child, or itself, while it decides.
    if ((this.#flags & STOPPING) !== 0) action = 'none'
    this.runtime.tell(this, during, error, action)
    const { parent } = this
    if (action === 'none' || action === 'resume') return
    if (action === 'restart') {
      record.restarts++
      this.#flags |= RESTARTING
    }
    this.#beginStop('fault', this.runtime.clock.now() + STOP_WITHIN_MS)
    if (action === 'escalate' && parent instanceof AnyActor) parent.#failed(error, 'child')
  }

  #failedToRestart(error: unknown): void {
    const record = this.#noteFault(error)
    const action = this.#decide(error, 'restart', record)
    this.runtime.tell(this, 'restart', error, action)
    const { parent } = this
    if (action === 'restart') {
      record.restarts++
      this.#flags |= RESTARTING
      this.runtime.queue.push(new Succession(this))
      return
    }
    parent.childStopped(this)
    if (action === 'escalate' && parent instanceof AnyActor) parent.#failed(error, 'child')
  }

  #noteFault(error: unknown): FaultRecord {
    this.#history ??= newRecord()
    this.#history.faults++
    this.#history.lastFault = causeOf(error)
    return this.#history
  }

  #decide(error: unknown, during: FaultMoment, record: FaultRecord): FaultAction {
    const { parent } = this
    // Root has nobody to ask.
    if (!(parent instanceof AnyActor)) return 'stop'
    const action = parent.#judge(this, error, record)
    // What has not started or not woken up has no state to go on with.
    const canResume = during !== 'start' && during !== 'restart' && during !== 'unpack'
    if (action === 'resume' && !canResume) return 'stop'
    return action === 'restart' && this.#init === undefined ? 'stop' : action
  }

  /** What this supervisor decides about a child. Never throws. */
  #judge(child: Child, error: unknown, record: FaultRecord): FaultAction {
    try {
      const policy = this.childFaulted(child, error)
      if (policy === 'stop' || policy === 'resume' || policy === 'escalate') return policy
      return mayRestart(record, policy, this.runtime.clock.now()) ? 'restart' : (policy.beyond ?? 'escalate')
    } catch (thrown) {
      this.runtime.tell(this, 'supervise', thrown, 'none')
      return 'stop'
    }
  }

  #superviseStock(stock: NactActor, error: unknown): void {
    const record = stockRecords.get(stock) ?? newRecord()
    stockRecords.set(stock, record)
    const action = this.#judge({ name: stock.name, path: stock.path, policy: 'stop' }, error, record)
    this.runtime.tell(stock, 'receive', error, action)
    if (action === 'resume') {
      stock.resume()
    } else if (action === 'restart') {
      for (const grandchild of [...stock.children.values()]) stopStock(grandchild)
      stock.reset()
    } else {
      stopStock(stock)
      if (action === 'escalate') this.#failed(error, 'child')
    }
  }

  // The end.

  #beginStop(reason: StopReason, dueAt: number, done?: () => void): void {
    if ((this.#flags & STOPPED) !== 0) {
      done?.()
    } else if (this.#stopping !== undefined) {
      if (done !== undefined) this.#stopping.waiters.push(done)
    } else {
      this.#flags = (this.#flags | STOPPING) & ~HIBERNATED
      this.#stopping = { reason, dueAt, waiters: done === undefined ? [] : [done], settled: undefined }
      this.runtime.deadlines.drop(this)
      // A handler on the stack ends first; #returned and #threw go on from here.
      if ((this.#flags & RUNNING) === 0) this.#stopChildren()
    }
  }

  #stopChildren(): void {
    // Set by #beginStop.
    const { reason, dueAt } = this.#stopping!
    try {
      this.stopping(reason)
    } catch (error) {
      this.#failed(error, 'stop')
    }
    const children = [...this.children.values()].reverse()
    const each = this.#isInOrder() ? oneByOne : together
    each(
      children,
      (child, done) => {
        if (child instanceof AnyActor) child.beginStop(reason, dueAt, done)
        else {
          stopStock(child)
          done()
        }
      },
      () => this.#runStopped(),
    )
  }

  #isInOrder(): boolean {
    try {
      return this.stopsInOrder()
    } catch (error) {
      this.#failed(error, 'stop')
      return false
    }
  }

  #runStopped(): void {
    // Set by #beginStop.
    const { reason, dueAt } = this.#stopping!
    let pending: PromiseLike<unknown> | undefined
    try {
      this.#unpacked()
    } catch (error) {
      this.#failed(error, 'unpack')
    }
    try {
      pending = thenable(this.stopped(reason))
    } catch (error) {
      this.#failed(error, 'stop')
    }
    if (pending === undefined) this.#gone()
    else {
      bounded(
        this.runtime.clock,
        pending,
        dueAt,
        error => this.#failed(error, 'stop'),
        () => this.#gone(),
      )
    }
  }

  #gone(): void {
    // Set by #beginStop.
    const stopping = this.#stopping!
    this.#flags |= STOPPED
    this.reference.actor = undefined
    this.runtime.stopped++
    if (this.runtime.observer !== undefined) this.runtime.happened('stopped', this, { reason: stopping.reason })
    this.runtime.watches?.forget(this)
    this.runtime.asks.stopped(this)
    if ((this.#flags & RESTARTING) !== 0) {
      this.#succeedLater(stopping)
    } else {
      this.#stopping = undefined
      this.#control = undefined
      this.#stanzas = undefined
      this.parent.childStopped(this)
    }
    for (const done of stopping.waiters) done()
  }

  /** The successor starts from the queue, and not while a promise of this incarnation's handler is still open. */
  #succeedLater(stopping: Stopping): void {
    const succeed = (): void => {
      stopping.settled = undefined
      this.#stopping = undefined
      this.runtime.queue.push(new Succession(this))
    }
    if ((this.#flags & SUSPENDED) === 0) {
      succeed()
      return
    }
    const { clock } = this.runtime
    const cancel = clock.after(Math.max(0, stopping.dueAt - clock.now()), succeed)
    stopping.settled = () => {
      cancel()
      succeed()
    }
  }

  /** Takes over the faults and the waiting messages of the incarnation before. */
  #succeed(predecessor: AnyActor): void {
    this.#history = predecessor.#history
    this.#control = predecessor.#control
    this.#stanzas = predecessor.#stanzas
    this.#waitingStanzas = predecessor.#waitingStanzas
  }

  /** Its constructor threw after nact had taken its name. */
  #abandon(predecessor: AnyActor | undefined): void {
    this.#flags |= STOPPING | STOPPED
    this.reference.actor = undefined
    if (predecessor === undefined) this.parent.childStopped(this)
    else this.parent.children.set(this.name, predecessor)
  }
}

/**
 * An actor of messages `M`: one thing at a time, in order, under a supervisor. Extend it and build it with `spawnActor`.
 */
export abstract class Actor<M> extends AnyActor {
  protected abstract override receive(message: M): void | Promise<void>

  override get ref(): Ref<M> {
    // Its reference tells this actor, which receives M.
    return this.reference as Reference<unknown>
  }

  /** Queues a message on the control lane, which goes before waiting stanzas; false when gone. Never throws. */
  tell(message: M): boolean {
    return this.addControl(message)
  }

  /**
   * Queues a message on the stanza lane; `weight` is the number of stanzas in it, counted by the mailbox limit. False
   * when gone, and when it would go above the limit: then its supervisor decides what becomes of it. Never throws.
   */
  tellStanza(message: M, weight = 1): boolean {
    return this.addStanza(message, weight)
  }

  /** Takes the messages it will not handle any more; only inside `stopped`, before its first await. Empty when it restarts. */
  protected unhandled(): Unhandled<M> {
    // tell, tellStanza and dispatch are the only ways in.
    return this.takeUnhandled() as Unhandled<M>
  }
}
