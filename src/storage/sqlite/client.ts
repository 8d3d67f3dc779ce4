import { type StoreLimits, weigh } from '../limits.js'
import { StoreUnavailable } from '../store.js'
import type { DatabaseOptions } from './database.js'
import type { Call, FromWorker, Request, Verbs } from './protocol.js'
import { Thread } from './thread.js'

interface Pending {
  call: Call
  weight: number
  resolve(result: unknown): void
  reject(error: Error): void
}

/** How many requests one message carries at most. A batch is a transaction, and a read must not wait behind a huge one. */
const BATCH = 1_000
/** Batches with the worker at once: one in work and one ready, so that it never waits for us. The rest gathers here. */
const IN_FLIGHT = 2

/** The server's end of the worker: gathers the requests of a tick into one message, bounds what waits, notices when the worker ends. */
export class WorkerClient {
  #phase: 'down' | 'opening' | 'open' | 'closing' | 'closed' = 'down'
  #thread: Thread | undefined
  /** Resolves when the last worker is gone, and its locks with it; one that keeps none may stay for another store. */
  #exited: Promise<unknown> = Promise.resolve()
  #opening: Promise<void> | undefined
  #closing: Promise<void> | undefined
  #whenOpen: { resolve(): void; reject(error: Error): void } | undefined
  #whenClosed: (() => void) | undefined
  #waiting: Pending[] = []
  #sent: Pending[][] = []
  #requests = 0
  #bytes = 0
  #isScheduled = false
  /** The worker was told that this was all. */
  #isLeaving = false

  constructor(
    private readonly options: DatabaseOptions,
    private readonly limits: StoreLimits,
    private readonly onFailure: (error: StoreUnavailable) => void,
  ) {}

  get isOpen(): boolean {
    return this.#phase === 'open'
  }

  /** Requests that wait for their answer. */
  get outstanding(): number {
    return this.#requests
  }

  /** Starts the worker unless one is up already. Rejects with StoreUnavailable when the database cannot be opened. */
  open(): Promise<void> {
    if (this.#phase === 'open') return Promise.resolve()
    if (this.#phase === 'closing' || this.#phase === 'closed')
      return Promise.reject(new StoreUnavailable('the store is closed'))
    this.#opening ??= this.#start().finally(() => {
      this.#opening = undefined
    })
    return this.#opening
  }

  readonly request: Request = <V extends keyof Verbs>(verb: V, ...args: Parameters<Verbs[V]>) => {
    if (this.#phase !== 'open') return Promise.reject(new StoreUnavailable(`the store is ${this.#phase}`))
    const weight = weigh(args)
    if (this.#requests >= this.limits.requests || this.#bytes + weight > this.limits.bytes) {
      return Promise.reject(new StoreUnavailable('too many requests wait for the store'))
    }
    return new Promise<ReturnType<Verbs[V]>>((resolve, reject) => {
      // The cast: the worker answers a verb with what the verb returns.
      this.#waiting.push({ call: [verb, ...args], weight, resolve: resolve as Pending['resolve'], reject })
      this.#requests += 1
      this.#bytes += weight
      if (this.#isScheduled) return
      this.#isScheduled = true
      setImmediate(() => {
        this.#isScheduled = false
        this.#pump()
      })
    })
  }

  /** Writes what waits, then ends the worker. Idempotent; never rejects. */
  close(): Promise<void> {
    this.#closing ??= this.#end()
    return this.#closing
  }

  /** Makes the worker die in the middle of a transaction, after the batches that it has; for tests. Resolves when it is dead. */
  async kill(): Promise<void> {
    this.#thread?.say({ type: 'crash' })
    await this.#exited
  }

  async #start(): Promise<void> {
    this.#phase = 'opening'
    await this.#exited
    const thread = Thread.take({
      hear: (from, message) => this.#hear(from, message),
      lost: (from, reason) => this.#fail(from, reason),
    })
    this.#thread = thread
    this.#exited = thread.exited
    thread.say({ type: 'open', options: this.options })
    return new Promise((resolve, reject) => {
      this.#whenOpen = { resolve, reject }
    })
  }

  async #end(): Promise<void> {
    // Who asked for an opening that fails is told there.
    if (this.#opening !== undefined) await this.#opening.catch(() => undefined)
    if (this.#phase === 'open') {
      this.#phase = 'closing'
      await new Promise<void>(resolve => {
        this.#whenClosed = resolve
        this.#pump()
      })
    }
    this.#phase = 'closed'
    await this.#exited
  }

  #hear(thread: Thread, message: FromWorker): void {
    if (thread !== this.#thread) return
    switch (message.type) {
      case 'ready':
        this.#phase = 'open'
        this.#whenOpen?.resolve()
        break
      case 'results':
        this.#settle(message)
        this.#pump()
        break
      case 'refused':
        this.#reject(this.#sent.shift() ?? [], new StoreUnavailable(message.message))
        this.#pump()
        break
      case 'failed':
        this.#fail(thread, message.message)
        break
      case 'closed':
        this.#leave(thread)
        this.#forget()
        break
    }
  }

  #settle({ results, failures }: Extract<FromWorker, { type: 'results' }>): void {
    const batch = this.#sent.shift() ?? []
    const errors = new Map(failures)
    batch.forEach((pending, index) => {
      this.#release(pending)
      const error = errors.get(index)
      if (error === undefined) pending.resolve(results[index])
      else pending.reject(new Error(`${pending.call[0]}: ${error}`))
    })
  }

  #pump(): void {
    if (this.#thread === undefined) return
    while (this.#waiting.length > 0 && this.#sent.length < IN_FLIGHT) this.#post(this.#waiting.splice(0, BATCH))
    if (this.#phase !== 'closing' || this.#requests > 0 || this.#isLeaving) return
    // Once: the answer to a second time might reach the store that has the thread next.
    this.#isLeaving = true
    this.#thread.say({ type: 'close' })
  }

  #post(batch: Pending[]): void {
    try {
      this.#thread?.say({ type: 'batch', calls: batch.map(pending => pending.call) })
      this.#sent.push(batch)
    } catch (error) {
      // An argument cannot be cloned: a bug of one caller, for which the others of this tick do not pay.
      if (batch.length > 1) for (const pending of batch) this.#post([pending])
      else this.#reject(batch, error instanceof Error ? error : new Error(String(error)))
    }
  }

  /** The worker is lost, or never came up: nothing that was asked of it will be answered. */
  #fail(thread: Thread, reason: string): void {
    if (thread !== this.#thread) return
    const wasOpen = this.#phase === 'open'
    const error = new StoreUnavailable(reason)
    if (this.#phase !== 'closing') this.#phase = 'down'
    thread.end()
    this.#forget()
    this.#reject([...this.#sent.flat(), ...this.#waiting], error)
    this.#sent = []
    this.#waiting = []
    this.#whenOpen?.reject(error)
    if (wasOpen) this.onFailure(error)
  }

  /** A database in memory has left nothing behind; of a file, statements may hold locks until the thread ends. */
  #leave(thread: Thread): void {
    if (this.options.file === ':memory:') {
      thread.spare()
      this.#exited = Promise.resolve()
    } else thread.end()
  }

  #forget(): void {
    this.#thread = undefined
    this.#whenClosed?.()
  }

  #reject(batch: Pending[], error: Error): void {
    for (const pending of batch) {
      this.#release(pending)
      pending.reject(error)
    }
  }

  #release(pending: Pending): void {
    this.#requests -= 1
    this.#bytes -= pending.weight
  }
}
