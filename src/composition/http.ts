import { BlockList, isIPv6 } from 'node:net'
import { HttpAcceptor, HttpKeepers } from '../actors/http-acceptor.js'
import type { startBranch } from '../actors/root.js'
import { bindTcp } from '../actors/socket.js'
import type { HttpListenerConfig } from '../config/listen-http.js'
import { createHttpApp } from '../http/app.js'
import { createHttpServer } from '../http/http-server.js'
import type { Address, Base } from './base.js'
import { httpRoutes } from './http-handlers.js'
import type { HttpNeeds } from './http-needs.js'
import { listen, nameOf } from './listen.js'
import { httpTls } from './tls.js'

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
  const { config, counters, emit } = base
  const app = await createHttpApp({
    routes: await httpRoutes(base, name, listener, keepers, needs),
    serverName: config.general.http_server_name,
    compress: listener.protocol.compress,
    trustedProxies: networks(listener.trusted_proxies),
    counters,
    emit,
  })
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
          close: () => http.close(config.general.shutdown_timeout),
        }
      },
    },
  })
}

function networks(texts: readonly string[]): BlockList {
  const list = new BlockList()
  for (const text of texts) {
    const [address = '', bits = ''] = text.split('/')
    list.addSubnet(address, Number(bits), isIPv6(address) ? 'ipv6' : 'ipv4')
  }
  return list
}
