import type { X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import { checkServerIdentity, type PeerCertificate as NodeCertificate, type TLSSocket } from 'node:tls'
import { domainToASCII } from 'node:url'
import { certificateIdentity, serviceNames } from '../auth/certificate-identity.js'
import type { S2sListenerConfig } from '../config/listen-xmpp.js'
import { fastTlsSettings } from '../config/tls-settings.js'
import { prepareDomain } from '../protocols/jid.js'
import type { PeerCertificate } from '../protocols/stream/s2s-in.js'
import { ClientVerifier } from '../tls/client-certificate.js'
import { TcpTransport } from '../transports/tcp.js'
import type { Transport } from '../transports/transport.js'
import type { Base } from './base.js'
import { type ListenerTls, makeMissing, reloadableTls } from './tls.js'

/*
 * TLS between servers: one certificate for all of our domains, or one of its own for some; the other server's is always asked
 * for, never demanded, and judged here. spec/listeners.md §1.12, §2.5; RFC 6120 §13.7.2, RFC 7590
 */

/** Over TLS without STARTTLS, the protocol is named. XEP-0368 §4 */
const ALPN = 'xmpp-server'

type Secure = (transport: Transport, local: string, onSecured: (certificate: PeerCertificate) => void) => void
type SecureOut = (
  transport: Transport,
  pair: { originating: string; receiving: string },
  onSecured: (certificate: PeerCertificate) => void,
) => void

/**
 * Our side of TLS on the streams that others open; undefined where there is no TLS.
 * @throws StartupError
 */
export async function incomingTls(
  base: Base,
  name: string,
  tls: S2sListenerConfig['tls'],
): Promise<Secure | undefined> {
  const settings = fastTlsSettings(tls?.ciphers, tls?.protocol_options)
  const choose = (offered: string[]) => (offered.includes(ALPN) ? ALPN : offered[0]!) // ALPN offers at least one
  // Everything is let in: what a certificate is worth is found out by its stream.
  const options = { module: 'just_tls', verify_mode: 'none' } as const
  const files = { cacertfile: tls?.cacertfile, dhfile: tls?.dhfile }
  const certificates = await certificatesOf(base, name, files, settings, made => ({
    tls: made,
    secure: new ClientVerifier(made.settings, options, choose),
  }))
  if (certificates === undefined) return undefined
  return (transport, local, onSecured) => {
    const { secure } = certificates(local).present
    overTcp(transport).secure(secure, {
      onSecured: () => onSecured(worth(transport.tls, transport.clientCertificate)),
    })
  }
}

/**
 * Our side of TLS on the streams that we open; undefined where there is no TLS.
 * @throws StartupError
 */
export async function outgoingTls(base: Base): Promise<SecureOut | undefined> {
  const { s2s, listen } = base.config
  // Whom the listeners trust.
  const cacertfile = listen.s2s.find(({ tls }) => tls?.cacertfile !== undefined)?.tls?.cacertfile
  const settings = fastTlsSettings(s2s.ciphers)
  const certificates = await certificatesOf(base, 's2s-out', { cacertfile }, settings, made => ({
    tls: made,
    secure: made.context,
  }))
  if (certificates === undefined) return undefined
  return (transport, { originating, receiving }, onSecured) => {
    const name = domainToASCII(receiving)
    overTcp(transport).secureOut(certificates(originating).present.tls.context, {
      servername: name === '' || isIP(name) !== 0 ? undefined : name,
      alpn: ALPN,
      onSecured: socket => onSecured(worth(socket, socket.getPeerX509Certificate())),
    })
  }
}

async function certificatesOf(
  base: Base,
  name: string,
  files: { cacertfile?: string | undefined; dhfile?: string | undefined },
  settings: ReturnType<typeof fastTlsSettings>,
  made: Parameters<typeof reloadableTls>[4],
): Promise<((local: string) => ListenerTls) | undefined> {
  const { use_starttls, certfile, domain_certfile = [] } = base.config.s2s
  if (use_starttls === 'false' || certfile === undefined) return undefined
  const read = async (file: string) => {
    await makeMissing(base, file)
    return reloadableTls(base, name, { ...files, certfile: file }, settings, made)
  }
  const common = await read(certfile)
  const own = new Map<string, ListenerTls>()
  for (const entry of domain_certfile) own.set(entry.domain, await read(entry.certfile))
  return local => own.get(local) ?? common
}

function overTcp(transport: Transport): TcpTransport {
  if (!(transport instanceof TcpTransport)) throw new Error('TLS is the business of the transport')
  return transport
}

function worth(socket: TLSSocket | undefined, certificate: X509Certificate | undefined): PeerCertificate {
  if (socket === undefined || certificate === undefined) return { problem: 'no certificate', names: () => false }
  return {
    problem: socket.authorized ? undefined : String(socket.authorizationError),
    names: domain => isFor(certificate, domain),
  }
}

/** By DNS name with its wildcards, by xmppAddr, or by SRVName. RFC 6120 §13.7.1.2, RFC 6125 */
export function isFor(certificate: X509Certificate, domain: string): boolean {
  const ascii = domainToASCII(domain)
  if (ascii === '') return false
  const legacy = certificate.toLegacyObject() as NodeCertificate // Node's declaration says less than it gives
  if (checkServerIdentity(ascii, legacy) === undefined) return true
  const services = serviceNames(certificate).map(name => name.toLowerCase())
  if (services.includes(`_xmpp-server.${ascii}`)) return true
  return certificateIdentity(certificate).addresses.some(address => prepareDomain(address) === domain)
}
