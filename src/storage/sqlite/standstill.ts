/*
 * libsql 0.5.29 aborts the whole process when its thread is stopped during a call into it, and `process.exit` stops every thread.
 * So the worker says in shared memory when it works, and an exiting process first brings it to a stand.
 */

/** Two words of shared memory: whether the worker works, and whether it is to stop. */
export type Standstill = Int32Array

const WORKS = 0
const STOPS = 1

/** A worker starts as working: it opens the database. */
export function standstill(): Standstill {
  const state = new Int32Array(new SharedArrayBuffer(8))
  state[WORKS] = 1
  return state
}

/** The worker's: does the work unless the process is exiting. */
export function unlessStopped(state: Standstill, work: () => void): void {
  Atomics.store(state, WORKS, 1)
  try {
    if (!isStopping(state)) work()
  } finally {
    rest(state)
  }
}

/** The worker's: asked often, so that long work ends soon. */
export const isStopping = (state: Standstill) => Atomics.load(state, STOPS) === 1

/** The worker's: the work is done. */
export function rest(state: Standstill): void {
  Atomics.store(state, WORKS, 0)
  Atomics.notify(state, WORKS)
}

/** Keeps the worker from doing more and blocks until it has ended what it does; gives up after `ms` milliseconds. */
export function bringToStand(state: Standstill, ms: number): void {
  const end = performance.now() + ms
  Atomics.store(state, STOPS, 1)
  while (Atomics.load(state, WORKS) === 1 && performance.now() < end) {
    Atomics.wait(state, WORKS, 1, Math.max(0, end - performance.now()))
  }
}
