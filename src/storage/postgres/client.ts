import net from 'node:net'
import pg, { type Pool, type PoolClient } from 'pg'
import { type StoreLimits, weigh } from '../limits.js'
import type { Call, Request, Verbs } from '../sqlite/protocol.js'
import { StoreUnavailable } from '../store.js'
import { partsOfAppend } from './archive.js'
import { type Outcome, runBatch } from './batch.js'
import { connectionOptions, type RdbmsPool } from './connection.js'
import { migrate } from './migrate.js'
import { isBroken, isTooManyConnections, reasonOf } from './trouble.js'
import { isWide, subjectOf } from './verbs.js'

interface Pending {
  call: Call
  weight: number
  /** When it was asked for, in milliseconds of the process. */
  since: number
  isSettled: boolean
  /** Called when it is. */
  whenSettled: (() => void)[]
  /** What has to be settled before it is begun. */
  after?: Promise<unknown>
  resolve(result: unknown): void
  reject(error: unknown): void
}

/** Requests that are carried out one batch after the other, over one connection at a time. */
interface Lane {
  waiting: Pending[]
  working: Pending[]
}

/** Connections that are made at most, each when it is needed; more would only make the database switch between them. */
const CONNECTIONS = 20
/** How many requests one transaction carries at most. */
const BATCH = 200
/** How long after "too many connections" more than those that stand are tried again, in milliseconds. */
const RETRY_GROWTH = 60_000
/** How long a connection may take to say good-bye when the store closes, in milliseconds. */
const GOODBYE = 1_000

/**
 * The server's end of the database: gathers the requests of a tick, bounds what waits, keeps the connections.
 *
 * The requests of one account all go through one lane, in order. So a read sees every write before it, and two transactions of this
 * server never touch the same rows. Lanes work side by side.
 */
export class PostgresClient {
  #phase: 'down' | 'opening' | 'open' | 'closing' | 'closed' = 'down'
  #pool: Pool | undefined
  #opening: Promise<void> | undefined
  #closing: Promise<void> | undefined
  #whenDrained: (() => void) | undefined
  #requests = 0
  #bytes = 0
  #isScheduled = false
  #isProbing = false
  #keepAlive: NodeJS.Timeout | undefined
  readonly #sockets = new Set<net.Socket>()
  readonly #lanes: Lane[] = Array.from({ length: CONNECTIONS }, newLane)
  /** For what looks at more than one account. */
  readonly #wide = newLane()

  constructor(
    private readonly config: RdbmsPool,
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

  /** Connects unless that is done. Rejects with StoreUnavailable when the database cannot be had or its schema is not ours. */
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
    // The casts: a verb is answered with what the verb returns, and this one takes these arguments and returns nothing.
    if (verb === 'archiveAppend') return this.#append(args as unknown as Parameters<Verbs['archiveAppend']>) as never
    const call: Call = [verb, ...args]
    return this.#enter(isWide(verb) ? this.#wide : this.#laneOf(subjectOf(call)), call, weight) as Promise<
      ReturnType<Verbs[V]>
    >
  }

  /** Messages for many accounts: every lane writes those of its own. */
  async #append([json, xml]: Parameters<Verbs['archiveAppend']>): Promise<void> {
    const parts = partsOfAppend(json, xml, (user, host) => this.#laneOf(subjectOf(['archiveAppend', user, host])))
    await Promise.all([...parts].map(([lane, args]) => this.#enter(lane, ['archiveAppend', ...args], weigh(args))))
  }

  #enter(lane: Lane, call: Call, weight: number): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const pending: Pending = {
        call,
        weight,
        since: performance.now(),
        isSettled: false,
        whenSettled: [],
        resolve,
        reject,
      }
      if (lane === this.#wide) pending.after = this.#settled()
      lane.waiting.push(pending)
      this.#requests += 1
      this.#bytes += weight
      this.#schedule()
    })
  }

  /** Writes what waits, then ends the connections. Idempotent; never rejects. */
  close(): Promise<void> {
    this.#closing ??= this.#end()
    return this.#closing
  }

  /** Cuts every connection, whatever it does; for tests. */
  kill(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    this.#fail(this.#pool, 'the connections were cut')
    return Promise.resolve()
  }

  async #start(): Promise<void> {
    this.#phase = 'opening'
    let pool: Pool | undefined
    try {
      pool = await this.#connectFirst()
      const connection = await pool.connect()
      try {
        await migrate(connection)
      } finally {
        connection.release()
      }
    } catch (error) {
      void pool?.end()
      this.#phase = 'down'
      throw error instanceof StoreUnavailable ? error : new StoreUnavailable(reasonOf(error), { cause: error })
    }
    this.#pool = pool
    this.#phase = 'open'
    const seconds = this.config.connection.keepalive_interval
    if (seconds !== undefined) this.#keepAlive = setInterval(() => this.#touch(), seconds * 1_000).unref()
  }

  /** A pool with one connection. Without `tls.required` a database that speaks no TLS is talked to in the clear. */
  async #connectFirst(): Promise<Pool> {
    const options = connectionOptions(this.config)
    const connect = async (ssl: typeof options.ssl) => {
      const pool = new pg.Pool({ ...options, ssl: ssl ?? false, max: CONNECTIONS, stream: () => this.#socket() })
      // A connection that rested is gone; the pool has forgotten it.
      pool.on('error', () => this.#probe(pool))
      try {
        ;(await pool.connect()).release()
        return pool
      } catch (error) {
        void pool.end()
        throw error
      }
    }
    try {
      return await connect(options.ssl)
    } catch (error) {
      const tls = this.config.connection.tls
      const speaksNone = error instanceof Error && error.message === 'The server does not support SSL connections'
      if (!speaksNone || tls === undefined || tls.required) throw error
      return connect(false)
    }
  }

  #socket(): net.Socket {
    const socket = new net.Socket()
    this.#sockets.add(socket)
    return socket.once('close', () => this.#sockets.delete(socket))
  }

  async #end(): Promise<void> {
    // Who asked for an opening that fails is told there.
    if (this.#opening !== undefined) await this.#opening.catch(() => undefined)
    if (this.#phase === 'open' && this.#requests > 0) {
      this.#phase = 'closing'
      await new Promise<void>(resolve => {
        this.#whenDrained = resolve
        this.#pump()
      })
    }
    this.#phase = 'closed'
    await this.#leave()
  }

  /** Gives the pool up; what still works over one of its connections may end. */
  async #leave(): Promise<void> {
    const pool = this.#pool
    this.#pool = undefined
    clearInterval(this.#keepAlive)
    const sockets = [...this.#sockets]
    const cut = setTimeout(() => {
      for (const socket of sockets) socket.destroy()
    }, GOODBYE)
    await pool?.end()
    clearTimeout(cut)
  }

  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    setImmediate(() => {
      this.#isScheduled = false
      this.#pump()
    })
  }

  #pump(): void {
    for (const one of [...this.#lanes, this.#wide]) void this.#work(one)
  }

  /** Carries a lane's requests out until none waits. Never rejects. */
  async #work(one: Lane): Promise<void> {
    if (one.working.length > 0) return
    while (one.waiting.length > 0) {
      one.working = one.waiting.splice(0, BATCH)
      await Promise.all(one.working.map(({ after }) => after))
      await this.#carryOut(this.#timely(one.working))
      one.working = []
    }
  }

  /** Those that have not waited too long; the others are told. `call_timeout` */
  #timely(batch: Pending[]): Pending[] {
    const oldest = performance.now() - this.config.call_timeout
    this.#reject(
      batch.filter(({ since }) => since < oldest),
      new StoreUnavailable('the request waited too long for the database'),
    )
    return batch.filter(({ since }) => since >= oldest)
  }

  async #carryOut(batch: Pending[]): Promise<void> {
    const pool = this.#pool
    if (batch.length === 0) return
    if (pool === undefined) return this.#reject(batch, new StoreUnavailable('the store is down'))
    let connection: PoolClient
    try {
      connection = await this.#connection(pool)
    } catch (error) {
      this.#reject(batch, new StoreUnavailable(reasonOf(error), { cause: error }))
      // With another connection in use, this one's failure is not the database's.
      if (pool.totalCount === 0) this.#fail(pool, reasonOf(error))
      return
    }
    // It breaks with an error of its own besides that of the query.
    const ignore = () => undefined
    connection.on('error', ignore)
    try {
      this.#settle(
        batch,
        await runBatch(
          connection,
          batch.map(({ call }) => call),
        ),
      )
      connection.off('error', ignore)
      connection.release()
    } catch (error) {
      connection.off('error', ignore)
      connection.release(isBroken(error))
      this.#reject(batch, new StoreUnavailable(reasonOf(error), { cause: error }))
      if (isBroken(error)) this.#probe(pool)
    }
  }

  async #connection(pool: Pool): Promise<PoolClient> {
    for (;;) {
      try {
        return await pool.connect()
      } catch (error) {
        if (!isTooManyConnections(error) || pool.totalCount === 0) throw error
        // The database has no more for us: those that we have must do. Some of them may be on their way to the same answer.
        if (pool.options.max === CONNECTIONS) this.#growLater(pool)
        pool.options.max = Math.min(pool.options.max, pool.totalCount)
      }
    }
  }

  #growLater(pool: Pool): void {
    setTimeout(() => {
      pool.options.max = CONNECTIONS
    }, RETRY_GROWTH).unref()
  }

  /** Looks whether the database is there, after the last connection was lost. */
  #probe(pool: Pool): void {
    if (this.#isProbing || pool !== this.#pool || pool.totalCount > 0) return
    this.#isProbing = true
    pool
      .connect()
      .then(
        connection => connection.release(),
        (error: unknown) => this.#fail(pool, reasonOf(error)),
      )
      .finally(() => {
        this.#isProbing = false
      })
  }

  /** Keeps resting connections from being taken for dead on the way. `keepalive_interval` */
  #touch(): void {
    const pool = this.#pool
    for (let idle = pool?.idleCount ?? 0; idle > 0; idle -= 1) void this.#carryOutNothing(pool)
  }

  async #carryOutNothing(pool: Pool | undefined): Promise<void> {
    try {
      await pool?.query('SELECT 1')
    } catch (error) {
      if (pool !== undefined && isBroken(error)) this.#probe(pool)
    }
  }

  #settle(batch: Pending[], outcomes: Outcome[]): void {
    batch.forEach((pending, index) => {
      const outcome = outcomes[index]
      this.#release(pending)
      if (outcome?.status === 'fulfilled') pending.resolve(outcome.value)
      else pending.reject(new Error(`${pending.call[0]}: ${reasonOf(outcome?.reason)}`, { cause: outcome?.reason }))
    })
  }

  /** The database is lost: what waits will not be answered. What a connection still works on settles by itself. */
  #fail(pool: Pool | undefined, reason: string): void {
    if (pool === undefined || pool !== this.#pool) return
    const wasOpen = this.#phase === 'open'
    const error = new StoreUnavailable(reason)
    if (this.#phase !== 'closing') this.#phase = 'down'
    void this.#leave()
    for (const one of [...this.#lanes, this.#wide]) this.#reject(one.waiting.splice(0), error)
    if (wasOpen) this.onFailure(error)
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
    pending.isSettled = true
    for (const tell of pending.whenSettled) tell()
    if (this.#requests === 0) this.#whenDrained?.()
  }

  #laneOf(subject: string): Lane {
    let hash = 0
    for (let index = 0; index < subject.length; index += 1) hash = (hash * 31 + subject.charCodeAt(index)) | 0
    return this.#lanes[(hash >>> 0) % this.#lanes.length]!
  }

  /** Resolves when everything that was asked for so far is settled. */
  #settled(): Promise<unknown> {
    const last = this.#lanes.flatMap(one => one.waiting.at(-1) ?? one.working.at(-1) ?? [])
    const unsettled = last.filter(({ isSettled }) => !isSettled)
    return Promise.all(unsettled.map(pending => new Promise<void>(resolve => pending.whenSettled.push(resolve))))
  }
}

function newLane(): Lane {
  return { waiting: [], working: [] }
}
