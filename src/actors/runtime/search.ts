import { setImmediate as nextTurn } from 'node:timers/promises'
import { AnyActor } from './actor.js'
import type { ActorState } from './init.js'
import { stateOf, waitingOf } from './inspect.js'
import type { NactActor } from './nact.js'
import type { Runtime } from './runtime.js'

/** What an actor must be to be found; what is absent does not matter. */
export interface ActorFilter {
  /** A part of its JID, in any case. */
  readonly jid?: string | undefined
  readonly states?: readonly ActorState[] | undefined
  readonly kind?: string | undefined
  /** At least so many waiting messages. */
  readonly mailbox?: number | undefined
  /** At least so many faults. */
  readonly faults?: number | undefined
}

export interface Found {
  /** In the order of the tree, each before its children. */
  readonly actors: NactActor[]
  /** How many were looked at. */
  readonly looked: number
  /** More match behind these. */
  readonly hasMore: boolean
}

/** Actors that are looked at before everything else has its turn. */
const SLICE = 1000

/**
 * Looks for actors from `path` down: the `limit` after the first `offset` that pass. Undefined when nobody is there. It takes several
 * turns of the loop, so that what comes and goes meanwhile is seen or not.
 */
export async function search(
  runtime: Runtime,
  path: string,
  filter: ActorFilter,
  { limit, offset }: { limit: number; offset: number },
): Promise<Found | undefined> {
  const top = path === '' ? runtime.root : runtime.find(path)
  if (top === undefined) return undefined
  const passes = matcher(filter)
  const actors: NactActor[] = []
  let looked = 0
  let matched = 0
  for (const actor of walk(top)) {
    if (++looked % SLICE === 0) await nextTurn()
    if (!passes(actor) || matched++ < offset) continue
    if (actors.length === limit) return { actors, looked, hasMore: true }
    actors.push(actor)
  }
  return { actors, looked, hasMore: false }
}

/** Every actor from `top` down, each before its children. */
export function* walk(top: NactActor): Generator<NactActor> {
  yield top
  // A copy: they may change while the walk waits.
  for (const child of [...top.children.values()]) {
    if (child.children.size === 0) yield child
    else yield* walk(child)
  }
}

function matcher({ jid, states, kind, mailbox = 0, faults = 0 }: ActorFilter): (actor: NactActor) => boolean {
  const wantedJid = jid?.toLowerCase()
  return actor => {
    const isOurs = actor instanceof AnyActor
    if (waitingOf(actor) < mailbox) return false
    if (faults > 0 && (!isOurs || actor.faults < faults)) return false
    if (states !== undefined && !states.includes(stateOf(actor))) return false
    if (kind !== undefined && (isOurs ? actor.kind : 'nact') !== kind) return false
    return wantedJid === undefined || (isOurs && actor.servedJid?.toLowerCase().includes(wantedJid) === true)
  }
}
