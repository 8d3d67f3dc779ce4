import { createHash } from 'node:crypto'
import { isIPv6 } from 'node:net'
import { LRUCache } from 'lru-cache'
import type { AuthConfig } from '../config/auth.js'
import type { Clock } from '../observability/clock.js'
import { prepareLocal } from '../protocols/jid.js'

/** Addresses, and pairs of account and address, that are remembered; where there are more, the oldest are forgotten. */
const ADDRESSES = 20_000
const PAIRS = 50_000
/** An address may fail so many times as often as one account from it: many people may sit behind one. */
const PER_ADDRESS = 10
/** Milliseconds that the first failure takes, and the most; doubles with each. */
const FIRST_DELAY_MS = 100
const LONGEST_DELAY_MS = 3_000

interface Failures {
  count: number
  /** When the window ends, in milliseconds of the clock. */
  readonly until: number
}

/**
 * The failed logins of one host. They count for the pair of account and address, so that nobody shuts an owner out from elsewhere, and
 * for the address alone. `auth.max_failed_logins`, `auth.failed_login_window`, spec/listeners.md §2.6
 */
export class FailedLogins {
  // Made by the first failure: they take their room at once.
  private byAddress: LRUCache<string, Failures> | undefined = undefined
  private byPair: LRUCache<string, Failures> | undefined = undefined
  private readonly max: number
  private readonly windowMs: number

  constructor(
    { max_failed_logins, failed_login_window }: Pick<AuthConfig, 'max_failed_logins' | 'failed_login_window'>,
    private readonly clock: Clock,
  ) {
    this.max = max_failed_logins
    this.windowMs = failed_login_window * 1000
  }

  /** How many addresses and pairs are remembered. */
  get size(): number {
    return (this.byAddress?.size ?? 0) + (this.byPair?.size ?? 0)
  }

  /** Whether this address may not try this account now. `username` is as the client wrote it. One look-up where nobody failed. */
  isBlocked(address: string, username: string): boolean {
    const failures = this.at(address)
    if (failures === undefined) return false
    if (failures.count >= this.max * PER_ADDRESS) return true
    return (this.current(this.byPair, pairOf(address, username))?.count ?? 0) >= this.max
  }

  /** Counts a failure: how long its answer takes, in milliseconds, and whether it was the one that shuts out. */
  failed(address: string, username: string): { delayMs: number; isLast: boolean } {
    this.byAddress ??= new LRUCache({ max: ADDRESSES })
    this.byPair ??= new LRUCache({ max: PAIRS })
    const ofAddress = this.count(this.byAddress, network(address))
    const ofPair = this.count(this.byPair, pairOf(address, username))
    // Guesses at many accounts get slower too.
    const rank = ofPair + Math.floor(ofAddress / this.max)
    return {
      delayMs: Math.min(FIRST_DELAY_MS * 2 ** (rank - 1), LONGEST_DELAY_MS),
      isLast: ofPair === this.max || ofAddress === this.max * PER_ADDRESS,
    }
  }

  /** The pair starts afresh; the address does not, or an account of one's own would wash it clean. One look-up where nobody failed. */
  succeeded(address: string, username: string): void {
    if (this.at(address) !== undefined) this.byPair?.delete(pairOf(address, username))
  }

  private at(address: string): Failures | undefined {
    return this.byAddress && this.current(this.byAddress, network(address))
  }

  private current(failures: LRUCache<string, Failures> | undefined, key: string): Failures | undefined {
    const found = failures?.get(key)
    return found !== undefined && found.until > this.clock.now() ? found : undefined
  }

  private count(failures: LRUCache<string, Failures>, key: string): number {
    const found = this.current(failures, key)
    if (found !== undefined) return ++found.count
    failures.set(key, { count: 1, until: this.clock.now() + this.windowMs })
    return 1
  }
}

/** A digest, so that long names take no more memory than short ones. */
function pairOf(address: string, username: string): string {
  const name = prepareLocal(username) ?? username
  return createHash('sha256')
    .update(`${network(address)}\0${name}`)
    .digest('base64')
}

/** The address; of IPv6 the first 64 bits, all of which one subscriber has. RFC 6177 */
export function network(address: string): string {
  if (!isIPv6(address)) return address
  const [, mapped] = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address) ?? []
  if (mapped !== undefined) return mapped
  const [before = '', after] = address.split('%', 1)[0]!.split('::')
  const [head, tail] = [before, after ?? ''].map(text => (text === '' ? [] : text.split(':')))
  const zeros = after === undefined ? 0 : 8 - head!.length - tail!.length
  const groups = [...head!, ...Array<string>(Math.max(0, zeros)).fill('0'), ...tail!]
  return `${groups
    .slice(0, 4)
    .map(group => Number.parseInt(group, 16).toString(16))
    .join(':')}::/64`
}
