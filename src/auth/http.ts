import { X509Certificate } from 'node:crypto'
import type { AuthConfig } from '../config/auth.js'
import type { Clock } from '../observability/clock.js'
import type { Credentials, ScramHash } from '../protocols/sasl/credentials.js'
import { deriveScramKeys, fakeScramKeys, UnusablePassword, verifyPassword } from '../protocols/sasl/scram-keys.js'
import type { Derivations } from './derivations.js'
import type { HttpPool } from './http-pool.js'
import { hashesOf } from './internal.js'
import { ITERATIONS_ON_THE_FLY, type IterationCounts } from './iteration-counts.js'
import { BackEndUnavailable, type Method } from './method.js'
import { rememberedExistence } from './remembered.js'
import { credentialsFromText } from './scram-text.js'

export interface HttpMethodOptions {
  host: string
  config: Pick<AuthConfig, 'http' | 'password'>
  pool: HttpPool
  derivations: Derivations
  /** Makes salts up, so that keys of one password stay the same. */
  secret: Buffer
  counts: IterationCounts
  clock: Clock
}

/** Method `http`: a web service knows the users. The requests are those of MongooseIM 4.0.1's method http, all by GET. */
export function httpMethod({ host, config, pool, derivations, secret, counts, clock }: HttpMethodOptions): Method {
  const basic = config.http.basic_auth
  const headers: Record<string, string> =
    basic === undefined ? {} : { authorization: `Basic ${Buffer.from(basic).toString('base64')}` }
  const isPlain = config.password.hash === undefined && config.password.format === 'plain'

  /** The body of the answer; undefined when the service says no in any way. */
  const ask = async (method: string, user: string, pass = ''): Promise<string | undefined> => {
    const query = new URLSearchParams({ user, server: host, pass })
    const { status, body } = await pool.get(`${method}?${query}`, headers)
    if (status === 200 || status === 201 || status === 204) return body.trim()
    if (status >= 400 && status < 500 && status !== 408 && status !== 429) return undefined
    throw new BackEndUnavailable(`the service answered ${method} with ${status}`)
  }

  const stored = async (user: string): Promise<Credentials | undefined> => {
    const text = await ask('get_password', user)
    return text === undefined ? undefined : credentialsFromText(text)
  }

  const derived = async (user: string, hash: ScramHash, password: string): Promise<Credentials | undefined> => {
    counts.note(ITERATIONS_ON_THE_FLY)
    const { salt } = fakeScramKeys(secret, hash, user, [ITERATIONS_ON_THE_FLY])
    try {
      return {
        scram: { [hash]: await derivations(() => deriveScramKeys(password, hash, salt, ITERATIONS_ON_THE_FLY)) },
      }
    } catch (error) {
      if (error instanceof UnusablePassword) return undefined
      throw error
    }
  }

  return {
    capabilities: isPlain ? ['plain', 'digest', 'scram', 'external'] : ['plain', 'scram', 'external'],

    async verify(user, password) {
      // With keys the service hands them out; one that hands nothing out may still check passwords.
      const found = isPlain ? undefined : await stored(user)
      if (found !== undefined) return derivations(() => verifyPassword(password, found))
      return (await ask('check_password', user, password)) === 'true'
    },

    async credentials(user, hash) {
      const found = await stored(user)
      if (hash === undefined || (found !== undefined && found.password === undefined)) {
        const count = hash && found?.scram[hash]?.iterations
        if (count !== undefined) counts.note(count)
        return found
      }
      // Where passwords are stored plain, a name that nobody has costs a derivation too.
      const keys = isPlain || found ? await derived(user, hash, found?.password ?? secret.toString('hex')) : undefined
      return found && hashesOf(config).includes(hash) ? keys : undefined
    },

    async identify(user, certificate) {
      const pem = await ask('get_certs', user)
      return pem !== undefined && certificatesIn(pem).some(({ raw }) => raw.equals(certificate.raw))
    },

    exists: rememberedExistence(clock, async user => (await ask('user_exists', user)) === 'true'),
    stop: () => pool.stop(),
  }
}

/** The certificates of a PEM text; what is none is passed over. */
function certificatesIn(pem: string): X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
  return blocks.flatMap(block => {
    try {
      return [new X509Certificate(block)]
    } catch {
      return [] // node:crypto has no other way to say so
    }
  })
}
