import { generateKeyPair, randomBytes } from 'node:crypto'
import { access, link, mkdir, open, readFile, rm } from 'node:fs/promises'
import { isIP } from 'node:net'
import { dirname } from 'node:path'
import { domainToASCII } from 'node:url'
import { promisify } from 'node:util'
import type { asn1, pki } from 'node-forge'

/*
 * Certificates for development, signed by an authority of our own. node-forge builds and signs them; it is loaded only
 * here and only when a file is missing. The keys come from node:crypto, because forge's own take seconds.
 */

const hourMs = 3_600_000
const dayMs = 24 * hourMs
/** Days that the authority lasts. */
const authorityDays = 3650
/** Days that a host's certificate lasts; Apple's clients take none that lasts longer. */
const hostDays = 825

const loadForge = async () => (await import('node-forge')).default
type Forge = Awaited<ReturnType<typeof loadForge>>

/** The development authority cannot be used, or a file cannot be written. */
export class CertificateError extends Error {
  override name = 'CertificateError'
}

interface Signer {
  certificate: pki.Certificate
  key: pki.rsa.PrivateKey
}

/** Where the key of the authority in `caFile` is: beside it, in `.key` instead of `.pem`. */
export const authorityKeyFile = (caFile: string) => `${caFile.replace(/\.pem$/, '')}.key`

/**
 * Makes `file`, unless it exists: a certificate for `hosts` (one or more prepared domainparts) and its RSA key in one
 * PEM, signed by the authority in `caFile`, which is made where it is missing too. Resolves with the files that were
 * made. Nothing is ever written over; several processes may do this at the same time.
 * @throws CertificateError
 */
export async function ensureDevelopmentCertificate(file: string, hosts: string[], caFile: string): Promise<string[]> {
  if (await exists(file)) return []
  const forge = await loadForge()
  const { authority, made } = await ensureAuthority(forge, caFile)
  const keys = await newKeys()
  const pem = `${hostCertificate(forge, hosts, keys.publicKey, authority)}${keys.privateKey}`
  return (await writeNew(file, pem)) ? [...made, file] : made
}

async function ensureAuthority(forge: Forge, caFile: string): Promise<{ authority: Signer; made: string[] }> {
  const keyFile = authorityKeyFile(caFile)
  const made: string[] = []
  if (!(await exists(caFile))) {
    // The key first: whoever finds the certificate finds its key too, and a second process signs with the first one's.
    if (await writeNew(keyFile, (await newKeys()).privateKey)) made.push(keyFile)
    const key = forge.pki.privateKeyFromPem(await read(keyFile))
    if (await writeNew(caFile, authorityCertificate(forge, key))) made.push(caFile)
  }
  try {
    const certificate = forge.pki.certificateFromPem(await read(caFile))
    return { authority: { certificate, key: forge.pki.privateKeyFromPem(await read(keyFile)) }, made }
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new CertificateError(`the development authority in ${caFile} cannot sign: ${why}`, { cause })
  }
}

const generate = promisify(generateKeyPair)

const newKeys = () =>
  generate('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  })

function authorityCertificate(forge: Forge, key: pki.rsa.PrivateKey): string {
  const publicKey = forge.pki.setRsaPublicKey(key.n, key.e)
  const certificate = newCertificate(forge, publicKey, 'Meerkat development CA', authorityDays)
  certificate.setIssuer(certificate.subject.attributes)
  certificate.setExtensions([
    { name: 'basicConstraints', critical: true, cA: true, pathLenConstraint: 0 },
    { name: 'keyUsage', critical: true, keyCertSign: true, cRLSign: true },
    { name: 'subjectKeyIdentifier' },
  ])
  certificate.sign(key, forge.md.sha256.create())
  return forge.pki.certificateToPem(certificate)
}

function hostCertificate(forge: Forge, hosts: string[], publicKeyPem: string, authority: Signer): string {
  const [commonName = 'meerkat'] = hosts.map(asciiName)
  const certificate = newCertificate(forge, forge.pki.publicKeyFromPem(publicKeyPem), commonName, hostDays)
  certificate.setIssuer(authority.certificate.subject.attributes)
  certificate.setExtensions([
    { name: 'basicConstraints', critical: true, cA: false },
    { name: 'keyUsage', critical: true, digitalSignature: true, keyEncipherment: true },
    { name: 'extKeyUsage', serverAuth: true, clientAuth: true },
    { name: 'subjectAltName', value: subjectAltName(forge, hosts) },
    { name: 'subjectKeyIdentifier' },
    {
      name: 'authorityKeyIdentifier',
      keyIdentifier: authority.certificate.generateSubjectKeyIdentifier().getBytes(),
    },
  ])
  certificate.sign(authority.key, forge.md.sha256.create())
  return forge.pki.certificateToPem(certificate)
}

function newCertificate(forge: Forge, publicKey: pki.PublicKey, commonName: string, days: number): pki.Certificate {
  const certificate = forge.pki.createCertificate()
  certificate.publicKey = publicKey
  certificate.serialNumber = `01${randomBytes(15).toString('hex')}` // positive, as RFC 5280 §4.1.2.2 demands
  certificate.validity.notBefore = new Date(Date.now() - hourMs) // for peers whose clock is behind
  certificate.validity.notAfter = new Date(Date.now() + days * dayMs)
  certificate.setSubject([{ name: 'commonName', value: commonName.slice(0, 64) }]) // X.520's upper bound
  return certificate
}

const address = (host: string) => host.replace(/^\[|\]$/g, '')
const asciiName = (host: string) => (isIP(address(host)) === 0 ? domainToASCII(host) : address(host))

/** RFC 6120 §13.7.1.2: a dNSName or iPAddress, and an xmppAddr, for each host. */
function subjectAltName(forge: Forge, hosts: string[]): asn1.Asn1 {
  const { asn1 } = forge
  // @types/node-forge does not know this one
  const util = forge.util as typeof forge.util & { bytesFromIP(ip: string): string | null }
  const { CONTEXT_SPECIFIC, UNIVERSAL } = asn1.Class
  const sequence = (values: asn1.Asn1[]) => asn1.create(UNIVERSAL, asn1.Type.SEQUENCE, true, values)
  const tagged = (tag: number, value: asn1.Asn1[] | string) =>
    asn1.create(CONTEXT_SPECIFIC, tag, typeof value !== 'string', value)
  const name = (host: string) => {
    const ip = util.bytesFromIP(address(host))
    return ip === null ? tagged(2, asciiName(host)) : tagged(7, ip)
  }
  const xmppAddr = (host: string) =>
    tagged(0, [
      asn1.create(UNIVERSAL, asn1.Type.OID, false, asn1.oidToDer('1.3.6.1.5.5.7.8.5').getBytes()),
      tagged(0, [asn1.create(UNIVERSAL, asn1.Type.UTF8, false, util.encodeUtf8(host))]),
    ])
  return sequence(hosts.flatMap(host => [name(host), xmppAddr(host)]))
}

const codeOf = (error: unknown) => (error instanceof Error && 'code' in error ? error.code : undefined)

async function exists(file: string): Promise<boolean> {
  try {
    await access(file)
    return true
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false
    throw new CertificateError(`${file}: ${error instanceof Error ? error.message : error}`, { cause: error })
  }
}

const read = (file: string) => readFile(file, 'utf8')

/** Writes a new file that only its owner may read, wholly or not at all; false when there is one already. */
async function writeNew(file: string, text: string): Promise<boolean> {
  const draft = `${file}.${randomBytes(6).toString('hex')}.tmp`
  try {
    await mkdir(dirname(file), { recursive: true })
    const handle = await open(draft, 'wx', 0o600)
    try {
      await handle.writeFile(text)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await link(draft, file) // fails where the file exists, as rename would not
    return true
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false
    throw new CertificateError(`${file} cannot be written: ${error instanceof Error ? error.message : error}`, {
      cause: error,
    })
  } finally {
    await rm(draft, { force: true })
  }
}
