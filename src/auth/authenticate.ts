import { randomBytes } from 'node:crypto'
import type { AuthConfig } from '../config/auth.js'
import { prepareLocal } from '../protocols/jid.js'
import type { Credentials } from '../protocols/sasl/credentials.js'
import {
  type OfferInput,
  type SaslCapability,
  type SaslMechanismName,
  saslMechanisms,
} from '../protocols/sasl/mechanisms.js'
import type { Store } from '../storage/store.js'
import { anonymousNames, mayLogInAnonymously, type Random } from './anonymous.js'
import { boundedDerivations, type Derivations } from './derivations.js'
import { hashesOf, internalAccounts } from './internal.js'

/** What of `[auth]` the authenticator goes by. */
export type HostAuth = Pick<AuthConfig, 'methods' | 'sasl_mechanisms' | 'password' | 'scram_iterations' | 'anonymous'>

export interface AuthenticatorOptions {
  store: Pick<Store, 'accounts'>
  /** The `[auth]` that holds on each served host. */
  hosts: ReadonlyMap<string, HostAuth>
  /** From `serverSecret`. */
  secret: Buffer
  /** Whether a name has a session; only asked about anonymous users. */
  isOnline?: (user: string, host: string) => boolean
  random?: Random
  derivations?: Derivations
}

/** What a host's logins go by: the parts of `OfferInput` that the configuration decides, and the iteration count of its accounts. */
export type SaslPolicy = Pick<OfferInput, 'configured' | 'capabilities' | 'hashes'> & { iterations: number }

/**
 * Who may log in, and which accounts there are, by the methods of each host. Where nothing else is said, `user` is a prepared
 * localpart. What needs the store, or the derivation of a key, rejects with StoreUnavailable when it cannot be had now.
 */
export interface Authenticator {
  readonly hosts: readonly string[]
  /** Makes up salts for SCRAM; the same in every run of an installation. */
  readonly secret: Buffer
  /** A localpart for SASL ANONYMOUS, never given twice. */
  anonymousName(): string
  /** Nothing is on offer on a host that is not served. */
  sasl(host: string): SaslPolicy
  /** The keys that SCRAM checks; undefined when there are none. `username` is as the client wrote it. */
  credentials(username: string, host: string): Promise<Credentials | undefined>
  /** Whether the password is right; takes as long where there is no such account. `username` is as the client wrote it. */
  verify(username: string, host: string, password: string): Promise<boolean>
  /** At once where it is known without asking the store. */
  exists(user: string, host: string): boolean | Promise<boolean>
  /** `not-allowed`: no method of the host makes accounts. Rejects with UnusablePassword. */
  create(user: string, host: string, password: string): Promise<'created' | 'exists' | 'not-allowed'>
  /** Rejects with UnusablePassword. */
  setPassword(user: string, host: string, password: string): Promise<'changed' | 'not-found' | 'not-allowed'>
  /** Removes the account with all that is stored for it; false when there is none. Its sessions are the caller's business. */
  remove(user: string, host: string): Promise<boolean>
  /** Localparts in byte order after `after`, at most `limit`. */
  list(host: string, page: { after?: string; limit: number }): Promise<string[]>
  count(host: string): Promise<number>
}

const nothing: SaslPolicy = { configured: [], capabilities: new Set(), hashes: [], iterations: 10_000 }

/** The secret that an installation was born with. It only makes salts up, and opens nothing. */
export const serverSecret = (store: Pick<Store, 'meta'>, random: Random = randomBytes): Promise<Buffer> =>
  store.meta.putIfAbsent('server-secret', random(32))

export function createAuthenticator(options: AuthenticatorOptions): Authenticator {
  const { secret, random = randomBytes } = options
  const shared = { ...options, random, derivations: options.derivations ?? boundedDerivations() }
  const hosts = new Map([...options.hosts].map(([host, config]) => [host, authenticatorOf(host, config, shared)]))
  return {
    hosts: [...hosts.keys()],
    secret,
    anonymousName: anonymousNames(random),
    sasl: host => hosts.get(host)?.policy ?? nothing,
    async credentials(username, host) {
      const user = prepareLocal(username)
      return user === undefined ? undefined : hosts.get(host)?.internal?.credentials(user)
    },
    async verify(username, host, password) {
      const user = prepareLocal(username)
      return user !== undefined && (await hosts.get(host)?.verify(user, password)) === true
    },
    exists: (user, host) => hosts.get(host)?.exists(user) ?? false,
    create: async (user, host, password) => hosts.get(host)?.internal?.create(user, password) ?? 'not-allowed',
    setPassword: async (user, host, password) =>
      hosts.get(host)?.internal?.setPassword(user, password) ?? 'not-allowed',
    remove: async (user, host) => hosts.get(host)?.internal?.remove(user) ?? false,
    list: async (host, page) => hosts.get(host)?.internal?.list(page) ?? [],
    count: async host => hosts.get(host)?.internal?.count() ?? 0,
  }
}

type Shared = AuthenticatorOptions & { random: Random; derivations: Derivations }

function authenticatorOf(host: string, config: HostAuth, shared: Shared) {
  const { secret, random, derivations } = shared
  const isInternal = config.methods.includes('internal') || config.methods.includes('rdbms')
  const isAnonymous = config.methods.includes('anonymous')
  const internal = isInternal
    ? internalAccounts({ accounts: shared.store.accounts, host, config, derivations, secret, random })
    : undefined
  const isOnline = (user: string) => shared.isOnline?.(user, host) ?? false
  const anonymous = {
    mayShareName: config.anonymous.allow_multiple_connections,
    isOnline,
    isTaken: async (user: string) => (await internal?.exists(user)) ?? false,
  }
  const mayTakeAnyName = isAnonymous && config.anonymous.protocol !== 'sasl_anon'
  return {
    internal,
    policy: policyOf(config),
    // An anonymous login never succeeds under a name that is an account's, so the order of the methods makes no difference.
    async verify(user: string, password: string): Promise<boolean> {
      if (await internal?.verify(user, password)) return true
      return mayTakeAnyName && mayLogInAnonymously(user, anonymous)
    },
    exists: (user: string) => (isAnonymous && isOnline(user) ? true : (internal?.exists(user) ?? false)),
  }
}

function policyOf(config: HostAuth): SaslPolicy {
  return {
    configured: config.sasl_mechanisms.filter((name): name is SaslMechanismName => Object.hasOwn(saslMechanisms, name)),
    capabilities: new Set(config.methods.flatMap(method => capabilitiesOf(method, config.anonymous.protocol))),
    hashes: hashesOf(config),
    iterations: config.scram_iterations,
  }
}

/** spec/listeners.md §2.6 */
function capabilitiesOf(
  method: HostAuth['methods'][number],
  protocol: HostAuth['anonymous']['protocol'],
): readonly SaslCapability[] {
  if (method === 'internal' || method === 'rdbms') return ['plain', 'scram']
  if (method !== 'anonymous') return [] // `meerkat check` refuses them: not built yet.
  const capabilities = { sasl_anon: ['anonymous'], login_anon: ['plain'], both: ['anonymous', 'plain'] } as const
  return capabilities[protocol]
}
