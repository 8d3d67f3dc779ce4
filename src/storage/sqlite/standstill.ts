/*
 * libsql 0.5.29 aborts the whole process when its thread is stopped during a call into it, and `process.exit` stops every thread.
 * So the worker says in shared memory when it works, and an exiting process first brings it to a stand.
 */

const IDLE = 0
const WORKING = 1
const STOPPED = 2

/** One word of shared memory. A worker starts as working: it opens the database. */
export type Standstill = Int32Array

export const standstill = (): Standstill => new Int32Array(new SharedArrayBuffer(4)).fill(WORKING)

/** The worker's: does the work unless the process is exiting. */
export function unlessStopped(state: Standstill, work: () => void): void {
  if (Atomics.compareExchange(state, 0, IDLE, WORKING) === STOPPED) return
  try {
    work()
  } finally {
    rest(state)
  }
}

/** The worker's: the database is open. */
export function rest(state: Standstill): void {
  Atomics.store(state, 0, IDLE)
  Atomics.notify(state, 0)
}

/** Blocks until the worker has finished what it does, and keeps it from doing more; gives up after `ms` milliseconds. */
export function bringToStand(state: Standstill, ms: number): void {
  const end = performance.now() + ms
  while (Atomics.compareExchange(state, 0, IDLE, STOPPED) === WORKING && performance.now() < end) {
    Atomics.wait(state, 0, WORKING, Math.max(0, end - performance.now()))
  }
}
