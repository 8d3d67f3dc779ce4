import { createHash, type X509Certificate } from 'node:crypto'
import type { TLSSocket } from 'node:tls'
import { children, type DerElement, readElement } from './der.js'

/*
 * Channel-binding data of a TLS connection, as its server sees it. spec/listeners.md §3.1.5
 */

/** The types that a connection can have, best first. */
export type ChannelBindings = Map<'tls-exporter' | 'tls-server-end-point', Buffer>

const sent = Symbol('certificate')
type KnowingSocket = TLSSocket & { [sent]?: X509Certificate }

/** Says which certificate the server sends by this socket. Node can tell, too, but copies it each time it is asked. */
export function sends(socket: KnowingSocket, certificate: X509Certificate): void {
  socket[sent] = certificate
}

/**
 * What both ends of this connection can prove to each other, by type. `certificate` is for a socket of which nobody said
 * which one it sends.
 */
export function channelBindings(socket: KnowingSocket, certificate: X509Certificate): ChannelBindings {
  const bindings: ChannelBindings = new Map()
  if (socket.getProtocol() === 'TLSv1.3') bindings.set('tls-exporter', tlsExporter(socket))
  const endPoint = tlsServerEndPoint(socket[sent] ?? certificate)
  if (endPoint !== undefined) bindings.set('tls-server-end-point', endPoint)
  return bindings
}

// RFC 9266 §2. Under TLS 1.2 it would need the extended master secret, which Node does not tell of.
function tlsExporter(socket: TLSSocket): Buffer {
  return socket.exportKeyingMaterial(32, 'EXPORTER-Channel-Binding', Buffer.alloc(0))
}

/** The hash of the certificate, or undefined where its signature algorithm has no single hash. RFC 5929 §4.1 */
export function tlsServerEndPoint(certificate: X509Certificate): Buffer | undefined {
  const hash = signatureHash(certificate.raw)
  return hash === undefined ? undefined : createHash(hash).update(certificate.raw).digest()
}

// Signature algorithms by the content octets of their OID. RFC 5929 replaces MD5 and SHA-1 by SHA-256.
const rsa = '2a864886f70d0101'
const ecdsa = '2a8648ce3d04'
const nist = '608648016503040'
const rsassaPss = `${rsa}0a`
const hashes: Record<string, string> = {
  [`${rsa}04`]: 'sha256', // md5WithRSAEncryption
  [`${rsa}05`]: 'sha256', // sha1WithRSAEncryption
  [`${rsa}0b`]: 'sha256',
  [`${rsa}0c`]: 'sha384',
  [`${rsa}0d`]: 'sha512',
  [`${rsa}0e`]: 'sha224',
  [`${ecdsa}01`]: 'sha256', // ecdsa-with-SHA1
  [`${ecdsa}0301`]: 'sha224',
  [`${ecdsa}0302`]: 'sha256',
  [`${ecdsa}0303`]: 'sha384',
  [`${ecdsa}0304`]: 'sha512',
  '2a8648ce380403': 'sha256', // dsa-with-SHA1
  [`${nist}301`]: 'sha224', // dsa
  [`${nist}302`]: 'sha256',
  // hash algorithms, as the parameters of RSASSA-PSS name them
  '2b0e03021a': 'sha256', // SHA-1
  [`${nist}201`]: 'sha256',
  [`${nist}202`]: 'sha384',
  [`${nist}203`]: 'sha512',
  [`${nist}204`]: 'sha224',
}

// Certificate ::= SEQUENCE { tbsCertificate SEQUENCE, signatureAlgorithm SEQUENCE { algorithm OID, parameters ANY }, .. }
function signatureHash(der: Buffer): string | undefined {
  const tbs = readElement(readElement(der).content)
  const [algorithm, parameters] = children(readElement(tbs.rest).content)
  const oid = algorithm?.content.toString('hex') ?? ''
  return oid === rsassaPss ? pssHash(parameters) : hashes[oid]
}

// RSASSA-PSS-params ::= SEQUENCE { hashAlgorithm [0] SEQUENCE { algorithm OID } DEFAULT sha1, .. }
function pssHash(parameters: DerElement | undefined): string | undefined {
  const hashAlgorithm = parameters && children(parameters.content).find(({ tag }) => tag === 0xa0)
  if (hashAlgorithm === undefined) return 'sha256'
  const [oid] = children(readElement(hashAlgorithm.content).content)
  return hashes[oid?.content.toString('hex') ?? '']
}
