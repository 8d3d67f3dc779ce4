import { createHmac, timingSafeEqual } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { Credentials } from '../protocols/sasl/credentials.js'
import { entries } from '../storage/remembered.js'
import type { Random } from './anonymous.js'

/** Accounts that are remembered; the least recently used is forgotten first. */
const ACCOUNTS = 10_000

/**
 * Which passwords were right lately, so that who sends one with every request over HTTP does not cost a key derivation each time. Kept are
 * digests under a key of this process, of the password and of what the store had of it at that time: another password, or the same one
 * stored anew, is derived as ever. Nothing of it leaves the memory.
 */
export class ProvenPasswords {
  readonly #key: Buffer
  readonly #digests = new LRUCache<string, Buffer>(entries(ACCOUNTS))

  constructor(random: Random) {
    this.#key = random(32)
  }

  /** Whether this password was right for what the store has now. */
  has(user: string, password: string, stored: Credentials): boolean {
    const known = this.#digests.get(user)
    return known !== undefined && timingSafeEqual(known, this.#digest(password, stored))
  }

  /** The password is right for what the store has. */
  add(user: string, password: string, stored: Credentials): void {
    this.#digests.set(user, this.#digest(password, stored))
  }

  #digest(password: string, { scram, password: plain }: Credentials): Buffer {
    const keys = Object.entries(scram).map(([hash, { salt, iterations, storedKey }]) => [
      hash,
      salt.toString('hex'),
      iterations,
      storedKey.toString('hex'),
    ])
    return createHmac('sha256', this.#key)
      .update(JSON.stringify([password, plain, keys]))
      .digest()
  }
}
