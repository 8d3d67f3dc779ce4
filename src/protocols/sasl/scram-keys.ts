import { createHash, createHmac, pbkdf2, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'
import type { Credentials, ScramHash, ScramKeys } from './credentials.js'

const derive = promisify(pbkdf2)

/** Each hash as node:crypto names it, with its length in bytes. */
export const scramHashes = {
  sha: { algorithm: 'sha1', bytes: 20 },
  sha224: { algorithm: 'sha224', bytes: 28 },
  sha256: { algorithm: 'sha256', bytes: 32 },
  sha384: { algorithm: 'sha384', bytes: 48 },
  sha512: { algorithm: 'sha512', bytes: 64 },
} as const satisfies Record<ScramHash, { algorithm: string; bytes: number }>

/** Bytes of salt for new credentials. */
export const saltBytes = 16

export const hmac = (hash: ScramHash, key: Buffer, data: Buffer | string) =>
  createHmac(scramHashes[hash].algorithm, key).update(data).digest()

export const digest = (hash: ScramHash, data: Buffer | string) =>
  createHash(scramHashes[hash].algorithm).update(data).digest()

export const isSame = (a: Buffer, b: Buffer) => a.length === b.length && timingSafeEqual(a, b)

/** SASLprep (RFC 4013) forbids the password, or nothing is left of it. */
export class UnusablePassword extends Error {
  override name = 'UnusablePassword'
}

/**
 * The password as SASLprep leaves it. Code points that Unicode 3.2 did not know stay as they are, as RFC 3454 §7 allows for
 * queries: else nobody could have an emoji in a password, and clients send them.
 */
async function preparePassword(password: string): Promise<string> {
  let prepared = password
  if (/[^\x20-\x7e]/.test(password)) {
    // Its tables take 5 MB, which few servers need.
    const { default: saslprep } = await import('@mongodb-js/saslprep')
    try {
      prepared = saslprep(password, { allowUnassigned: true })
    } catch (cause) {
      throw new UnusablePassword('SASLprep forbids a character of the password', { cause })
    }
  }
  if (prepared === '') throw new UnusablePassword('the password is empty')
  return prepared
}

/**
 * StoredKey and ServerKey of a password. RFC 5802 §3
 * @throws UnusablePassword
 */
export async function deriveScramKeys(
  password: string,
  hash: ScramHash,
  salt: Buffer,
  iterations: number,
): Promise<ScramKeys> {
  const { algorithm, bytes } = scramHashes[hash]
  const salted = await derive(await preparePassword(password), salt, iterations, bytes, algorithm)
  return {
    salt,
    iterations,
    storedKey: digest(hash, hmac(hash, salted, 'Client Key')),
    serverKey: hmac(hash, salted, 'Server Key'),
  }
}

export interface CredentialOptions {
  /** One key pair is derived for each, `auth.password.hash`. */
  hashes: readonly ScramHash[]
  iterations: number
  /** `auth.password.format`; 'plain' keeps the password beside the keys. */
  format: 'plain' | 'scram'
  /** A fresh random salt, asked for once per hash. */
  salt(): Buffer
}

/**
 * What to store for a new password.
 * @throws UnusablePassword
 */
export async function credentialsFor(password: string, options: CredentialOptions): Promise<Credentials> {
  const keys = options.hashes.map(async hash => {
    return [hash, await deriveScramKeys(password, hash, options.salt(), options.iterations)] as const
  })
  const scram: Credentials['scram'] = Object.fromEntries(await Promise.all(keys))
  return options.format === 'plain' ? { scram, password } : { scram }
}

/**
 * Whether the password is the one that the credentials were made from. Costs one key derivation, right or wrong, unless the
 * password itself is stored.
 */
export async function verifyPassword(password: string, credentials: Credentials): Promise<boolean> {
  try {
    if (credentials.password !== undefined) {
      const [given, stored] = await Promise.all([preparePassword(password), preparePassword(credentials.password)])
      return isSame(digest('sha256', given), digest('sha256', stored)) // hashed so that the lengths do not show
    }
    for (const hash of ['sha256', 'sha512', 'sha384', 'sha224', 'sha'] as const) {
      const known = credentials.scram[hash]
      if (known === undefined) continue
      const derived = await deriveScramKeys(password, hash, known.salt, known.iterations)
      return isSame(derived.storedKey, known.storedKey)
    }
    return false
  } catch (error) {
    if (error instanceof UnusablePassword) return false
    throw error
  }
}

/**
 * Keys for an account that does not exist: always the same for one name, and to the client like any others, so a login
 * does not tell who has an account. `username` is a prepared localpart where it can be prepared; `iterations` are the counts
 * that accounts have.
 */
export function fakeScramKeys(
  secret: Buffer,
  hash: ScramHash,
  username: string,
  iterations: readonly number[],
): ScramKeys {
  const made = (what: string) => createHmac('sha512', secret).update(`${what}\0${hash}\0${username}`).digest()
  // Nobody is ever shown either of the two.
  const key = made('key').subarray(0, scramHashes[hash].bytes)
  const salt = made('salt').subarray(0, saltBytes)
  return { salt, iterations: iterationsOf(secret, username, iterations), storedKey: key, serverKey: key }
}

/** One of the counts, always the same for one name; another count beside them changes it for few names only. */
function iterationsOf(secret: Buffer, username: string, counts: readonly number[]): number {
  const [first = 10_000] = counts
  if (counts.length < 2) return first
  const weight = (count: number) => createHmac('sha256', secret).update(`count\0${count}\0${username}`).digest('hex')
  return counts.map(count => ({ count, weight: weight(count) })).reduce((a, b) => (a.weight > b.weight ? a : b)).count
}
