import { Element } from 'ltx'
import { z } from 'zod'
import { posint } from '../config/primitives.js'
import { NS } from '../protocols/namespaces.js'
import { Stanza } from '../protocols/stanza/stanza.js'
import { isSession, type Session } from '../sessions/session.js'
import { iqdisc, unsupportedIqdisc } from './iqdisc.js'
import { defineModule, type ModuleServer } from './module.js'

const config = z
  .strictObject({
    send_pings: z.boolean().default(false).meta({ description: 'Ping clients that are silent.', example: true }),
    ping_interval: posint().default(60).meta({ description: 'Seconds of silence before a ping.', example: 30 }),
    timeout_action: z
      .enum(['none', 'kill'])
      .default('none')
      .meta({ description: 'What becomes of a client that does not answer.', example: 'kill' }),
    ping_req_timeout: posint().default(32).meta({ description: 'Seconds an answer may take.', example: 60 }),
    iqdisc: iqdisc(),
  })
  .meta({ description: 'Answers pings.' })

export const ping = defineModule({
  name: 'mod_ping',
  implements: ['XEP-0199'],
  features: [NS.ping],
  shipped: false,
  config,
  unsupported: unsupportedIqdisc,

  start(server, options) {
    for (const target of ['host', 'account'] as const) server.onIq(target, 'get', NS.ping, 'ping', () => undefined)
    if (!options.send_pings) return
    const pings = new ClientPings(server, options)
    const { hooks } = server
    server.onStop(
      hooks.sessionOpened.observe(session => {
        if (session.onlyListens !== true) pings.heard(session)
      }),
    )
    server.onStop(
      hooks.sent.observe({}, (_stanza, sender) => {
        if (isSession(sender)) pings.heard(sender)
      }),
    )
    server.onStop(hooks.sessionClosed.observe(({ session }) => pings.forget(session)))
    server.onStop(() => pings.stop())
    // Those that were there before the module was started again.
    for (const session of server.routing.sessions.on(server.host)) {
      if (session.onlyListens !== true) pings.heard(session)
    }
  },
})

/** Asks clients that are silent whether they are still there; anything that they send is an answer. XEP-0199 §4.1 */
class ClientPings {
  readonly #server: ModuleServer
  readonly #options: z.infer<typeof config>
  /** When a session was heard last, those that are silent for longest first; in milliseconds. */
  readonly #heard = new Map<Session, number>()
  /** When a session was asked, the oldest question first. */
  readonly #asked = new Map<Session, number>()
  /** One timer for all: it runs for whoever is due first. */
  #cancel: (() => void) | undefined
  #count = 0

  constructor(server: ModuleServer, options: z.infer<typeof config>) {
    this.#server = server
    this.#options = options
  }

  heard(session: Session): void {
    this.#asked.delete(session)
    // Deleted first, so that it stands last.
    this.#heard.delete(session)
    this.#heard.set(session, this.#server.clock.now())
    if (this.#cancel === undefined) this.#arm()
  }

  forget(session: Session): void {
    this.#heard.delete(session)
    this.#asked.delete(session)
  }

  stop(): void {
    this.#cancel?.()
    this.#heard.clear()
    this.#asked.clear()
  }

  #arm(): void {
    const { clock } = this.#server
    const next = Math.min(this.#due(this.#heard), this.#due(this.#asked))
    this.#cancel = next === Infinity ? undefined : clock.after(Math.max(0, next - clock.now()), () => this.#look())
  }

  #due(sessions: Map<Session, number>): number {
    const { ping_interval, ping_req_timeout } = this.#options
    const [since] = sessions.values()
    return since === undefined ? Infinity : since + (sessions === this.#heard ? ping_interval : ping_req_timeout) * 1000
  }

  #look(): void {
    const now = this.#server.clock.now()
    for (const session of this.#asked.keys()) {
      if (this.#due(this.#asked) > now) break
      this.#asked.delete(session)
      this.#unanswered(session, now)
    }
    for (const session of this.#heard.keys()) {
      if (this.#due(this.#heard) > now) break
      this.#heard.delete(session)
      // There is nobody to ask while a client is away. XEP-0198 §5
      if (session.isDetached === true) {
        this.#heard.set(session, now)
        continue
      }
      this.#asked.set(session, now)
      this.#ask(session)
    }
    this.#arm()
  }

  #unanswered(session: Session, now: number): void {
    if (this.#options.timeout_action === 'kill' && session.isDetached !== true)
      session.end('connection-timeout', 'The client does not answer')
    else this.#heard.set(session, now)
  }

  #ask(session: Session): void {
    this.#count += 1
    const { host, routing } = this.#server
    const iq = new Element('iq', { type: 'get', id: `ping${this.#count}`, from: host, to: session.jid.text })
    iq.c('ping', { xmlns: NS.ping })
    routing.deliver(session, Stanza.fromElement(iq))
  }
}
