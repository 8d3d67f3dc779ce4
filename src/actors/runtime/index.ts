/*
 * `meerkat-xmpp/actors`: the supervision runtime alone. README.md says how it works.
 */
export { Actor, type AnyActor } from './actor.js'
export { AskError, ask } from './ask.js'
export type { Behaviour, Context } from './behaviour.js'
export type { ActorInit, ActorState, Child, StopReason, Unhandled } from './init.js'
export { type ActorInfo, type ChildPage, type InspectOptions, inspect } from './inspect.js'
export { dispatch, type NactReference } from './nact.js'
export { type ActorPath, actorName } from './path.js'
export type { Ref } from './ref.js'
export type { Flushable } from './run-queue.js'
export { createRuntime, type Runtime, type RuntimeCounters, type RuntimeOptions } from './runtime.js'
export { type SpawnOptions, spawn, spawnActor, stopTree, type Target } from './spawn.js'
export type { FaultAction, FaultEvent, FaultMoment, Policy, Restart } from './supervise.js'
