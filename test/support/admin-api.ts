import { httpPort } from './bosh.js'
import { request } from './rest.js'
import { type Setup, sharedServer } from './server.js'

/*
 * A server with the admin API, and what an operator asks of it.
 */

export const adminModules = {
  mod_roster: {},
  mod_ping: {},
  mod_disco: {},
  mod_offline: {},
  mod_mam_meta: { pm: {} },
  mod_commands: {},
}

/** One listener with the admin API at `/api`, and other handlers. */
export const adminListener = (options: object = {}, handlers: object = {}) => ({
  port: 0,
  ip_address: '127.0.0.1',
  handlers: { mongoose_api_admin: [{ host: '_', path: '/api', ...options }], ...handlers },
})

/** For all tests of a `describe`. */
export function sharedAdminApi({ modules, handlers, ...setup }: Setup & { handlers?: object } = {}) {
  const server = sharedServer({
    users: ['dora', 'hatter', 'hare'],
    ...setup,
    modules: { ...adminModules, ...modules },
    config: { listen: { http: [adminListener({}, handlers)] }, ...setup.config },
  })
  const ask = (line: string, body?: unknown, headers: Record<string, string> = {}) =>
    request(server(), line, body, headers)
  return { server, ask, port: () => httpPort(server()) }
}
