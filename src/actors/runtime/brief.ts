import { AnyActor } from './actor.js'
import type { ActorState } from './init.js'
import { type ChildSums, childSums, type InspectOptions, stateOf, waitingOf } from './inspect.js'
import type { NactActor } from './nact.js'
import type { Runtime } from './runtime.js'

/** What shows at a glance, for whole trees at short intervals. A number that is absent is 0. */
export interface BriefActor {
  readonly name: string
  readonly kind: string
  readonly state: ActorState
  messages?: number
  mailbox?: number
  waitingStanzas?: number
  faults?: number
  lastFault?: string
  restarts?: number
  hibernations?: number
  childCount?: number
  /** What its details say it is. */
  jid?: string
  below?: ChildSums
  children?: { readonly total: number; readonly offset: number; readonly items: BriefActor[] }
}

/** Actors in one answer: the walk holds up the loop. */
const MOST = 20_000

/** As `inspect`, but brief. */
export function glance(runtime: Runtime, path: string, options: Required<InspectOptions>): BriefActor | undefined {
  const actor = path === '' ? runtime.root : runtime.find(path)
  if (actor === undefined) return undefined
  return look(actor, { ...options, left: MOST - 1 }, options.depth, options.offset)
}

interface Walk {
  readonly limit: number
  readonly counts: boolean
  left: number
}

function look(actor: NactActor, walk: Walk, depth: number, offset: number): BriefActor {
  const info = briefly(actor)
  const { children } = actor
  if (children.size === 0) return info
  if (walk.counts) info.below = childSums(actor)
  if (depth === 0) return info
  const items: BriefActor[] = []
  info.children = { total: children.size, offset, items }
  let index = 0
  for (const child of children.values()) {
    if (items.length >= walk.limit || walk.left <= 0) break
    if (index++ < offset) continue
    walk.left--
    items.push(look(child, walk, depth - 1, 0))
  }
  return info
}

/** One actor by itself, without its children. */
export function briefly(actor: NactActor): BriefActor {
  const isOurs = actor instanceof AnyActor
  const info: BriefActor = { name: actor.name, kind: isOurs ? actor.kind : 'nact', state: stateOf(actor) }
  const waiting = waitingOf(actor)
  if (waiting > 0) info.mailbox = waiting
  if (actor.children.size > 0) info.childCount = actor.children.size
  if (!isOurs) return info
  const { messages, waitingStanzas, hibernations, history } = actor.readCounters()
  if (messages > 0) info.messages = messages
  if (waitingStanzas > 0) info.waitingStanzas = waitingStanzas
  if (hibernations > 0) info.hibernations = hibernations
  if (history !== undefined) {
    info.faults = history.faults
    info.lastFault = history.lastFault
    if (history.restarts > 0) info.restarts = history.restarts
  }
  const { servedJid } = actor
  if (servedJid !== undefined) info.jid = servedJid
  return info
}
