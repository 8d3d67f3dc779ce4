import type { AnyActor } from './actor.js'
import type { NactParent } from './nact.js'
import type { Runtime } from './runtime.js'
import type { FaultRecord, Policy } from './supervise.js'

/** Why an actor stopped. The runtime says `stopped`, `fault` and `queue-limit`; callers of `stop` say what they like. */
export type StopReason = 'stopped' | 'fault' | 'queue-limit' | (string & Record<never, never>)

/** What an actor is doing; `runnable` waits for its turn, `busy` for a promise of its handler. */
export type ActorState = 'idle' | 'runnable' | 'busy' | 'hibernated' | 'stopped'

/** What a supervisor is shown of a child; a stock nact child has the policy `stop`. */
export interface Child {
  /** Unique among its siblings. */
  readonly name: string
  /** Where it stands, from root. */
  readonly path: {
    /** As `/root/listeners`. */
    toString(): string
  }
  /** What it was spawned with. */
  readonly policy: Policy
}

/** The messages that a stopping actor did not get to, in their order. */
export interface Unhandled<M> {
  /** What came by `tell`. */
  readonly control: M[]
  /** What came by `tellStanza`. */
  readonly stanzas: M[]
}

/** What the spawner hands to the constructor of an actor's class, which passes it to `super` and forgets it. */
export interface ActorInit {
  /** @internal */
  readonly runtime: Runtime
  /** @internal */
  readonly parent: NactParent
  /** @internal */
  readonly name: string
  /** @internal */
  readonly mailboxLimit: number | undefined
  /** @internal */
  readonly hibernateAfter: number | undefined
  /** @internal */
  readonly policy: Policy
  /** @internal Kept only where the policy may restart. */
  readonly create: ((init: ActorInit) => AnyActor) | undefined
  /** @internal The incarnation before, whose faults and waiting messages are taken over. */
  predecessor: AnyActor | undefined
  /** @internal The actor that was built from this. */
  built: AnyActor | undefined
}

/** @internal What `inspect` reads of one actor. */
export interface ActorCounters {
  readonly state: ActorState
  readonly messages: number
  readonly turns: number
  readonly mailbox: number
  readonly mailboxPeak: number
  readonly waitingStanzas: number
  readonly hibernations: number
  readonly history: FaultRecord | undefined
  /** Milliseconds after the runtime's start. */
  readonly startedAt: number
}

/** @internal What `examine` reads of one actor. */
export interface ActorSupervision {
  /** Its policy may restart it. */
  readonly mayRestart: boolean
  readonly mailboxLimit: number | undefined
  /** Milliseconds. */
  readonly hibernateAfter: number | undefined
  /** What waits, the oldest first. */
  readonly control: readonly unknown[]
  readonly stanzas: readonly unknown[]
}
