import type { X509Certificate } from 'node:crypto'
import type { C2sServices } from '../actors/connection.js'
import { SECRET_LENGTH } from '../actors/managed-stream.js'
import type { AccessRules } from '../auth/access-rules.js'
import type { Authenticator } from '../auth/authenticate.js'
import { createLogin } from '../auth/login.js'
import { randomText } from '../auth/random-text.js'
import { configFor } from '../config/for-host.js'
import type { C2sListenerConfig } from '../config/listen-xmpp.js'
import type { RunningModules } from '../modules/index.js'
import { Jid } from '../protocols/jid.js'
import type { Environment } from '../protocols/stream/c2s.js'
import { handleClientStanza } from '../routing/client-stanzas.js'
import type { Routing } from '../routing/services.js'
import { closeSession, openSession, reroute } from '../routing/session-lifecycle.js'
import { TcpTransport } from '../transports/tcp.js'
import type { Base } from './base.js'
import { addressOf } from './listen.js'
import { identityReader, type LoginWays, warnWhereNobodyLogsIn } from './logins.js'
import { maxRate, streamServices } from './stream.js'
import { c2sTls } from './tls.js'

/** Where clients come in, whatever carries their streams. */
export interface ClientEntrance extends LoginWays {
  /** Of the listener. */
  readonly name: string
  readonly certificate: X509Certificate | undefined
  /** Bytes that an option allows a stanza; undefined = no option does. */
  readonly maxStanzaSize: number | undefined
  readonly startTls: Environment['startTls']
  readonly isDirectTls: boolean
  /** Bytes that one read may inflate to; undefined without compression. */
  readonly inflatedBytes: number | undefined
  /** Milliseconds in each state before the session. */
  readonly stateTimeout: number
  readonly secure: C2sServices['secure']
  readonly rateOf: C2sServices['rateOf']
  readonly mayOpen: C2sServices['mayOpen']
}

/** What the connections of a `[[listen.c2s]]` need of the server. */
export async function c2sServices(
  base: Base,
  rules: AccessRules,
  name: string,
  listener: C2sListenerConfig,
  routing: Routing,
  running: RunningModules,
  authenticator: Authenticator,
): Promise<C2sServices> {
  const tls = await c2sTls(base, name, listener.tls, alpn)
  const mode = listener.tls?.mode
  if (listener.zlib !== undefined && listener.zlib < LITTLE_ZLIB) {
    const text = `zlib = ${listener.zlib} ends connections whose ordinary stanzas are well compressed; ${LITTLE_ZLIB} is little`
    base.emit('config.warning', { path: `listener ${name}`, text })
  }
  const entrance: ClientEntrance = {
    name,
    mayBeEncrypted: mode !== undefined,
    mayPlainInClear: mode === undefined || mode === 'starttls',
    bindsChannels: mode !== undefined,
    asksForCertificate: listener.tls?.verify_peer === true,
    certificate: tls?.certificate,
    maxStanzaSize: listener.max_stanza_size,
    startTls: mode === 'starttls' ? 'offered' : mode === 'starttls_required' ? 'required' : 'none',
    isDirectTls: mode === 'tls',
    inflatedBytes: listener.zlib,
    stateTimeout: listener.state_timeout,
    secure(transport, host, onSecured) {
      if (!(transport instanceof TcpTransport)) throw new Error('TLS is the business of the transport')
      if (tls === undefined) throw new Error('TLS without a certificate')
      tls.secure(transport, host, onSecured)
    },
    rateOf: jid => maxRate(base, rules.value(listener.shaper, jid, jid.domain)),
    mayOpen: jid => rules.allows(listener.access, jid, jid.domain),
  }
  warnOfLogins(base, addressOf(listener), entrance, authenticator)
  return clientServices(base, entrance, routing, running, authenticator)
}

/** Says, once for each listener, what its operator may not have meant. */
export function warnOfLogins(
  base: Base,
  address: string,
  entrance: ClientEntrance,
  authenticator: Authenticator,
): void {
  const { name, mayPlainInClear } = entrance
  if (mayPlainInClear && !isLoopback(address)) {
    base.emit('config.warning', { path: `listener ${name}`, text: 'clients may send passwords in clear text' })
  }
  warnWhereNobodyLogsIn(base, name, entrance, authenticator)
}

/** What client connections need of the server, however they come. */
export async function clientServices(
  base: Base,
  entrance: ClientEntrance,
  routing: Routing,
  running: RunningModules,
  authenticator: Authenticator,
): Promise<C2sServices> {
  const { config, clock, emit, counters, onBug } = base
  const { general } = config
  const { name, mayPlainInClear, certificate } = entrance
  const served = new Set(general.hosts)
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
    ...streamServices(base, name, entrance.maxStanzaSize),
    node: 'local',
    environment: {
      defaultHost: general.hosts[0]!, // the schema wants one
      language: general.language,
      startTls: entrance.startTls,
      offersCompression: entrance.inflatedBytes !== undefined,
      // The host that a client means is not known yet. spec/listeners.md §2.1
      hidesServiceName: configFor(config, general.hosts[0]!).general.hide_service_name, // the schema wants one
      serves: host => served.has(host),
      managesStreams: host => routing.sessions.streamManagement.has(host),
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
    isDirectTls: entrance.isDirectTls,
    inflatedBytes: entrance.inflatedBytes,
    stateTimeout: entrance.stateTimeout,
    secure: entrance.secure,
    rateOf: entrance.rateOf,
    mayOpen: entrance.mayOpen,
    newSecret: () => randomText(16, 'base64').slice(0, SECRET_LENGTH),
    wall: () => clock.wall(),
    streamManagement: host => routing.sessions.streamManagement.get(host),
    heldStanzas: host => routing.sessions.heldStanzas.get(host),
    waitingMessages: host => routing.sessions.waitingMessages.get(host),
    hostCounters: host => routing.hooksOf(host).counters,
    sessionAt: jid => routing.sessions.byFull(jid.text),
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

/** Bytes of one read below which `zlib` breaks ordinary traffic. Trap 33 */
const LITTLE_ZLIB = 16_384

/** RFC 7301; a client that offers something else still gets a stream. spec/listeners.md §3.1.8 */
const alpn = (offered: string[]) => (offered.includes('xmpp-client') ? 'xmpp-client' : offered[0]!)

export const isLoopback = (address: string) => address === '::1' || address.startsWith('127.')
