import { prepareLocal } from '../jid.js'
import { namesAccount } from './account.js'
import type { Credentials, ScramHash, ScramKeys } from './credentials.js'
import {
  decodeBase64,
  decodeText,
  exchange,
  failure,
  type SaslContext,
  type SaslExchange,
  type Turn,
} from './mechanism.js'
import { digest, fakeScramKeys, hmac, isSame, scramHashes } from './scram-keys.js'

/*
 * SCRAM, the server's side: client-first, server-first, client-final, server-final. RFC 5802, RFC 7677
 * Names are prepared as localparts by the one who looks them up (RFC 7622 §3.3), which takes the place of SASLprep.
 */

const maxNonceLength = 512
const maxNameLength = 3 * 1023

/** The client's first message. RFC 5802 §7 */
interface ClientFirst {
  /** `n`, `y`, or the channel-binding type that `p=` names. */
  flag: 'n' | 'y' | { type: string }
  authzid: string
  username: string
  nonce: string
  /** The message up to the second comma: what `c=` must repeat. */
  gs2Header: string
  /** The message behind it. */
  bare: string
}

/** The client's last message. RFC 5802 §7 */
interface ClientFinal {
  channelBinding: Buffer
  nonce: string
  proof: Buffer
  withoutProof: string
}

/** A saslname decoded, or undefined when it is none. RFC 5802 §5.1 */
function decodeName(text: string): string | undefined {
  if (text === '' || text.length > maxNameLength || /=(?!2C|3D)|\0/.test(text)) return undefined
  return text.replace(/=2C/g, ',').replace(/=3D/g, '=')
}

const isNonce = (text: string) => text.length <= maxNonceLength && /^[!-+\--~]+$/.test(text)

/** Extensions are optional for both sides, but for `m=`, which forbids to go on without understanding it. RFC 5802 §5.1 */
const areExtensions = (fields: string[]) => fields.every(field => /^[A-Za-ln-z]=[^\0]+$/.test(field))

function parseFlag(text: string): ClientFirst['flag'] | undefined {
  if (text === 'n' || text === 'y') return text
  return /^p=[A-Za-z0-9.-]{1,64}$/.test(text) ? { type: text.slice(2) } : undefined
}

function parseClientFirst(text: string): ClientFirst | undefined {
  const [flagField = '', authzidField, nameField = '', nonceField = '', ...extensions] = text.split(',')
  const flag = parseFlag(flagField)
  if (flag === undefined || authzidField === undefined) return undefined
  const authzid =
    authzidField === '' ? '' : authzidField.startsWith('a=') ? decodeName(authzidField.slice(2)) : undefined
  const username = nameField.startsWith('n=') ? decodeName(nameField.slice(2)) : undefined
  if (authzid === undefined || username === undefined || !nonceField.startsWith('r=')) return undefined
  const nonce = nonceField.slice(2)
  if (!isNonce(nonce) || !areExtensions(extensions)) return undefined
  const gs2Header = `${flagField},${authzidField},`
  return { flag, authzid, username, nonce, gs2Header, bare: text.slice(gs2Header.length) }
}

function parseClientFinal(text: string): ClientFinal | undefined {
  const fields = text.split(',')
  const proofField = fields.pop() ?? ''
  const [bindingField = '', nonceField = '', ...extensions] = fields
  if (!bindingField.startsWith('c=') || !nonceField.startsWith('r=') || !proofField.startsWith('p=')) return undefined
  const channelBinding = decodeBase64(bindingField.slice(2))
  const proof = decodeBase64(proofField.slice(2))
  if (channelBinding === undefined || proof === undefined || !areExtensions(extensions)) return undefined
  const withoutProof = text.slice(0, -proofField.length - 1)
  return { channelBinding, nonce: nonceField.slice(2), proof, withoutProof }
}

const mismatch = (text: string): Turn => [{ type: 'failure', condition: 'not-authorized', text, isMismatch: true }]

/** The bytes that `c=` must hold, or how the flag fails. RFC 5802 §6 */
function expectedBinding({ flag, gs2Header }: ClientFirst, isPlus: boolean, context: SaslContext): Buffer | Turn {
  if ((typeof flag === 'object') !== isPlus) {
    return failure('malformed-request', 'The channel-binding flag does not fit the mechanism.')
  }
  const header = Buffer.from(gs2Header)
  if (flag === 'n') return header
  if (flag === 'y') {
    // The client believes that we have no channel binding: somebody took it from the list of mechanisms.
    const wasOffered = context.offered.some(name => name.endsWith('-PLUS'))
    return wasOffered ? mismatch('Channel binding was offered.') : header
  }
  const data = context.channelBindings.get(flag.type)
  if (data === undefined) return mismatch('This type of channel binding was not offered.')
  return Buffer.concat([header, data])
}

/** SCRAM with `hash`; `isPlus` for the variant with channel binding. RFC 5802 */
export function scram(hash: ScramHash, isPlus: boolean, context: SaslContext): SaslExchange {
  return exchange(data => {
    const text = decodeText(data)
    const first = text === undefined ? undefined : parseClientFirst(text)
    if (first === undefined) return failure('malformed-request')
    const binding = expectedBinding(first, isPlus, context)
    if (Array.isArray(binding)) return binding
    if (!namesAccount(first.authzid, first.username, context.host)) return failure('invalid-authzid')
    return [
      { type: 'lookup', username: first.username, hash },
      { credentials: found => challenge(hash, first, binding, found, context) },
    ]
  })
}

function challenge(
  hash: ScramHash,
  first: ClientFirst,
  binding: Buffer,
  found: Credentials | undefined,
  context: SaslContext,
): Turn {
  const known = found?.scram[hash]
  const name = prepareLocal(first.username) ?? first.username
  // For no account, keys that nobody's password gives: the exchange goes on and fails where a wrong password does.
  // They are made in any case, so that the time tells nothing either.
  const fake = fakeScramKeys(context.secret, hash, name, context.iterations)
  const keys = known ?? fake
  const nonce = first.nonce + context.nonce
  const serverFirst = `r=${nonce},s=${keys.salt.toString('base64')},i=${keys.iterations}`
  const respond = (data: Buffer): Turn => {
    const text = decodeText(data)
    const final = text === undefined ? undefined : parseClientFinal(text)
    if (final === undefined) return failure('malformed-request')
    const authMessage = `${first.bare},${serverFirst},${final.withoutProof}`
    const signature = serverSignature(hash, keys, final.proof, authMessage)
    const isBound = isSame(final.channelBinding, binding) && isSame(Buffer.from(final.nonce), Buffer.from(nonce))
    if (signature === undefined || !isBound || known === undefined) return failure('not-authorized')
    return [{ type: 'success', username: first.username, data: Buffer.from(`v=${signature.toString('base64')}`) }]
  }
  return [{ type: 'challenge', data: Buffer.from(serverFirst) }, { respond }]
}

/** ServerSignature, or undefined when the proof is wrong. RFC 5802 §3 */
function serverSignature(hash: ScramHash, keys: ScramKeys, proof: Buffer, authMessage: string): Buffer | undefined {
  if (proof.length !== scramHashes[hash].bytes) return undefined
  const clientSignature = hmac(hash, keys.storedKey, authMessage)
  const clientKey = Buffer.from(proof.map((byte, i) => byte ^ (clientSignature[i] ?? 0)))
  return isSame(digest(hash, clientKey), keys.storedKey) ? hmac(hash, keys.serverKey, authMessage) : undefined
}
