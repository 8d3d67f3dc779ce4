import { createHash, createHmac, pbkdf2Sync, randomBytes, timingSafeEqual, type X509Certificate } from 'node:crypto'
import type { TLSSocket } from 'node:tls'
import forge from 'node-forge'

/*
 * The client's side of SASL, written from the RFCs and apart from the server's.
 */

/** One login attempt, message by message. */
export interface ClientExchange {
  /** What rides in `<auth/>`; undefined leaves it empty. */
  initial: Buffer | undefined
  /** The answer to a challenge. */
  respond(challenge: Buffer): Buffer
  /** Checks what came with `<success/>`; throws when the server did not prove that it knows the account. */
  succeed(data: Buffer | undefined): void
}

export interface SaslOptions {
  /** Which channel binding a -PLUS mechanism uses; `tls-exporter` when not given. */
  binding?: ChannelBinding
  /** The identity to act as, when it is not the one of the login. */
  authzid?: string
  /** Replaces the GS2 header, for tests of servers that must refuse it. RFC 5801 §4 */
  gs2Header?: string
  /** Replaces the decoded content of `c=`, likewise. */
  bindingInput?: Buffer
}

export type ChannelBinding = 'tls-exporter' | 'tls-server-end-point'

const scramHashes: Record<string, string> = {
  'SCRAM-SHA-1': 'sha1',
  'SCRAM-SHA-224': 'sha224',
  'SCRAM-SHA-256': 'sha256',
  'SCRAM-SHA-384': 'sha384',
  'SCRAM-SHA-512': 'sha512',
}

/** Begins a login by `mechanism`; `tls` is the connection's TLS socket, which -PLUS mechanisms need. */
export function clientExchange(
  mechanism: string,
  user: string,
  password: string,
  tls: TLSSocket | undefined,
  options: SaslOptions = {},
): ClientExchange {
  if (mechanism === 'PLAIN') return oneMessage(Buffer.from(`${options.authzid ?? ''}\0${user}\0${password}`))
  if (mechanism === 'ANONYMOUS') return oneMessage(undefined)
  if (mechanism === 'EXTERNAL') {
    const authzid = Buffer.from(options.authzid ?? '')
    // An empty <auth/> carries no response: the server asks for it. RFC 6120 §6.4.2
    return authzid.length > 0 ? oneMessage(authzid) : { ...oneMessage(undefined), respond: () => authzid }
  }
  if (mechanism === 'DIGEST-MD5') return digestMd5(user, password, options)
  const isBound = mechanism.endsWith('-PLUS')
  const hash = scramHashes[isBound ? mechanism.slice(0, -'-PLUS'.length) : mechanism]
  if (!hash) throw new Error(`the test client does not speak ${mechanism}`)
  return scram(hash, user, password, channel(isBound, tls, options))
}

function oneMessage(initial: Buffer | undefined): ClientExchange {
  return {
    initial,
    respond: () => {
      throw new Error('a challenge where none belongs')
    },
    succeed: () => {},
  }
}

/** RFC 2831 §2.1.2.1 for qop=auth and md5-sess; `a2` is `AUTHENTICATE:` for the response and `:` for the server's proof. */
export function digestResponse(
  values: { username: string; realm: string; nonce: string; cnonce: string; uri: string; authzid?: string },
  password: string,
  a2 = 'AUTHENTICATE:',
): string {
  const hex = (data: string | Buffer) => createHash('md5').update(data).digest('hex')
  const { username, realm, nonce, cnonce, uri, authzid } = values
  const secret = createHash('md5')
    .update(Buffer.from(`${username}:${realm}:${password}`, 'latin1'))
    .digest()
  const tail = `:${nonce}:${cnonce}${authzid === undefined ? '' : `:${authzid}`}`
  const a1 = hex(Buffer.concat([secret, Buffer.from(tail)]))
  return hex(`${a1}:${nonce}:00000001:${cnonce}:auth:${hex(a2 + uri)}`)
}

function digestMd5(username: string, password: string, { authzid }: SaslOptions): ClientExchange {
  let expected = ''
  return {
    initial: undefined,
    respond(challenge) {
      const text = challenge.toString()
      if (text.startsWith('rspauth=')) {
        if (text !== `rspauth=${expected}`) throw new Error('the server did not prove that it knows the password')
        return Buffer.alloc(0)
      }
      const [, realm = ''] = /realm="([^"]*)"/.exec(text) ?? []
      const [, nonce = ''] = /nonce="([^"]*)"/.exec(text) ?? []
      const cnonce = randomBytes(9).toString('base64')
      const values = { username, realm, nonce, cnonce, uri: `xmpp/${realm}`, ...(authzid && { authzid }) }
      expected = digestResponse(values, password, ':')
      const response = digestResponse(values, password)
      const last = authzid === undefined ? '' : `,authzid="${authzid}"`
      return Buffer.from(
        `charset=utf-8,username="${username}",realm="${realm}",nonce="${nonce}",nc=00000001,cnonce="${cnonce}",digest-uri="${values.uri}",response=${response},qop=auth${last}`,
      )
    },
    succeed: () => {},
  }
}

interface Channel {
  gs2Header: string
  /** What `c=` says, decoded. */
  input: Buffer
}

function channel(isBound: boolean, tls: TLSSocket | undefined, options: SaslOptions): Channel {
  const authzid = options.authzid === undefined ? '' : `a=${saslName(options.authzid)}`
  const type = options.binding ?? 'tls-exporter'
  const gs2Header = options.gs2Header ?? `${isBound ? `p=${type}` : 'n'},${authzid},`
  if (options.bindingInput) return { gs2Header, input: options.bindingInput }
  if (!isBound) return { gs2Header, input: Buffer.from(gs2Header) }
  if (!tls) throw new Error('channel binding needs TLS')
  return { gs2Header, input: Buffer.concat([Buffer.from(gs2Header), channelBinding(tls, type)]) }
}

/** What identifies the TLS connection. RFC 9266 §2, RFC 5929 §4 */
export function channelBinding(tls: TLSSocket, type: ChannelBinding): Buffer {
  if (type === 'tls-exporter') return tls.exportKeyingMaterial(32, 'EXPORTER-Channel-Binding', Buffer.alloc(0))
  const certificate = tls.getPeerX509Certificate()
  if (!certificate) throw new Error('the server sent no certificate')
  return createHash(signatureHash(certificate)).update(certificate.raw).digest()
}

// The hashes of the signature algorithms that our certificates may have. RFC 5929 §4.1: MD5 and SHA-1 count as SHA-256.
const hashOfSignature: Record<string, string> = {
  '1.2.840.113549.1.1.5': 'sha256',
  '1.2.840.113549.1.1.11': 'sha256',
  '1.2.840.113549.1.1.12': 'sha384',
  '1.2.840.113549.1.1.13': 'sha512',
  '1.2.840.10045.4.1': 'sha256',
  '1.2.840.10045.4.3.2': 'sha256',
  '1.2.840.10045.4.3.3': 'sha384',
  '1.2.840.10045.4.3.4': 'sha512',
}

/** The hash in the certificate's signatureAlgorithm, which Node 20 does not tell. RFC 5280 §4.1.1.2 */
function signatureHash(certificate: X509Certificate): string {
  const [, algorithm] = content(forge.asn1.fromDer(certificate.raw.toString('latin1')))
  const [identifier] = content(algorithm)
  const oid = typeof identifier?.value === 'string' ? forge.asn1.derToOid(identifier.value) : 'nothing'
  const hash = hashOfSignature[oid]
  if (!hash) throw new Error(`no channel binding for a certificate signed with ${oid}`)
  return hash
}

function content(node: forge.asn1.Asn1 | undefined): forge.asn1.Asn1[] {
  return Array.isArray(node?.value) ? node.value : []
}

/** RFC 5802 §3 and §5, RFC 7677 */
function scram(hash: string, user: string, password: string, channel: Channel): ClientExchange {
  const nonce = randomBytes(18).toString('base64')
  const firstBare = `n=${saslName(user)},r=${nonce}`
  let serverSignature: Buffer | undefined
  return {
    initial: Buffer.from(channel.gs2Header + firstBare),
    respond(challenge) {
      const serverFirst = challenge.toString()
      const { r, s, i } = fields(serverFirst)
      if (!r?.startsWith(nonce) || r === nonce || !s || !i) throw new Error(`not a SCRAM challenge: ${serverFirst}`)
      const salted = saltedPassword(hash, password, s, Number(i))
      const clientKey = hmac(hash, salted, 'Client Key')
      const final = `c=${channel.input.toString('base64')},r=${r}`
      const authMessage = `${firstBare},${serverFirst},${final}`
      const clientSignature = hmac(hash, createHash(hash).update(clientKey).digest(), authMessage)
      const proof = Buffer.from(clientKey.map((byte, at) => byte ^ (clientSignature[at] ?? 0)))
      serverSignature = hmac(hash, hmac(hash, salted, 'Server Key'), authMessage)
      return Buffer.from(`${final},p=${proof.toString('base64')}`)
    },
    succeed(data) {
      const { v } = fields(data?.toString() ?? '')
      const said = Buffer.from(v ?? '', 'base64')
      if (!serverSignature || said.length !== serverSignature.length || !timingSafeEqual(said, serverSignature))
        throw new Error('the server did not prove that it knows the password')
    },
  }
}

// Deriving a key is most of what a login costs here, and tests log the same few users in again and again.
const derived = new Map<string, Buffer>()

function saltedPassword(hash: string, password: string, salt: string, iterations: number): Buffer {
  const id = JSON.stringify([hash, password, salt, iterations])
  const known = derived.get(id)
  if (known) return known
  const bytes = createHash(hash).digest().length
  const key = pbkdf2Sync(password.normalize('NFKC'), Buffer.from(salt, 'base64'), iterations, bytes, hash)
  derived.set(id, key)
  return key
}

function hmac(hash: string, key: Buffer, data: string): Buffer {
  return createHmac(hash, key).update(data).digest()
}

function fields(message: string): Record<string, string> {
  return Object.fromEntries(message.split(',').map(field => [field.slice(0, 1), field.slice(2)]))
}

/** RFC 5802 §5.1 */
function saslName(name: string): string {
  return name.replaceAll('=', '=3D').replaceAll(',', '=2C')
}
