import type { X509Certificate } from 'node:crypto'
import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import { TLSSocket, type TlsOptions } from 'node:tls'
import { judgeCertificate, type Verdict } from '../tls/client-certificate.js'

/** What an HTTPS listener asks of its clients. spec/http-listener.md §2 */
export interface CertificateRules {
  readonly verify_peer: boolean
  /** `peer` when it is left out. */
  readonly verify_mode?: 'peer' | 'selfsigned_peer' | 'none' | undefined
}

/** How Node asks for certificates: where only good ones are taken, OpenSSL itself ends the handshake without one. */
export const askingFor = ({ verify_peer, verify_mode = 'peer' }: CertificateRules): TlsOptions => ({
  requestCert: verify_peer,
  rejectUnauthorized: verify_peer && verify_mode === 'peer',
})

/** Ends connections whose client shows a certificate that the rules refuse, or none where they want one. HT-3, HT-4 */
export function refuseCertificates(server: Server, rules: CertificateRules): void {
  if (!rules.verify_peer || rules.verify_mode === 'none') return
  // Before node:http reads a request from it.
  server.prependListener('secureConnection', (socket: TLSSocket) => {
    if (verdictOn(socket, rules) !== 'trusted') socket.destroy()
  })
}

/** The client's certificate, for SASL EXTERNAL; undefined when it showed none, or was not asked. HT-5 */
export function acceptedCertificate(socket: Socket, rules: CertificateRules): X509Certificate | undefined {
  if (!rules.verify_peer || !(socket instanceof TLSSocket)) return undefined
  return verdictOn(socket, rules) === 'trusted' ? socket.getPeerX509Certificate() : undefined
}

function verdictOn(socket: TLSSocket, { verify_mode }: CertificateRules): Verdict {
  // OpenSSL finds fault with a certificate that is not there, too.
  if (socket.getPeerX509Certificate() === undefined) return 'ignored'
  const problem = socket.authorized ? undefined : String(socket.authorizationError)
  return judgeCertificate({ module: 'just_tls', verify_mode }, problem)
}
