import { createPublicKey, type KeyObject } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { AuthConfig } from '../config/auth.js'
import type { Clock } from '../observability/clock.js'
import { StartupError } from '../observability/startup-error.js'
import { prepareLocal } from '../protocols/jid.js'
import type { Method } from './method.js'

type JwtConfig = NonNullable<AuthConfig['jwt']>

/** The curve of each algorithm on one. RFC 7518 §3.4 */
const curves: Readonly<Record<string, string>> = { ES256: 'prime256v1', ES384: 'secp384r1', ES512: 'secp521r1' }
/** RFC 7518 §3.3 */
const SHORTEST_RSA = 2048

/**
 * Method `jwt`: the password is a signed token that names the user. spec/listeners.md §2.6, RFC 7519
 * @throws StartupError when the key cannot be read or does not fit the algorithm
 */
export function jwtMethod({ secret, algorithm, username_key }: JwtConfig, clock: Clock): Method {
  // The reference misspells 384.
  const name = algorithm.replace('386', '384')
  const key = keyFor(name, secret)
  return {
    capabilities: ['plain'],
    async verify(user, password) {
      // Only who has this method needs it.
      const { errors, jwtVerify } = await import('jose')
      try {
        const { payload } = await jwtVerify(password, key, { algorithms: [name], currentDate: new Date(clock.wall()) })
        const claim = payload[username_key]
        // jose looks at exp and nbf.
        if (payload.iat !== undefined && !(payload.iat * 1000 <= clock.wall())) return false
        return typeof claim === 'string' && prepareLocal(claim) === user
      } catch (error) {
        if (error instanceof errors.JOSEError) return false
        throw error
      }
    },
    // Who is a user the one knows who signs the tokens.
    knowsEverybody: true,
    exists: () => true,
  }
}

function keyFor(algorithm: string, secret: JwtConfig['secret']): Uint8Array | KeyObject {
  const bytes = bytesOf(secret)
  if (bytes.length === 0) throw unusable('is empty')
  if (algorithm.startsWith('HS')) return bytes
  let key: KeyObject
  try {
    key = createPublicKey(bytes)
  } catch (cause) {
    throw unusable(`is no public key in PEM, which ${algorithm} needs`, cause)
  }
  const { namedCurve, modulusLength = 0 } = key.asymmetricKeyDetails ?? {}
  const fits = algorithm.startsWith('RS')
    ? key.asymmetricKeyType === 'rsa' && modulusLength >= SHORTEST_RSA
    : namedCurve === curves[algorithm]
  if (!fits) throw unusable(`does not fit ${algorithm}`)
  return key
}

function bytesOf({ file, value }: JwtConfig['secret']): Buffer {
  if (file === undefined) return Buffer.from(value ?? '')
  try {
    return readFileSync(file)
  } catch (cause) {
    throw unusable(`cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`, cause)
  }
}

const unusable = (problem: string, cause?: unknown) =>
  new StartupError('configuration', `auth.jwt.secret ${problem}`, { cause })
