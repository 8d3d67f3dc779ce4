/*
 * The restart policies of the tree, by name: what a parent does about a child's fault.
 */
import type { Policy } from './runtime/index.js'

/** A connection never restarts: its peer is told and its session ends. */
export const connection: Policy = 'stop'

/** Whatever outlives connections: at most 5 restarts in 10 s, then its parent fails. */
export const longLived: Policy = { restarts: 5, withinMs: 10_000 }

/** A module of a host: at most 5 restarts in 10 s, then it stays off, and the server goes on without it. */
export const module: Policy = { restarts: 5, withinMs: 10_000, beyond: 'stop' }

/** One of many of its kind, such as a room: the same, but then it ends alone. */
export const oneOfMany: Policy = { restarts: 5, withinMs: 10_000, beyond: 'stop' }
