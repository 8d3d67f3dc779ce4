import { FailedLogins } from '../auth/failed-logins.js'
import type { HttpListenerConfig } from '../config/listen-http.js'
import { OperatorLogin } from '../http/operator-login.js'
import type { Base } from './base.js'
import { isLoopback } from './c2s.js'
import { addressOf } from './listen.js'

/** How operators log in at a handler; undefined where it has no credentials. Says where they would be sent in clear text. */
export function operatorLogin(
  { config, clock, emit }: Base,
  name: string,
  listener: HttpListenerConfig,
  { username, password }: { username?: string | undefined; password?: string | undefined },
): OperatorLogin | undefined {
  if (username === undefined || password === undefined) return undefined
  if (listener.tls === undefined && !isLoopback(addressOf(listener))) {
    emit('config.warning', { path: `listener ${name}`, text: 'operators may send passwords in clear text' })
  }
  return new OperatorLogin({ username, password }, new FailedLogins(config.auth, clock))
}
