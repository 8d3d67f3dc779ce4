import type { Element } from 'ltx'
import { StanzaError } from '../protocols/errors.js'
import { iqResult, type Stanza } from '../protocols/stanza/stanza.js'
import { blamed, type OfPart, registrant } from './parts.js'

/** Whose answer it is: the domain's own, or the server's on behalf of an account (a bare JID). */
export type IqTarget = 'host' | 'account'

/** What a handler returns when it sent the result itself, to have it before something else. */
export const answered: unique symbol = Symbol('answered')
/** The payload of the result; undefined: it has none. */
export type IqAnswer = Element | typeof answered | undefined

/** Answers a request with a payload or without one; throws a `StanzaError` to refuse. `iq.from` and `iq.to` are set. */
export type IqHandler = (iq: Stanza) => IqAnswer | Promise<IqAnswer>

export interface IqRegistration {
  readonly domain: string
  readonly target: IqTarget
  readonly type: 'get' | 'set'
  readonly ns: string
  readonly name: string
  readonly handler: IqHandler
}

type Entry = IqRegistration & OfPart

/** Who answers which IQ request. RFC 6120 §8.2.3 */
export class IqHandlers {
  /** By domain, then by namespace; a namespace has a handful of entries. */
  readonly #byDomain = new Map<string, Map<string, Entry[]>>()

  /** Adds a handler and returns its undo. Throws when the place is taken: that is a bug of a module. */
  register(registration: IqRegistration): () => void {
    const { domain, target, type, ns, name } = registration
    const byNs = this.#byDomain.get(domain) ?? new Map<string, Entry[]>()
    this.#byDomain.set(domain, byNs)
    if (this.#find(domain, target, type, ns, name)) throw new Error(`${type} ${name} ${ns} is answered already`)
    const entry = { ...registration, part: registrant() }
    byNs.set(ns, [...(byNs.get(ns) ?? []), entry])
    return () => {
      const left = (byNs.get(ns) ?? []).filter(other => other !== entry)
      if (left.length > 0) byNs.set(ns, left)
      else byNs.delete(ns)
    }
  }

  /** The reply to a request for a domain or a bare JID of ours; undefined when there is none to send. Rejects or throws for bugs only. */
  answer(domain: string, target: IqTarget, iq: Stanza): Stanza | undefined | Promise<Stanza | undefined> {
    if (iq.type !== 'get' && iq.type !== 'set') return undefined
    checkRequest(iq)
    const { ns, name } = iq.payload!
    const found = this.#find(domain, target, iq.type, ns, name)
    if (!found) throw new StanzaError('service-unavailable')
    let answer: IqAnswer | Promise<IqAnswer>
    try {
      answer = found.handler(iq)
    } catch (error) {
      throw blamed(error, found.part)
    }
    if (!(answer instanceof Promise)) return reply(iq, answer)
    return answer.then(
      later => reply(iq, later),
      (error: unknown) => {
        throw blamed(error, found.part)
      },
    )
  }

  /** Whether somebody answers the request. */
  has(domain: string, target: IqTarget, iq: Stanza): boolean {
    if ((iq.type !== 'get' && iq.type !== 'set') || iq.payload === undefined) return false
    const { ns, name } = iq.payload
    return this.#find(domain, target, iq.type, ns, name) !== undefined
  }

  #find(domain: string, target: IqTarget, type: IqRegistration['type'], ns: string, name: string): Entry | undefined {
    const entries = this.#byDomain.get(domain)?.get(ns)
    if (entries === undefined) return undefined
    for (const entry of entries) if (entry.name === name && entry.type === type && entry.target === target) return entry
  }
}

/** Throws `bad-request` for an IQ that RFC 6120 §8.2.3 forbids, as far as its envelope shows. */
export function checkIq(iq: Stanza): void {
  if (iq.id === undefined || iq.id === '') throw new StanzaError('bad-request', 'an IQ has an id')
  switch (iq.type) {
    case 'get':
    case 'set':
      if (!iq.payload) throw new StanzaError('bad-request', 'an IQ request has exactly one child element')
      return
    case 'result':
    case 'error':
      return
    default:
      throw new StanzaError('bad-request', 'the type of an IQ is get, set, result or error')
  }
}

/** The whole check, for a request that is answered here. */
function checkRequest(iq: Stanza): void {
  checkIq(iq)
  if (!iq.hasOneChild) throw new StanzaError('bad-request', 'an IQ request has exactly one child element')
}

function reply(iq: Stanza, answer: IqAnswer): Stanza | undefined {
  return answer === answered ? undefined : iqResult(iq, answer)
}
