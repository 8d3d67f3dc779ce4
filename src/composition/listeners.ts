import { Connection } from '../actors/connection.js'
import { startBranch } from '../actors/root.js'
import { stopTree } from '../actors/runtime/index.js'
import type { AccessRules } from '../auth/access-rules.js'
import type { Authenticator } from '../auth/authenticate.js'
import type { RunningModules } from '../modules/index.js'
import type { OperationServices } from '../operations/services.js'
import type { Routing } from '../routing/services.js'
import { TcpTransport } from '../transports/tcp.js'
import type { Address, Base } from './base.js'
import { c2sServices, clientServices, warnOfLogins } from './c2s.js'
import type { HttpNeeds } from './http-needs.js'
import { listenXmpp } from './listen-xmpp.js'
import type { Federation } from './s2s.js'

/**
 * Starts what `listen` asks for, one listener after the other in the order of the file. What a type of listener takes is loaded when
 * there is one of it.
 */
export async function startListeners(
  base: Base,
  rules: AccessRules,
  routing: Routing,
  running: RunningModules,
  authenticator: Authenticator,
  federation: Federation | undefined,
  health: () => 'ok' | 'starting' | 'draining' | 'storage',
  operations: OperationServices,
  metrics: HttpNeeds['metrics'],
  introspection: HttpNeeds['introspection'],
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
  const needs: HttpNeeds = {
    health,
    operations,
    metrics,
    introspection,
    warnOfLogins: (address, entrance) => warnOfLogins(base, address, entrance, authenticator),
    clients: entrance => clientServices(base, entrance, routing, running, authenticator),
    components: async (name, options) =>
      (await import('./component.js')).componentServices(base, rules, name, options, routing),
  }
  for (const [index, listener] of config.listen.http.entries()) {
    const { listenHttp } = await import('./http.js')
    addresses.push(await listenHttp(base, branch, listener, index, needs))
  }
  for (const [index, listener] of config.listen.s2s.entries()) {
    const address = await listenXmpp(base, branch, 's2s', listener, index, async name => {
      if (federation === undefined) throw new Error('a listener of servers and no federation')
      const services = await federation.servicesOf(name, listener)
      const { ServerConnection } = await import('../actors/server-connection.js')
      return {
        mailboxLimit: config.general.max_fsm_queue,
        hibernateAfter: listener.hibernate_after,
        make: (init, socket, peer) =>
          new ServerConnection(init, (owner, context) => new TcpTransport(socket, peer, owner, context), services),
      }
    })
    addresses.push(address)
  }
  for (const [index, listener] of config.listen.service.entries()) {
    const address = await listenXmpp(base, branch, 'service', listener, index, async name => {
      const { componentServices, warnOfClearText } = await import('./component.js')
      const { ComponentConnection } = await import('../actors/component-connection.js')
      warnOfClearText(base, name, listener)
      const services = componentServices(base, rules, name, listener, routing)
      return {
        mailboxLimit: listener.max_fsm_queue ?? config.general.max_fsm_queue,
        hibernateAfter: listener.hibernate_after,
        make: (init, socket, peer) =>
          new ComponentConnection(init, (owner, context) => new TcpTransport(socket, peer, owner, context), services),
      }
    })
    addresses.push(address)
  }
  return addresses
}
