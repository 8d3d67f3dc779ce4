import { setImmediate as nextTurn } from 'node:timers/promises'
import { LRUCache } from 'lru-cache'
import { z } from 'zod'
import { rule } from '../config/primitives.js'
import { StanzaError } from '../protocols/errors.js'
import type { Jid } from '../protocols/jid.js'
import { offlineFate, stamped } from '../protocols/offline.js'
import { Stanza } from '../protocols/stanza/stanza.js'
import { drop, type Transformed } from '../routing/hooks.js'
import { type Session, takesMessages } from '../sessions/session.js'
import type { StoredCopy } from '../sessions/stored-copy.js'
import type { WaitingMessages } from '../sessions/stream-management.js'
import { entries } from '../storage/remembered.js'
import type { OfflineMessage } from '../storage/store.js'
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
    const { waitingMessages } = server.routing.sessions
    waitingMessages.set(server.host, keeper)
    server.onStop(() => waitingMessages.delete(server.host))
    server.onStop(
      server.hooks.undeliverable.transform({ kinds: ['message'] }, (stanza, account) => keeper.store(stanza, account)),
    )
    server.onStop(server.hooks.loginBegun.observe(account => keeper.lookAhead(account)))
    server.onStop(server.hooks.sessionOpened.observe(({ jid }) => keeper.lookAhead(jid)))
    server.onStop(server.hooks.becameAvailable.observe(session => keeper.handOver(session)))
    server.onStop(server.hooks.accountChanged.observe(account => keeper.changed(account)))
  },
})

/** A message in the store that sessions have taken and whose clients have not acknowledged it yet. */
class Copy implements StoredCopy {
  readonly account: Jid
  readonly #messages: OfflineMessages
  /** Known once it is stored. */
  id: number | undefined
  stored: Promise<void> = Promise.resolve()
  /** Sessions whose clients have not acknowledged it. */
  holders = 0
  isRemoved = false

  constructor(messages: OfflineMessages, account: Jid, id?: number) {
    this.#messages = messages
    this.account = account
    this.id = id
  }

  /** One of them is enough: the account has it. */
  acknowledged(): void {
    if (this.isRemoved) return
    this.isRemoved = true
    this.#messages.remove(this)
  }

  released(): void {
    this.holders -= 1
    if (this.holders === 0 && !this.isRemoved) this.#messages.letGo(this)
  }
}

class OfflineMessages implements WaitingMessages {
  readonly #server: ModuleServer
  readonly #rule: string
  /** Hand-overs under way, by account: two resources that come at the same time share one. */
  readonly #running = new Map<string, Promise<void>>()
  readonly #empty = new LRUCache<string, true>(entries(rememberedEmpty))
  /** Of the messages that sessions hold: nobody else gets them. */
  readonly #held: Set<number>
  /** By the message as it was routed: what goes to several sessions is stored once. */
  readonly #copies: WeakMap<Stanza, Copy>
  /** Copies that are being written. */
  readonly #writing: Set<Promise<void>>
  /** Messages that were to be stored so far: tells whether an answer of the store may be out of date. */
  #kept = 0

  constructor(server: ModuleServer, rule: string) {
    this.#server = server
    this.#rule = rule
    // Sessions hold copies longer than the module may run.
    const held = server.kept('held', () => ({
      ids: new Set<number>(),
      copies: new WeakMap<Stanza, Copy>(),
      writing: new Set<Promise<void>>(),
    }))
    this.#held = held.ids
    this.#copies = held.copies
    this.#writing = held.writing
  }

  store(stanza: Stanza, account: Jid): Transformed | Promise<Transformed> {
    switch (offlineFate(stanza)) {
      case 'refuse':
        return stanza
      case 'ignore':
        return drop
      case 'store':
        return this.#store(stanza, account)
    }
  }

  /** Messages may have come into the store past this module. */
  changed(account: Jid): void {
    this.#kept += 1
    this.#empty.delete(account.bareText)
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
    const { clock, routing } = this.#server
    await this.#add(stanza, account, clock.wall(), this.#limit(account))
    // Somebody may have come while the message was being written, and have been given what waited before it.
    const session = routing.sessions.resources(account.bareText).find(takesMessages)
    if (session) this.handOver(session)
    return drop
  }

  async #add(stanza: Stanza, account: Jid, at: number, limit: number): Promise<number> {
    const { store, host } = this.#server
    this.#kept += 1
    this.#empty.delete(account.bareText)
    const id = await store.offline.add(account.local, host, stamped(stanza, host, at).toString(), at, limit)
    if (id === 'full') throw new StanzaError('service-unavailable', 'too many messages wait for this account')
    return id
  }

  // ---- what sessions took and their clients may not have. XEP-0198 §5

  /** A copy for a session whose client is away; none where a client that is there has the message too. */
  keep(session: Session, message: Stanza, at: number): StoredCopy | undefined {
    const known = this.#copies.get(message)
    if (known?.isRemoved) return undefined
    if (known === undefined && !this.#isWorthKeeping(session, message)) return undefined
    const copy = known ?? this.#write(session.jid, message, at)
    copy.holders += 1
    return copy
  }

  #isWorthKeeping({ jid, priority }: Session, message: Stanza): boolean {
    // What the account says to one session of its own stands elsewhere, such as a carbon or a page of the archive.
    if (message.from?.text === jid.bareText || offlineFate(message) !== 'store') return false
    if (message.to?.text === jid.text) return true
    // RFC 6121 §8.5.2.1.1: all of the highest priority have it.
    const others = this.#server.routing.sessions.resources(jid.bareText)
    return !others.some(other => other.isDetached !== true && takesMessages(other) && other.priority >= priority)
  }

  #write(account: Jid, message: Stanza, at: number): Copy {
    const copy = new Copy(this, account)
    this.#copies.set(message, copy)
    // Without a limit: what a session holds has one already, and a client that is away is no reason for an error.
    copy.stored = this.#add(message, account, at, Number.POSITIVE_INFINITY).then(id => {
      copy.id = id
      if (copy.holders > 0) this.#held.add(id)
    })
    const done = () => void this.#writing.delete(copy.stored) // who waits for it is told of a failure
    this.#writing.add(copy.stored)
    copy.stored.then(done, done)
    return copy
  }

  remove(copy: Copy): void {
    this.#server.routing.inBackground(async () => {
      await copy.stored
      if (copy.id === undefined) return
      await this.#server.store.offline.remove(copy.account.local, this.#server.host, [copy.id])
      // Not before: a page that was asked for earlier may have it still.
      this.#held.delete(copy.id)
    })
  }

  /** Nobody holds it any more. */
  letGo({ id }: Copy): void {
    if (id !== undefined) this.#held.delete(id)
  }

  handOverReleased(account: string): void {
    const session = this.#server.routing.sessions.resources(account).find(takesMessages)
    if (session) this.handOver(session)
  }

  // ---- handing over

  async #handOver(session: Session): Promise<void> {
    const { store, host } = this.#server
    const user = session.jid.local
    for (let after = 0; ; ) {
      // What of it a session holds is known when it is written.
      await Promise.allSettled(this.#writing)
      const before = this.#kept
      const page = await store.offline.page(user, host, { after, limit: pageSize })
      if (after === 0 && page.length === 0 && before === this.#kept) this.#empty.set(session.jid.bareText, true)
      const { last, done } = this.#give(session, page)
      if (done.length > 0) await store.offline.remove(user, host, done)
      if (page.length < pageSize || last !== page.at(-1)!.id) return
      after = last
      // Mostly a turn is enough.
      if (session.waitingStanzas > 0) await nextTurn()
      while (session.waitingStanzas > 0 && takesMessages(session)) await this.#pause()
    }
  }

  /** Up to where the session has taken them, and which of them need not be kept any longer. */
  #give(session: Session, page: readonly OfflineMessage[]): { last: number; done: number[] } {
    const done: number[] = []
    let last = 0
    for (const { id, xml } of page) {
      if (!takesMessages(session)) break
      if (!this.#held.has(id)) {
        const given = this.#giveOne(session, id, Stanza.parse(xml))
        if (given === 'gone') break
        if (given === 'done') done.push(id)
      }
      last = id
    }
    return { last, done }
  }

  #giveOne(session: Session, id: number, message: Stanza): 'held' | 'done' | 'gone' {
    const copy = new Copy(this, session.jid, id)
    this.#copies.set(message, copy)
    const offer = this.#server.routing.offer(session, message)
    if (offer === 'gone') return 'gone'
    if (offer === 'taken' && copy.holders === 0 && session.holds?.(message, copy)) copy.holders += 1
    // What a module keeps from the session, such as one from somebody who is blocked by now, does not wait any longer.
    if (copy.holders === 0) return 'done'
    this.#held.add(id)
    return 'held'
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
