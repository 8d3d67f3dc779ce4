import type { Clock } from '../observability/clock.js'
import type { Counters } from '../observability/counters.js'
import type { Emit } from '../observability/events.js'
import { prepareLocal } from '../protocols/jid.js'
import type { Authenticator } from './authenticate.js'
import type { FailedLogins } from './failed-logins.js'

/** Who tries to log in, and from where. `username` is as the client wrote it. */
export interface LoginAttempt {
  readonly username: string
  readonly host: string
  /** Of the client. */
  readonly address: string
}

/** Counts a failed login and tells when it was the one that shuts out; returns the milliseconds that its answer has to wait. */
export function countFailedLogin(
  failures: FailedLogins,
  { username, host, address }: LoginAttempt,
  emit: Emit,
): number {
  const { delayMs, isLast } = failures.failed(address, username)
  if (isLast) emit('auth.blocked', { address, host, user: prepareLocal(username) ?? '' })
  return delayMs
}

/** What became of a password: nobody looked at it where too many were wrong before. */
export type PasswordVerdict = 'right' | 'wrong' | 'throttled'

export interface PasswordLoginOptions {
  readonly authenticator: Pick<Authenticator, 'sasl' | 'verify'>
  readonly clock: Clock
  readonly emit: Emit
  readonly counters: Counters
}

/**
 * Checks passwords outside of streams, as the REST APIs get them. What is wrong counts with the failed logins over XMPP and is answered as
 * slowly. Rejects with `StoreUnavailable`.
 */
export function createPasswordLogin(options: PasswordLoginOptions) {
  const { authenticator, clock, emit, counters } = options
  return async (attempt: LoginAttempt, password: string): Promise<PasswordVerdict> => {
    const { username, host, address } = attempt
    const { failures } = authenticator.sasl(host)
    const isBlocked = () => {
      if (!failures.isBlocked(address, username)) return false
      counters.loginsThrottled++
      return true
    }
    if (isBlocked()) return 'throttled'
    const isRight = await authenticator.verify(username, host, password)
    // Others may have failed while this one was on its way.
    if (isBlocked()) return 'throttled'
    if (isRight) {
      failures.succeeded(address, username)
      return 'right'
    }
    const ms = countFailedLogin(failures, attempt, emit)
    await new Promise<void>(resolve => void clock.after(ms, resolve))
    return 'wrong'
  }
}
