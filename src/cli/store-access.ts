import { createAuthenticator, serverSecret } from '../auth/authenticate.js'
import type { AuthConfig } from '../config/auth.js'
import { configFor } from '../config/for-host.js'
import type { Config } from '../config/root.js'
import { accountRequests } from '../control/account-requests.js'
import type { ControlRequest } from '../control/socket.js'
import { userRequests } from '../control/user-requests.js'
import { lockDataDir } from '../storage/data-dir.js'
import { openStore } from '../storage/open.js'
import { askServer, UserError } from './args.js'

export type Ask = (request: ControlRequest) => Promise<unknown>

/**
 * Lets `work` ask the running server, so that its caches and sessions follow, or, when there is none, the store. Both ways end in the
 * same handlers. `work` begins with a question, and is begun anew when nobody answers that.
 */
export async function withUsers<T>(config: Config, work: (ask: Ask) => Promise<T>): Promise<T> {
  const dataDir = config.general.data_dir
  try {
    return await work(request => askServer(dataDir, request))
  } catch (error) {
    if (!(error instanceof UserError && error.code === 'not-running')) throw error
  }
  const folder = lockDataDir(dataDir)
  try {
    const store = await openStore(config.outgoing_pools, folder.database)
    try {
      const hosts = new Map(config.general.hosts.map(host => [host, storedOnly(configFor(config, host).auth)]))
      const users = createAuthenticator({ store, hosts, secret: await serverSecret(store) })
      // Nothing is remembered here, and nobody is connected.
      const accounts = accountRequests({ store, users, changed: () => {}, imported: () => {} })
      const handlers = { ...userRequests(users), ...accounts }
      return await work(async request => handlers[request.verb]?.(request))
    } finally {
      await store.close()
    }
  } finally {
    folder.release()
  }
}

/** Without the methods that ask somebody else, who is no concern of a command. */
const storedOnly = (auth: AuthConfig): AuthConfig => ({
  ...auth,
  methods: auth.methods.filter(method => method === 'internal' || method === 'rdbms'),
})
