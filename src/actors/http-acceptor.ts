import { Socket } from 'node:net'
import type { Admission } from './acceptor.js'
import { Actor, type ActorInit, type AnyActor, type StopReason, spawnActor } from './runtime/index.js'
import { connection as connectionPolicy } from './supervision.js'

/** A stream that begins on what was an HTTP connection, or over requests on any: of XMPP, or of events. */
export interface NewStream {
  readonly type: 'stream'
  /** Stanzas that may wait for it; undefined = no limit. `max_fsm_queue` */
  readonly mailboxLimit: number | undefined
  make(init: ActorInit): AnyActor
  /** Nobody takes it. */
  refuse(): void
}

/** Which acceptor of an HTTP listener keeps a connection: the stream that begins on it becomes that one's child. */
export class HttpKeepers {
  private readonly keepers = new WeakMap<Socket, HttpAcceptor>()
  private readonly living = new Set<HttpAcceptor>()

  joined(acceptor: HttpAcceptor): void {
    this.living.add(acceptor)
  }

  left(acceptor: HttpAcceptor): void {
    this.living.delete(acceptor)
  }

  keeps(acceptor: HttpAcceptor, socket: Socket): void {
    this.keepers.set(socket, acceptor)
  }

  /** The connection is a WebSocket from here on, which ends with its stream and not with the acceptor. */
  release(socket: Socket): void {
    this.keepers.get(socket)?.release(socket)
  }

  /** Where the connection's acceptor is not known, or is gone, another one takes the stream. */
  begin(socket: Socket, stream: NewStream): void {
    const keeper = this.keepers.get(socket) ?? this.next()
    if (keeper?.tell(stream) !== true) stream.refuse()
  }

  /** By turns. */
  private next(): HttpAcceptor | undefined {
    const [next] = this.living
    if (next !== undefined) {
      this.living.delete(next)
      this.living.add(next)
    }
    return next
  }
}

/**
 * An HTTP listener's acceptor: keeps the books of its share of the connections, which node:http serves, and supervises the
 * streams over WebSockets that some of them become. HL-8
 */
export class HttpAcceptor extends Actor<Socket | NewStream> {
  private admitted = 0
  private streams = 0
  private readonly sockets = new Set<Socket>()

  constructor(
    init: ActorInit,
    private readonly admission: Admission,
    private readonly place: number,
    private readonly keepers: HttpKeepers,
  ) {
    super(init)
  }

  protected override started(): void {
    this.admission.take(this.place, this)
    this.keepers.joined(this)
  }

  protected override receive(message: Socket | NewStream): void {
    if (message instanceof Socket) this.keep(message)
    else this.begin(message)
  }

  private keep(socket: Socket): void {
    this.admitted++
    if (socket.destroyed) return
    this.keepers.keeps(this, socket)
    this.sockets.add(socket)
    socket.once('close', () => this.sockets.delete(socket))
  }

  release(socket: Socket): void {
    this.sockets.delete(socket)
  }

  private begin({ make, mailboxLimit }: NewStream): void {
    this.streams++
    spawnActor(this, make, {
      name: `connection-${this.streams}`,
      policy: connectionPolicy,
      hibernateAfter: 0,
      ...(mailboxLimit !== undefined && { mailboxLimit }),
    })
  }

  /** A fault ends its connections; at a stop the server gives them time. */
  protected override stopped(reason: StopReason): void {
    this.admission.leave(this.place, this)
    this.keepers.left(this)
    for (const message of this.unhandled().control) if (!(message instanceof Socket)) message.refuse()
    if (reason === 'fault') for (const socket of this.sockets) socket.destroy()
  }

  override inspected(): Record<string, number> {
    return { admitted: this.admitted, connections: this.sockets.size, streams: this.streams }
  }
}
