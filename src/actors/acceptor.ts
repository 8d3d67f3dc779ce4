import type { Socket } from 'node:net'
import type { Peer } from '../transports/transport.js'
import type { Connection } from './connection.js'
import { Actor, type ActorInit, spawnActor } from './runtime/index.js'
import { connection as connectionPolicy } from './supervision.js'

/** How the connections of a listener are made and bounded. */
export interface ConnectionOptions {
  /** Stanzas that may wait for one connection; undefined = no limit. `max_fsm_queue` */
  readonly mailboxLimit: number | undefined
  /** Milliseconds. `hibernate_after` */
  readonly hibernateAfter: number
  make(init: ActorInit, socket: Socket, peer: Peer): Connection
}

/** The acceptors of one listener, by turns. A stopped acceptor's place is empty until its successor takes it. */
export class Admission {
  private readonly places: (Actor<Socket> | undefined)[] = []
  private turn = 0

  take(place: number, acceptor: Actor<Socket>): void {
    this.places[place] = acceptor
  }

  leave(place: number, acceptor: Actor<Socket>): void {
    if (this.places[place] === acceptor) this.places[place] = undefined
  }

  /** Hands a fresh socket to the next acceptor; destroys it when there is none. */
  admit(socket: Socket): void {
    for (let tried = 0; tried < this.places.length; tried++) {
      this.turn = (this.turn + 1) % this.places.length
      if (this.places[this.turn]?.tell(socket)) return
    }
    socket.destroy()
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
    const { make, mailboxLimit, hibernateAfter } = this.connections
    this.admitted++
    spawnActor(this, init => make(init, socket, peer), {
      name: `connection-${this.admitted}`,
      policy: connectionPolicy,
      hibernateAfter,
      ...(mailboxLimit !== undefined && { mailboxLimit }),
    })
  }

  protected override stopped(): void {
    this.admission.leave(this.place, this)
  }

  override inspected(): Record<string, number> {
    return { admitted: this.admitted }
  }
}

function peerOf(socket: Socket): Peer | undefined {
  const { remoteAddress, remotePort } = socket
  if (remoteAddress === undefined || remotePort === undefined) return undefined
  // An IPv6 socket shows IPv4 peers in mapped form.
  return { address: remoteAddress.replace(/^::ffff:(?=\d+\.)/, ''), port: remotePort }
}
