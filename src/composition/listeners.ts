import { Acceptor } from '../actors/acceptor.js'
import { Connection } from '../actors/connection.js'
import { HttpAcceptor } from '../actors/http-acceptor.js'
import { startBranch } from '../actors/root.js'
import { stopTree } from '../actors/runtime/index.js'
import { openTcp } from '../actors/socket.js'
import type { Authenticator } from '../auth/authenticate.js'
import { createHttpServer } from '../http/http-server.js'
import type { RunningModules } from '../modules/index.js'
import type { Routing } from '../routing/services.js'
import type { Address, Base } from './base.js'
import { c2sServices } from './c2s.js'
import { httpApp } from './http.js'
import { listen, nameOf } from './listen.js'

/** Starts what `listen` asks for, one listener after the other in the order of the file. */
export async function startListeners(
  base: Base,
  routing: Routing,
  running: RunningModules,
  authenticator: Authenticator,
  health: () => 'ok' | 'starting' | 'draining' | 'storage',
): Promise<Address[]> {
  const { config, runtime, later } = base
  const branch = startBranch(runtime, 'listeners')
  // Before the modules: what sessions could not deliver is for them to keep.
  later(() => stopTree(branch, 'shutdown', config.general.shutdown_timeout))
  const bound: Promise<Address>[] = []
  for (const [index, listener] of config.listen.c2s.entries()) {
    const name = nameOf('c2s', listener, index)
    const services = await c2sServices(base, name, listener, routing, running, authenticator)
    const mailboxLimit = listener.max_fsm_queue ?? config.general.max_fsm_queue
    const connections: ConstructorParameters<typeof Acceptor>[3] = {
      mailboxLimit,
      hibernateAfter: listener.hibernate_after,
      make: (init, socket, peer) => new Connection(init, socket, peer, services),
    }
    const retries = { count: 10, everyMs: 100 }
    const address = listen(base, branch, name, 'c2s', listener, {
      acceptors: listener.num_acceptors,
      makeAcceptor: (init, admission, place) => new Acceptor(init, admission, place, connections),
      socket: { backlog: listener.backlog, retries, open: openTcp },
    })
    bound.push(address)
    // One after the other, in the order of the file.
    await address
  }
  for (const [index, listener] of config.listen.http.entries()) {
    const app = await httpApp(base, listener, health)
    const maxConnections = listener.transport.max_connections
    const address = listen(base, branch, nameOf('http', listener, index), 'http', listener, {
      acceptors: listener.transport.num_acceptors,
      makeAcceptor: (init, admission, place) => new HttpAcceptor(init, admission, place),
      socket: {
        backlog: 1024,
        retries: { count: 20, everyMs: 50 },
        open(admission) {
          const { server, close } = createHttpServer(app, { maxConnections, clock: base.clock })
          server.on('connection', socket => admission.admit(socket))
          return { server, close: () => close(config.general.shutdown_timeout) }
        },
      },
    })
    bound.push(address)
    await address
  }
  return Promise.all(bound)
}
