import type { X509Certificate } from 'node:crypto'
import type { Socket } from 'node:net'
import type { SecureContext, TlsOptions } from 'node:tls'
import { connect as connectTls, TLSSocket } from 'node:tls'
import type { Sizes } from '../observability/metrics/figures.js'
import type { Stanza } from '../protocols/stanza/stanza.js'
import { type Framing, tcpFraming } from '../protocols/stream/framing.js'
import { sends } from '../tls/channel-binding.js'
import { ClientVerifier } from '../tls/client-certificate.js'
import { Compression, type CompressionOwner } from './compression.js'
import { returnSlab, type Slab } from './output.js'
import { LINGER, SocketTransport } from './socket-transport.js'
import { LINGER_MS, type Peer, type Transport, type TransportContext, type TransportOwner } from './transport.js'

/** The transport that holds a socket; the handlers below are shared by all sockets, so that none has closures of its own. */
const holder = Symbol('transport')
type HeldSocket = Socket & { [holder]?: TcpTransport | undefined }

function onData(this: HeldSocket, chunk: Buffer): void {
  this[holder]?.arrived(chunk)
}
function onDrain(this: HeldSocket): void {
  this[holder]?.drained()
}
function onEnd(this: HeldSocket): void {
  this[holder]?.peerEnded()
}
function onError(this: HeldSocket, error: NodeJS.ErrnoException): void {
  this[holder]?.failed(error)
}
function onClose(this: HeldSocket): void {
  this[holder]?.closed()
}

const handlers = { data: onData, drain: onDrain, end: onEnd, error: onError, close: onClose } as const

function hold(socket: HeldSocket, transport: TcpTransport): void {
  socket[holder] = transport
  for (const [event, handler] of Object.entries(handlers)) socket.on(event, handler)
}

function release(socket: HeldSocket): void {
  socket[holder] = undefined
  for (const [event, handler] of Object.entries(handlers)) socket.removeListener(event, handler)
}

/** A stream over TCP, in clear or over TLS, compressed or not. */
export class TcpTransport extends SocketTransport implements Transport, CompressionOwner {
  readonly framing: Framing = tcpFraming
  isEncrypted = false
  /** A TLS handshake is under way: nothing may be written, in clear or behind it. */
  isSecuring = false
  /** The client's, where SASL EXTERNAL may use it. spec/listeners.md §1.6.4 */
  clientCertificate: X509Certificate | undefined = undefined
  private compression: Compression | undefined = undefined
  /** What was read last is not inflated yet: the socket waits, whatever the owner says. */
  private isInflating = false
  /** The owner wants nothing to be read. */
  private isPaused = false

  constructor(
    socket: Socket,
    readonly peer: Peer,
    owner: TransportOwner,
    context: TransportContext,
  ) {
    super(socket, owner, context)
    hold(socket, this)
    socket.resume()
  }

  get isCompressed(): boolean {
    return this.compression !== undefined
  }

  /** The TLS socket, for channel bindings; undefined in clear. */
  get tls(): TLSSocket | undefined {
    return this.socket instanceof TLSSocket ? this.socket : undefined
  }

  /** Runs the server's side of a TLS handshake on the socket, which must hold nothing unread that counts. */
  secure(
    context: SecureContext | ClientVerifier,
    options: {
      onSecured(): void
      alpn?: (offered: string[]) => string
      certificate?: X509Certificate
      /** Instead of the context, by the name that the client asks for. RFC 6066 §3 */
      serverName?: NonNullable<TlsOptions['SNICallback']>
    },
  ): void {
    const raw = this.socket
    this.isSecuring = true
    release(raw)
    // What was read in clear and not handled is not part of the stream any more. RFC 6120 §5.4.3.3
    while (raw.read() !== null);
    raw.on('error', () => raw.destroy())
    if (context instanceof ClientVerifier) {
      this.secureVerified(context, raw, options)
      return
    }
    const { alpn, certificate, serverName } = options
    const secured = new TLSSocket(raw, {
      isServer: true,
      secureContext: context,
      ...(alpn && { ALPNCallback: ({ protocols }: { protocols: string[] }) => alpn(protocols) }),
      ...(serverName && { SNICallback: serverName }),
    })
    if (certificate !== undefined) sends(secured, certificate)
    this.socket = secured
    hold(secured, this)
    secured.once('secure', () => {
      this.isSecuring = false
      this.isEncrypted = true
      options.onSecured()
    })
  }

  /** The same where the client is asked for a certificate: there is no TLS socket before the handshake is done. */
  private secureVerified(
    verifier: ClientVerifier,
    raw: Socket,
    options: { onSecured(): void; certificate?: X509Certificate },
  ): void {
    const gone = () => this.closed()
    raw.once('close', gone)
    verifier.begin(raw, {
      verified: (secured, certificate) => {
        raw.removeListener('close', gone)
        if (options.certificate !== undefined) sends(secured, options.certificate)
        this.socket = secured
        hold(secured, this)
        this.clientCertificate = certificate
        this.isSecuring = false
        this.isEncrypted = true
        options.onSecured()
      },
      refused: problem => {
        this.cause = `certificate refused: ${problem}`
      },
    })
  }

  /** Runs the client's side of a handshake; what the server's certificate is worth is for the owner to see. */
  secureOut(
    secureContext: SecureContext,
    options: { servername: string | undefined; alpn: string; onSecured(socket: TLSSocket): void },
  ): void {
    const raw = this.socket
    const { servername, alpn } = options
    this.isSecuring = true
    release(raw)
    while (raw.read() !== null);
    raw.on('error', () => raw.destroy())
    const secured = connectTls({
      socket: raw,
      secureContext,
      rejectUnauthorized: false,
      ALPNProtocols: [alpn],
      ...(servername !== undefined && { servername }),
    })
    this.socket = secured
    hold(secured, this)
    secured.once('secureConnect', () => {
      this.isSecuring = false
      this.isEncrypted = true
      options.onSecured(secured)
    })
  }

  compress(limit: number): void {
    this.flush()
    this.compression = new Compression(this, limit)
  }

  send(xml: string): void {
    if (this.isGone || this.isClosing) return
    this.output.write(xml)
    this.mark()
  }

  sendStanza(stanza: Stanza): void {
    if (this.isGone || this.isClosing) return
    const slab = this.output.reserve(stanza.encodedLength())
    const size = stanza.encode(slab.bytes, slab.used)
    this.context.sizes?.sent.xml_stanza_size.add(size)
    this.output.wrote(slab, size)
    this.mark()
  }

  override flush(): void {
    if (this.compression === undefined) super.flush()
    else this.deflateOutput(this.compression)
  }

  private deflateOutput(compression: Compression): void {
    this.flushed()
    if (this.isGone) return
    for (const slab of this.output.take()) {
      compression.deflate(slab.bytes.subarray(0, slab.used), () => returnSlab(slab))
    }
  }

  pause(): void {
    this.isPaused = true
    this.socket.pause()
  }

  resume(): void {
    this.isPaused = false
    if (!this.isGone && !this.isInflating) this.socket.resume()
  }

  close(): void {
    if (this.isGone || this.isClosing) return
    this.flush()
    this.isClosing = true
    if (this.compression === undefined) this.socket.end()
    else this.compression.end(() => this.socket.end())
    // A peer that goes on talking is not listened to, only waited for.
    this.socket.resume()
    this.arm(LINGER, this.context.now() + LINGER_MS)
  }

  finished(): Promise<void> {
    const { socket } = this
    if (this.isGone || socket.writableFinished) return Promise.resolve()
    return new Promise(resolve => {
      socket.once('finish', resolve)
      socket.once('close', () => resolve())
    })
  }

  destroy(): void {
    if (!this.isGone) this.socket.destroy()
  }

  timedOut(kind: number): void {
    if (this.isGone) return
    if (kind === LINGER) {
      this.socket.destroy()
      return
    }
    this.stalled()
  }

  protected override get between(): number {
    return this.compression === undefined ? 0 : this.compression.waiting
  }

  protected override write(bytes: Buffer, slab: Slab | undefined): void {
    if (this.context.sizes !== undefined) this.measure(this.context.sizes.sent, bytes.length)
    super.write(bytes, slab)
  }

  private measure({ encrypted_size, compressed_size }: Sizes['sent'], bytes: number): void {
    if (this.isEncrypted) encrypted_size.add(bytes)
    if (this.compression !== undefined) compressed_size.add(bytes)
  }

  // ---- from the socket

  arrived(chunk: Buffer): void {
    this.bytesIn += chunk.length
    this.context.traffic.bytesIn += chunk.length
    if (this.context.sizes !== undefined) this.measure(this.context.sizes.received, chunk.length)
    if (this.isClosing) return
    if (this.compression === undefined) {
      this.owner.received(chunk)
      return
    }
    this.isInflating = true
    this.socket.pause()
    this.compression.inflate(chunk)
  }

  peerEnded(): void {
    if (this.cause === '') this.cause = 'closed by peer'
    if (this.isClosing) return
    // Half-open streams are of no use in XMPP; Node refuses what is written from here on.
    this.isClosing = true
    this.drop()
    this.socket.end()
  }

  failed(error: NodeJS.ErrnoException): void {
    if (this.cause === '') this.cause = error.code ?? error.message
  }

  closed(): void {
    if (this.isGone) return
    this.gone()
    this.compression?.destroy()
    release(this.socket)
    // A socket that is gone may still tell of an error.
    this.socket.on('error', () => {})
    this.owner.lost(this.cause === '' ? 'closed' : this.cause)
  }

  // ---- from the compression

  inflated(bytes: Buffer): void {
    if (!this.isClosing) this.owner.received(bytes)
  }

  inflatedAll(): void {
    this.isInflating = false
    if (!this.isPaused && !this.isGone) this.socket.resume()
  }

  inflatedTooMuch(): void {
    this.owner.inputOverflowed()
  }

  inflateFailed(error: Error): void {
    this.cause = `not a zlib stream: ${error.message}`
    this.destroy()
  }

  deflated(bytes: Buffer): void {
    if (this.isGone) return
    this.write(bytes, undefined)
    if (this.socket.writableLength > 0) this.waiting()
  }
}
