import type { Socket } from 'node:net'
import type { Admission } from './acceptor.js'
import { Actor, type ActorInit, type StopReason } from './runtime/index.js'

/** An HTTP listener's acceptor: keeps the books of its share of the connections, which node:http serves. HL-8 */
export class HttpAcceptor extends Actor<Socket> {
  private admitted = 0
  private readonly sockets = new Set<Socket>()

  constructor(
    init: ActorInit,
    private readonly admission: Admission,
    private readonly place: number,
  ) {
    super(init)
  }

  protected override started(): void {
    this.admission.take(this.place, this)
  }

  protected override receive(socket: Socket): void {
    this.admitted++
    if (socket.destroyed) return
    this.sockets.add(socket)
    socket.once('close', () => this.sockets.delete(socket))
  }

  /** A fault ends its connections; at a stop the server gives them time. */
  protected override stopped(reason: StopReason): void {
    this.admission.leave(this.place, this)
    if (reason === 'fault') for (const socket of this.sockets) socket.destroy()
  }

  override inspected(): Record<string, number> {
    return { admitted: this.admitted, connections: this.sockets.size }
  }
}
