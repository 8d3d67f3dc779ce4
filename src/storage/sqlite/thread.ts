import { Worker } from 'node:worker_threads'
import type { FromWorker, ToWorker, WorkerOptions } from './protocol.js'
import { bringToStand, standstill } from './standstill.js'

/** How long `process.exit` waits for the call in work, in milliseconds. */
const EXIT_MS = 3_000
/** Threads that wait for another store at most. */
const SPARES = 4

// Under vitest this file runs as TypeScript, from src/; a worker cannot, so it is taken from dist/.
const workerFile = import.meta.url.endsWith('.ts')
  ? new URL('../../../dist/storage/sqlite/worker.js', import.meta.url)
  : new URL('./worker.js', import.meta.url)

/** The store that a thread works for. */
export interface ThreadUser {
  hear(thread: Thread, message: FromWorker): void
  /** Told once: nothing that was asked of the thread will be answered any more. */
  lost(thread: Thread, reason: string): void
}

/** The thread that a store's SQL runs in. It works for one store at a time. */
export class Thread {
  static readonly #spares: Thread[] = []
  readonly #worker: Worker
  #user: ThreadUser | undefined
  /** Resolves when the thread is gone, and its locks with it. */
  readonly exited: Promise<void>

  /** A new thread, or one that an earlier store has left; it opens nothing before it is told to. */
  static take(user: ThreadUser): Thread {
    const thread = Thread.#spares.pop() ?? new Thread()
    thread.#user = user
    thread.#worker.ref()
    return thread
  }

  private constructor() {
    const state = standstill()
    const workerData: WorkerOptions = { standstill: state }
    const worker = new Worker(workerFile, { workerData, execArgv: [], name: 'storage' })
    const beforeExit = () => bringToStand(state, EXIT_MS)
    process.on('exit', beforeExit)
    worker.on('message', (message: FromWorker) => this.#user?.hear(this, message))
    worker.on('messageerror', error => this.#lose(error.message))
    worker.on('error', error => this.#lose(error.message))
    this.exited = new Promise(resolve => {
      worker.on('exit', () => {
        process.off('exit', beforeExit)
        this.#lose('the storage thread ended')
        resolve()
      })
    })
    this.#worker = worker
  }

  say(message: ToWorker): void {
    this.#worker.postMessage(message)
  }

  /**
   * The thread ends by itself. It is never terminated: libsql 0.5.29 aborts the whole process when its thread is stopped during a
   * call into it.
   */
  end(): void {
    this.#user = undefined
    this.say({ type: 'end' }) // In case it lives; a dead one does not mind.
  }

  /**
   * Keeps the thread, which has closed its database, for another store, as long as few wait; the process may end meanwhile.
   * Starting one anew costs a test's server more than all the rest of its start.
   */
  spare(): void {
    if (Thread.#spares.length >= SPARES) {
      this.end()
      return
    }
    this.#user = undefined
    this.#worker.unref()
    Thread.#spares.push(this)
  }

  #lose(reason: string): void {
    const index = Thread.#spares.indexOf(this)
    if (index >= 0) Thread.#spares.splice(index, 1)
    this.#user?.lost(this, reason)
  }
}
