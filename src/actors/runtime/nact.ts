/*
 * The only file that loads nact. Its CommonJS files are given the shapes that we rely on (read in nact 7.6.2), under our own
 * names: the casts below are the border.
 */
import { Actor } from 'nact/lib/actor.js'
import { dispatch as nactDispatch } from 'nact/lib/functions.js'
import { start } from 'nact/lib/system.js'
import { find } from 'nact/lib/system-map.js'

/** Where an actor stands in its tree; nact walks `parts` from the system down. */
export interface NactPath {
  /** The names from the top actor down. */
  readonly parts: readonly string[]
  /** @internal The name that nact knows the system by. */
  readonly system: string
  /** @internal */
  createChildPath(name: string): NactPath
  /** As `/root/listeners`. */
  toString(): string
}

/** What nact's `start`, `spawn` and `query` hand out and its `dispatch`, `stop` and `query` take. */
export interface NactReference {
  /** Where nact looks it up. */
  readonly system: {
    /** The name that nact made up. */
    readonly name: string | undefined
  }
}

/** What nact calls on anything that has children: an actor or the system. */
export interface NactParent {
  /** @internal */
  readonly system: NactSystem
  /** Where it stands, from the top. */
  readonly path: NactPath
  /** @internal */
  readonly reference: NactReference
  /** The actors under it by their names. Only to be looked at. */
  readonly children: Map<string, NactActor>
  /** @internal */
  childSpawned(child: NactActor): void
  /** @internal */
  childStopped(child: NactActor): void
}

/** A concrete actor, stock or ours. */
export interface NactActor extends NactParent {
  /** Unique among its siblings. */
  readonly name: string
  /** @internal Handling a message; ours goes by flags of its own. */
  readonly busy: boolean
  /** @internal */
  readonly mailbox: { readonly length: number }
  /** @internal Copied for every message that a stock actor handles. */
  readonly childReferences: Map<string, unknown>
  /** Ends it. */
  stop(): void
  /** @internal Stops the children, computes the first state again, keeps the mailbox. */
  reset(): void
  /** @internal Goes on with the next message. */
  resume(): void
  /** @internal */
  dispatch(message: unknown, sender?: NactReference): void
  /** @internal */
  query(message: unknown, timeoutMs: number): Promise<unknown>
  /** @internal Asks the actor's own policy; `child` is given when a child escalated. */
  handleFault(message: unknown, sender: unknown, error: unknown, child?: { readonly name: string }): unknown
}

/** The concrete system at the top of a nact tree. */
export interface NactSystem extends NactParent {
  readonly name: string
  stop(): void
}

interface NactActorOptions {
  afterStop: () => void
  onCrash: () => void
}

export type NactActorClass = new (
  parent: NactParent,
  name: string,
  system: NactSystem,
  handle: () => void,
  options: NactActorOptions,
) => NactActor

export const StockActor = Actor as NactActorClass

/** Starts a nact system under a name that nact makes up: two of one name would replace each other in silence. */
export const startSystem = start as () => NactReference

/** Sends to a reference of nact's: this is how ours answers the `sender` of a `query`. Silent when nobody is there. */
export const dispatch = nactDispatch as (to: NactReference, message: unknown, sender?: NactReference) => void

const findActor = find as (name: string | undefined, reference: NactReference) => NactActor | undefined
const findSystem = find as (name: string | undefined) => NactSystem | undefined

/** Whether somebody would get what is dispatched to a reference. */
export const isThere = (reference: NactReference): boolean => findActor(reference.system.name, reference) !== undefined

/** The concrete system behind what nact's `start` returned. Throws when it has stopped. */
export function systemOf(reference: NactReference): NactSystem {
  const system = findSystem(reference.system.name)
  if (system === undefined) throw new Error(`nact system '${reference.system.name}' has stopped or never existed`)
  return system
}
