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
  /** Absent below the depth asked for. */
  readonly children?: ChildPage
}

/** A part of the children, in the order in which they were spawned. */
export interface ChildPage {
  readonly total: number
  readonly offset: number
  readonly items: ActorInfo[]
}

export interface InspectOptions {
  /** Levels of children; 1 by default, 0 for none. */
  readonly depth?: number
  /** Children listed of each actor; 100 by default. */
  readonly limit?: number
  /** Children of the actor asked for to skip; below it every page starts at 0. */
  readonly offset?: number
}

/** Actors in one answer, whatever depth and limit say: the walk holds up the loop (LIMITS §1.4: 10 000 in 28 ms). */
const MOST = 5000

/** Looks at the tree from `path` (as printed, `/root/listeners`; root by default) down; undefined when nobody is there. */
export function inspect(runtime: Runtime, path?: string, options: InspectOptions = {}): ActorInfo | undefined {
  const actor = path === undefined || path === '' ? runtime.root : runtime.find(path)
  if (actor === undefined) return undefined
  const { depth = 1, limit = 100, offset = 0 } = options
  const walk = { runtime, limit, left: MOST - 1 }
  return look(actor, walk, depth, offset)
}

interface Walk {
  readonly runtime: Runtime
  readonly limit: number
  left: number
}

function look(actor: NactActor, walk: Walk, depth: number, offset: number): ActorInfo {
  const info = actor instanceof AnyActor ? ours(actor, walk.runtime) : stock(actor)
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
