import type { Socket } from 'node:net'
import type { Peer } from '../transports/transport.js'
import { Actor, type ActorInit, type AnyActor, spawnActor } from './runtime/index.js'
import type { StreamConnection } from './stream-connection.js'
import { connection as connectionPolicy } from './supervision.js'

/** How the connections of a listener are made and bounded. */
export interface ConnectionOptions {
  /** Stanzas that may wait for one connection; undefined = no limit. `max_fsm_queue` */
  readonly mailboxLimit: number | undefined
  /** Milliseconds. `hibernate_after` */
  readonly hibernateAfter: number
  make(init: ActorInit, socket: Socket, peer: Peer): StreamConnection
}

/** Sockets that may wait for a free acceptor; one more is destroyed. */
export const MAX_WAITING = 10_000

/** An acceptor as the admission knows it. */
interface Taker {
  /** False when it takes nothing any more. */
  tell(socket: Socket): boolean
}

/**
 * The acceptors of one listener, by turns. A place is empty while its acceptor takes no sockets: after a stop until the
 * successor comes, and while a PROXY header is read. Where all are empty, sockets wait.
 */
export class Admission {
  private readonly places: (Taker | undefined)[] = []
  private turn = 0
  private readonly line = new Set<Socket>()
  private isClosed = false
  /** How many sockets were destroyed because too many waited. */
  refused = 0

  /** How many sockets wait for an acceptor. */
  get waiting(): number {
    return this.line.size
  }

  /** Gives the acceptor its turns, beginning with at most so many of the sockets that wait. */
  take(place: number, acceptor: Taker, most = Number.POSITIVE_INFINITY): void {
    this.places[place] = acceptor
    let admitted = 0
    for (const socket of this.line) {
      if (admitted === most) return
      this.line.delete(socket)
      // What ended meanwhile takes nobody's time.
      if (socket.destroyed) continue
      this.admit(socket)
      admitted++
    }
  }

  leave(place: number, acceptor: Taker): void {
    if (this.places[place] === acceptor) this.places[place] = undefined
  }

  /** Hands a fresh socket to the next acceptor; keeps it until there is one, or destroys it when too many wait. */
  admit(socket: Socket): void {
    for (let tried = 0; tried < this.places.length; tried++) {
      this.turn = (this.turn + 1) % this.places.length
      if (this.places[this.turn]?.tell(socket)) return
    }
    if (!this.isClosed && this.line.size < MAX_WAITING) {
      this.line.add(socket)
      return
    }
    this.refused++
    socket.destroy()
  }

  /** Destroys what waits, now and later. */
  close(): void {
    this.isClosed = true
    for (const socket of this.line) socket.destroy()
    this.line.clear()
  }
}

/** Admits sockets and supervises its share of a listener's connections. */
export class Acceptor extends Actor<Socket> {
  private admitted = 0

  constructor(
    init: ActorInit,
    private readonly admission: Admission,
    private readonly place: number,
    private readonly connections: ConnectionOptions,
  ) {
    super(init)
  }

  protected override started(): void {
    this.admission.take(this.place, this)
  }

  protected override receive(socket: Socket): void {
    const peer = peerOf(socket)
    // A socket that is closed already has no address.
    if (peer === undefined) {
      socket.destroy()
      return
    }
    this.admitted++
    spawnConnection(this, this.admitted, socket, peer, this.connections)
  }

  protected override stopped(): void {
    this.admission.leave(this.place, this)
    for (const socket of this.unhandled().control) socket.destroy()
  }

  override inspected(): Record<string, number> {
    return { admitted: this.admitted }
  }
}

/** Spawns the connection that owns the socket from now on, the acceptor's `number`th. */
export function spawnConnection(
  acceptor: AnyActor,
  number: number,
  socket: Socket,
  peer: Peer,
  { make, mailboxLimit, hibernateAfter }: ConnectionOptions,
): void {
  spawnActor(acceptor, init => make(init, socket, peer), {
    name: `connection-${number}`,
    policy: connectionPolicy,
    hibernateAfter,
    ...(mailboxLimit !== undefined && { mailboxLimit }),
  })
}

/** The other end of a socket; undefined when the socket is closed already. */
export function peerOf(socket: Socket): Peer | undefined {
  const { remoteAddress, remotePort } = socket
  if (remoteAddress === undefined || remotePort === undefined) return undefined
  // An IPv6 socket shows IPv4 peers in mapped form.
  return { address: remoteAddress.replace(/^::ffff:(?=\d+\.)/, ''), port: remotePort }
}
