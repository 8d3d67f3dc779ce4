import { BlockList, isIPv6 } from 'node:net'
import { fileURLToPath } from 'node:url'
import type { ComponentServices } from '../actors/component-connection.js'
import type { C2sServices } from '../actors/connection.js'
import { HttpAcceptor, HttpKeepers } from '../actors/http-acceptor.js'
import type { startBranch } from '../actors/root.js'
import { type InspectOptions, inspect } from '../actors/runtime/index.js'
import { bindTcp } from '../actors/socket.js'
import type { HttpListenerConfig } from '../config/listen-http.js'
import { createHttpApp, type HttpApp, type HttpHandler } from '../http/app.js'
import { createHealthHandler } from '../http/health.js'
import { type Endpoint, hostMetaRoutes } from '../http/host-meta.js'
import { createHttpServer } from '../http/http-server.js'
import type { Route } from '../http/pattern.js'
import type { OperationServices } from '../operations/services.js'
import type { Address, Base } from './base.js'
import type { ClientEntrance } from './c2s.js'
import type { ComponentOptions } from './component.js'
import { httpEntrance } from './http-entrance.js'
import { addressOf, listen, nameOf } from './listen.js'
import { httpTls } from './tls.js'

/** What the handlers of an HTTP listener ask of the rest of the server. */
export interface HttpNeeds {
  health(): 'ok' | 'starting' | 'draining' | 'storage'
  /** Warns of what clients of a listener that is bound to the address can, or cannot, do. */
  warnOfLogins(address: string, entrance: ClientEntrance): void
  /** Makes what the connections of clients need. */
  clients(entrance: ClientEntrance): Promise<C2sServices>
  readonly operations: OperationServices
  /** Makes what the connections of components need. */
  components(listener: string, options: ComponentOptions): Promise<ComponentServices>
}

/** Starts a `[[listen.http]]`, and resolves when it is bound. */
export async function listenHttp(
  base: Base,
  branch: ReturnType<typeof startBranch>,
  listener: HttpListenerConfig,
  index: number,
  needs: HttpNeeds,
): Promise<Address> {
  const name = nameOf('http', listener, index)
  const keepers = new HttpKeepers()
  const app = await httpApp(base, name, listener, keepers, needs)
  const tls = await httpTls(base, name, listener.tls)
  const { max_connections: maxConnections, num_acceptors: acceptors } = listener.transport
  return listen(base, branch, name, 'http', listener, {
    acceptors,
    makeAcceptor: (init, admission, place) => new HttpAcceptor(init, admission, place, keepers),
    socket: {
      backlog: 1024,
      retries: { count: 20, everyMs: 50 },
      open(admission) {
        const { serve, upgrade } = app
        const http = createHttpServer(serve, { maxConnections, upgrade, clock: base.clock, ...(tls && { tls }) })
        http.server.on('connection', socket => admission.admit(socket))
        return {
          server: http.server,
          listen: at => bindTcp(http.server, at),
          close: () => http.close(base.config.general.shutdown_timeout),
        }
      },
    },
  })
}

async function httpApp(
  base: Base,
  name: string,
  listener: HttpListenerConfig,
  keepers: HttpKeepers,
  { health, warnOfLogins, clients, components }: HttpNeeds,
): Promise<HttpApp> {
  const { config, counters, emit, runtime } = base
  const { handlers } = listener
  const routes: Route<HttpHandler>[] = []
  const endpoints: Endpoint[] = []
  if (takesClients(handlers)) warnOfLogins(addressOf(listener), httpEntrance(name, listener, anySize))
  for (const options of handlers.mod_websockets ?? []) {
    const { webSocketComponents, webSocketHandler } = await import('./websocket.js')
    const { host, path } = options
    const service = webSocketComponents(options)
    const services = {
      clients: await clients(httpEntrance(name, listener, options)),
      components: service && (await components(name, service)),
    }
    const certificates = listener.tls ?? { verify_peer: false }
    routes.push({ host, path, target: webSocketHandler(base, options, services, keepers, certificates) })
    endpoints.push({ kind: 'websocket', host, path })
  }
  if (handlers.mod_bosh !== undefined && handlers.mod_bosh.length > 0) {
    // One set of sessions, wherever they are asked for.
    const services = await clients(httpEntrance(name, listener, anySize))
    const { boshHandler } = await import('./bosh.js')
    const target = boshHandler(base, services, keepers, listener.tls ?? { verify_peer: false })
    for (const { host, path } of handlers.mod_bosh) {
      routes.push({ host, path, target })
      endpoints.push({ kind: 'xbosh', host, path })
    }
  }
  for (const { host, path, username, password } of handlers.meerkat_debug ?? []) {
    const { createDebugRoute } = await import('../http/debug.js')
    const credentials = username === undefined || password === undefined ? undefined : { username, password }
    const look = (from: string, page: InspectOptions) => inspect(runtime, from, page)
    routes.push(await createDebugRoute({ host, path }, { inspect: look, credentials }))
  }
  for (const { host, path } of handlers.meerkat_health ?? []) {
    routes.push({ host, path, target: createHealthHandler(health) })
  }
  for (const { host, path, app: name, content_path } of handlers.cowboy_static ?? []) {
    const { createStaticHandler } = await import('../http/static-files.js')
    routes.push({ host, path, target: createStaticHandler(assets(name, content_path)) })
  }
  // Last: whoever mounts something there himself knows better.
  routes.push(...hostMetaRoutes(endpoints, listener.tls !== undefined))
  return createHttpApp({
    routes,
    serverName: config.general.http_server_name,
    compress: listener.protocol.compress,
    trustedProxies: networks(listener.trusted_proxies),
    counters,
    emit,
  })
}

/** A folder of files that come with the server. The same from src/ and from dist/. */
const assets = (...names: string[]) => fileURLToPath(new URL(['../../assets', ...names].join('/'), import.meta.url))

const takesClients = ({ mod_websockets = [], mod_bosh = [] }: HttpListenerConfig['handlers']) =>
  mod_websockets.length + mod_bosh.length > 0

/** No option bounds the stanzas of BOSH. */
const anySize = { max_stanza_size: 'infinity' } as const

function networks(texts: readonly string[]): BlockList {
  const list = new BlockList()
  for (const text of texts) {
    const [address = '', bits = ''] = text.split('/')
    list.addSubnet(address, Number(bits), isIPv6(address) ? 'ipv6' : 'ipv4')
  }
  return list
}
