import { LRUCache } from 'lru-cache'
import { z } from 'zod'
import { rule } from '../config/primitives.js'
import { StanzaError } from '../protocols/errors.js'
import type { Jid } from '../protocols/jid.js'
import { offlineFate, stamped } from '../protocols/offline.js'
import { Stanza } from '../protocols/stanza/stanza.js'
import { drop, type Transformed } from '../routing/hooks.js'
import type { Session } from '../sessions/session.js'
import { backend, riak, unsupportedBackend } from './backend.js'
import { defineModule, type ModuleServer } from './module.js'

/** Messages that wait for an account when no access rule says how many. */
const defaultLimit = 100
/** Messages handed over at a time. Few, because the client's queue may be short (`max_fsm_queue`). */
const pageSize = 8
/** Milliseconds between two looks whether the client has taken them. */
const paceMs = 100
/** Accounts of which it is remembered that nothing waits for them. */
const rememberedEmpty = 50_000

export const offline = defineModule({
  name: 'mod_offline',
  implements: ['XEP-0160', 'XEP-0203', 'XEP-0334'],
  features: ['msgoffline'],
  shipped: {},
  config: z
    .strictObject({
      access_max_user_messages: rule().default('max_user_offline_messages').meta({
        description: 'Access rule whose value is how many messages may wait for an account; 100 without a value.',
      }),
      backend: backend(),
      riak: riak('bucket_type'),
    })
    .meta({ description: 'Keeps messages for accounts that nobody is connected to.' }),
  unsupported: unsupportedBackend,

  start(server, { access_max_user_messages }) {
    const keeper = new OfflineMessages(server, access_max_user_messages)
    server.onStop(
      server.hooks.undeliverable.transform({ kinds: ['message'] }, (stanza, account) => keeper.keep(stanza, account)),
    )
    server.onStop(server.hooks.loginBegun.observe(account => keeper.lookAhead(account)))
    server.onStop(server.hooks.sessionOpened.observe(({ jid }) => keeper.lookAhead(jid)))
    server.onStop(server.hooks.becameAvailable.observe(session => keeper.handOver(session)))
  },
})

class OfflineMessages {
  readonly #server: ModuleServer
  readonly #rule: string
  /** Hand-overs under way, by account: two resources that come at the same time share one. */
  readonly #running = new Map<string, Promise<void>>()
  readonly #empty = new LRUCache<string, true>({ max: rememberedEmpty })
  /** Messages that were to be stored so far: tells whether an answer of the store may be out of date. */
  #kept = 0

  constructor(server: ModuleServer, rule: string) {
    this.#server = server
    this.#rule = rule
  }

  keep(stanza: Stanza, account: Jid): Transformed | Promise<Transformed> {
    switch (offlineFate(stanza)) {
      case 'refuse':
        return stanza
      case 'ignore':
        return drop
      case 'store':
        return this.#store(stanza, account)
    }
  }

  /** Asks whether anything waits while the client is still busy logging in; most often nothing does. */
  lookAhead(jid: Jid): void {
    if (this.#empty.has(jid.bareText)) return
    this.#server.routing.inBackground(async () => {
      const before = this.#kept
      const count = await this.#server.store.offline.count(jid.local, this.#server.host)
      if (count === 0 && before === this.#kept) this.#empty.set(jid.bareText, true)
    })
  }

  /**
   * Gives the session what waits, in order; what was handed over is removed. In the background: neither the client, which
   * has to take it meanwhile, nor a sender waits for that.
   */
  handOver(session: Session): void {
    if (this.#empty.has(session.jid.bareText)) return
    this.#server.routing.inBackground(() => this.#inTurn(session))
  }

  #inTurn(session: Session): Promise<void> {
    const account = session.jid.bareText
    const before = this.#running.get(account) ?? Promise.resolve()
    const work = before.then(() => this.#handOver(session))
    const done = work
      .catch(() => {})
      .finally(() => {
        // the failure is told where the work is
        if (this.#running.get(account) === done) this.#running.delete(account)
      })
    this.#running.set(account, done)
    return work
  }

  async #store(stanza: Stanza, account: Jid): Promise<Transformed> {
    const { store, clock, host, routing } = this.#server
    const at = clock.wall()
    this.#kept += 1
    this.#empty.delete(account.bareText)
    const xml = stamped(stanza, host, at).toString()
    const stored = await store.offline.add(account.local, host, xml, at, this.#limit(account))
    if (stored === 'full') throw new StanzaError('service-unavailable', 'too many messages wait for this account')
    // Somebody may have come while the message was being written, and have been given what waited before it.
    const session = routing.sessions.resources(account.bareText).find(takesMessages)
    if (session) this.handOver(session)
    return drop
  }

  async #handOver(session: Session): Promise<void> {
    const { store, routing, host } = this.#server
    const user = session.jid.local
    for (;;) {
      const before = this.#kept
      const page = await store.offline.page(user, host, { after: 0, limit: pageSize })
      if (page.length === 0 && before === this.#kept) this.#empty.set(session.jid.bareText, true)
      let last = 0
      for (const { id, xml } of page) {
        // What a module keeps from the session, such as one from somebody who is blocked by now, does not wait any longer.
        if (!takesMessages(session) || routing.offer(session, Stanza.parse(xml)) === 'gone') break
        last = id
      }
      if (last > 0) await store.offline.remove(user, host, last)
      if (page.length < pageSize || last !== page.at(-1)!.id) return
      while (session.waitingStanzas > 0 && takesMessages(session)) await this.#pause()
    }
  }

  #pause(): Promise<void> {
    return new Promise(resolve => this.#server.clock.after(paceMs, resolve))
  }

  #limit(account: Jid): number {
    const value = this.#server.access(this.#server.host, this.#rule, account)
    if (typeof value === 'number') return value
    if (value === 'infinity') return Number.MAX_SAFE_INTEGER
    return value === 'deny' ? 0 : defaultLimit
  }
}

const takesMessages = (session: Session) => session.presence !== undefined && session.priority >= 0
