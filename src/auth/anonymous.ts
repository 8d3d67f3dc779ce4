import type { AuthConfig } from '../config/auth.js'
import type { Method } from './method.js'

/** Bytes from `node:crypto` or, in tests, from elsewhere. */
export type Random = (size: number) => Buffer

/**
 * Names for SASL ANONYMOUS: 16 random hex digits, then a counter, so that no name comes twice while the server runs.
 * spec/listeners.md §3.1.5
 */
export function anonymousNames(random: Random): () => string {
  let count = 0
  return () => {
    count += 1
    return `${random(8).toString('hex')}${count}`
  }
}

export interface AnonymousOptions {
  /** Whether the name is logged in now. */
  isOnline(user: string): boolean
  /** Whether another method of the host knows the name. */
  isTaken(user: string): Promise<boolean>
}

/**
 * Method `anonymous`: names without an account. By `login_anon` and `both` any password will do for a name, but never for one that
 * another method of the host knows, whatever their order. spec/listeners.md §2.6
 */
export function anonymousMethod(config: AuthConfig['anonymous'], { isOnline, isTaken }: AnonymousOptions): Method {
  const capabilities = { sasl_anon: ['anonymous'], login_anon: ['plain'], both: ['anonymous', 'plain'] } as const
  return {
    capabilities: capabilities[config.protocol],
    async verify(user) {
      if (config.protocol === 'sasl_anon' || (await isTaken(user))) return false
      return config.allow_multiple_connections || !isOnline(user)
    },
    exists: isOnline,
  }
}
