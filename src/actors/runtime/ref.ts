import type { AnyActor } from './actor.js'
import type { NactReference } from './nact.js'
import type { ActorPath } from './path.js'

declare const accepts: unique symbol

/**
 * The way to one incarnation of an actor. After it stopped or restarted `tell` answers false: a reference never reaches
 * whoever has the name next. Contravariant: a `Ref<A | B>` serves as `Ref<A>`, never the other way round.
 */
export interface Ref<M> {
  /** Only in the types: keeps `Ref<A>` apart from `Ref<B>`. */
  readonly [accepts]?: (message: M) => void
  /** Unique among the actor's siblings. */
  readonly name: string
  /** Where the actor stands, from root. */
  readonly path: ActorPath
  /** Queues a message on the control lane; false when the actor is gone. Never throws. */
  readonly tell: (message: M) => boolean
}

/** The one implementation of `Ref`; also what nact's `dispatch`, `stop` and `query` take (they go by path, without incarnation). */
export class Reference<M> implements Ref<M>, NactReference {
  declare readonly [accepts]?: (message: M) => void
  readonly path: ActorPath
  readonly system: { readonly name: string }
  /** @internal Undefined once this incarnation stops, so that a kept reference does not keep its state. */
  actor: AnyActor | undefined

  constructor(actor: AnyActor, path: ActorPath, system: { readonly name: string }) {
    this.actor = actor
    this.path = path
    this.system = system
  }

  /** nact's find() asks for it. */
  get type(): 'actor' {
    return 'actor'
  }

  get name(): string {
    // A path has at least the root's name.
    return this.path.parts[this.path.parts.length - 1]!
  }

  tell(message: M): boolean {
    return this.actor?.addControl(message) ?? false
  }
}
