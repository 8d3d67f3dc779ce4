import type { Authenticator } from '../auth/authenticate.js'
import type { LoginAttempt, PasswordVerdict } from '../auth/password-login.js'
import type { HostModules, RunningModules } from '../modules/index.js'
import type { Clock } from '../observability/clock.js'
import type { Emit } from '../observability/events.js'
import type { Routing } from '../routing/services.js'
import type { Store } from '../storage/store.js'

/** What operations are made of; `server.ts` hands it in. */
export interface OperationServices {
  readonly routing: Routing
  readonly store: Store
  readonly clock: Clock
  readonly emit: Emit
  /** Accounts as `[auth]` keeps them; `remove` removes all that the server has of one, and ends its sessions. */
  readonly accounts: Pick<Authenticator, 'hosts' | 'exists' | 'create' | 'setPassword' | 'list' | 'verify'> & {
    remove(user: string, host: string): Promise<boolean>
    /** Whether who asks over HTTP is who it says. Wrong guesses count with those over XMPP, and take as long. */
    login(attempt: LoginAttempt, password: string): Promise<PasswordVerdict>
  }
  /** The options of the modules that run on a host, by the module's name; undefined for a host that is not served. */
  modulesOf(host: string): HostModules | undefined
  /** What a module of the host offers; undefined where none does. */
  offered: RunningModules['offered']
}
