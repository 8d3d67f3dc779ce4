import { randomBytes, type X509Certificate } from 'node:crypto'
import type { AuthConfig } from '../config/auth.js'
import { type Clock, systemClock } from '../observability/clock.js'
import { prepareLocal } from '../protocols/jid.js'
import type { Credentials, ScramHash } from '../protocols/sasl/credentials.js'
import type { IdentitySource } from '../protocols/sasl/identity.js'
import { type OfferInput, type SaslMechanismName, saslMechanisms } from '../protocols/sasl/mechanisms.js'
import { type Store, StoreUnavailable } from '../storage/store.js'
import { anonymousMethod, anonymousNames, type Random } from './anonymous.js'
import { boundedDerivations, type Derivations } from './derivations.js'
import { dummyMethod } from './dummy.js'
import { externalMethod } from './external.js'
import { FailedLogins } from './failed-logins.js'
import { httpMethod } from './http.js'
import type { HttpPool } from './http-pool.js'
import { hashesOf, internalAccounts } from './internal.js'
import { ITERATIONS_ON_THE_FLY, type IterationCounts, iterationCounts } from './iteration-counts.js'
import { jwtMethod } from './jwt.js'
import { BackEndUnavailable, type Method } from './method.js'
import { pkiMethod } from './pki.js'

/** What of `[auth]` the authenticator goes by. */
export type HostAuth = Omit<AuthConfig, 'ldap'>

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
  clock?: Clock
  /** The pool `[outgoing_pools.http.auth]` for the host; method `http` needs it. Throws StartupError. */
  httpPool?: (host: string) => HttpPool
  /** Told when a back end of a method begins to fail, in one line. */
  onBackEndFailure?: (host: string, method: string, reason: string) => void
}

/** What a host's logins go by: the parts of `OfferInput` that the configuration decides, and what the exchanges need of it. */
export interface SaslPolicy extends Pick<OfferInput, 'configured' | 'capabilities' | 'hashes'> {
  /** The iteration counts of its accounts. */
  readonly iterations: readonly number[]
  readonly identitySources: readonly IdentitySource[]
  readonly failures: FailedLogins
}

/**
 * Who may log in, and which accounts there are, by the methods of each host. Where nothing else is said, `user` is a prepared
 * localpart. What needs the store, another back end or the derivation of a key rejects with StoreUnavailable when it cannot be had
 * now. The methods of a host are asked in order until one says yes; one that cannot answer decides only when no other
 * does.
 */
export interface Authenticator {
  readonly hosts: readonly string[]
  /** Makes up salts for SCRAM; the same in every run of an installation. */
  readonly secret: Buffer
  /** A localpart for SASL ANONYMOUS, never given twice. */
  anonymousName(): string
  /** Nothing is on offer on a host that is not served. */
  sasl(host: string): SaslPolicy
  /** The keys that SCRAM checks (without a hash, the password); undefined when there are none. `username` is as the client wrote it. */
  credentials(username: string, host: string, hash?: ScramHash): Promise<Credentials | undefined>
  /** Whether the password is right; takes as long where there is no such account. `username` is as the client wrote it. */
  verify(username: string, host: string, password: string): Promise<boolean>
  /** Whether a client whose certificate proves the account may log in. */
  identify(user: string, host: string, certificate: X509Certificate): Promise<boolean>
  /** At once where it is known without asking the store. */
  exists(user: string, host: string): boolean | Promise<boolean>
  /** `not-allowed`: no method of the host makes accounts. Rejects with UnusablePassword. */
  create(user: string, host: string, password: string): Promise<'created' | 'exists' | 'not-allowed'>
  /** Makes an account with what another server stored of its password. */
  adopt(user: string, host: string, credentials: Credentials): Promise<'created' | 'exists' | 'not-allowed'>
  /** Stores what another server stored of the account's password. */
  setCredentials(user: string, host: string, credentials: Credentials): Promise<void>
  /** Rejects with UnusablePassword. */
  setPassword(user: string, host: string, password: string): Promise<'changed' | 'not-found' | 'not-allowed'>
  /** Removes the account with all that is stored for it; false when there is none. Its sessions are the caller's business. */
  remove(user: string, host: string): Promise<boolean>
  /** Localparts in byte order after `after`, at most `limit`. */
  list(host: string, page: { after?: string; limit: number }): Promise<string[]>
  count(host: string): Promise<number>
  /** Learns what is stored and starts what runs beside the server; before the first login. */
  start(): Promise<void>
  /** Ends what runs beside the server. */
  stop(): Promise<void>
}

/** The secret that an installation was born with. It only makes salts up, and opens nothing. */
export const serverSecret = (store: Pick<Store, 'meta'>, random: Random = randomBytes): Promise<Buffer> =>
  store.meta.putIfAbsent('server-secret', random(32))

/** @throws StartupError when a method cannot do its work with its options */
export function createAuthenticator(options: AuthenticatorOptions): Authenticator {
  const { secret, random = randomBytes, clock = systemClock } = options
  const shared = { ...options, random, clock, derivations: options.derivations ?? boundedDerivations() }
  const hosts = new Map([...options.hosts].map(([host, config]) => [host, authenticatorOf(host, config, shared)]))
  const nothing: SaslPolicy = {
    configured: [],
    capabilities: new Set(),
    hashes: [],
    iterations: [ITERATIONS_ON_THE_FLY],
    identitySources: [],
    failures: new FailedLogins({ max_failed_logins: 1, failed_login_window: 1 }, clock),
  }
  return {
    hosts: [...hosts.keys()],
    secret,
    anonymousName: anonymousNames(random),
    sasl: host => hosts.get(host)?.policy ?? nothing,
    async credentials(username, host, hash) {
      const user = prepareLocal(username)
      return user === undefined ? undefined : hosts.get(host)?.credentials(user, hash)
    },
    async verify(username, host, password) {
      const user = prepareLocal(username)
      return user !== undefined && (await hosts.get(host)?.verify(user, password)) === true
    },
    identify: async (user, host, certificate) => (await hosts.get(host)?.identify(user, certificate)) === true,
    exists: (user, host) => hosts.get(host)?.exists(user) ?? false,
    create: async (user, host, password) => hosts.get(host)?.create(user, password) ?? 'not-allowed',
    adopt: async (user, host, credentials) => hosts.get(host)?.internal?.adopt(user, credentials) ?? 'not-allowed',
    setCredentials: async (user, host, credentials) => hosts.get(host)?.internal?.setCredentials(user, credentials),
    setPassword: async (user, host, password) =>
      hosts.get(host)?.internal?.setPassword(user, password) ?? 'not-allowed',
    remove: async (user, host) => hosts.get(host)?.internal?.remove(user) ?? false,
    list: async (host, page) => hosts.get(host)?.internal?.list(page) ?? [],
    count: async host => hosts.get(host)?.internal?.count() ?? 0,
    async start() {
      await Promise.all([...hosts.values()].flatMap(({ methods }) => methods.map(method => method.start?.())))
    },
    async stop() {
      await Promise.all([...hosts.values()].flatMap(({ methods }) => methods.map(method => method.stop?.())))
    },
  }
}

type Shared = AuthenticatorOptions & { random: Random; clock: Clock; derivations: Derivations }
type Internal = ReturnType<typeof internalAccounts>

function authenticatorOf(host: string, config: HostAuth, shared: Shared) {
  const counts = iterationCounts(firstCount(config))
  const isInternal = config.methods.includes('internal') || config.methods.includes('rdbms')
  const { accounts } = shared.store
  const internal = isInternal ? internalAccounts({ ...shared, accounts, host, config, counts }) : undefined
  const methods = methodsOf(host, config, shared, internal, counts)
  const keyed = methods.filter(method => method.credentials !== undefined)
  const lists = methods.filter(method => method !== internal && !method.knowsEverybody)
  const only = keyed.length === 1 ? keyed[0] : undefined
  return {
    internal,
    methods,
    policy: policyOf(config, methods, counts, shared.clock),
    credentials: (user: string, hash: ScramHash | undefined) =>
      only?.credentials !== undefined
        ? only.credentials(user, hash)
        : firstOf(keyed, method => method.credentials?.(user, hash)),
    verify: (user: string, password: string) => firstOf(methods, method => method.verify?.(user, password)),
    identify: (user: string, certificate: X509Certificate) =>
      firstOf(methods, method => method.identify?.(user, certificate)),
    exists: (user: string) => existsIn(methods, user),
    async create(user: string, password: string) {
      if (internal === undefined) return 'not-allowed'
      // Else whoever may register could take the name of somebody whom another method knows.
      return (await existsIn(lists, user)) ? 'exists' : internal.create(user, password)
    },
  }
}

/** Keys for a plain password of somebody else's are made when they are needed. */
const firstCount = ({ methods, password, scram_iterations }: HostAuth) => {
  const isInternal = methods.includes('internal') || methods.includes('rdbms')
  return !isInternal && password.hash === undefined && password.format === 'plain'
    ? ITERATIONS_ON_THE_FLY
    : scram_iterations
}

/** spec/listeners.md §2.6 */
function methodsOf(
  host: string,
  config: HostAuth,
  shared: Shared,
  internal: Internal | undefined,
  counts: IterationCounts,
): Method[] {
  const { secret, clock, derivations } = shared
  const failed = (method: string) => (reason: string) => shared.onBackEndFailure?.(host, method, reason)
  const make = (method: HostAuth['methods'][number]): Method[] => {
    switch (method) {
      case 'internal':
      case 'rdbms':
        return internal === undefined ? [] : [internal]
      case 'http': {
        const pool = shared.httpPool?.(host)
        if (pool === undefined) throw new Error('method http without its pool')
        return [watched(httpMethod({ host, config, pool, derivations, secret, counts, clock }), failed('http'))]
      }
      case 'jwt':
        return config.jwt === undefined ? [] : [jwtMethod(config.jwt, clock)]
      case 'external':
        return [externalMethod({ host, config: config.external, clock, onFailure: failed('external') })]
      case 'pki':
        return [pkiMethod]
      case 'dummy':
        return [dummyMethod(clock)]
      case 'anonymous':
      case 'ldap': // `meerkat check` refuses it and riak: not built yet.
      case 'riak':
        return []
    }
  }
  const made = new Map(config.methods.map(method => [method, make(method)]))
  const others = [...made.values()].flat()
  const isOnline = (user: string) => shared.isOnline?.(user, host) ?? false
  const anonymous = anonymousMethod(config.anonymous, { isOnline, isTaken: async user => existsIn(others, user) })
  return config.methods.flatMap(method => (method === 'anonymous' ? [anonymous] : (made.get(method) ?? [])))
}

/** Tells when the back end begins not to answer. */
function watched(method: Method, failed: (reason: string) => void): Method {
  let isDown = false
  const watch = async <T>(asked: Promise<T>): Promise<T> => {
    try {
      const answer = await asked
      isDown = false
      return answer
    } catch (error) {
      if (error instanceof BackEndUnavailable && !isDown) {
        isDown = true
        failed(error.message)
      }
      throw error
    }
  }
  return {
    ...method,
    verify: async (user, password) => watch(method.verify?.(user, password) ?? Promise.resolve(false)),
    credentials: async (user, hash) => watch(method.credentials?.(user, hash) ?? Promise.resolve(undefined)),
    identify: async (user, certificate) => watch(method.identify?.(user, certificate) ?? Promise.resolve(false)),
  }
}

/** What the first method says that says anything but no; rejects when none does and one could not be asked. */
async function firstOf<T>(
  methods: readonly Method[],
  ask: (method: Method) => Promise<T> | undefined,
): Promise<T | undefined> {
  let unavailable: unknown
  for (const method of methods) {
    try {
      const answer = await ask(method)
      if (answer) return answer
    } catch (error) {
      if (!(error instanceof StoreUnavailable)) throw error
      unavailable = error
    }
  }
  if (unavailable !== undefined) throw unavailable
  return undefined
}

function existsIn(methods: readonly Method[], user: string): boolean | Promise<boolean> {
  for (const [index, method] of methods.entries()) {
    const answer = method.exists(user)
    if (answer === true) return true
    if (answer !== false) return answer.then(isThere => isThere || existsIn(methods.slice(index + 1), user))
  }
  return false
}

function policyOf(config: HostAuth, methods: readonly Method[], counts: IterationCounts, clock: Clock): SaslPolicy {
  return {
    configured: config.sasl_mechanisms.filter((name): name is SaslMechanismName => Object.hasOwn(saslMechanisms, name)),
    capabilities: new Set(methods.flatMap(method => method.capabilities)),
    hashes: hashesOf(config),
    iterations: counts.seen,
    identitySources: config.sasl_external,
    failures: new FailedLogins(config, clock),
  }
}
