import { createHash, createHmac } from 'node:crypto'
import { prepareLocal } from '../jid.js'
import { namesAccount } from './account.js'
import type { Credentials } from './credentials.js'
import { decodeText, exchange, failure, type SaslContext, type SaslExchange, type Turn } from './mechanism.js'
import { isSame } from './scram-keys.js'

/*
 * DIGEST-MD5 with qop=auth, the server's side. RFC 2831; historic (RFC 6331), on offer only where `sasl_mechanisms` names it.
 */

const maxDirectives = 32

/** The client's digest-response. RFC 2831 §2.1.2 */
interface DigestResponse {
  username: string
  realm: string
  nonce: string
  cnonce: string
  digestUri: string
  response: string
  authzid: string
  hasAuthzid: boolean
}

/** DIGEST-MD5; the realm is the host. */
export function digestMd5(context: SaslContext): SaslExchange {
  return exchange(initial => {
    // The server speaks first. RFC 6120 §6.4.2
    if (initial.length > 0) return failure('malformed-request', 'DIGEST-MD5 begins with a challenge.')
    const challenge = `realm="${context.host}",nonce="${context.nonce}",qop="auth",charset=utf-8,algorithm=md5-sess`
    return [{ type: 'challenge', data: Buffer.from(challenge) }, { respond: data => responded(data, context) }]
  }, true)
}

function responded(data: Buffer, context: SaslContext): Turn {
  const text = decodeText(data)
  const directives = text === undefined ? undefined : parseDirectives(text)
  const response = directives === undefined ? undefined : readResponse(directives)
  if (response === undefined) return failure('malformed-request')
  const isOurs = response.nonce === context.nonce && isServiceOf(response.digestUri, context.host)
  if (!isOurs || (response.realm !== context.host && response.realm !== '')) return failure('not-authorized')
  if (!namesAccount(response.authzid, response.username, context.host)) return failure('invalid-authzid')
  return [
    { type: 'lookup', username: response.username, hash: undefined },
    { credentials: found => checked(response, found, context) },
  ]
}

function checked(response: DigestResponse, found: Credentials | undefined, context: SaslContext): Turn {
  const name = prepareLocal(response.username) ?? response.username
  // For no account, a password that nobody has, so that both take the same way.
  const nobodys = createHmac('sha256', context.secret).update(`digest\0${name}`).digest('hex')
  const { username, realm } = response
  const start = md5(Buffer.concat([encoded(`${username}:`), encoded(`${realm}:`), encoded(found?.password ?? nobodys)]))
  const expected = digestOf(response, start, 'AUTHENTICATE:')
  const isRight = isSame(Buffer.from(response.response), Buffer.from(expected))
  if (!isRight || found?.password === undefined) return failure('not-authorized')
  const proof = Buffer.from(`rspauth=${digestOf(response, start, ':')}`)
  // RFC 2831 §2.1.3, as clients of its age want it: a challenge, an empty response, and only then success.
  const respond = (data: Buffer): Turn =>
    data.length === 0 ? [{ type: 'success', username }] : failure('malformed-request')
  return [{ type: 'challenge', data: proof }, { respond }]
}

/** RFC 2831 §2.1.2.1: what ISO 8859-1 can write is hashed as ISO 8859-1. */
const encoded = (text: string) => Buffer.from(text, /^[\0-\xff]*$/.test(text) ? 'latin1' : 'utf8')

const md5 = (data: string | Buffer) => createHash('md5').update(data).digest()

/** RFC 2831 §2.1.2.1, with the algorithm md5-sess and the quality of protection `auth`. */
function digestOf(
  { nonce, cnonce, authzid, hasAuthzid, digestUri }: DigestResponse,
  start: Buffer,
  a2: string,
): string {
  const tail = `:${nonce}:${cnonce}${hasAuthzid ? `:${authzid}` : ''}`
  const a1 = md5(Buffer.concat([start, Buffer.from(tail)])).toString('hex')
  return md5(`${a1}:${nonce}:00000001:${cnonce}:auth:${md5(a2 + digestUri).toString('hex')}`).toString('hex')
}

/** `xmpp/host`, with or without a name of the service behind it. RFC 2831 §2.1.2 */
function isServiceOf(uri: string, host: string): boolean {
  const [type, server, service = server] = uri.toLowerCase().split('/')
  return type === 'xmpp' && server === host && service === host
}

function readResponse(directives: ReadonlyMap<string, string>): DigestResponse | undefined {
  const get = (name: string) => directives.get(name) ?? ''
  const [username, nonce, cnonce, response] = [get('username'), get('nonce'), get('cnonce'), get('response')]
  if (username === '' || nonce === '' || cnonce === '' || !/^[0-9a-f]{32}$/.test(response)) return undefined
  // A nonce serves once: the count is 1. Nothing but the digest of the login itself is protected.
  if (get('nc') !== '00000001' || (directives.get('qop') ?? 'auth') !== 'auth') return undefined
  if ((directives.get('charset') ?? 'utf-8').toLowerCase() !== 'utf-8') return undefined
  return {
    username,
    realm: get('realm'),
    nonce,
    cnonce,
    digestUri: get('digest-uri'),
    response,
    authzid: get('authzid'),
    hasAuthzid: directives.has('authzid'),
  }
}

/** `name=token` or `name="quoted"` with commas between them; undefined when it is none, or a name comes twice. RFC 2831 §7.1 */
export function parseDirectives(text: string): ReadonlyMap<string, string> | undefined {
  const directives = new Map<string, string>()
  const directive = /[ \t]*([A-Za-z-]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^",=\s]+))[ \t]*(?:,|$)/gsy
  while (directive.lastIndex < text.length) {
    const found = directive.exec(text)
    if (found === null || directives.size === maxDirectives) return undefined
    const [, name = '', quoted, token = ''] = found
    if (directives.has(name.toLowerCase())) return undefined
    directives.set(name.toLowerCase(), quoted === undefined ? token : quoted.replace(/\\(.)/gs, '$1'))
  }
  return directives
}
