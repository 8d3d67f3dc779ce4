import { setImmediate as nextTurn } from 'node:timers/promises'
import type { HostCounter } from '../observability/metrics/host-counters.js'
import { StanzaError } from '../protocols/errors.js'
import type { Jid } from '../protocols/jid.js'
import { type ArchiveQuery, finElement, metadataElement, readArchiveQuery, resultXml } from '../protocols/mam.js'
import { iqResult, Stanza } from '../protocols/stanza/stanza.js'
import { answered, type IqAnswer } from '../routing/iq.js'
import type { Session } from '../sessions/session.js'
import type { ArchivedMessage, ArchiveFilter } from '../storage/store.js'
import type { ModuleServer } from './module.js'

/** Results handed over at a time. Few, because the client's queue may be short (`max_fsm_queue`). */
const resultsAtOnce = 8
/** Pages that may wait for one client. */
const pagesAtOnce = 10
/** Milliseconds between two looks whether the client has taken them. */
const paceMs = 50
/** How far results are counted, where a client asks how many there are. */
const countLimit = 100_000

/** An archive as somebody may see it. */
export interface ArchiveView {
  /** Whose it is: the bare JID of an account or a room. */
  readonly owner: Jid
  /** What it means for a message to be `with` this JID. */
  filter(jid: Jid): ArchiveFilter
  /** Who really sent a message, where the reader is told. */
  senderOf?(message: ArchivedMessage): string | undefined
}

/** Messages on a page: when the client does not say, and at most. */
export interface PageLimits {
  readonly default_result_limit: number
  readonly max_result_limit: number
}

/** Answers what is asked of archives. XEP-0313 §4, §5 */
export class ArchiveReader {
  readonly #server: ModuleServer
  readonly #limits: PageLimits
  /** What queries count as, and the messages that they find. */
  readonly #counted: { readonly lookups: HostCounter; readonly results: HostCounter }
  /** Pages on their way to a session: how many, and when the last of them is there. */
  readonly #giving = new WeakMap<Session, { count: number; last: Promise<void> }>()

  constructor(server: ModuleServer, limits: PageLimits, counted: { lookups: HostCounter; results: HostCounter }) {
    this.#server = server
    this.#limits = limits
    this.#counted = counted
  }

  async metadata({ owner }: ArchiveView): Promise<IqAnswer> {
    return metadataElement(await this.#server.store.archive.ends(owner.local, owner.domain))
  }

  /** The results go to the client before the answer does. XEP-0313 §4 */
  async query(iq: Stanza, view: ArchiveView): Promise<IqAnswer> {
    const query = readArchiveQuery(payloadOf(iq))
    const { counters } = this.#server.hooks
    counters[this.#counted.lookups]++
    if (query.max === 0) return this.#count(view, query)
    const limit = Math.min(query.max ?? this.#limits.default_result_limit, this.#limits.max_result_limit)
    const found = await this.#find(view, query, limit + 1)
    const isComplete = found.length <= limit
    const page = isComplete ? found : query.isLast ? found.slice(1) : found.slice(0, limit)
    const count = isComplete && query.isOutermost ? page.length : undefined
    const fin = finElement({ ids: page.map(({ id }) => id), isComplete, count })
    if (page.length === 0) return fin
    counters[this.#counted.results] += page.length
    const results = this.#results(iq, view, query, query.isFlipped ? page.reverse() : page)
    const session = this.#server.routing.sessions.byFull(iq.from!.text)
    if (session === undefined) return this.#send(results, fin)
    this.#giveInTurn(session, async () => {
      await this.#give(session, results)
      this.#server.routing.deliverAnyway(session, iqResult(iq, fin))
    })
    return answered
  }

  /** To somebody of another server, whose next request waits that long. */
  async #send(results: Iterable<Stanza>, fin: IqAnswer): Promise<IqAnswer> {
    for (const result of results) await this.#server.routing.route(result)
    return fin
  }

  /** In the background, because the client's connection takes nothing while it handles a query; one page after another. */
  #giveInTurn(session: Session, give: () => Promise<void>): void {
    const pages = this.#giving.get(session) ?? { count: 0, last: Promise.resolve() }
    if (pages.count >= pagesAtOnce) throw new StanzaError('resource-constraint', 'too many queries at one time')
    this.#giving.set(session, pages)
    pages.count += 1
    const done = () => {
      pages.count -= 1
    }
    const given = pages.last.then(give)
    pages.last = given.then(done, done)
    this.#server.routing.inBackground(() => given)
  }

  async #count(view: ArchiveView, query: ArchiveQuery): Promise<IqAnswer> {
    // What it is asked for may be missing.
    const picked = await this.#find(view, query, query.ids?.length ?? 0)
    const { owner } = view
    const count = query.ids
      ? picked.length
      : await this.#server.store.archive.count(owner.local, owner.domain, filterOf(query, view), countLimit)
    return finElement({ ids: [], isComplete: count === 0, count })
  }

  /** The first messages that are asked for, or the last, in their order. */
  async #find(view: ArchiveView, query: ArchiveQuery, limit: number): Promise<ArchivedMessage[]> {
    const { archive } = this.#server.store
    const { local, domain } = view.owner
    const { ids, known, isLast } = query
    const filter = filterOf(query, view)
    const found = await archive.page(local, domain, { ...filter, limit: ids ? 0 : limit, isLast, known })
    const messages = found && ids ? await archive.pick(local, domain, ids, filter) : found
    if (messages === undefined) throw new StanzaError('item-not-found', 'no message has this id')
    if (messages.length <= limit) return messages
    return isLast ? messages.slice(-limit) : messages.slice(0, limit)
  }

  /** One after the other, each made when it is its turn. */
  *#results(iq: Stanza, view: ArchiveView, { queryId }: ArchiveQuery, messages: readonly ArchivedMessage[]) {
    const envelope = { from: view.owner.text, to: iq.from!.text, queryId }
    for (const message of messages) {
      const sender = view.senderOf?.(message)
      yield Stanza.parse(resultXml(envelope, { id: message.id, message: textOf(message.xml), sender }))
    }
  }

  async #give(session: Session, results: Iterable<Stanza>): Promise<void> {
    let given = 0
    for (const result of results) {
      if (given > 0 && given % resultsAtOnce === 0) await this.#untilTaken(session)
      if (!this.#server.routing.deliverAnyway(session, result)) return
      given += 1
    }
  }

  async #untilTaken(session: Session): Promise<void> {
    await nextTurn()
    while (session.waitingStanzas > 0 && this.#server.routing.sessions.byFull(session.jid.text) === session) {
      await new Promise<void>(resolve => this.#server.clock.after(paceMs, resolve))
    }
  }
}

export const payloadOf = (iq: Stanza) => iq.element.getChildElements()[0]! // a request has exactly one

export const textOf = (xml: Uint8Array) => Buffer.from(xml.buffer, xml.byteOffset, xml.byteLength).toString()

function filterOf(query: ArchiveQuery, view: ArchiveView): ArchiveFilter {
  const { after, before } = query
  return {
    ...(query.with && view.filter(query.with)),
    ...(after !== undefined && { after }),
    ...(before !== undefined && { before }),
  }
}
