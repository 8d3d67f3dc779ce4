import { StanzaError } from '../protocols/errors.js'
import { Jid } from '../protocols/jid.js'
import { errorReply, iqResult, type Stanza } from '../protocols/stanza/stanza.js'
import { answered, checkIq, type IqAnswer } from '../routing/iq.js'
import { blamed, type OfPart, type Part, withEntry } from '../routing/parts.js'
import type { Routing } from '../routing/services.js'
import { Discovery } from './discovery.js'
import type { ModuleServer, OfferKey, StreamFeature, UnauthenticatedIqHandler } from './module.js'

interface Feature extends OfPart {
  readonly feature: StreamFeature
}

interface Answerer extends OfPart {
  readonly handler: UnauthenticatedIqHandler
}

/** What the modules of one virtual host have registered, beside what routing keeps. */
export class RunningHost {
  readonly jid: Jid
  readonly discovery: ModuleServer['discovery'] = { host: new Discovery(), account: new Discovery() }
  readonly #routing: Routing
  readonly #unauthenticated = new Map<string, Answerer>()
  readonly #offered = new Map<OfferKey<unknown>, unknown>()
  #features: readonly Feature[] = []

  /** Throws when the name is not in prepared form. */
  constructor(
    readonly name: string,
    routing: Routing,
  ) {
    const jid = Jid.parse(name)
    if (jid?.text !== name) throw new Error(`the host ${name} is not in prepared form`)
    this.jid = jid
    this.#routing = routing
  }

  // ---- what a module registers; each returns its undo

  addStreamFeature(feature: StreamFeature, part: Part): () => void {
    const entry = { feature, part }
    this.#features = withEntry(this.#features, entry)
    return () => {
      this.#features = this.#features.filter(other => other !== entry)
    }
  }

  addUnauthenticated(ns: string, name: string, handler: UnauthenticatedIqHandler, part: Part): () => void {
    const key = `${ns} ${name}`
    this.#unauthenticated.set(key, { handler, part })
    return () => this.#unauthenticated.delete(key)
  }

  addOffer<Offered>(key: OfferKey<Offered>, offered: Offered): () => void {
    this.#offered.set(key, offered)
    return () => this.#offered.delete(key)
  }

  // ---- what comes of it

  /** As XML. A module that throws has no feature. */
  streamFeatures(stream: { isAuthenticated: boolean }): string {
    let all = ''
    for (const { feature, part } of this.#features) {
      try {
        all += feature(stream) ?? ''
      } catch (error) {
        this.#routing.onBug(blamed(error, part))
      }
    }
    return all
  }

  /** The key has the type of what was offered with it. */
  offered<Offered>(key: OfferKey<Offered>): Offered | undefined {
    return this.#offered.get(key) as Offered | undefined
  }

  /** The reply to an IQ of a stream that has not logged in; undefined when no module has one. Never rejects. */
  async answerUnauthenticated(iq: Stanza, address: string): Promise<Stanza | undefined> {
    const { type, payload } = iq
    if (payload === undefined || type === 'result' || type === 'error') return undefined
    const answerer = this.#unauthenticated.get(`${payload.ns} ${payload.name}`)
    if (answerer === undefined) return undefined
    const result = await tryAnswer(answerer.handler, iq, address).catch((error: unknown) =>
      this.#routing.explain(blamed(error, answerer.part)),
    )
    const reply =
      result instanceof StanzaError ? errorReply(iq, result) : iqResult(iq, result === answered ? undefined : result)
    return reply.addressed({ from: this.jid })
  }
}

async function tryAnswer(handler: UnauthenticatedIqHandler, iq: Stanza, address: string): Promise<IqAnswer> {
  checkIq(iq)
  return handler(iq, address)
}
