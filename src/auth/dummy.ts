import { randomInt } from 'node:crypto'
import type { Clock } from '../observability/clock.js'
import type { Method } from './method.js'

/** Milliseconds that an answer takes at least and at most. spec/listeners.md §2.6 */
const FASTEST = 50
const SLOWEST = 500

/** Method `dummy`: every name exists and every password is right, after a while; for load tests. */
export function dummyMethod(clock: Clock): Method {
  return {
    capabilities: ['plain'],
    verify: () => new Promise(resolve => void clock.after(randomInt(FASTEST, SLOWEST + 1), () => resolve(true))),
    knowsEverybody: true,
    exists: () => true,
  }
}
