import { TLSSocket } from 'node:tls'
import { type C2sServices, Connection } from '../actors/connection.js'
import type { HttpKeepers } from '../actors/http-acceptor.js'
import { randomText } from '../auth/random-text.js'
import { configFor } from '../config/for-host.js'
import type { HttpHandler } from '../http/app.js'
import { type Creation, createBoshHandler } from '../http/bosh.js'
import { acceptedCertificate, type CertificateRules } from '../http/client-certificate.js'
import type { BoshOptions } from '../modules/bosh.js'
import { REQUESTS } from '../protocols/bosh.js'
import { wholeNumber } from '../protocols/bosh-body.js'
import { Jid } from '../protocols/jid.js'
import { type BoshSession, BoshTransport } from '../transports/bosh.js'
import { Gathering } from '../transports/gathering.js'
import type { Base } from './base.js'

/** Sessions of one listener at a time. */
const MAX_SESSIONS = 100_000
/** Milliseconds that what goes out first on a stream has to come together. B-5 */
const GATHERING_MS = 10
/** Seconds, where the client says nothing. B-4 */
const DEFAULT_WAIT = 60
const DEFAULT_MAX_PAUSE = 120

/** `mod_bosh`: each session becomes a connection actor below the acceptor whose connection it was created on. */
export function boshHandler(
  { config, clock, later }: Base,
  services: C2sServices,
  keepers: HttpKeepers,
  certificates: CertificateRules,
): HttpHandler {
  const sessions = new Map<string, BoshTransport>()
  // Each module's own schema has made the options under its name; that there are some is a rule of the configuration. HC-3
  const optionsOf = (host: string) =>
    (configFor(config, host).modules.mod_bosh ?? config.modules.mod_bosh) as BoshOptions
  const hosts = new Map(config.general.hosts.map(host => [host, optionsOf(host)]))
  const gathering = new Gathering(clock, GATHERING_MS)
  later(() => gathering.stop())

  function create(creation: Creation): string | undefined {
    const { body, request, begin, refuse } = creation
    const domain = Jid.parse(body.to ?? '')?.text ?? ''
    const options = hosts.get(domain)
    if (options === undefined) return 'host-unknown'
    const hold = wholeNumber(body.hold ?? '')
    if (hold === undefined || hold < 1) return 'undefined-condition'
    if (sessions.size >= MAX_SESSIONS) return 'undefined-condition'
    const session = newSession(creation, options, domain)
    keepers.begin(request.socket, {
      type: 'stream',
      mailboxLimit: config.general.max_fsm_queue,
      make(init) {
        let transport: BoshTransport | undefined
        const connection = new Connection(
          init,
          (owner, context) => {
            transport = new BoshTransport(session, body.rid, owner, context)
            return transport
          },
          services,
        )
        if (transport !== undefined) {
          sessions.set(session.sid, transport)
          begin(transport)
        }
        return connection
      },
      refuse: () => refuse('system-shutdown'),
    })
    return undefined
  }

  // Apart from `create`, whose closures hold the request: the session's must not.
  function newSession({ body, request, asked }: Creation, options: BoshOptions, domain: string): BoshSession {
    const sid = randomText(20, 'hex')
    const { socket } = request
    return {
      sid,
      ...agreed(options, body, domain),
      peer: asked.client,
      isEncrypted: socket instanceof TLSSocket,
      clientCertificate: acceptedCertificate(socket, certificates),
      gatherFor: transport => gathering.add(transport),
      vanished: () => sessions.delete(sid),
    }
  }

  return createBoshHandler({ sessions, serverName: config.general.http_server_name, create })
}

/** What the session lives by: what the client asks as far as the options allow it. */
function agreed(options: BoshOptions, body: Creation['body'], from: string): Pick<BoshSession, 'terms' | 'opening'> {
  const most = options.max_wait === 'infinity' ? Number.POSITIVE_INFINITY : options.max_wait
  const wait = Math.min(body.wait ?? DEFAULT_WAIT, most)
  const inactivity = options.inactivity === 'infinity' ? undefined : options.inactivity
  const maxPause = options.maxpause ?? options.max_pause ?? DEFAULT_MAX_PAUSE
  return {
    terms: {
      wait: wait * 1000,
      inactivity: inactivity === undefined ? undefined : inactivity * 1000,
      maxPause,
      acknowledges: options.server_acks,
      isAcknowledged: body.acknowledges,
    },
    opening: { from, wait, requests: REQUESTS, inactivity, maxPause },
  }
}
