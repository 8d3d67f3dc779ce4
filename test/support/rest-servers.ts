import { clientApiPaths } from '../../src/config/listen-http.js'
import { clientApiMakers } from '../../src/http/client-api/makers.js'
import { httpPort } from './bosh.js'
import { type Setup, startServer } from './server.js'

/*
 * A server with the whole client API and its documentation on one listener.
 */

const mounted = (path: string) => [{ host: '_', path }]

/** The handlers at the paths where they are usually; `prefix` moves them. */
export const clientApiHandlers = (prefix = '') => ({
  ...Object.fromEntries(
    Object.entries(clientApiPaths)
      .filter(([type]) => type in clientApiMakers)
      .map(([type, path]) => [type, mounted(prefix + path)]),
  ),
  lasse_handler: [{ host: '_', path: `${prefix}/api/sse`, module: 'mongoose_client_api_sse' }],
  cowboy_swagger_redirect_handler: mounted(`${prefix}/api-docs`),
  cowboy_swagger_json_handler: mounted(`${prefix}/api-docs/swagger.json`),
  cowboy_static: [
    { host: '_', path: `${prefix}/api-docs/[...]`, type: 'priv_dir', app: 'cowboy_swagger', content_path: 'swagger' },
  ],
  meerkat_health: mounted('/health'),
})

/** The server, and where its API is. The caller stops it. */
export async function startClientApi(
  users: readonly string[],
  { handlers = clientApiHandlers(), auth = {}, ...setup }: Setup & { handlers?: object; auth?: object } = {},
) {
  const server = await startServer({
    users,
    modules: {
      mod_roster: {},
      mod_mam_meta: { pm: {}, muc: { host: 'muclight.@HOST@' } },
      mod_muc_light: {},
      mod_offline: {},
    },
    config: { auth, listen: { http: [{ port: 0, ip_address: '127.0.0.1', handlers }] } },
    ...setup,
  })
  return { server, base: `http://127.0.0.1:${httpPort(server)}` }
}

export const administrator = { user: 'admin', password: 'queen of hearts' }

/** A server with the admin API, all of its commands. The caller stops it. */
export function startAdminApi(users: readonly string[], setup: Setup = {}) {
  const { user: username, password } = administrator
  const names = ['mod_commands', 'mod_muc_light_commands', 'mod_muc_commands', 'mod_muc', 'mod_muc_light', 'mod_roster']
  return startClientApi(users, {
    handlers: {
      mongoose_api_admin: [{ host: '_', path: '/api', username, password }],
      meerkat_health: mounted('/health'),
    },
    modules: {
      ...Object.fromEntries(names.map(name => [name, {}])),
      mod_mam_meta: { pm: {}, muc: { host: 'muclight.@HOST@' } },
      mod_offline: {},
    },
    // Wrong passwords in between are to shut nobody out.
    auth: { max_failed_logins: 1_000_000 },
    ...setup,
  })
}
