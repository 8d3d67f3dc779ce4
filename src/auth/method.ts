import type { X509Certificate } from 'node:crypto'
import type { Credentials, ScramHash } from '../protocols/sasl/credentials.js'
import type { SaslCapability } from '../protocols/sasl/mechanisms.js'
import { StoreUnavailable } from '../storage/store.js'

/**
 * Who is asked cannot answer now: to everybody else as if the store could not. A login that it decides fails with
 * `temporary-auth-failure`; nothing is known about the password.
 */
export class BackEndUnavailable extends StoreUnavailable {
  override name = 'BackEndUnavailable'
}

/**
 * One entry of `auth.methods` on one host. `user` is a prepared localpart. What asks somebody else rejects with StoreUnavailable,
 * of which BackEndUnavailable is one. What a method cannot do it leaves out.
 */
export interface Method {
  /** spec/listeners.md §2.6 */
  readonly capabilities: readonly SaslCapability[]
  /** Whether the password is right. */
  verify?(user: string, password: string): Promise<boolean>
  /** Keys for `hash`, or without one the password; undefined when there are none. */
  credentials?(user: string, hash: ScramHash | undefined): Promise<Credentials | undefined>
  /** Whether a client with this certificate, which proves the account, may log in. */
  identify?(user: string, certificate: X509Certificate): Promise<boolean>
  /** It has no list of its users: every name may be one. */
  readonly knowsEverybody?: true
  /** At once where it is known. */
  exists(user: string): boolean | Promise<boolean>
  /** Before the first login. */
  start?(): void | Promise<void>
  /** Ends what runs beside the server; resolves when it has ended. */
  stop?(): void | Promise<void>
}
