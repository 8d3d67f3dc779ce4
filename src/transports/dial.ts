import { connect, type Socket } from 'node:net'
import type { Endpoint } from './dns.js'
import type { Alarm } from './transport.js'

/** Between the beginnings of two attempts, in milliseconds. RFC 8305 §5 */
const STAGGER_MS = 250
/** Before the kernel asks a silent peer if it is there, in milliseconds. spec/listeners.md §1.3 */
const KEEP_ALIVE_MS = 60_000
const STAGGER = 0

export interface DialOptions {
  /** That one attempt may take; infinity leaves it to the kernel. `s2s.outgoing.connection_timeout` */
  readonly attemptMs: number
  readonly now: () => number
  newAlarm(target: { timedOut(kind: number): void }): Alarm
  /** Called once, unless `cancel` was; undefined when nobody could be reached. */
  done(reached: Reached | undefined): void
}

export interface Reached {
  readonly socket: Socket
  readonly endpoint: Endpoint
  /** Those that have not failed. */
  readonly others: readonly Endpoint[]
}

/** Connects to one of the endpoints: the next one is tried before the one before has failed, and the first to answer wins. RFC 8305 */
export class Dial {
  private readonly alarm: Alarm
  private readonly attempts = new Map<number, Socket>()
  private readonly failed = new Set<Endpoint>()
  private next = 0
  private isOver = false

  constructor(
    private readonly endpoints: readonly Endpoint[],
    private readonly options: DialOptions,
  ) {
    this.alarm = options.newAlarm(this)
    this.tryNext()
  }

  timedOut(kind: number): void {
    if (kind === STAGGER) this.tryNext()
    else this.attempts.get(kind)?.destroy(new Error('no answer'))
  }

  cancel(): void {
    this.end()
  }

  private tryNext(): void {
    if (this.isOver) return
    const endpoint = this.endpoints[this.next]
    if (endpoint === undefined) {
      if (this.attempts.size === 0) this.finish(undefined)
      return
    }
    this.next++
    const kind = this.next // from 1 on: 0 is the stagger
    const socket = connect({ host: endpoint.address, port: endpoint.port, noDelay: true })
    this.attempts.set(kind, socket)
    socket.setKeepAlive(true, KEEP_ALIVE_MS)
    socket.once('connect', () => {
      this.attempts.delete(kind)
      const others = this.endpoints.filter(other => other !== endpoint && !this.failed.has(other))
      this.finish({ socket, endpoint, others })
    })
    // Also what goes wrong later: whoever takes the socket hears of its end.
    socket.on('error', () => {})
    socket.once('close', () => {
      if (!this.attempts.delete(kind)) return
      this.failed.add(endpoint)
      this.tryNext()
    })
    const now = this.options.now()
    if (Number.isFinite(this.options.attemptMs)) this.alarm.arm(kind, now + this.options.attemptMs)
    if (this.next < this.endpoints.length) this.alarm.arm(STAGGER, now + STAGGER_MS)
  }

  private finish(reached: Reached | undefined): void {
    if (this.isOver) {
      reached?.socket.destroy()
      return
    }
    this.end()
    this.options.done(reached)
  }

  private end(): void {
    this.isOver = true
    this.alarm.drop()
    for (const socket of this.attempts.values()) socket.destroy()
    this.attempts.clear()
  }
}
