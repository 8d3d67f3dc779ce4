import type { X509Certificate } from 'node:crypto'
import type { Socket } from 'node:net'
import { createServer, type SecureContextOptions, type Server, type TLSSocket, type TlsOptions } from 'node:tls'

/*
 * Certificates of clients: asked for in the handshake, and judged when it is done. spec/listeners.md §1.6.4
 */

/** The options of a `tls` table that say what a certificate has to be, and what a bad one causes. */
export interface ClientCertificateOptions {
  module: 'fast_tls' | 'just_tls'
  /** `peer` when it is left out. */
  verify_mode?: 'peer' | 'selfsigned_peer' | 'none' | undefined
  /** True when it is left out. */
  disconnect_on_failure?: boolean | undefined
}

/** `trusted`: SASL EXTERNAL may use it; `ignored`: as if the client had shown none; `refused`: the connection ends. */
export type Verdict = 'trusted' | 'ignored' | 'refused'

/** What becomes of a certificate; `problem` is OpenSSL's code of what is wrong with it, undefined when nothing is. */
export function judgeCertificate(options: ClientCertificateOptions, problem: string | undefined): Verdict {
  if (problem === undefined) return 'trusted'
  if (options.module === 'fast_tls') return 'ignored'
  if (options.verify_mode === 'none') return 'trusted'
  if (options.verify_mode === 'selfsigned_peer' && problem === 'DEPTH_ZERO_SELF_SIGNED_CERT') return 'trusted'
  return options.disconnect_on_failure === false ? 'ignored' : 'refused'
}

/** Hears how the handshake of one connection ended, unless its socket was closed before. */
export interface HandshakeOwner {
  /** `certificate` is one that is trusted. Called before anything was read from the socket. */
  verified(socket: TLSSocket, certificate: X509Certificate | undefined): void
  /** The client's certificate was refused, and its socket is being closed. */
  refused(problem: string): void
}

/**
 * Handshakes that ask for a certificate. Only a `tls.Server` tells what OpenSSL thinks of one, so there is one that is
 * never bound; it hands a socket out when its handshake is done. Sockets are told apart by their addresses.
 */
export class ClientVerifier {
  private readonly server: Server
  private readonly waiting = new Map<string, HandshakeOwner>()

  /** `alpn` chooses one of the protocols that a client offers. */
  constructor(
    settings: SecureContextOptions & Pick<TlsOptions, 'SNICallback'>,
    private readonly options: ClientCertificateOptions,
    alpn: (offered: string[]) => string,
  ) {
    this.server = createServer({
      ...settings,
      requestCert: true,
      // Node would also end connections without a certificate, and without an alert.
      rejectUnauthorized: false,
      ALPNCallback: ({ protocols }) => alpn(protocols),
    })
    this.server.on('secureConnection', socket => this.decide(socket))
  }

  /** Handshakes that are under way. */
  get pending(): number {
    return this.waiting.size
  }

  /** Runs the server's side of a handshake on the socket. A client that breaks it off, or errs, gets its socket closed. */
  begin(raw: Socket, owner: HandshakeOwner): void {
    if (raw.destroyed) return
    const key = connectionOf(raw)
    this.waiting.set(key, owner)
    raw.once('close', () => {
      // The next connection may have the same addresses already.
      if (this.waiting.get(key) === owner) this.waiting.delete(key)
    })
    this.server.emit('connection', raw)
  }

  private decide(socket: TLSSocket): void {
    const key = connectionOf(socket)
    const owner = this.waiting.get(key)
    this.waiting.delete(key)
    // OpenSSL finds fault with a certificate that is not there, too.
    const certificate = socket.getPeerX509Certificate()
    const problem = socket.authorized ? undefined : String(socket.authorizationError)
    const verdict = certificate === undefined ? 'ignored' : judgeCertificate(this.options, problem)
    if (owner !== undefined && verdict !== 'refused') {
      owner.verified(socket, verdict === 'trusted' ? certificate : undefined)
      return
    }
    // Nobody has it, so nobody else hears its errors.
    socket.on('error', () => {})
    socket.destroy()
    owner?.refused(problem ?? '')
  }
}

const connectionOf = ({ remoteAddress, remotePort, localAddress, localPort }: Socket) =>
  `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`
