import { LRUCache } from 'lru-cache'
import type { Clock } from '../observability/clock.js'
import { entries } from '../storage/remembered.js'

/** Names that are remembered. */
const NAMES = 10_000
/** Milliseconds that an answer counts. */
const WHILE_MS = 30_000

/**
 * Asks whether a user exists, and remembers the answer for a while: the router asks for every message to somebody who is offline, and
 * the ones who know cannot tell us about a change.
 */
export function rememberedExistence(clock: Clock, ask: (user: string) => Promise<boolean>) {
  const known = new LRUCache<string, boolean>({
    ...entries(NAMES),
    ttl: WHILE_MS,
    ttlResolution: 0,
    perf: { now: () => clock.now() },
  })
  return (user: string): boolean | Promise<boolean> =>
    known.get(user) ??
    ask(user).then(isThere => {
      known.set(user, isThere)
      return isThere
    })
}
