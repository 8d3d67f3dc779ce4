import { AnyActor } from './actor.js'
import type { ActorState } from './init.js'
import type { NactActor } from './nact.js'
import type { Runtime } from './runtime.js'
import { causeOf } from './supervise.js'

/** One actor in plain JSON. Stock nact actors show what they have. */
export interface ActorInfo {
  readonly name: string
  readonly path: string
  /** The class, a behaviour's `kind`, or `nact`. */
  readonly kind: string
  readonly state: ActorState
  readonly messages: number
  readonly turns: number
  readonly mailbox: number
  readonly mailboxPeak: number
  readonly waitingStanzas: number
  readonly faults: number
  readonly lastFault?: string
  readonly restarts: number
  readonly hibernations: number
  /** Ms since 1970. */
  readonly startedAt: number
  /** What the actor adds of its own. */
  readonly details: Record<string, string | number | boolean>
  readonly childCount: number
  /** Of its children, all of them, where that was asked for. */
  readonly below?: ChildSums
  /** Absent below the depth asked for. */
  readonly children?: ChildPage
}

/** A part of the children, in the order in which they were spawned. */
export interface ChildPage {
  readonly total: number
  readonly offset: number
  readonly items: ActorInfo[]
}

/** What the children of an actor come to. */
export interface ChildSums {
  readonly states: Partial<Record<ActorState, number>>
  /** Waiting messages of all, and of the one with the most. */
  readonly mailbox: number
  readonly mailboxMost: number
  readonly faults: number
}

export interface InspectOptions {
  /** Levels of children; 1 by default, 0 for none. */
  readonly depth?: number
  /** Children listed of each actor; 100 by default. */
  readonly limit?: number
  /** Children of the actor asked for to skip; below it every page starts at 0. */
  readonly offset?: number
  /** Adds `below` to every actor with children. */
  readonly counts?: boolean
}

/** Actors in one answer, whatever depth and limit say: the walk holds up the loop (LIMITS §1.4: 10 000 in 28 ms). */
const MOST = 5000

/** Looks at the tree from `path` (as printed, `/root/listeners`; root by default) down; undefined when nobody is there. */
export function inspect(runtime: Runtime, path?: string, options: InspectOptions = {}): ActorInfo | undefined {
  const actor = path === undefined || path === '' ? runtime.root : runtime.find(path)
  if (actor === undefined) return undefined
  const { depth = 1, limit = 100, offset = 0, counts = false } = options
  const walk = { runtime, limit, counts, left: MOST - 1 }
  return look(actor, walk, depth, offset)
}

interface Walk {
  readonly runtime: Runtime
  readonly limit: number
  readonly counts: boolean
  left: number
}

/** One actor by itself, without its children. */
export const lookAt = (actor: NactActor, runtime: Runtime): ActorInfo =>
  actor instanceof AnyActor ? ours(actor, runtime) : stock(actor)

function look(actor: NactActor, walk: Walk, depth: number, offset: number): ActorInfo {
  const alone = lookAt(actor, walk.runtime)
  const info = walk.counts && actor.children.size > 0 ? { ...alone, below: childSums(actor) } : alone
  return depth > 0 ? { ...info, children: page(actor, walk, depth, offset) } : info
}

function page(actor: NactActor, walk: Walk, depth: number, offset: number): ChildPage {
  const chosen: NactActor[] = []
  let index = 0
  for (const child of actor.children.values()) {
    if (chosen.length >= walk.limit || walk.left <= 0) break
    if (index++ < offset) continue
    walk.left--
    chosen.push(child)
  }
  const items = chosen.map(child => look(child, walk, depth - 1, 0))
  return { total: actor.children.size, offset, items }
}

/** What the children of an actor come to, read without making anything of them. */
export function childSums(actor: NactActor): ChildSums {
  const states: Partial<Record<ActorState, number>> = {}
  let mailbox = 0
  let mailboxMost = 0
  let faults = 0
  for (const child of actor.children.values()) {
    const state = stateOf(child)
    states[state] = (states[state] ?? 0) + 1
    const waiting = waitingOf(child)
    mailbox += waiting
    if (waiting > mailboxMost) mailboxMost = waiting
    if (child instanceof AnyActor) faults += child.faults
  }
  return { states, mailbox, mailboxMost, faults }
}

export const stateOf = (actor: NactActor): ActorState =>
  actor instanceof AnyActor ? actor.currentState : actor.busy ? 'busy' : 'idle'

/** Messages that wait. */
export const waitingOf = (actor: NactActor): number =>
  actor instanceof AnyActor ? actor.waitingMessages : actor.mailbox.length

function ours(actor: AnyActor, runtime: Runtime): ActorInfo {
  const { history, startedAt, ...counters } = actor.readCounters()
  return {
    name: actor.name,
    path: actor.path.toString(),
    kind: actor.kind,
    ...counters,
    faults: history?.faults ?? 0,
    ...(history === undefined ? {} : { lastFault: history.lastFault }),
    restarts: history?.restarts ?? 0,
    startedAt: Math.floor(runtime.startedAt + startedAt),
    details: details(actor),
    childCount: actor.children.size,
  }
}

function stock(actor: NactActor): ActorInfo {
  return {
    name: actor.name,
    path: actor.path.toString(),
    kind: 'nact',
    state: actor.busy ? 'busy' : 'idle',
    messages: 0,
    turns: 0,
    mailbox: actor.mailbox.length,
    mailboxPeak: actor.mailbox.length,
    waitingStanzas: 0,
    faults: 0,
    restarts: 0,
    hibernations: 0,
    startedAt: 0,
    details: {},
    childCount: actor.children.size,
  }
}

function details(actor: AnyActor): Record<string, string | number | boolean> {
  try {
    return actor.inspected()
  } catch (error) {
    return { error: causeOf(error) }
  }
}
