import { isUtf8 } from 'node:buffer'
import type { X509Certificate } from 'node:crypto'
import type { Socket } from 'node:net'
import { WebSocket } from 'ws'
import { NS } from '../protocols/namespaces.js'
import type { Encoding, Stanza } from '../protocols/stanza/stanza.js'
import { type Framing, tcpFraming, webSocketFraming } from '../protocols/stream/framing.js'
import { beginsComponentStream } from '../protocols/xml/message-framer.js'
import type { Slab } from './output.js'
import { LINGER, SocketTransport } from './socket-transport.js'
import {
  LINGER_MS,
  type OpenTransport,
  type Peer,
  type Transport,
  type TransportContext,
  type TransportOwner,
} from './transport.js'

const SILENCE = 2
const PING = 3

/** RFC 6455 §7.4.1 */
const NORMAL = 1000
const INVALID_DATA = 1007

/** What the handshake found out about the peer. */
export interface WebSocketPeer {
  readonly peer: Peer
  readonly isEncrypted: boolean
  readonly clientCertificate: X509Certificate | undefined
}

export interface WebSocketSettings {
  /** Milliseconds of silence that end the connection; undefined = none do. */
  readonly timeout: number | undefined
  /** Milliseconds between two pings; undefined = there are none. */
  readonly pingRate: number | undefined
  /** Makes the connection of a component, when the first message shows one; undefined = components are not served. W-27 */
  readonly beginComponent: ((open: OpenTransport) => void) | undefined
}

/** A WebSocket that is open and paused, and the socket under it. */
export interface OpenWebSocket {
  readonly webSocket: WebSocket
  readonly socket: Socket
}

/** Every stanza is a document by itself. RFC 7395 §3.3.3 */
const asDocument: Encoding = { xmlns: NS.client }
const asPart: Encoding = {}

/** The transport of a WebSocket and of its socket; the handlers below are shared by all of them. */
const holder = Symbol('transport')
type Held<T> = T & { [holder]?: WebSocketTransport | undefined }

function onMessage(this: Held<WebSocket>, data: Buffer, isBinary: boolean): void {
  this[holder]?.arrived(data, isBinary)
}
function onError(this: Held<WebSocket>, error: Error & { code?: string }): void {
  this[holder]?.failed(error)
}
function onClose(this: Held<WebSocket>, code: number): void {
  this[holder]?.closed(code)
}
function onData(this: Held<Socket>, chunk: Buffer): void {
  this[holder]?.heard(chunk.length)
}
function onDrain(this: Held<Socket>): void {
  this[holder]?.drained()
}

/**
 * A stream over a WebSocket: one first-level element in each message (RFC 7395), or, for a component, one document that the
 * messages cut into pieces. spec/websockets.md
 */
export class WebSocketTransport extends SocketTransport<Held<Socket>> implements Transport {
  framing: Framing = webSocketFraming
  readonly isSecuring = false
  readonly isCompressed = false
  /** Whoever ends TLS for the HTTP server may be another than we: no channel bindings. W-12 */
  readonly tls = undefined
  private readonly webSocket: Held<WebSocket>
  private encoding = asDocument
  private isFirst = true
  /** What a component sent before its connection was there. */
  private early: Buffer[] | undefined = undefined
  private wasLost = false
  /** When bytes of the peer's came last. */
  private heardAt: number

  constructor(
    { webSocket, socket }: OpenWebSocket,
    private readonly from: WebSocketPeer,
    private readonly settings: WebSocketSettings,
    owner: TransportOwner,
    context: TransportContext,
  ) {
    super(socket, owner, context)
    this.webSocket = webSocket
    this.webSocket[holder] = this
    this.socket[holder] = this
    webSocket.on('message', onMessage).on('error', onError).on('close', onClose)
    socket.on('data', onData).on('drain', onDrain)
    this.heardAt = context.now()
    if (settings.timeout !== undefined) this.arm(SILENCE, this.heardAt + settings.timeout)
    if (settings.pingRate !== undefined) this.arm(PING, this.heardAt + settings.pingRate)
    // It may have closed before anybody listened.
    if (webSocket.readyState === WebSocket.CLOSED) setImmediate(() => this.closed(1006))
    webSocket.resume()
  }

  get peer(): Peer {
    return this.from.peer
  }

  get isEncrypted(): boolean {
    return this.from.isEncrypted
  }

  get clientCertificate(): X509Certificate | undefined {
    return this.from.clientCertificate
  }

  compress(): void {
    throw new Error('a WebSocket is not compressed')
  }

  send(xml: string): void {
    if (this.isGone || this.isClosing) return
    const size = Buffer.byteLength(xml)
    const header = headerLength(size)
    const slab = this.output.reserve(header + size)
    slab.bytes.write(xml, slab.used + header, 'utf8')
    this.frame(slab, header, size)
  }

  sendStanza(stanza: Stanza): void {
    if (this.isGone || this.isClosing) return
    const most = stanza.encodedLength(this.encoding)
    const header = headerLength(most)
    const slab = this.output.reserve(header + most)
    const size = stanza.encode(slab.bytes, slab.used + header, this.encoding)
    this.context.sizes?.sent.xml_stanza_size.add(size)
    this.frame(slab, header, size)
  }

  pause(): void {
    if (!this.isClosing) this.webSocket.pause()
  }

  resume(): void {
    if (!this.isGone) this.webSocket.resume()
  }

  close(): void {
    if (this.isGone || this.isClosing) return
    this.flush()
    this.end(NORMAL)
  }

  finished(): Promise<void> {
    const { socket } = this
    if (this.isGone || !socket.writable || socket.writableLength === 0) return Promise.resolve()
    return new Promise(resolve => {
      // Behind the Close frame, which somebody else has written.
      socket.write('', () => resolve())
      socket.once('close', () => resolve())
    })
  }

  destroy(): void {
    if (!this.isGone) this.webSocket.terminate()
  }

  timedOut(kind: number): void {
    if (this.isGone) return
    switch (kind) {
      case LINGER:
        this.webSocket.terminate()
        return
      case SILENCE:
        this.silent()
        return
      case PING:
        this.ping()
        return
      default:
        this.stalled()
    }
  }

  /** Sends a Close frame, and waits for the peer's. */
  private end(code: number): void {
    this.isClosing = true
    this.drop()
    this.webSocket.close(code)
    this.webSocket.resume()
    this.arm(LINGER, this.context.now() + LINGER_MS)
  }

  /** W-22: what the server sends does not count. */
  private silent(): void {
    if (this.isClosing || this.settings.timeout === undefined) return
    const due = this.heardAt + this.settings.timeout
    if (due > this.context.now()) {
      this.arm(SILENCE, due)
      return
    }
    this.end(NORMAL)
    this.lose('timeout')
  }

  /** W-23: a pong that does not come is no reason to end. */
  private ping(): void {
    if (this.isClosing || this.settings.pingRate === undefined) return
    this.arm(PING, this.context.now() + this.settings.pingRate)
    if (this.isBlocked) return
    this.webSocket.ping()
    if (this.socket.writableLength > 0) this.waiting()
  }

  /** A text message of `size` bytes, which stand behind room for a header of `header` bytes. RFC 6455 §5.2 */
  private frame(slab: Slab, header: number, size: number): void {
    const { bytes, used } = slab
    const needed = headerLength(size)
    // The shortest form is the only one allowed.
    if (needed !== header) bytes.copyWithin(used + needed, used + header, used + header + size)
    bytes[used] = 0x81
    if (needed === 2) {
      bytes[used + 1] = size
    } else if (needed === 4) {
      bytes[used + 1] = 126
      bytes.writeUInt16BE(size, used + 2)
    } else {
      bytes[used + 1] = 127
      bytes.writeUInt32BE(0, used + 2)
      bytes.writeUInt32BE(size, used + 6)
    }
    this.output.wrote(slab, needed + size)
    this.mark()
  }

  // ---- from the WebSocket and its socket

  arrived(data: Buffer, isBinary: boolean): void {
    if (this.isClosing || data.length === 0) return
    // `ws` looks at text alone.
    if (isBinary && !isUtf8(data)) {
      this.end(INVALID_DATA)
      this.lose('not UTF-8')
      return
    }
    if (this.early !== undefined) this.early.push(data)
    else if (this.isFirst && this.settings.beginComponent !== undefined && beginsComponentStream(data)) {
      this.turnToComponent(data, this.settings.beginComponent)
    } else this.owner.received(data)
    this.isFirst = false
  }

  /** The client's connection, which was there for want of a better one, gives place to a component's. spec/websockets.md §6 */
  private turnToComponent(first: Buffer, begin: (open: OpenTransport) => void): void {
    this.webSocket.pause()
    this.early = [first]
    this.framing = tcpFraming
    this.encoding = asPart
    this.owner.lost('it is a component')
    begin(owner => {
      this.owner = owner
      setImmediate(() => this.handEarly())
      return this
    })
  }

  private handEarly(): void {
    const messages = this.early ?? []
    this.early = undefined
    if (!this.isGone) this.webSocket.resume()
    for (const message of messages) this.owner.received(message)
    if (this.isGone) this.owner.lost('closed')
  }

  /** Bytes of any frame came, of a ping or a pong as well. */
  heard(bytes: number): void {
    this.bytesIn += bytes
    this.context.traffic.bytesIn += bytes
    if (this.settings.timeout !== undefined) this.heardAt = this.context.now()
  }

  /** The peer broke a rule of RFC 6455, or a limit; `ws` has sent a Close frame that says which. */
  failed(error: Error & { code?: string }): void {
    if (this.isClosing) return
    this.isClosing = true
    this.drop()
    this.arm(LINGER, this.context.now() + LINGER_MS)
    this.lose(error.code ?? error.message)
  }

  closed(code: number): void {
    if (this.isGone) return
    this.gone()
    this.webSocket[holder] = undefined
    this.socket[holder] = undefined
    this.lose(this.cause === '' ? `closed with ${code}` : this.cause)
  }

  private lose(cause: string): void {
    // While there is no owner, the next one will see for itself.
    if (this.wasLost || this.early !== undefined) return
    this.wasLost = true
    this.owner.lost(cause)
  }
}

/** Of a server's frame with so many bytes. RFC 6455 §5.2 */
function headerLength(size: number): 2 | 4 | 10 {
  if (size < 126) return 2
  return size < 65_536 ? 4 : 10
}
