import { Acceptor, type ConnectionOptions } from '../actors/acceptor.js'
import { ProxyAcceptor } from '../actors/proxy-acceptor.js'
import type { startBranch } from '../actors/root.js'
import { openTcp, openUdp } from '../actors/socket.js'
import type { C2sListenerConfig } from '../config/listen-xmpp.js'
import type { Address, Base } from './base.js'
import { addressOf, type Bindable, listen, nameOf } from './listen.js'

/** What the listeners of clients, servers and components have in common. spec/listeners.md §1.2, §1.3 */
type XmppListener = Bindable & Pick<C2sListenerConfig, 'proto' | 'backlog' | 'num_acceptors' | 'proxy_protocol'>

/** Between two warnings about datagrams of one listener, in milliseconds. */
const DATAGRAM_WARNING_MS = 60_000
const retries = { count: 10, everyMs: 100 }

/** Starts a listener of XMPP, whose connections are made as `connectionsOf` its name says, and resolves when it is bound. */
export async function listenXmpp(
  base: Base,
  branch: ReturnType<typeof startBranch>,
  type: Exclude<Address['protocol'], 'http' | 'udp'>,
  listener: XmppListener,
  index: number,
  connectionsOf: (name: string) => Promise<ConnectionOptions>,
): Promise<Address> {
  if (listener.proto === 'udp') return listenUdp(base, branch, type, listener, index)
  const name = nameOf(type, listener, index)
  const connections = await connectionsOf(name)
  const proxy = {
    onRefused(balancer: { address: string; port: number }, reason: string) {
      base.counters.proxyHeadersRefused++
      base.emit('proxy.refused', { listener: name, ...balancer, reason })
    },
  }
  return listen(base, branch, name, type, listener, {
    acceptors: listener.num_acceptors,
    makeAcceptor: listener.proxy_protocol
      ? (init, admission, place) => new ProxyAcceptor(init, admission, place, connections, proxy)
      : (init, admission, place) => new Acceptor(init, admission, place, connections),
    socket: { backlog: listener.backlog, retries, open: openTcp },
  })
}

/** A port that takes datagrams and drops them: the options of connections mean nothing to it. */
function listenUdp(
  base: Base,
  branch: ReturnType<typeof startBranch>,
  type: string,
  listener: XmppListener,
  index: number,
): Promise<Address> {
  // The same port may be taken over TCP as well.
  const name = nameOf(`${type}-udp`, listener, index)
  base.emit('config.warning', { path: `listener ${name}`, text: 'there is no XMPP over UDP: datagrams are dropped' })
  const onDropped = datagramCounter(base, name)
  return listen(base, branch, name, 'udp', listener, {
    acceptors: 0,
    makeAcceptor() {
      throw new Error('nothing is accepted over UDP')
    },
    socket: { backlog: listener.backlog, retries, open: () => openUdp(addressOf(listener), onDropped) },
  })
}

/** Counts each datagram; warns of the first one, and then from time to time of as many as came. */
function datagramCounter({ clock, counters, emit }: Base, listener: string): () => void {
  let count = 0
  let warnedAt = Number.NEGATIVE_INFINITY
  return () => {
    counters.datagramsDropped++
    count++
    if (clock.now() < warnedAt + DATAGRAM_WARNING_MS) return
    warnedAt = clock.now()
    emit('datagrams.dropped', { listener, count })
    count = 0
  }
}
