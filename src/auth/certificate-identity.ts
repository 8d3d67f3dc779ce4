import type { X509Certificate } from 'node:crypto'
import type forge from 'node-forge'
import asn1 from 'node-forge/lib/asn1.js'
import type { CertificateIdentity } from '../protocols/sasl/identity.js'

/*
 * Who a client's certificate says it is: what node:crypto does not tell of a certificate. OpenSSL has parsed it before.
 */

type Asn1 = forge.asn1.Asn1

const COMMON_NAME = '2.5.4.3'
const SUBJECT_ALT_NAME = '2.5.29.17'
/** id-on-xmppAddr. RFC 6120 §13.7.1.4 */
const XMPP_ADDRESS = '1.3.6.1.5.5.7.8.5'
/** id-on-dnsSRV. RFC 4985 §2 */
const SERVICE_NAME = '1.3.6.1.5.5.7.8.7'

/** Nothing is known of a certificate that cannot be read. */
export function certificateIdentity(certificate: X509Certificate): CertificateIdentity {
  try {
    const [tbs] = parts(decoded(certificate.raw.toString('latin1')))
    return { addresses: otherNames(tbs, XMPP_ADDRESS), commonName: commonNameOf(tbs) }
  } catch {
    return { addresses: [], commonName: undefined } // forge throws plain errors
  }
}

/** The SRVNames in a certificate, such as `_xmpp-server.example.org`; none when it cannot be read. RFC 4985 */
export function serviceNames(certificate: X509Certificate): string[] {
  try {
    return otherNames(parts(decoded(certificate.raw.toString('latin1')))[0], SERVICE_NAME)
  } catch {
    return [] // forge throws plain errors
  }
}

const decoded = (der: string): Asn1 => asn1.fromDer(der)
const parts = (node: Asn1 | undefined): Asn1[] => (Array.isArray(node?.value) ? node.value : [])
const oidOf = (node: Asn1 | undefined) => (typeof node?.value === 'string' ? asn1.derToOid(node.value) : '')
const isTagged = (node: Asn1, tag: number) => node.tagClass === asn1.Class.CONTEXT_SPECIFIC && node.type === tag

// TBSCertificate ::= SEQUENCE { [0] version OPTIONAL, serialNumber, signature, issuer, validity, subject, .., [3] extensions }
function commonNameOf(tbs: Asn1 | undefined): string | undefined {
  const fields = parts(tbs).filter(field => !isTagged(field, 0))
  const attributes = parts(fields[4]).flatMap(parts).map(parts)
  const names = attributes.filter(([type]) => oidOf(type) === COMMON_NAME).map(([, value]) => textOf(value))
  return names.length === 1 ? names[0] : undefined
}

// Extension ::= SEQUENCE { extnID, critical OPTIONAL, extnValue OCTET STRING }
function otherNames(tbs: Asn1 | undefined, wanted: string): string[] {
  const wrapped = parts(tbs).find(field => isTagged(field, 3))
  const extensions = parts(parts(wrapped)[0]).map(parts)
  const names = extensions.find(([id]) => oidOf(id) === SUBJECT_ALT_NAME)?.at(-1)
  if (typeof names?.value !== 'string') return []
  // GeneralName: otherName [0] SEQUENCE { type-id, [0] value }
  const others = parts(decoded(names.value)).filter(name => isTagged(name, 0))
  return others.flatMap(other => {
    const [type, value] = parts(other)
    const name = oidOf(type) === wanted ? textOf(parts(value)[0]) : undefined
    return name === undefined ? [] : [name]
  })
}

/** The text of a string type; undefined when it is none. */
function textOf(node: Asn1 | undefined): string | undefined {
  if (typeof node?.value !== 'string') return undefined
  const bytes = Buffer.from(node.value, 'latin1')
  switch (node.type) {
    case asn1.Type.UTF8:
      return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
    case asn1.Type.BMPSTRING:
      return new TextDecoder('utf-16be', { fatal: true }).decode(bytes)
    default:
      return node.value
  }
}
