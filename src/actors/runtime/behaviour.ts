import { Actor } from './actor.js'
import type { ActorInit, StopReason, Unhandled } from './init.js'
import type { NactReference } from './nact.js'
import type { ActorPath } from './path.js'
import type { Ref } from './ref.js'
import { thenable } from './thenable.js'

/** What a behaviour's functions are given besides state and message: the actor, no copy. */
export interface Context<M> {
  /** The way to this incarnation. */
  readonly self: Ref<M>
  /** Unique among its siblings. */
  readonly name: string
  /** Where it stands, from root. */
  readonly path: ActorPath
  /** Who sent the message in hand by nact's `dispatch` or `query`; until the first await. Answer with our `dispatch`. */
  readonly sender: NactReference | undefined
  /** Stops this actor when the handler returns. */
  stop(reason?: StopReason): void
  /** Sets this actor's deadline of this kind to `atMs` of the clock's `now()`. */
  arm(kind: string | number, atMs: number): void
  /** Takes back a deadline, even one that has just passed. */
  disarm(kind: string | number): void
  /** Ms of the injected clock. */
  now(): number
}

/** An actor as functions over a state. */
export interface Behaviour<S, M> {
  /** What `inspect` and faults call it; `behaviour` by default. */
  readonly kind?: string
  /** The first state, for each incarnation anew. */
  initial(context: Context<M>): S
  /** The state after this message; a promise suspends the actor until it settles. */
  receive(state: S, message: M, context: Context<M>): S | Promise<S>
  /** The state after a deadline that it armed has passed; without this one that passes is a fault. */
  timedOut?(state: S, kind: string | number, context: Context<M>): S | Promise<S>
  /** Reduces a resting state to a record; undefined keeps the state. Goes with `unpack`. */
  pack?(state: S): string | undefined
  /** The state that `pack` made the record of. */
  unpack?(record: string): S
  /** Runs once per incarnation that started, after its children stopped. */
  afterStop?(state: S, reason: StopReason, context: Context<M>, unhandled: Unhandled<M>): void | Promise<void>
  /** What `inspect` shows besides the counters; not asked while the state is packed. */
  inspected?(state: S): Record<string, string | number | boolean>
}

const noState = Symbol('no state')

/** @internal Runs a behaviour. */
export class BehaviourActor<S, M> extends Actor<M> implements Context<M> {
  readonly #behaviour: Behaviour<S, M>
  #current: S | typeof noState = noState

  constructor(init: ActorInit, behaviour: Behaviour<S, M>) {
    super(init)
    this.#behaviour = behaviour
  }

  get self(): Ref<M> {
    return this.ref
  }

  override get kind(): string {
    return this.#behaviour.kind ?? 'behaviour'
  }

  now(): number {
    return this.runtime.clock.now()
  }

  protected override started(): void {
    this.#current = this.#behaviour.initial(this)
  }

  protected override receive(message: M): void | Promise<void> {
    return this.#become(this.#behaviour.receive(this.#state(), message, this))
  }

  protected override timedOut(kind: string | number): void | Promise<void> {
    if (this.#behaviour.timedOut === undefined) return super.timedOut(kind)
    return this.#become(this.#behaviour.timedOut(this.#state(), kind, this))
  }

  protected override stopped(reason: StopReason): void | Promise<void> {
    // Nothing to release when `initial` threw.
    if (this.#current === noState || this.#behaviour.afterStop === undefined) return
    return this.#behaviour.afterStop(this.#current, reason, this, this.unhandled())
  }

  protected override pack(): string | undefined {
    if (this.#behaviour.unpack === undefined) return undefined
    const record = this.#behaviour.pack?.(this.#state())
    if (record !== undefined) this.#current = noState
    return record
  }

  protected override unpack(record: string): void {
    // Only a behaviour with `unpack` was packed.
    this.#current = this.#behaviour.unpack!(record)
  }

  override inspected(): Record<string, string | number | boolean> {
    return this.#current === noState ? {} : (this.#behaviour.inspected?.(this.#current) ?? {})
  }

  #state(): S {
    if (this.#current === noState) throw new Error('it has no state')
    return this.#current
  }

  #become(next: S | Promise<S>): void | Promise<void> {
    if (thenable(next) === undefined) {
      // No promise, so a state.
      this.#current = next as S
      return
    }
    return Promise.resolve(next).then(state => {
      this.#current = state
    })
  }
}
