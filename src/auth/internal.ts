import { LRUCache } from 'lru-cache'
import type { AuthConfig } from '../config/auth.js'
import type { Credentials, ScramHash } from '../protocols/sasl/credentials.js'
import type { SaslCapability } from '../protocols/sasl/mechanisms.js'
import {
  credentialsFor,
  fakeScramKeys,
  saltBytes,
  scramHashes,
  UnusablePassword,
  verifyPassword,
} from '../protocols/sasl/scram-keys.js'
import { entries } from '../storage/remembered.js'
import { type AccountRepository, StoreUnavailable } from '../storage/store.js'
import type { Random } from './anonymous.js'
import type { Derivations } from './derivations.js'
import type { IterationCounts } from './iteration-counts.js'
import { ProvenPasswords } from './proven-passwords.js'

/** Names whose existence is remembered, known and unknown ones together. */
const REMEMBERED = 10_000
/** Bytes of a password in UTF-8; more is no password. */
const LONGEST_PASSWORD = 1_023

const everyHash = Object.keys(scramHashes) as ScramHash[] // Object.keys forgets the literal type

/** The SCRAM hashes that a host stores and offers. `auth.password.hash` */
export const hashesOf = ({ password }: Pick<AuthConfig, 'password'>): readonly ScramHash[] => password.hash ?? everyHash

export interface InternalOptions {
  accounts: AccountRepository
  host: string
  config: Pick<AuthConfig, 'password' | 'scram_iterations'>
  derivations: Derivations
  /** Makes up credentials for accounts that do not exist. */
  secret: Buffer
  counts: IterationCounts
  random: Random
}

/** Where in the order of names, and how many accounts from there, are looked at for their iteration counts when the server starts. */
const SAMPLE_FROM = ['', 'd', 'j', 'p', 'v']
const SAMPLE = 10

/** The accounts of one host that the store keeps: methods `internal` and `rdbms`. Every `user` is a prepared localpart. */
export function internalAccounts({ accounts, host, config, derivations, secret, counts, random }: InternalOptions) {
  const hashes = hashesOf(config)
  const iterations = config.scram_iterations
  // `hash` decides alone where it is given. spec/listeners.md §2.6
  const format = config.password.hash === undefined ? config.password.format : 'scram'
  const known = new LRUCache<string, boolean>(entries(REMEMBERED))
  const proven = new ProvenPasswords(random)
  let changes = 0
  let changesUnderWay = 0

  const derive = (password: string) =>
    derivations(() => credentialsFor(password, { hashes, iterations, format, salt: () => random(saltBytes) }))

  /** Checking a password takes as long for a name that does not exist. */
  const decoy = (user: string): Credentials => ({
    scram: Object.fromEntries(hashes.map(hash => [hash, fakeScramKeys(secret, hash, user, counts.seen)])),
    ...(format === 'plain' && { password: secret.toString('hex') }),
  })

  /** Forgets what is known of the name while it changes: an answer that is on its way may be older than the change. */
  const changing = async <T>(user: string, change: () => Promise<T>): Promise<T> => {
    changes += 1
    changesUnderWay += 1
    known.delete(user)
    try {
      return await change()
    } finally {
      changesUnderWay -= 1
      changes += 1
      known.delete(user)
    }
  }

  const lookUp = async (user: string): Promise<boolean> => {
    const before = changes
    const isThere = await accounts.exists(user, host)
    if (changes === before) known.set(user, isThere)
    return isThere
  }

  /** Whether the stored form is what the options ask for now. */
  const isUpToDate = ({ scram, password }: Credentials): boolean =>
    (password !== undefined) === (format === 'plain') &&
    Object.keys(scram).length === hashes.length &&
    hashes.every(hash => scram[hash]?.iterations === iterations)

  /** Stores a password anew that was right when so many changes had been; never over one that was set since. */
  const renew = async (user: string, password: string, before: number): Promise<void> => {
    const credentials = await derive(password)
    if (changes === before && changesUnderWay === 0)
      await changing(user, () => accounts.setCredentials(user, host, credentials))
  }

  const noteCounts = (found: Credentials) => {
    for (const keys of Object.values(found.scram)) counts.note(keys.iterations)
  }

  return {
    capabilities: (format === 'plain' ? ['plain', 'digest', 'scram'] : ['plain', 'scram']) as readonly SaslCapability[],

    /** Learns the iteration counts that accounts have; some may be missed until somebody logs in by PLAIN. */
    async start(): Promise<void> {
      const pages = await Promise.all(SAMPLE_FROM.map(after => accounts.list(host, { after, limit: SAMPLE })))
      for (const found of await Promise.all(pages.flat().map(user => accounts.credentials(user, host)))) {
        if (found !== undefined) noteCounts(found)
      }
    },

    /** At once where it is known. */
    exists: (user: string): boolean | Promise<boolean> => known.get(user) ?? lookUp(user),

    credentials: (user: string) => accounts.credentials(user, host),

    async verify(user: string, password: string): Promise<boolean> {
      if (isTooLong(password)) return false
      const before = changes
      const found = await accounts.credentials(user, host)
      if (found !== undefined && proven.has(user, password, found)) return true
      const isRight = await derivations(() => verifyPassword(password, found ?? decoy(user)))
      if (found === undefined || !isRight) return false
      if (isUpToDate(found)) proven.add(user, password, found)
      else {
        noteCounts(found)
        // The next login tries again.
        await renew(user, password, before).catch((error: unknown) => {
          if (!(error instanceof StoreUnavailable)) throw error
        })
      }
      return true
    },

    /** Throws UnusablePassword. */
    async create(user: string, password: string): Promise<'created' | 'exists'> {
      // Looked up first, so that asking for a taken name costs no derivation.
      refuseTooLong(password)
      if (await accounts.exists(user, host)) return 'exists'
      const credentials = await derive(password)
      const isCreated = await changing(user, () => accounts.create(user, host, credentials))
      return isCreated ? 'created' : 'exists'
    },

    /** Makes an account with what another server stored of its password; `exists` leaves the one that is there as it is. */
    async adopt(user: string, credentials: Credentials): Promise<'created' | 'exists'> {
      const isCreated = await changing(user, () => accounts.create(user, host, credentials))
      return isCreated ? 'created' : 'exists'
    },

    /** Stores what another server stored of the account's password. */
    async setCredentials(user: string, credentials: Credentials): Promise<void> {
      noteCounts(credentials)
      await changing(user, () => accounts.setCredentials(user, host, credentials))
    },

    /** Throws UnusablePassword. */
    async setPassword(user: string, password: string): Promise<'changed' | 'not-found'> {
      refuseTooLong(password)
      return changing(user, async () => {
        if (!(await accounts.exists(user, host))) return 'not-found'
        const credentials = await derive(password)
        return (await accounts.setCredentials(user, host, credentials)) ? 'changed' : 'not-found'
      })
    },

    remove: (user: string) => changing(user, () => accounts.remove(user, host)),
    list: (page: { after?: string; limit: number }) => accounts.list(host, page),
    count: () => accounts.count(host),
  }
}

const isTooLong = (password: string) => Buffer.byteLength(password) > LONGEST_PASSWORD

function refuseTooLong(password: string): void {
  if (isTooLong(password)) throw new UnusablePassword(`the password is longer than ${LONGEST_PASSWORD} bytes`)
}
