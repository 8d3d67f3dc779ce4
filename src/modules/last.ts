import { Element } from 'ltx'
import { z } from 'zod'
import { StanzaError } from '../protocols/errors.js'
import type { Jid } from '../protocols/jid.js'
import { NS } from '../protocols/namespaces.js'
import type { Stanza } from '../protocols/stanza/stanza.js'
import { drop, type Transformed } from '../routing/hooks.js'
import type { Sender, Session } from '../sessions/session.js'
import { backend, riak, unsupportedBackend } from './backend.js'
import { iqdisc, unsupportedIqdisc } from './iqdisc.js'
import { defineModule, type ModuleServer } from './module.js'

/** Characters of a status that are kept. */
const statusLength = 1000

export const last = defineModule({
  name: 'mod_last',
  implements: ['XEP-0012'],
  features: [NS.lastActivity],
  shipped: {},
  config: z
    .strictObject({ iqdisc: iqdisc(), backend: backend(), riak: riak('bucket_type') })
    .meta({ description: 'Tells since when an account is not connected, and how long the server runs.', example: {} }),
  unsupported: options => [...unsupportedBackend(options), ...unsupportedIqdisc(options)],

  start(server) {
    const startedAt = server.kept('start', () => server.clock.now())
    const activity = new LastActivity(server)
    const { hooks } = server
    server.onIq('host', 'get', NS.lastActivity, 'query', () => answer(server.clock.now() - startedAt))
    server.onIq('account', 'get', NS.lastActivity, 'query', iq => activity.get(iq))
    server.onStop(hooks.sent.observe({ kinds: ['presence'] }, (stanza, sender) => activity.noteStatus(stanza, sender)))
    server.onStop(hooks.sessionClosed.observe(({ session }) => activity.sessionClosed(session)))
    server.onStop(hooks.accountRemoved.observe(account => activity.accountRemoved(account)))
    server.onStop(
      hooks.received.transform({ kinds: ['iq'], namespaces: [NS.lastActivity] }, (stanza, session) =>
        activity.guard(stanza, session),
      ),
    )
  },
})

class LastActivity {
  readonly #server: ModuleServer
  /** What connected sessions said when they became unavailable. */
  readonly #statuses: WeakMap<Sender, string>

  constructor(server: ModuleServer) {
    this.#server = server
    this.#statuses = server.kept('statuses', () => new WeakMap<Sender, string>())
  }

  /** XEP-0012 §3 */
  async get(iq: Stanza): Promise<Element> {
    const { routing, store, clock, host } = this.#server
    const account = iq.to!
    const isAllowed = this.#maySee(account, iq.from!)
    if (!(isAllowed instanceof Promise ? await isAllowed : isAllowed)) throw new StanzaError('forbidden')
    if (routing.sessions.isConnected(account.bareText)) return answer(0)
    const found = await store.lastActivity.get(account.local, host)
    if (found === undefined) throw new StanzaError('service-unavailable', 'the account was never connected')
    return answer(clock.wall() - found.at, found.status)
  }

  noteStatus(stanza: Stanza, sender: Sender): void {
    if (stanza.isAddressed) return
    if (stanza.type !== 'unavailable') this.#statuses.delete(sender)
    else {
      const status = stanza.element.getChildText('status') ?? ''
      if (status !== '') this.#statuses.set(sender, status.slice(0, statusLength))
    }
  }

  sessionClosed(session: Session): void | Promise<void> {
    const { routing, store, clock, host } = this.#server
    if (routing.sessions.isConnected(session.jid.bareText)) return
    const status = this.#statuses.get(session) ?? ''
    return store.lastActivity.put(session.jid.local, host, { at: clock.wall(), status })
  }

  /** The end of its sessions was the last that was written of it. */
  accountRemoved(account: Jid): Promise<void> {
    return this.#server.store.lastActivity.remove(account.local, this.#server.host)
  }

  /** A request that is for a client reaches it only from those who see its presence. XEP-0012 §4 */
  guard(stanza: Stanza, session: Session): Transformed {
    if (stanza.type !== 'get') return stanza
    const { routing } = this.#server
    const isAllowed = this.#maySee(session.jid, stanza.from!)
    if (isAllowed === true) return stanza
    if (isAllowed === false) throw new StanzaError('forbidden')
    routing.inBackground(async () => {
      await isAllowed
      await routing.route(stanza)
    })
    return drop
  }

  #maySee(account: Jid, asker: Jid): boolean | Promise<boolean> {
    const who = asker.bareText
    if (who === account.bareText) return true
    const roster = this.#server.routing.rosters.get(account)
    if (roster instanceof Promise) return roster.then(loaded => seesPresence(loaded.stateOf(who).subscription))
    return seesPresence(roster.stateOf(who).subscription)
  }
}

const seesPresence = (subscription: string) => subscription === 'from' || subscription === 'both'

function answer(ms: number, status = ''): Element {
  const query = new Element('query', { xmlns: NS.lastActivity, seconds: String(Math.max(0, Math.floor(ms / 1000))) })
  if (status !== '') query.t(status)
  return query
}
