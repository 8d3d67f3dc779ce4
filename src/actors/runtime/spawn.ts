import { AnyActor, STOP_WITHIN_MS } from './actor.js'
import { type Behaviour, BehaviourActor } from './behaviour.js'
import type { ActorInit, StopReason } from './init.js'
import { checkName } from './path.js'
import { type Ref, Reference } from './ref.js'
import { checkPolicy, type Policy } from './supervise.js'

/** What an actor is spawned with; all of it may be left out. */
export interface SpawnOptions {
  /** Unique among its siblings; letters, digits and `$-_.+!*'(),` (see `actorName`). One is made up when absent. */
  readonly name?: string
  /** Stanzas that may wait; absent: no limit. spec/listeners.md §1.10 */
  readonly mailboxLimit?: number
  /** Milliseconds of rest after which it hibernates; 0: at the end of the drain; absent: never. spec/listeners.md §1.8 */
  readonly hibernateAfter?: number
  /** What its parent does about its faults; `stop` by default. */
  readonly policy?: Policy
}

/** An actor or the way to it. */
export type Target = AnyActor | Ref<never>

/**
 * Builds an actor of a class and starts it; the factory is kept when the policy may restart it. Throws when the parent has
 * stopped, the name is taken or cannot be one, an option makes no sense, or the constructor throws.
 */
export function spawnActor<A extends AnyActor>(
  parent: Target,
  create: (init: ActorInit) => A,
  options: SpawnOptions = {},
): A {
  const above = actorOf(parent)
  if (above === undefined) throw new Error(`${parent.path} has stopped: nothing can be spawned under it`)
  above.assertNotStopped()
  const { mailboxLimit, hibernateAfter, policy = 'stop' } = options
  checkPolicy(policy)
  checkNumber('mailboxLimit', mailboxLimit)
  checkNumber('hibernateAfter', hibernateAfter)
  // nact would make up a name for an empty one.
  const name = options.name === undefined ? above.runtime.freeName(above) : checkName(options.name)
  if (above.children.has(name)) throw new Error(`${above.path} already has a child '${name}'`)
  const init: ActorInit = {
    runtime: above.runtime,
    parent: above,
    name,
    mailboxLimit,
    hibernateAfter,
    policy,
    create: typeof policy === 'object' ? create : undefined,
    predecessor: undefined,
    built: undefined,
  }
  return AnyActor.start(init, create)
}

/** Spawns an actor that is functions over a state. Throws as `spawnActor`. */
export function spawn<S, M>(parent: Target, behaviour: Behaviour<S, M>, options: SpawnOptions = {}): Ref<M> {
  return spawnActor(parent, init => new BehaviourActor<S, M>(init, behaviour), options).ref
}

/**
 * Stops an actor and everything under it, children first; idempotent. Resolves when every `stopped` has run and its
 * promise has settled, at most `withinMs` later; a second call waits for the first one's stop. Never rejects.
 */
export function stopTree(target: Target, reason: StopReason = 'stopped', withinMs = STOP_WITHIN_MS): Promise<void> {
  const actor = actorOf(target)
  if (actor === undefined) return Promise.resolve()
  return new Promise(resolve => actor.beginStop(reason, actor.runtime.clock.now() + withinMs, resolve))
}

function actorOf(target: Target): AnyActor | undefined {
  if (target instanceof AnyActor) return target
  return target instanceof Reference ? target.actor : undefined
}

function checkNumber(option: string, value: number | undefined): void {
  if (value !== undefined && !(value >= 0)) throw new Error(`${option} must be 0 or more`)
}
