import { type Clock, systemClock } from '../../observability/clock.js'
import { Actor, AnyActor } from './actor.js'
import { Asks } from './ask.js'
import { Deadlines } from './deadlines.js'
import { Hibernation } from './hibernation.js'
import type { ActorInit, StopReason } from './init.js'
import { type NactActor, type NactReference, type NactSystem, startSystem, systemOf } from './nact.js'
import { type ActorEventType, type ActorObserver, Observed, tellAll } from './observer.js'
import { checkName } from './path.js'
import { type Flushable, RunQueue } from './run-queue.js'
import { causeOf, type FaultAction, type FaultEvent, type FaultMoment } from './supervise.js'
import { type Watch, Watches } from './watch.js'

/** What a runtime is made with. */
export interface RuntimeOptions {
  /** What deadlines, hibernation, `ask` and restart intensities run on; the process's own by default. */
  readonly clock?: Clock
  /** Told of every fault, once for each actor it reached; must not throw. */
  readonly onFault: (event: FaultEvent) => void
  /** The root actor's name; `root` by default. */
  readonly name?: string
  /** A host program's nact system, as its `start()` returned it: root becomes a direct child of it. */
  readonly system?: NactReference
  /**
   * Called instead of a stop when nact's `stop` reaches root, which it does where a host stops its system: there may be something to do
   * before the tree ends. Whoever takes it ends the tree with `stopTree`.
   */
  readonly onStopAsked?: () => void
}

/** Ms between two looks for actors that nobody watches any more. */
const WATCH_CHECK_MS = 10_000

/** What a runtime has done so far. */
export interface RuntimeCounters {
  /** Actors that live now. */
  readonly actors: number
  /** Actors that were spawned, each incarnation. */
  readonly spawned: number
  /** Actors that have stopped, each incarnation. */
  readonly stopped: number
  /** Faults, once for each actor that one reached. */
  readonly faults: number
  /** Full mailboxes about which a supervisor had to decide. */
  readonly overflows: number
  /** How often the run queue was worked off. */
  readonly drains: number
  /** Messages that were handled. */
  readonly messages: number
  /** Deadlines that are armed now. */
  readonly deadlines: number
}

/** The top of our tree: whatever reaches it ends the tree. Its children stop one by one, the last started first. */
class Root extends Actor<never> {
  readonly #ended: (reason: StopReason) => void
  readonly #stopAsked: (() => void) | undefined

  constructor(init: ActorInit, ended: (reason: StopReason) => void, stopAsked: (() => void) | undefined) {
    super(init)
    this.#ended = ended
    this.#stopAsked = stopAsked
  }

  override get kind(): string {
    return 'root'
  }

  override stop(reason?: StopReason): void {
    if (this.#stopAsked === undefined || this.isStopping) super.stop(reason)
    else this.#stopAsked()
  }

  protected override receive(): void {}

  protected override stopsInOrder(): boolean {
    return true
  }

  protected override stopped(reason: StopReason): void {
    this.#ended(reason)
  }
}

/**
 * One tree of actors with its run queue, its wheel and its sweeper. Several live in one process without touching each
 * other; on the hot path that costs one load more than module globals.
 */
export class Runtime {
  /** The one it was made with. */
  readonly clock: Clock
  /** The actor under which everything else is spawned. */
  readonly root: AnyActor
  /** Settles when root has stopped, with the reason; never rejects. */
  readonly ended: Promise<StopReason>
  /** @internal */
  readonly queue: RunQueue
  /** @internal */
  readonly deadlines: Deadlines
  /** @internal */
  readonly hibernation: Hibernation
  /** @internal */
  readonly asks = new Asks()
  /** @internal One for all references. */
  readonly systemId: { readonly name: string }
  /** @internal Who sent the message in hand, by nact. */
  sender: NactReference | undefined
  /** @internal */
  spawned = 0
  /** @internal */
  stopped = 0
  /** @internal */
  overflows = 0
  /** @internal Told of what happens to actors; undefined while nobody wants to know. */
  observer: ActorObserver | undefined = undefined
  /** @internal Undefined while nobody is watched. */
  watches: Watches<AnyActor> | undefined = undefined
  readonly #observers = new Set<ActorObserver>()
  #faults = 0
  #names = 0
  readonly #onFault: (event: FaultEvent) => void
  readonly #startedAt: number

  /** When it started, in ms since 1970. */
  readonly startedAt: number

  /** @internal Programs call `createRuntime`. */
  constructor(options: RuntimeOptions) {
    this.clock = options.clock ?? systemClock
    this.#onFault = options.onFault
    this.#startedAt = this.clock.now()
    this.startedAt = this.clock.wall()
    this.queue = new RunQueue(
      (error, during) => this.tell(undefined, during, error, 'none'),
      () => this.hibernation.drainEnded(),
    )
    this.deadlines = new Deadlines(this.clock, error => this.tell(undefined, 'deadline', error, 'none'))
    this.hibernation = new Hibernation(this.clock, () => this.queue.wake())
    const system = systemOf(options.system ?? startSystem())
    this.systemId = { name: system.name }
    const { promise, resolve } = deferred<StopReason>()
    this.ended = promise
    const isOwn = options.system === undefined
    const ended = (reason: StopReason): void => {
      // nact keeps a system until somebody stops it.
      if (isOwn) system.stop()
      resolve(reason)
    }
    const create = (init: ActorInit): AnyActor => new Root(init, ended, options.onStopAsked)
    this.root = this.#startRoot(system, checkName(options.name ?? 'root'), create)
  }

  /** What it has done so far. */
  get counters(): RuntimeCounters {
    return {
      actors: this.spawned - this.stopped,
      spawned: this.spawned,
      stopped: this.stopped,
      faults: this.#faults,
      overflows: this.overflows,
      drains: this.queue.drains,
      messages: this.queue.handled,
      deadlines: this.deadlines.size,
    }
  }

  /** True when no actor has a turn coming and nothing waits for a flush. */
  get isIdle(): boolean {
    return this.queue.isIdle
  }

  /** Calls `flush` once at the end of the drain that runs, or of the next. A throw is caught and told. */
  flushLater(flushable: Flushable): void {
    this.queue.flushLater(flushable)
  }

  /** The actor at a path as `inspect` prints it (`/root/listeners`), ours or stock. */
  find(path: string): NactActor | undefined {
    const [first, ...names] = path.replace(/^\//, '').split('/')
    if (first !== this.root.name) return undefined
    let actor: NactActor | undefined = this.root
    for (const name of names) actor = actor?.children.get(name)
    return actor
  }

  /** Tells `observer` what happens to actors from now on, until the returned function is called. */
  observe(observer: ActorObserver): () => void {
    const own: ActorObserver = event => observer(event)
    this.#observers.add(own)
    this.observer = tellAll(this.#observers)
    return () => {
      this.#observers.delete(own)
      if (this.#observers.size === 0) this.observer = undefined
    }
  }

  /** @internal Only where there is an `observer`. */
  happened(type: ActorEventType, actor: NactActor | undefined, details: Record<string, string | number> = {}): void {
    this.observer?.(new Observed(type, actor, details))
  }

  /** @internal Notes the types of the messages that the actor handles, for a minute from now; what was noted is in the answer. */
  watch(actor: AnyActor): Watch {
    if (this.watches === undefined) {
      this.watches = new Watches()
      this.#endWatches()
    }
    return this.watches.watch(actor, this.clock.wall())
  }

  #endWatches(): void {
    this.clock.after(WATCH_CHECK_MS, () => {
      this.watches?.expire(this.clock.wall())
      if (this.watches?.size === 0) this.watches = undefined
      else this.#endWatches()
    })
  }

  /** For tests: makes the actor at that path fail as if its handler had thrown; false when nobody is there. */
  fault(path: string, error: unknown): boolean {
    const actor = this.find(path)
    if (actor instanceof AnyActor) actor.failWith(error)
    else actor?.handleFault(undefined, undefined, error)
    return actor !== undefined
  }

  /** @internal A name that no child of that parent has. */
  freeName(parent: NactActor): string {
    let name: string
    do name = `a${++this.#names}`
    while (parent.children.has(name))
    return name
  }

  /** @internal Tells of a fault. Never throws. */
  tell(actor: NactActor | undefined, during: FaultMoment, error: unknown, action: FaultAction): void {
    this.#faults++
    try {
      const kind = actor === undefined ? 'runtime' : actor instanceof AnyActor ? actor.kind : 'nact'
      if (this.observer !== undefined) this.happened('faulted', actor, { during, cause: causeOf(error), action })
      this.#onFault({ path: actor?.path.toString(), kind, during, error, action })
    } catch (thrown) {
      // Nobody is left to tell but the process; without the fault itself, which may hold anything.
      process.emitWarning(`onFault threw ${thrown instanceof Error ? thrown.name : typeof thrown}`, 'ActorWarning')
    }
  }

  /** @internal Whole ms since it started. */
  age(): number {
    return Math.floor(this.clock.now() - this.#startedAt)
  }

  #startRoot(system: NactSystem, name: string, create: (init: ActorInit) => AnyActor): AnyActor {
    const init: ActorInit = {
      runtime: this,
      parent: system,
      name,
      mailboxLimit: undefined,
      hibernateAfter: undefined,
      policy: 'stop',
      create: undefined,
      predecessor: undefined,
      built: undefined,
    }
    return AnyActor.start(init, create)
  }
}

/** A runtime of its own, with its root started. Throws when a host's system has stopped or already has a root of that name. */
export function createRuntime(options: RuntimeOptions): Runtime {
  return new Runtime(options)
}

function deferred<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => undefined
  const promise = new Promise<T>(settle => {
    resolve = settle
  })
  return { promise, resolve }
}
