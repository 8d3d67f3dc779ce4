import { TransportAlarm } from '../actors/alarm.js'
import type { C2sServices } from '../actors/connection.js'
import type { AccessRules } from '../auth/access-rules.js'
import type { Authenticator } from '../auth/authenticate.js'
import { createLogin } from '../auth/login.js'
import { randomText } from '../auth/random-text.js'
import { configFor } from '../config/for-host.js'
import type { C2sListenerConfig } from '../config/listen-xmpp.js'
import type { Config } from '../config/root.js'
import type { RunningModules } from '../modules/index.js'
import { Jid } from '../protocols/jid.js'
import { handleClientStanza } from '../routing/client-stanzas.js'
import type { Routing } from '../routing/services.js'
import { closeSession, openSession, reroute } from '../routing/session-lifecycle.js'
import { TcpTransport } from '../transports/tcp.js'
import type { Base } from './base.js'
import { addressOf } from './listen.js'
import { identityReader, warnWhereNobodyLogsIn } from './logins.js'
import { c2sTls } from './tls.js'

export async function c2sServices(
  base: Base,
  rules: AccessRules,
  name: string,
  listener: C2sListenerConfig,
  routing: Routing,
  running: RunningModules,
  authenticator: Authenticator,
): Promise<C2sServices> {
  const { config, clock, emit, counters, runtime, onBug } = base
  const { general } = config
  const served = new Set(general.hosts)
  const tls = await c2sTls(base, name, listener.tls, alpn)
  const mode = listener.tls?.mode
  const mayPlainInClear = mode === undefined || mode === 'starttls'
  if (mayPlainInClear && !isLoopback(addressOf(listener))) {
    emit('config.warning', { path: `listener ${name}`, text: 'clients may send passwords in clear text' })
  }
  if (listener.zlib !== undefined && listener.zlib < LITTLE_ZLIB) {
    const text = `zlib = ${listener.zlib} ends connections whose ordinary stanzas are well compressed; ${LITTLE_ZLIB} is little`
    emit('config.warning', { path: `listener ${name}`, text })
  }
  warnWhereNobodyLogsIn(base, name, listener, authenticator)
  const certificate = tls?.present.tls.certificates[0]
  const fetchRoster = (account: Jid) => {
    const roster = routing.rosters.get(account)
    // Whoever needs it later is told what went wrong.
    if (roster instanceof Promise) roster.catch(() => undefined)
  }
  // With the question for the account's keys goes, as one message to the store, what its session is going to ask.
  const begun = (username: string, domain: string) => {
    const account = Jid.of(username, domain)
    if (account === undefined) return
    fetchRoster(account)
    routing.inBackground(() => routing.hooksOf(domain).loginBegun.emit(account))
  }
  return {
    listener: name,
    node: 'local',
    language: general.language,
    defaultHost: general.hosts[0]!, // the schema wants one
    environment: {
      defaultHost: general.hosts[0]!, // the schema wants one
      language: general.language,
      startTls: mode === 'starttls' ? 'offered' : mode === 'starttls_required' ? 'required' : 'none',
      offersCompression: listener.zlib !== undefined,
      // The host that a client means is not known yet. spec/listeners.md §2.1
      hidesServiceName: configFor(config, general.hosts[0]!).general.hide_service_name, // the schema wants one
      serves: host => served.has(host),
    },
    login: createLogin({
      authenticator,
      mayPlainInClear,
      certificate,
      identityOf: await identityReader(base, authenticator),
      clock,
      emit,
      counters,
      begun,
      onBug,
    }),
    transport: {
      flushLater: target => runtime.flushLater(target),
      now: () => clock.now(),
      traffic: counters,
      newAlarm: target => new TransportAlarm(runtime.deadlines, target),
    },
    emit,
    counters,
    backlog: base.backlog,
    isDirectTls: mode === 'tls',
    stanzaBytes: Math.min(listener.max_stanza_size ?? MAX_STANZA, MAX_STANZA),
    inflatedBytes: listener.zlib,
    stateTimeout: listener.state_timeout,
    secure(transport, onSecured) {
      if (!(transport instanceof TcpTransport)) throw new Error('TLS is the business of the transport')
      if (tls === undefined) throw new Error('TLS without a certificate')
      const { present } = tls
      transport.secure(present.secure, { onSecured, alpn, certificate: present.tls.certificates[0] })
    },
    rateOf: jid => rateOf(config, rules.value(listener.shaper, jid, jid.domain)),
    mayOpen: jid => rules.allows(listener.access, jid, jid.domain),
    newStreamId: () => randomText(8, 'hex'),
    newResource: () => `${randomText(8, 'hex')}${clock.wall()}`,
    features: (host, isAuthenticated) => running.streamFeatures(host, { isAuthenticated }),
    offerIq: (host, iq, peer) => running.answerUnauthenticated(iq, host, peer.address),
    open(session) {
      // Its presence comes next and needs the roster.
      fetchRoster(session.jid.bare)
      openSession(routing, session)
    },
    leave: (session, status) => closeSession(routing, session, status),
    route: (session, stanza) => handleClientStanza(routing, session, stanza),
    reroute: (session, stanza) => reroute(routing, session, stanza),
  }
}

/** What a value of a shaper's rule stands for; undefined = no limit. spec/listeners.md §1.4 */
function rateOf({ shaper }: Config, name: string | number | undefined): number | undefined {
  return typeof name === 'string' && Object.hasOwn(shaper, name) ? shaper[name]?.max_rate : undefined
}

/** Bytes of one read below which `zlib` breaks ordinary traffic. Trap 33 */
const LITTLE_ZLIB = 16_384

/** Bytes of a stanza, whatever the options say. spec/listeners.md §1.9 */
const MAX_STANZA = 8_000_000

/** RFC 7301; a client that offers something else still gets a stream. spec/listeners.md §3.1.8 */
const alpn = (offered: string[]) => (offered.includes('xmpp-client') ? 'xmpp-client' : offered[0]!)

const isLoopback = (address: string) => address === '::1' || address.startsWith('127.')
