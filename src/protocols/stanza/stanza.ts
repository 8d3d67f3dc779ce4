import { clone, Element, parse } from 'ltx'
import type { StanzaError } from '../errors.js'
import { Jid } from '../jid.js'
import { NS } from '../namespaces.js'
import type { Frame } from '../xml/frame.js'
import { buildElement } from '../xml/tree.js'

export type StanzaKind = 'message' | 'presence' | 'iq'

/** A stanza's first child element, which for an IQ says what is asked. RFC 6120 §8.2.3 */
export interface Payload {
  readonly name: string
  readonly ns: string
}

/** A stanza on its way: its envelope, and its content either as the bytes that came in or as a tree. Immutable. */
export class Stanza {
  readonly kind: StanzaKind
  /** '' when absent. */
  readonly type: string
  readonly id: string | undefined
  readonly lang: string | undefined
  readonly from: Jid | undefined
  readonly to: Jid | undefined
  readonly payload: Payload | undefined
  /** The whole stanza as a tree, addressed as the envelope says. Shared: never change it. */
  readonly element: Element

  private constructor(element: Element) {
    this.element = element
    this.kind = element.getName() as StanzaKind
    this.type = element.attrs.type ?? ''
    this.id = element.attrs.id
    this.lang = element.attrs['xml:lang']
    this.from = element.attrs.from === undefined ? undefined : Jid.parse(element.attrs.from)
    this.to = element.attrs.to === undefined ? undefined : Jid.parse(element.attrs.to)
    const child = element.getChildElements()[0]
    this.payload = child && { name: child.getName(), ns: child.getNS() ?? NS.client }
  }

  /** The stanza that a tree of our own making says. */
  static fromElement(element: Element): Stanza {
    return new Stanza(element)
  }

  static fromFrame(frame: Frame, from: Jid, lang: string | undefined): Stanza {
    const element = buildElement(frame)
    element.attrs.from = from.text
    if (lang !== undefined) element.attrs['xml:lang'] ??= lang
    return new Stanza(element)
  }

  encodedLength(): number {
    return Buffer.byteLength(this.toString())
  }

  encode(bytes: Buffer, at: number): number {
    return bytes.write(this.toString(), at)
  }

  /** The stanza in a text of our own making (a stored one). */
  static parse(xml: string): Stanza {
    return new Stanza(parse(xml))
  }

  /** The same stanza with another sender or addressee. */
  addressed(change: { from?: Jid; to?: Jid }): Stanza {
    const element = clone(this.element)
    if (change.from) element.attrs.from = change.from.text
    if (change.to) element.attrs.to = change.to.text
    return new Stanza(element)
  }

  /** The stanza as XML, in the namespace `jabber:client`. */
  toString(): string {
    return this.element.toString()
  }
}

/** The answer to an IQ request. RFC 6120 §8.2.3 */
export function iqResult(request: Stanza, payload?: Element): Stanza {
  const element = new Element('iq', { type: 'result', id: request.id })
  if (request.from) element.attrs.to = request.from.text
  if (request.to) element.attrs.from = request.to.text
  if (payload) element.cnode(payload)
  return Stanza.fromElement(element)
}

/** True when an error may be sent in reply: never to an error, never to an IQ result. RFC 6120 §8.3.1 */
export function mayBounce(stanza: Stanza): boolean {
  return stanza.type !== 'error' && !(stanza.kind === 'iq' && stanza.type === 'result')
}

/** The error reply to a stanza; its content is echoed only when that is small. RFC 6120 §8.3 */
export function errorReply(stanza: Stanza, error: StanzaError): Stanza {
  const element = new Element(stanza.kind, { type: 'error', id: stanza.id })
  if (stanza.from) element.attrs.to = stanza.from.text
  if (stanza.to) element.attrs.from = stanza.to.text
  element.cnode(error.toElement())
  return Stanza.fromElement(element)
}
