import type { X509Certificate } from 'node:crypto'
import type { TLSSocket } from 'node:tls'
import type { Transport } from '../transports/transport.js'

type Facts = Record<string, string | number | boolean>

/** What may be shown of a transport: how it is doing, and how it is protected. No keys, and nothing that came over it. */
export function transportFacts(of: Transport): { transport: Facts; tls?: Facts } {
  const { peer, isEncrypted, isSecuring, isCompressed, isBlocked, bytesIn, bytesOut, tls, clientCertificate } = of
  return {
    transport: {
      address: peer.address,
      port: peer.port,
      ...{ isEncrypted, isSecuring, isCompressed, isBlocked, bytesIn, bytesOut },
    },
    ...(isEncrypted && { tls: { ...(tls && socketFacts(tls)), ...(clientCertificate && subject(clientCertificate)) } }),
  }
}

function socketFacts(tls: TLSSocket): Facts {
  const protocol = tls.getProtocol()
  // Of a socket that is closed there is none.
  const cipher = tls.getCipher() as ReturnType<TLSSocket['getCipher']> | undefined
  // Node types it for clients; a server has what the client named.
  const { servername } = tls as TLSSocket & { servername?: string | false }
  return {
    ...(protocol !== null && { protocol }),
    ...(cipher !== undefined && { cipher: cipher.standardName }),
    ...(typeof servername === 'string' && { serverName: servername }),
    isResumed: tls.isSessionReused(),
  }
}

const subject = ({ subject: name, issuer, validTo }: X509Certificate): Facts => ({
  clientSubject: name,
  clientIssuer: issuer,
  clientValidUntil: validTo,
})
