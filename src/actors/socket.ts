import { createSocket } from 'node:dgram'
import type { EventEmitter } from 'node:events'
import { type AddressInfo, createServer, isIPv6, type Server } from 'node:net'
import type { Clock } from '../observability/clock.js'
import type { Admission } from './acceptor.js'
import { Actor, type ActorInit } from './runtime/index.js'

const RETRY = 'retry'

export interface BoundAddress {
  readonly address: string
  readonly port: number
}

/** A server that can be bound, and how it ends. */
export interface Listening {
  /** Tells by `listening` and `error` what became of `listen`. */
  readonly server: EventEmitter & { address(): AddressInfo | string | null }
  listen(at: Pick<Binding, 'address' | 'port' | 'backlog'>): void
  /** Frees the port at once; resolves when what the server itself holds is gone. */
  close(): Promise<void>
}

/** Where to listen, and where it turned out to be. Outlives the socket actor, so that its successor finds the same port. */
export interface Binding {
  readonly address: string
  /** 0 until the first bind when any port will do. */
  port: number
  wasBound: boolean
  readonly backlog: number
  /** How often a port that is in use is tried again, and how far apart in milliseconds. spec/listeners.md §1.2 */
  readonly retries: { readonly count: number; readonly everyMs: number }
  open(admission: Admission): Listening
  onBound(bound: BoundAddress): void
  onRetry(attempt: number, error: NodeJS.ErrnoException): void
  /** The port cannot be had; the actor stops after this. */
  onFailed(error: NodeJS.ErrnoException): void
}

/** Accepts TCP connections for the acceptors, which own them from then on. */
export function openTcp(admission: Admission): Listening & { readonly server: Server } {
  // Nothing is read before an acceptor has taken the connection.
  const server = createServer({ noDelay: true, keepAlive: true, keepAliveInitialDelay: 60_000, pauseOnConnect: true })
  server.on('connection', socket => admission.admit(socket))
  return {
    server,
    listen: at => bindTcp(server, at),
    close() {
      // `close` waits for the connections to end, but the port is free at once.
      server.close()
      return new Promise(resolve => setImmediate(resolve))
    },
  }
}

/** `Listening.listen` of a TCP server. */
export function bindTcp(server: Server, { address, port, backlog }: Parameters<Listening['listen']>[0]): void {
  server.listen({ host: address, port, backlog, ipv6Only: false })
}

/** Takes datagrams and drops them: there is no XMPP over UDP. spec/listeners.md §1.2 */
export function openUdp(address: string, onDropped: () => void): Listening {
  const server = createSocket(isIPv6(address) ? 'udp6' : 'udp4')
  let isClosed = false
  const close = () => {
    if (!isClosed) server.close()
    isClosed = true
    return Promise.resolve()
  }
  server.on('message', onDropped)
  // Whoever fails to bind it opens another one.
  server.on('error', close)
  return { server, listen: at => void server.bind(at.port, at.address), close }
}

export type SocketMessage = { readonly from: Listening } & (
  | { readonly type: 'bound' }
  | { readonly type: 'failed'; readonly error: NodeJS.ErrnoException }
)

/** Owns the listening socket of a listener. Its end closes the port and nothing else: connections live on. */
export class SocketActor extends Actor<SocketMessage> {
  private listening: Listening | undefined = undefined
  private attempts = 0
  private isListening = false

  constructor(
    init: ActorInit,
    private readonly binding: Binding,
    private readonly admission: Admission,
    private readonly clock: Clock,
  ) {
    super(init)
  }

  protected override started(): void {
    this.listen()
  }

  protected override receive(message: SocketMessage): void {
    // What an earlier incarnation, or an earlier attempt, began is over.
    if (message.from !== this.listening) return
    if (message.type === 'bound') this.bound()
    else this.failed(message.error)
  }

  private failed(error: NodeJS.ErrnoException): void {
    // Once it listens, a failing socket is a fault: the listener starts a new one.
    if (this.isListening) throw error
    this.attempts++
    if (error.code !== 'EADDRINUSE' || this.attempts > this.binding.retries.count) {
      // A port that was ours and is lost is a fault of the listener; one that never was is told to whoever starts.
      if (this.binding.wasBound) throw error
      this.binding.onFailed(error)
      this.stop('failed')
      return
    }
    this.binding.onRetry(this.attempts, error)
    this.arm(RETRY, this.clock.now() + this.binding.retries.everyMs)
  }

  protected override timedOut(): void {
    this.listen()
  }

  protected override stopped(): void | Promise<void> {
    return this.listening?.close()
  }

  override inspected(): Record<string, string | number | boolean> {
    const { address, port } = this.binding
    return { address, port, isListening: this.isListening }
  }

  private listen(): void {
    const from = this.binding.open(this.admission)
    const { server } = from
    this.listening = from
    server.on('listening', () => this.tell({ from, type: 'bound' }))
    server.on('error', (error: NodeJS.ErrnoException) => this.tell({ from, type: 'failed', error }))
    from.listen(this.binding)
  }

  private bound(): void {
    const address = this.listening?.server.address()
    // A closed TCP server has none.
    if (address === null || address === undefined || typeof address === 'string') return
    this.isListening = true
    this.binding.port = address.port
    this.binding.wasBound = true
    this.binding.onBound({ address: address.address, port: address.port })
  }
}
