import { Connection } from '../actors/connection.js'
import { HttpAcceptor } from '../actors/http-acceptor.js'
import { startBranch } from '../actors/root.js'
import { stopTree } from '../actors/runtime/index.js'
import { bindTcp } from '../actors/socket.js'
import type { AccessRules } from '../auth/access-rules.js'
import type { Authenticator } from '../auth/authenticate.js'
import { createHttpServer } from '../http/http-server.js'
import type { RunningModules } from '../modules/index.js'
import type { Routing } from '../routing/services.js'
import { TcpTransport } from '../transports/tcp.js'
import type { Address, Base } from './base.js'
import { c2sServices } from './c2s.js'
import { httpApp } from './http.js'
import { listen, nameOf } from './listen.js'
import { listenXmpp } from './listen-xmpp.js'

/** Starts what `listen` asks for, one listener after the other in the order of the file. */
export async function startListeners(
  base: Base,
  rules: AccessRules,
  routing: Routing,
  running: RunningModules,
  authenticator: Authenticator,
  health: () => 'ok' | 'starting' | 'draining' | 'storage',
): Promise<Address[]> {
  const { config, runtime, later } = base
  const branch = startBranch(runtime, 'listeners')
  // Before the modules: what sessions could not deliver is for them to keep.
  later(() => stopTree(branch, 'shutdown', config.general.shutdown_timeout))
  const addresses: Address[] = []
  for (const [index, listener] of config.listen.c2s.entries()) {
    const address = await listenXmpp(base, branch, 'c2s', listener, index, async name => {
      const services = await c2sServices(base, rules, name, listener, routing, running, authenticator)
      return {
        mailboxLimit: listener.max_fsm_queue ?? config.general.max_fsm_queue,
        hibernateAfter: listener.hibernate_after,
        make: (init, socket, peer) =>
          new Connection(init, (owner, context) => new TcpTransport(socket, peer, owner, context), services),
      }
    })
    // One after the other, in the order of the file.
    addresses.push(address)
  }
  for (const [index, listener] of config.listen.http.entries()) {
    const app = await httpApp(base, listener, health)
    const maxConnections = listener.transport.max_connections
    const address = await listen(base, branch, nameOf('http', listener, index), 'http', listener, {
      acceptors: listener.transport.num_acceptors,
      makeAcceptor: (init, admission, place) => new HttpAcceptor(init, admission, place),
      socket: {
        backlog: 1024,
        retries: { count: 20, everyMs: 50 },
        open(admission) {
          const { server, close } = createHttpServer(app, { maxConnections, clock: base.clock })
          server.on('connection', socket => admission.admit(socket))
          return { server, listen: at => bindTcp(server, at), close: () => close(config.general.shutdown_timeout) }
        },
      },
    })
    addresses.push(address)
  }
  return addresses
}
