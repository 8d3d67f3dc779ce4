import { StoreUnavailable } from '../storage/store.js'

/** Key derivations at once: half of libuv's threads, so that DNS and file work goes on beside them. */
const AT_ONCE = 2
/** Derivations that may wait; about a second's worth with the default of 10 000 iterations. */
const WAITING = 1_000

export type Derivations = <T>(work: () => Promise<T>) => Promise<T>

/** Bounds how many key derivations run and wait. One too many rejects with StoreUnavailable without being begun. */
export function boundedDerivations(atOnce = AT_ONCE, waiting = WAITING): Derivations {
  let running = 0
  const queue: (() => void)[] = []
  return async work => {
    if (running < atOnce) running += 1
    else if (queue.length >= waiting) throw new StoreUnavailable('too many passwords wait to be checked')
    else await new Promise<void>(resolve => queue.push(resolve)) // Its predecessor's place is handed on.
    try {
      return await work()
    } finally {
      const next = queue.shift()
      if (next === undefined) running -= 1
      else next()
    }
  }
}
