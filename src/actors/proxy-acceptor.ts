import { Socket } from 'node:net'
import { ProxyHeaderReader } from '../protocols/proxy-header.js'
import type { Peer } from '../transports/transport.js'
import { type Admission, type ConnectionOptions, peerOf, spawnConnection } from './acceptor.js'
import { Actor, type ActorInit } from './runtime/index.js'

/** For the whole header, from the moment that the acceptor takes the socket, in milliseconds. spec/listeners.md §1.7 */
const HEADER_MS = 1000
const HEADER = 'header'

/** A socket whose header is being read. */
interface Arrival {
  readonly socket: Socket
  readonly reader: ProxyHeaderReader
  /** The other end of the socket: the balancer. */
  readonly balancer: Peer
  /** Takes back what was attached to the socket. */
  release(): void
}

export type ProxyAcceptorMessage =
  | Socket
  | { readonly type: 'arrived'; readonly from: Arrival; readonly chunk: Uint8Array }
  | { readonly type: 'ended'; readonly from: Arrival }

export interface ProxyOptions {
  /** A connection was destroyed without a byte, for want of an accepted header. */
  onRefused(balancer: Peer, reason: string): void
}

/**
 * An acceptor that reads a PROXY header first, of one connection at a time, and gives up its turns meanwhile. The
 * connection then has the address that the header names, and the bytes behind it.
 */
export class ProxyAcceptor extends Actor<ProxyAcceptorMessage> {
  private admitted = 0
  private refused = 0
  private arrival: Arrival | undefined = undefined

  constructor(
    init: ActorInit,
    private readonly admission: Admission,
    private readonly place: number,
    private readonly connections: ConnectionOptions,
    private readonly options: ProxyOptions,
  ) {
    super(init)
  }

  protected override started(): void {
    this.admission.take(this.place, this, 1)
  }

  protected override receive(message: ProxyAcceptorMessage): void {
    if (message instanceof Socket) this.begin(message)
    // The one before has been dealt with.
    else if (message.from !== this.arrival) return
    else if (message.type === 'arrived') this.read(message.from, message.chunk)
    else this.refuse(message.from, 'closed before its end')
  }

  protected override timedOut(): void {
    if (this.arrival !== undefined) this.refuse(this.arrival, 'not whole in time')
  }

  protected override stopped(): void {
    this.admission.leave(this.place, this)
    this.arrival?.release()
    this.arrival?.socket.destroy()
    for (const message of this.unhandled().control) if (message instanceof Socket) message.destroy()
  }

  override inspected(): Record<string, number | boolean> {
    return { admitted: this.admitted, refused: this.refused, isReading: this.arrival !== undefined }
  }

  private begin(socket: Socket): void {
    // Several may have been told before it could leave its place.
    if (this.arrival !== undefined) {
      this.admission.admit(socket)
      return
    }
    const balancer = peerOf(socket)
    // A socket that is closed already has no address.
    if (balancer === undefined) {
      socket.destroy()
      this.admission.take(this.place, this, 1)
      return
    }
    this.admission.leave(this.place, this)
    this.arrival = this.attach(socket, balancer)
    this.arm(HEADER, this.runtime.clock.now() + HEADER_MS)
    socket.resume()
  }

  private attach(socket: Socket, balancer: Peer): Arrival {
    const arrived = (chunk: Buffer) => {
      // The next one comes when this one has been read: it may belong to the stream.
      socket.pause()
      this.tell({ type: 'arrived', from: arrival, chunk })
    }
    const ended = () => this.tell({ type: 'ended', from: arrival })
    // `close` follows.
    const failed = () => {}
    const arrival: Arrival = {
      socket,
      reader: new ProxyHeaderReader(),
      balancer,
      release: () => void socket.off('data', arrived).off('end', ended).off('close', ended).off('error', failed),
    }
    socket.on('data', arrived).on('end', ended).on('close', ended).on('error', failed)
    return arrival
  }

  private read(arrival: Arrival, chunk: Uint8Array): void {
    const header = arrival.reader.read(chunk)
    if (header === undefined) arrival.socket.resume()
    else if ('refused' in header) this.refuse(arrival, header.refused)
    else if (arrival.socket.destroyed) this.refuse(arrival, 'closed behind its header')
    else {
      this.finish(arrival)
      this.connect(arrival.socket, header.source ?? arrival.balancer, header.rest)
    }
  }

  private connect(socket: Socket, peer: Peer, rest: Uint8Array): void {
    this.admitted++
    spawnConnection(this, this.admitted, socket, peer, this.connections)
    if (rest.length === 0) return
    // Where TLS comes first nobody listens to the socket itself; flowing, it would lose what TLS is about to fetch from it.
    if (socket.listenerCount('data') === 0) socket.pause()
    socket.unshift(rest)
  }

  private refuse(arrival: Arrival, reason: string): void {
    this.refused++
    this.finish(arrival)
    // It may still tell of an error.
    arrival.socket.on('error', () => {})
    arrival.socket.destroy()
    this.options.onRefused(arrival.balancer, reason)
  }

  /** Frees the slot. */
  private finish(arrival: Arrival): void {
    this.disarm(HEADER)
    arrival.release()
    this.arrival = undefined
    this.admission.take(this.place, this, 1)
  }
}
