import type { Socket } from 'node:net'
import { Output, returnSlab, type Slab } from './output.js'
import { type Alarm, MAX_UNWRITTEN, type TransportContext, type TransportOwner, WRITE_STALL_MS } from './transport.js'

export const STALL = 0
export const LINGER = 1

/** Writes gathered into slabs, and the wait for a peer that does not read: what all transports over a socket do. */
export abstract class SocketTransport<S extends Socket = Socket> {
  isBlocked = false
  bytesIn = 0
  bytesOut = 0
  protected readonly output = new Output()
  protected isClosing = false
  protected isGone = false
  /** Why the peer is lost; '' while nobody knows better than that it is. */
  protected cause = ''
  private isFlushing = false
  /** Writes handed to the socket and not done. */
  private pending = 0
  /** When a write was done, or the oldest pending one was begun. */
  private writtenAt = 0
  private alarm: Alarm | undefined = undefined

  constructor(
    protected socket: S,
    protected owner: TransportOwner,
    protected readonly context: TransportContext,
  ) {}

  /** Ends the connection at once. */
  abstract destroy(): void

  handTo(owner: TransportOwner): void {
    this.owner = owner
  }

  /** Hands what was gathered to the socket. */
  flush(): void {
    this.flushed()
    if (this.isGone || this.output.length === 0) return
    const { socket } = this
    const single = this.output.takeSingle()
    if (single !== undefined) {
      this.writeSlab(single)
    } else {
      socket.cork()
      for (const slab of this.output.take()) this.writeSlab(slab)
      socket.uncork()
    }
    if (socket.writableLength > 0) this.waiting()
  }

  /** The next that is gathered asks for a flush again. */
  protected flushed(): void {
    this.isFlushing = false
  }

  /** The socket has taken what waited. */
  drained(): void {
    if (!this.isBlocked) return
    this.isBlocked = false
    this.owner.drained()
  }

  /** Bytes that wait between the output and the socket. */
  protected get between(): number {
    return 0
  }

  /** What was gathered leaves at the end of the running drain. */
  protected mark(): void {
    if (this.output.length + this.socket.writableLength + this.between > MAX_UNWRITTEN) {
      this.owner.outputOverflowed()
      return
    }
    if (this.isFlushing) return
    this.isFlushing = true
    this.context.flushLater(this)
  }

  private writeSlab(slab: Slab): void {
    this.write(slab.bytes.subarray(0, slab.used), slab)
  }

  /** The slab, if the bytes are of one, is free when they are with the kernel. */
  protected write(bytes: Buffer, slab: Slab | undefined): void {
    this.bytesOut += bytes.length
    this.context.traffic.bytesOut += bytes.length
    if (this.pending++ === 0) this.writtenAt = this.context.now()
    this.socket.write(bytes, () => {
      if (slab !== undefined) returnSlab(slab)
      this.pending--
      this.writtenAt = this.context.now()
    })
  }

  /** Something waits to be written: the peer has a time to take it. */
  protected waiting(): void {
    if (!this.isBlocked && this.socket.writableNeedDrain) {
      this.isBlocked = true
      this.owner.blocked()
    }
    // Somebody else may have written.
    if (this.pending === 0) this.writtenAt = this.context.now()
    this.arm(STALL, this.writtenAt + WRITE_STALL_MS)
  }

  /** Ends the connection where nothing was taken for too long. */
  protected stalled(): void {
    if (this.socket.writableLength === 0) return
    const due = this.writtenAt + WRITE_STALL_MS
    if (due > this.context.now()) {
      this.arm(STALL, due)
      return
    }
    this.cause = 'write stalled'
    this.destroy()
  }

  protected arm(kind: number, at: number): void {
    this.alarm ??= this.context.newAlarm(this)
    this.alarm.arm(kind, at)
  }

  abstract timedOut(kind: number): void

  /** What was gathered and not written goes nowhere. */
  protected drop(): void {
    for (const slab of this.output.take()) returnSlab(slab)
  }

  /** Nothing comes or goes any more. */
  protected gone(): void {
    this.isGone = true
    this.alarm?.drop()
    this.alarm = undefined
    this.drop()
  }
}
