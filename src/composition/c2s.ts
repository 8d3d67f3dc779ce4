import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { TransportAlarm } from '../actors/alarm.js'
import type { C2sServices } from '../actors/connection.js'
import type { Authenticator } from '../auth/authenticate.js'
import { createLogin } from '../auth/login.js'
import { configFor } from '../config/for-host.js'
import type { C2sListenerConfig } from '../config/listen-xmpp.js'
import type { RunningModules } from '../modules/index.js'
import { StartupError } from '../observability/startup-error.js'
import { handleClientStanza } from '../routing/client-stanzas.js'
import type { Routing } from '../routing/services.js'
import { closeSession, openSession, reroute } from '../routing/session-lifecycle.js'
import { ensureDevelopmentCertificate } from '../tls/certificates.js'
import { serverSecureContext } from '../tls/context.js'
import type { Base } from './base.js'
import { addressOf } from './listen.js'

export async function c2sServices(
  base: Base,
  name: string,
  listener: C2sListenerConfig,
  routing: Routing,
  running: RunningModules,
  authenticator: Authenticator,
): Promise<C2sServices> {
  const { config, clock, emit, counters, runtime, onBug } = base
  const { general } = config
  const served = new Set(general.hosts)
  const secure = await certificateOf(base, listener)
  const mode = listener.tls?.mode
  const mayPlainInClear = mode === undefined || mode === 'starttls'
  if (mayPlainInClear && !isLoopback(addressOf(listener))) {
    emit('config.warning', { path: `listener ${name}`, text: 'clients may send passwords in clear text' })
  }
  const certificate = secure?.certificates[0]
  return {
    listener: name,
    node: 'local',
    environment: {
      defaultHost: general.hosts[0]!, // the schema wants one
      language: general.language,
      startTls: mode === 'starttls' ? 'offered' : mode === 'starttls_required' ? 'required' : 'none',
      // The host that a client means is not known yet. spec/listeners.md §2.1
      hidesServiceName: configFor(config, general.hosts[0]!).general.hide_service_name, // the schema wants one
      serves: host => served.has(host),
    },
    login: createLogin({ authenticator, mayPlainInClear, certificate, onBug }),
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
    stateTimeout: listener.state_timeout,
    secure(transport, onSecured) {
      if (secure === undefined) throw new Error('TLS without a certificate')
      transport.secure(secure.context, { onSecured, alpn })
    },
    newStreamId: () => randomBytes(8).toString('hex'),
    newResource: () => `${randomBytes(8).toString('hex')}${clock.wall()}`,
    features: (host, isAuthenticated) => running.streamFeatures(host, { isAuthenticated }),
    offerIq: (host, iq, peer) => running.answerUnauthenticated(iq, host, peer.address),
    open(session) {
      // Its presence comes next and needs the roster; whoever needs it then is told what went wrong.
      const roster = routing.rosters.get(session.jid.bare)
      if (roster instanceof Promise) roster.catch(() => undefined)
      openSession(routing, session)
    },
    leave: (session, status) => closeSession(routing, session, status),
    route: (session, stanza) => handleClientStanza(routing, session, stanza),
    reroute: (session, stanza) => reroute(routing, session, stanza),
  }
}

/** Bytes of a stanza, whatever the options say. spec/listeners.md §1.9 */
const MAX_STANZA = 8_000_000

/** RFC 7301; a client that offers something else still gets a stream. spec/listeners.md §3.1.8 */
const alpn = (offered: string[]) => (offered.includes('xmpp-client') ? 'xmpp-client' : offered[0]!)

async function certificateOf({ config, options, emit }: Base, listener: C2sListenerConfig) {
  const { tls } = listener
  if (tls?.mode === undefined || tls.certfile === undefined) return undefined
  if (options.dev === true) {
    const authority = join(config.general.data_dir, 'dev-ca.pem')
    const made = await ensureDevelopmentCertificate(tls.certfile, [...config.general.hosts], authority)
    for (const file of made) emit('certificate.created', { file, names: config.general.hosts.join(', ') })
  }
  try {
    return await serverSecureContext({ certfile: tls.certfile, keyfile: tls.keyfile, password: tls.password })
  } catch (error) {
    throw new StartupError('certificate', error instanceof Error ? error.message : String(error), { cause: error })
  }
}

const isLoopback = (address: string) => address === '::1' || address.startsWith('127.')
