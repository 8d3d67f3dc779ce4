import { fileURLToPath } from 'node:url'
import type { HttpKeepers } from '../actors/http-acceptor.js'
import type { HandlerType, HttpListenerConfig } from '../config/listen-http.js'
import type { HttpHandler } from '../http/app.js'
import { createHealthHandler } from '../http/health.js'
import { type Endpoint, hostMetaRoutes } from '../http/host-meta.js'
import type { Route } from '../http/pattern.js'
import { createPrometheusHandler } from '../http/prometheus/handler.js'
import type { Base } from './base.js'
import { isLoopback } from './c2s.js'
import { httpEntrance } from './http-entrance.js'
import type { HttpNeeds } from './http-needs.js'
import { addressOf } from './listen.js'

type Handlers = HttpListenerConfig['handlers']
type Routes = Route<HttpHandler>[]
/** What the tables of one type mount. */
type Mounts = { readonly [Type in HandlerType]: (tables: NonNullable<Handlers[Type]>) => Routes | Promise<Routes> }

/**
 * Everything that a listener serves, in the order of the file: where several handlers would answer, the first one does. HP-5. What a type of
 * handler takes is loaded when there is one of it.
 */
export async function httpRoutes(
  base: Base,
  name: string,
  listener: HttpListenerConfig,
  keepers: HttpKeepers,
  needs: HttpNeeds,
): Promise<Routes> {
  const { handlers } = listener
  const routes: Routes = []
  warnOfPasswords(base, name, listener, needs)
  const mounts = mountsOf(base, name, listener, keepers, needs, routes)
  const types = Object.keys(handlers) as HandlerType[] // of an object that the schema made
  for (const type of types) {
    // The cast: each type with its own tables.
    const mount = mounts[type] as (tables: unknown) => Routes | Promise<Routes>
    routes.push(...(await mount(handlers[type] ?? [])))
  }
  // Last: whoever mounts something there himself knows better.
  for (const { host, path } of handlers.meerkat_health ?? []) {
    const exposition = async () => (await needs.metrics()).exposition()
    routes.push({ host, path: below(path, 'metrics'), target: createPrometheusHandler(exposition) })
  }
  return [...routes, ...hostMetaRoutes(endpointsOf(handlers), listener.tls !== undefined)]
}

function mountsOf(
  base: Base,
  name: string,
  listener: HttpListenerConfig,
  keepers: HttpKeepers,
  needs: HttpNeeds,
  routes: Routes,
): Mounts {
  const certificates = listener.tls ?? { verify_peer: false }
  const client = (type: ClientApiType) => async (tables: readonly Place[]) => {
    if (tables.length === 0) return []
    const { clientApiMakers } = await import('../http/client-api/makers.js')
    return everywhere(tables, clientApiMakers[type](needs.operations))
  }
  return {
    async mod_bosh(tables) {
      if (tables.length === 0) return []
      // One set of sessions, wherever they are asked for.
      const services = await needs.clients(httpEntrance(name, listener, anySize))
      const { boshHandler } = await import('./bosh.js')
      return everywhere(tables, boshHandler(base, services, keepers, certificates))
    },
    mod_websockets: tables => each(tables, table => webSocketRoute(base, name, listener, table, keepers, needs)),
    mongoose_api_admin: tables =>
      each(tables, async table => {
        const { adminApi } = await import('./admin-api.js')
        return adminApi(base, name, listener, table, needs.operations)
      }),
    mongoose_client_api_messages: client('mongoose_client_api_messages'),
    mongoose_client_api_contacts: client('mongoose_client_api_contacts'),
    mongoose_client_api_rooms: client('mongoose_client_api_rooms'),
    mongoose_client_api_rooms_config: client('mongoose_client_api_rooms_config'),
    mongoose_client_api_rooms_users: client('mongoose_client_api_rooms_users'),
    mongoose_client_api_rooms_messages: client('mongoose_client_api_rooms_messages'),
    // The configuration refuses it.
    mongoose_api_client: () => [],
    async lasse_handler(tables) {
      if (tables.length === 0) return []
      const { eventsHandler } = await import('./events.js')
      return everywhere(tables, eventsHandler(base, name, listener.protocol.compress, needs.operations, keepers))
    },
    mongoose_api: tables =>
      each(tables, async table => {
        const { metricsApi } = await import('./metrics-api.js')
        return metricsApi(base, name, listener, table, needs)
      }),
    async mongoose_prometheus_handler(tables) {
      if (tables.length === 0) return []
      const { exposition } = await needs.metrics()
      await exposition()
      return everywhere(tables, createPrometheusHandler(exposition))
    },
    async cowboy_swagger_redirect_handler(tables) {
      const { createDocsRedirect } = await import('./api-docs.js')
      return everywhere(tables, createDocsRedirect())
    },
    async cowboy_swagger_json_handler(tables) {
      const { swaggerHandler } = await import('./api-docs.js')
      // What comes later is there when somebody asks.
      return everywhere(tables, swaggerHandler(routes))
    },
    cowboy_static: tables =>
      each(tables, async ({ host, path, app, content_path }) => {
        const { createStaticHandler } = await import('../http/static-files.js')
        return [{ host, path, target: createStaticHandler(assets(app, content_path)) }]
      }),
    meerkat_debug: tables =>
      each(tables, async table => {
        const { debugRoute } = await import('./debug.js')
        return [await debugRoute(base, name, listener, table, await needs.introspection(), assets('debug'))]
      }),
    meerkat_health: tables => everywhere(tables, createHealthHandler(needs.health)),
  }
}

type Place = Pick<Route<HttpHandler>, 'host' | 'path'>
type ClientApiType = Extract<HandlerType, `mongoose_client_api_${string}`>

/** The same handler for all tables. */
const everywhere = (tables: readonly Place[], target: HttpHandler): Routes =>
  tables.map(({ host, path }) => ({ host, path, target }))

/** A handler of its own for each table. */
async function each<Table>(tables: readonly Table[], mount: (table: Table) => Promise<Routes>): Promise<Routes> {
  const routes: Routes = []
  for (const table of tables) routes.push(...(await mount(table)))
  return routes
}

async function webSocketRoute(
  base: Base,
  name: string,
  listener: HttpListenerConfig,
  options: NonNullable<Handlers['mod_websockets']>[number],
  keepers: HttpKeepers,
  { clients, components }: HttpNeeds,
): Promise<Routes> {
  const { webSocketComponents, webSocketHandler } = await import('./websocket.js')
  const service = webSocketComponents(options)
  const services = {
    clients: await clients(httpEntrance(name, listener, options)),
    components: service && (await components(name, service)),
  }
  const { host, path } = options
  const certificates = listener.tls ?? { verify_peer: false }
  return [{ host, path, target: webSocketHandler(base, options, services, keepers, certificates) }]
}

/** Where web clients of XMPP come in. XEP-0156 */
const endpointsOf = ({ mod_websockets = [], mod_bosh = [] }: Handlers): Endpoint[] => [
  ...mod_websockets.map(({ host, path }) => ({ kind: 'websocket', host, path }) as const),
  ...mod_bosh.map(({ host, path }) => ({ kind: 'xbosh', host, path }) as const),
]

/** What can be read on the way. RC-2: TLS is no must, but its absence is told. */
function warnOfPasswords(base: Base, name: string, listener: HttpListenerConfig, needs: HttpNeeds): void {
  const { handlers } = listener
  const address = addressOf(listener)
  if (endpointsOf(handlers).length > 0) needs.warnOfLogins(address, httpEntrance(name, listener, anySize))
  const takesUsers = Object.entries(handlers).some(
    ([type, tables = []]) => tables.length > 0 && (type === 'lasse_handler' || type.startsWith('mongoose_client_api_')),
  )
  if (!takesUsers || listener.tls !== undefined || isLoopback(address)) return
  base.emit('config.warning', {
    path: `listener ${name}`,
    text: 'users of the REST API may send passwords in clear text',
  })
}

/** A path below that of a handler, which may end in `[...]`. */
const below = (path: string, name: string) => `${path.replace(/\/*(\[\.\.\.\])?$/, '')}/${name}`

/** A folder of files that come with the server. The same from src/ and from dist/. */
const assets = (...names: string[]) => fileURLToPath(new URL(['../../assets', ...names].join('/'), import.meta.url))

/** No option bounds the stanzas of BOSH. */
const anySize = { max_stanza_size: 'infinity' } as const
