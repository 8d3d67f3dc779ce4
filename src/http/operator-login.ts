import type { Context } from 'koa'
import type { FailedLogins } from '../auth/failed-logins.js'
import { type BasicCredentials, isSameCredentials, readBasic } from './basic-auth.js'
import { Refused } from './rest/answer.js'

/** The one name and password that a handler for operators is configured with. Who guesses is shut out as at any other login. */
export class OperatorLogin {
  constructor(
    private readonly expected: BasicCredentials,
    private readonly failures: FailedLogins,
  ) {}

  /** Throws `Refused` unless the request bears them: 400 for a header that cannot be read, 401, and 429 after too many wrong ones from the address. */
  check(ctx: Context, address: string, realm: string): void {
    const given = readBasic(ctx.get('authorization'))
    if (given === 'malformed') throw new Refused(400)
    const challenge = { 'www-authenticate': `Basic realm="${realm}"` }
    if (given === 'absent') throw new Refused(401, '', challenge)
    if (this.failures.isBlocked(address, given.username)) throw new Refused(429)
    if (!isSameCredentials(given, this.expected)) {
      this.failures.failed(address, given.username)
      throw new Refused(401, '', challenge)
    }
    this.failures.succeeded(address, given.username)
  }
}
