import { randomBytes } from 'node:crypto'
import type { PairServices } from '../actors/outgoing-server.js'
import { startBranch } from '../actors/root.js'
import { stopTree } from '../actors/runtime/index.js'
import { OutgoingServers } from '../actors/s2s-out.js'
import type { ServerServices } from '../actors/server-connection.js'
import { oneByOne } from '../actors/stream-connection.js'
import type { AccessRules } from '../auth/access-rules.js'
import { configFor } from '../config/for-host.js'
import type { S2sListenerConfig } from '../config/listen-xmpp.js'
import { StanzaError } from '../protocols/errors.js'
import { Jid } from '../protocols/jid.js'
import type { Stanza } from '../protocols/stanza/stanza.js'
import type { Environment } from '../protocols/stream/s2s-in.js'
import { bounceStanza } from '../routing/bounce.js'
import { handleServerStanza } from '../routing/server-stanzas.js'
import type { Routing } from '../routing/services.js'
import type { Base } from './base.js'
import { incomingTls, outgoingTls } from './s2s-tls.js'
import { maxRate, streamServices } from './stream.js'

/** Bytes that may wait for all other servers together; no option lifts it. */
const MOST_WAITING_BYTES = 64 * 1024 * 1024

/** Traffic with other servers, in both directions. */
export interface Federation {
  /** Takes a stanza for a domain that is not ours. Throws the `StanzaError` for its sender when it may not go there. */
  send(stanza: Stanza): void
  /** What the connections of a listener need. @throws StartupError */
  servicesOf(name: string, listener: S2sListenerConfig): Promise<ServerServices>
}

/** What holds for one domain of ours. */
interface HostRules {
  readonly policies: ReadonlyMap<string, 'allow' | 'deny'>
  readonly otherwise: 'allow' | 'deny'
  readonly secret: string
  readonly longestDelay: number
  readonly routesSubdomains: boolean
}

/**
 * Starts the branch of the tree that connects to other servers.
 * @throws StartupError
 */
export async function startFederation(base: Base, rules: AccessRules, routing: Routing): Promise<Federation> {
  const { config, runtime, later } = base
  const domains = ownDomains(base, routing)
  const branch = startBranch(runtime, 's2s-out')
  later(() => stopTree(branch, 'shutdown', config.general.shutdown_timeout))
  const servers = new OutgoingServers(branch, await pairServices(base, rules, routing, domains))
  return {
    send: stanza => send(domains, servers, routing, stanza),
    servicesOf: (name, listener) => serverServices(base, rules, routing, domains, servers, name, listener),
  }
}

type OwnDomains = ReturnType<typeof ownDomains>

/** Our domains and the rules for each; what lies under a host, a service or a component, has those of the host. */
function ownDomains({ config }: Base, { routes }: Routing) {
  const random = randomBytes(10).toString('hex')
  const rules = new Map<string, HostRules>()
  for (const host of config.general.hosts) {
    const { s2s, general } = configFor(config, host)
    rules.set(host, {
      policies: new Map(s2s.host_policy?.map(({ host: other, policy }) => [other, policy])),
      otherwise: s2s.default_policy,
      secret: s2s.shared ?? random,
      longestDelay: s2s.max_retry_delay * 1000,
      routesSubdomains: general.route_subdomains === 's2s',
    })
  }
  const parentOf = (domain: string) => {
    for (let name = domain; ; name = name.slice(name.indexOf('.') + 1)) {
      const found = rules.get(name)
      if (found !== undefined || !name.includes('.')) return found
    }
  }
  const first = rules.get(config.general.hosts[0]!)! // the schema wants one
  return {
    serves: (domain: string) => routes.isHost(domain) || routes.get(domain) !== undefined,
    rulesOf: (local: string) => parentOf(local) ?? first,
    parentOf,
    allows(local: string, remote: string) {
      const { policies, otherwise } = parentOf(local) ?? first
      return (policies.get(remote) ?? otherwise) === 'allow'
    },
  }
}

/** spec/listeners.md §3.2.5 */
function send(
  { serves, parentOf, allows }: OwnDomains,
  servers: OutgoingServers,
  { onlookers }: Routing,
  stanza: Stanza,
) {
  const { from, to } = stanza
  if (from === undefined || to === undefined) throw new StanzaError('jid-malformed')
  const isUnder = parentOf(to.domain)
  const mayGo = isUnder === undefined || isUnder.routesSubdomains
  try {
    if (!serves(from.domain) || !mayGo || !allows(from.domain, to.domain)) throw new StanzaError('service-unavailable')
    servers.send({ originating: from.domain, receiving: to.domain }, stanza)
    onlookers.tell?.('received', 'server', stanza)
  } catch (error) {
    // Nobody waits for presence.
    if (!(error instanceof StanzaError) || stanza.kind !== 'presence') throw error
  }
}

async function serverServices(
  base: Base,
  rules: AccessRules,
  routing: Routing,
  domains: OwnDomains,
  servers: OutgoingServers,
  name: string,
  listener: S2sListenerConfig,
): Promise<ServerServices> {
  const { config } = base
  const tls = await incomingTls(base, name, listener.tls)
  const environment: Environment = {
    startTls: tls === undefined ? 'false' : config.s2s.use_starttls,
    serves: domains.serves,
    allows: domains.allows,
    secretOf: local => domains.rulesOf(local).secret,
  }
  return {
    ...streamServices(base, name, listener.max_stanza_size),
    environment,
    stateTimeout: listener.state_timeout,
    secure(transport, local, onSecured) {
      if (tls === undefined) throw new Error('TLS without a certificate')
      tls(transport, local, onSecured)
    },
    rateOf(local, remote) {
      const jid = Jid.of('', remote)
      return jid && maxRate(base, rules.value(listener.shaper, jid, local))
    },
    verify: (question, answer) => servers.verify(question, answer),
    distrust: (local, remote) => servers.distrust({ originating: local, receiving: remote }),
    lend: (pair, stream) => servers.lend(pair, stream),
    giveBack: (pair, stream, loss) => servers.giveBack(pair, stream, loss),
    route: stanza => arrived(routing, stanza),
  }
}

/** On whichever stream it came. */
function arrived(routing: Routing, stanza: Stanza): void | Promise<void> {
  routing.onlookers.tell?.('sent', 'server', stanza)
  return handleServerStanza(routing, stanza)
}

/** Bytes of a stanza that comes back on a stream of ours: as many as it might have where the peer could open one. */
function largestStanza({ listen }: Base['config']): number | undefined {
  const sizes = listen.s2s.map(({ max_stanza_size = Number.POSITIVE_INFINITY }) => max_stanza_size)
  const largest = Math.max(...sizes)
  return Number.isFinite(largest) ? largest : undefined
}

async function pairServices(
  base: Base,
  rules: AccessRules,
  routing: Routing,
  domains: OwnDomains,
): Promise<Omit<PairServices, 'ended'>> {
  const { config, emit, counters } = base
  const { outgoing, dns, address = [], use_starttls } = config.s2s
  const tls = await outgoingTls(base)
  const startTls = tls === undefined ? 'false' : use_starttls
  const fixed = new Map(
    address.map(({ host, ip_address, port = outgoing.port }) => [
      host,
      { address: ip_address, port, isDirectTls: false },
    ]),
  )
  const connections = streamServices(base, 's2s-out', largestStanza(config))
  return {
    connections: {
      ...connections,
      secure(transport, pair, onSecured) {
        if (tls === undefined) throw new Error('TLS without a certificate')
        tls(transport, pair, onSecured)
      },
      // As on a stream to the first listener: which one the peer would have taken nobody knows.
      rateOf({ originating, receiving }) {
        const jid = Jid.of('', receiving)
        const [listener] = config.listen.s2s
        return jid && listener && maxRate(base, rules.value(listener.shaper, jid, originating))
      },
      route: stanza => arrived(routing, stanza),
    },
    transport: connections.transport,
    dns: {
      servers: dns.servers,
      timeoutMs: dns.timeout * 1000,
      attempts: dns.retries,
      families: outgoing.ip_versions,
      port: outgoing.port,
      usesDirectTls: tls !== undefined,
    },
    attemptMs: outgoing.connection_timeout === 'infinity' ? Number.POSITIVE_INFINITY : outgoing.connection_timeout,
    queueLimit: config.general.max_fsm_queue,
    waiting: { bytes: 0 },
    mostWaitingBytes: MOST_WAITING_BYTES,
    random: Math.random,
    addressOf: domain => fixed.get(domain),
    environmentOf: (pair, mayUseExternal) => ({
      pair,
      startTls,
      mayUseExternal: mayUseExternal && tls !== undefined,
      secret: domains.rulesOf(pair.originating).secret,
    }),
    longestDelayOf: local => domains.rulesOf(local).longestDelay,
    bounce: (stanzas, error) =>
      routing.inBackground(() =>
        oneByOne(
          stanzas.filter(({ kind }) => kind !== 'presence'),
          stanza => bounceStanza(routing, stanza, error),
        ),
      ),
    tell(what, { originating: from, receiving: to }, detail) {
      switch (what) {
        case 'established':
          counters.serversOutNow++
          emit('server.connected', { from, to, mechanism: detail })
          return
        case 'failed':
          emit('server.unreachable', { from, to, reason: detail })
          return
        case 'closed':
          counters.serversOutNow--
          emit('server.disconnected', { from, to, reason: detail })
      }
    },
  }
}
