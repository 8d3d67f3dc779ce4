import { AnyActor } from './actor.js'
import type { ActorState } from './init.js'
import type { NactActor } from './nact.js'
import type { Runtime } from './runtime.js'
import { causeOf } from './supervise.js'

/** One actor in plain JSON. Stock nact actors show what they have. */
export interface ActorInfo {
  /** Unique among its siblings. */
  readonly name: string
  /** As `/root/listeners`. */
  readonly path: string
  /** The class, a behaviour's `kind`, or `nact`. */
  readonly kind: string
  /** What it is doing now. */
  readonly state: ActorState
  /** Messages that it handled. */
  readonly messages: number
  /** How often it had its turn, of at most 128 messages. */
  readonly turns: number
  /** Messages that wait. */
  readonly mailbox: number
  /** The most that ever waited at the start of a turn. */
  readonly mailboxPeak: number
  /** Stanzas that wait, by weight: what a mailbox limit counts. */
  readonly waitingStanzas: number
  /** Faults of all its incarnations. */
  readonly faults: number
  /** The name and the message of what was thrown last, at most 200 characters. */
  readonly lastFault?: string
  /** How often it was replaced after a fault. */
  readonly restarts: number
  /** How often it went to sleep. */
  readonly hibernations: number
  /** Ms since 1970. */
  readonly startedAt: number
  /** What the actor adds of its own. */
  readonly details: Record<string, string | number | boolean>
  /** All of its children, listed here or not. */
  readonly childCount: number
  /** Of its children, all of them, where that was asked for. */
  readonly below?: ChildSums
  /** Absent below the depth asked for. */
  readonly children?: ChildPage
}

/** A part of the children, in the order in which they were spawned. */
export interface ChildPage {
  /** All children, listed here or not. */
  readonly total: number
  /** How many were skipped. */
  readonly offset: number
  /** Those listed. */
  readonly items: ActorInfo[]
}

/** What the children of an actor come to. */
export interface ChildSums {
  /** How many are in each state. */
  readonly states: Partial<Record<ActorState, number>>
  /** Waiting messages of all. */
  readonly mailbox: number
  /** Waiting messages of the one with the most. */
  readonly mailboxMost: number
  /** Faults of all. */
  readonly faults: number
}

/** How much of a tree is shown. At most 5 000 actors are in one answer, whatever is asked for. */
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
  return look(actor, actor.path.toString(), walk, depth, offset)
}

interface Walk {
  readonly runtime: Runtime
  readonly limit: number
  readonly counts: boolean
  left: number
}

/** One actor by itself, without its children. */
export const lookAt = (actor: NactActor, runtime: Runtime): ActorInfo => alone(actor, actor.path.toString(), runtime)

const alone = (actor: NactActor, path: string, runtime: Runtime): Growing =>
  actor instanceof AnyActor ? ours(actor, path, runtime) : stock(actor, path)

/** While it is made. Thousands of them are: nothing is copied on the way. */
type Growing = { -readonly [Key in keyof ActorInfo]: ActorInfo[Key] }

function look(actor: NactActor, path: string, walk: Walk, depth: number, offset: number): ActorInfo {
  const info = alone(actor, path, walk.runtime)
  if (walk.counts && actor.children.size > 0) info.below = childSums(actor)
  if (depth > 0) info.children = page(actor, path, walk, depth, offset)
  return info
}

function page(actor: NactActor, path: string, walk: Walk, depth: number, offset: number): ChildPage {
  const chosen: NactActor[] = []
  let index = 0
  for (const child of actor.children.values()) {
    if (chosen.length >= walk.limit || walk.left <= 0) break
    if (index++ < offset) continue
    walk.left--
    chosen.push(child)
  }
  const items = chosen.map(child => look(child, `${path}/${child.name}`, walk, depth - 1, 0))
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

function ours(actor: AnyActor, path: string, runtime: Runtime): Growing {
  const counters = actor.readCounters()
  const { history } = counters
  const info: Growing = {
    name: actor.name,
    path,
    kind: actor.kind,
    state: counters.state,
    messages: counters.messages,
    turns: counters.turns,
    mailbox: counters.mailbox,
    mailboxPeak: counters.mailboxPeak,
    waitingStanzas: counters.waitingStanzas,
    faults: history?.faults ?? 0,
    restarts: history?.restarts ?? 0,
    hibernations: counters.hibernations,
    startedAt: Math.floor(runtime.startedAt + counters.startedAt),
    details: details(actor),
    childCount: actor.children.size,
  }
  if (history !== undefined) info.lastFault = history.lastFault
  return info
}

function stock(actor: NactActor, path: string): Growing {
  return {
    name: actor.name,
    path,
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
