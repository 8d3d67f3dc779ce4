import { AnyActor } from './actor.js'
import { type ActorInfo, lookAt } from './inspect.js'
import type { NactActor } from './nact.js'
import type { Runtime } from './runtime.js'
import { causeOf, type Policy } from './supervise.js'
import { type HandledMessage, messageType } from './watch.js'

/** Everything about one actor, in plain JSON and without secrets. */
export interface ActorDetail {
  /** Without children. */
  readonly actor: ActorInfo
  /** Its path; null for root. */
  readonly parent: string | null
  /** What it was spawned with. */
  readonly supervision: {
    /** What its parent does about its faults, unless that decides otherwise. */
    readonly policy: Policy
    /** Its policy may restart it. */
    readonly mayRestart: boolean
    /** Stanzas that may wait; null: no limit. */
    readonly mailboxLimit: number | null
    /** Null: it never hibernates. */
    readonly hibernateAfterMs: number | null
  }
  /** Types of the messages that wait, the oldest first, at most 20 of each lane. */
  readonly waiting: {
    /** What goes first. */
    readonly control: readonly string[]
    /** What waits behind it, and while stanzas are paused. */
    readonly stanzas: readonly string[]
  }
  /** What it handled since it is watched. */
  readonly recent: {
    /** Ms since 1970. */
    readonly since: number
    /** At most 50, the newest last. */
    readonly types: readonly HandledMessage[]
  }
  /** What the actor's `examined` says. */
  readonly sections: Readonly<Record<string, Readonly<Record<string, string | number | boolean>>>>
}

/** Types of waiting messages in an answer, of each lane. */
const MOST_WAITING = 20

/**
 * One actor in detail; undefined when nobody has the path. From then on, for a minute, the types of the messages that it handles are
 * noted, so that the next answer has them.
 */
export function examine(runtime: Runtime, path: string): ActorDetail | undefined {
  const actor = runtime.find(path)
  if (actor === undefined) return undefined
  return actor instanceof AnyActor ? ours(actor, runtime) : stock(actor, runtime)
}

function ours(actor: AnyActor, runtime: Runtime): ActorDetail {
  const { mayRestart, mailboxLimit, hibernateAfter, control, stanzas } = actor.readSupervision(MOST_WAITING)
  const { since, types } = runtime.watch(actor)
  return {
    actor: lookAt(actor, runtime),
    parent: actor.parent instanceof AnyActor ? actor.parent.path.toString() : null,
    supervision: {
      policy: actor.policy,
      mayRestart,
      mailboxLimit: mailboxLimit ?? null,
      hibernateAfterMs: hibernateAfter ?? null,
    },
    waiting: { control: control.map(messageType), stanzas: stanzas.map(messageType) },
    recent: { since, types },
    sections: sections(actor),
  }
}

function stock(actor: NactActor, runtime: Runtime): ActorDetail {
  return {
    actor: lookAt(actor, runtime),
    parent: actor.path.toString().replace(/\/[^/]*$/, '') || null,
    supervision: { policy: 'stop', mayRestart: false, mailboxLimit: null, hibernateAfterMs: null },
    waiting: { control: [], stanzas: [] },
    recent: { since: runtime.clock.wall(), types: [] },
    sections: {},
  }
}

function sections(actor: AnyActor): ActorDetail['sections'] {
  try {
    return actor.examined()
  } catch (error) {
    return { failed: { error: causeOf(error) } }
  }
}
