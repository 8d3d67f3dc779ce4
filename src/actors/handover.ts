/*
 * A transport on its way from the connection that it came with to the one whose session it resumes. XEP-0198 §5
 */

import type { StreamError } from '../protocols/errors.js'
import type { Framing } from '../protocols/stream/framing.js'
import type { ItemReader } from '../protocols/xml/framer.js'
import type { Peer, Transport, TransportOwner } from '../transports/transport.js'

/** Takes no notice: owns a transport that is only to close. */
const nobody: TransportOwner = {
  received() {},
  blocked() {},
  drained() {},
  outputOverflowed() {},
  inputOverflowed() {},
  lost() {},
}

/** Nobody hears any more what the transport tells. */
export function disown(transport: Transport): void {
  transport.handTo(nobody)
}

/** Owns a transport between two connections, and keeps what it tells meanwhile. */
export class Handover implements TransportOwner {
  /** Came after what the framer has and before `later`, the oldest first. */
  readonly earlier: Buffer[]
  private readonly later: Buffer[] = []
  /** Set when the peer is gone already. */
  lostBecause: string | undefined = undefined
  /** What the transport complained of. */
  overflow: 'input' | 'output' | undefined = undefined

  constructor(
    readonly transport: Transport,
    /** In the peer's new stream. */
    readonly framer: ItemReader,
    unread: readonly Buffer[],
    readonly lang: string | undefined,
    /** What the peer says that it has handled. */
    readonly h: number,
  ) {
    this.earlier = [...unread]
    transport.handTo(this)
  }

  /** What was read and not handled, without what the framer has. */
  get chunks(): Buffer[] {
    return [...this.earlier, ...this.later]
  }

  received(chunk: Buffer): void {
    this.later.push(chunk)
    this.transport.pause()
  }

  // The next owner looks for itself.
  blocked(): void {}
  drained(): void {}

  outputOverflowed(): void {
    this.overflow ??= 'output'
  }

  inputOverflowed(): void {
    this.overflow ??= 'input'
  }

  lost(reason: string): void {
    this.lostBecause ??= reason
  }

  /** The session cannot take it any more. */
  refuse(error: StreamError, language: string): void {
    const { transport } = this
    disown(transport)
    transport.send(transport.framing.error(error, this.lang ?? language))
    transport.send(transport.framing.close)
    transport.close()
  }
}

/** The transport of a connection that has none: what is sent is lost. */
export class Nowhere implements Transport {
  readonly peer: Peer
  readonly framing: Framing
  readonly isEncrypted: boolean
  readonly bytesIn: number
  readonly bytesOut: number
  readonly isSecuring = false
  readonly isCompressed = false
  readonly isBlocked = false
  readonly tls = undefined
  readonly clientCertificate = undefined

  /** Says of itself what the transport before it said. */
  constructor({ peer, framing, isEncrypted, bytesIn, bytesOut }: Transport) {
    this.peer = peer
    this.framing = framing
    this.isEncrypted = isEncrypted
    this.bytesIn = bytesIn
    this.bytesOut = bytesOut
  }

  handTo(): void {}
  send(): void {}
  sendStanza(): void {}
  flush(): void {}
  compress(): void {}
  pause(): void {}
  resume(): void {}
  close(): void {}
  destroy(): void {}

  finished(): Promise<void> {
    return Promise.resolve()
  }
}
