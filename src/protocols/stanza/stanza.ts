import { Element } from 'ltx'
import type { StanzaError } from '../errors.js'
import { Jid } from '../jid.js'
import { NS } from '../namespaces.js'
import { withChild } from '../xml/append.js'
import { ENCODED, Frame, interestOf, SEVERAL, StreamContext } from '../xml/frame.js'
import { frameDocument } from '../xml/framer.js'
import { type Envelope, splice, spliceLength } from '../xml/splice.js'
import { escapeValue, utf8 } from '../xml/text.js'
import { buildElement, setAttribute } from '../xml/tree.js'

/** The three sorts of stanzas. RFC 6120 §8.2 */
export type StanzaKind = 'message' | 'presence' | 'iq'

/** A stanza's first child element, which for an IQ says what is asked. RFC 6120 §8.2.3 */
export interface Payload {
  /** Its local name. */
  readonly name: string
  /** Its namespace. */
  readonly ns: string
}

/** What the bytes of a stanza are made for. */
export interface Encoding {
  /** Declared as the default namespace; without it the stream's is taken to be the stanza's. */
  readonly xmlns?: string
  /** The `xml:lang` for a stanza that has none. */
  readonly lang?: string
}

// What `changed` says: the frame or tree has another sender or addressee than the envelope.
const FROM = 1
const TO = 2
// And beside that: see `weight`.
const FOLLOWS = 4

const ownContext = new StreamContext('', NS.client, [])
const plainEncoding: Encoding = {}

// Filled anew for every splice.
const envelope: Envelope = { from: undefined, to: undefined, lang: undefined, xmlns: undefined }

/**
 * A stanza on its way: its envelope, and its content either as the bytes that came in or as a tree; each is made from
 * the other when it is first asked for, and shared by all copies with other addresses. Immutable.
 */
export class Stanza {
  private tree: Element | undefined
  private firstChild: Payload | null | undefined

  private constructor(
    /** Which element it is. */
    readonly kind: StanzaKind,
    /** The attribute `type`; '' when absent. */
    readonly type: string,
    private readonly content: Content,
    /** null: there is none, or it is no JID; undefined: not parsed yet. */
    private sender: Jid | null | undefined,
    private addressee: Jid | null | undefined,
    private readonly changed: number,
    /** For a stanza that says no language itself. */
    private readonly streamLang: string | undefined,
  ) {}

  /** The stanza that a tree of our own making says. Neither the tree nor its parts may be changed afterwards. */
  static fromElement(element: Element): Stanza {
    const kind = kindOf(element.getName())
    return new Stanza(
      kind,
      element.attrs.type ?? '',
      new Content(undefined, element),
      undefined,
      undefined,
      0,
      undefined,
    )
  }

  /** @internal What came in as a frame that is a stanza, stamped with its sender and the language of the sender's stream. */
  static fromFrame(frame: Frame, from: Jid, lang?: string): Stanza {
    return new Stanza(kindOf(frame.name), frame.type ?? '', new Content(frame, undefined), from, undefined, FROM, lang)
  }

  /** The stanza that a text says, such as the XML that a handler is given. Throws when it is no stanza. */
  static parse(xml: string): Stanza {
    const frame = ownFrame(xml)
    return new Stanza(
      kindOf(frame.name),
      frame.type ?? '',
      new Content(frame, undefined),
      undefined,
      undefined,
      0,
      undefined,
    )
  }

  /** The answer to a request that asks for nothing. RFC 6120 §8.2.3 */
  static emptyResult({ id, from, to }: Stanza): Stanza {
    const changed = (to ? FROM : 0) | (from ? TO : 0)
    const content = new Content(emptyResultFrame(id), undefined)
    return new Stanza('iq', 'result', content, to ?? null, from ?? null, changed, undefined)
  }

  /** The attribute `id`. */
  get id(): string | undefined {
    return this.content.attribute('id')
  }

  /** `xml:lang`, its own or that of the sender's stream. RFC 6120 §8.1.5 */
  get lang(): string | undefined {
    return this.content.attribute('xml:lang') ?? this.streamLang
  }

  /** The sender; undefined also when it is no JID. */
  get from(): Jid | undefined {
    if (this.sender === undefined) this.sender = parseJid(this.content.attribute('from'))
    return this.sender ?? undefined
  }

  /** The addressee; undefined also when it is no JID: `toText` tells. */
  get to(): Jid | undefined {
    if (this.addressee === undefined) this.addressee = parseJid(this.content.attribute('to'))
    return this.addressee ?? undefined
  }

  /** True when there is a `to`, even one that is no JID. */
  get isAddressed(): boolean {
    return (this.changed & TO) !== 0 || this.content.isAddressed
  }

  /** The addressee as it is written, prepared or not. */
  get toText(): string | undefined {
    return this.changed & TO ? this.addressee?.text : this.content.attribute('to')
  }

  /** The first child element. */
  get payload(): Payload | undefined {
    if (this.firstChild === undefined) this.firstChild = this.content.payload() ?? null
    return this.firstChild ?? undefined
  }

  /** Whether there is exactly one child element. */
  get hasOneChild(): boolean {
    return this.content.hasOneChild
  }

  /** @internal The bits (`interest`) of the namespaces that direct children are in. */
  get mask(): number {
    return this.content.mask()
  }

  /** @internal Whether these bytes stand anywhere but as the default namespace of its own start tag. */
  saysBesides(text: Buffer): boolean {
    const { bytes, start, xmlnsAt, xmlnsEnd, end } = this.content.wire()
    const own = bytes.subarray(start, end)
    const at = own.indexOf(text)
    return at !== -1 && (at !== xmlnsAt || own.includes(text, xmlnsEnd))
  }

  /** The whole stanza as a tree, addressed as the envelope says. Shared: never change it. */
  get element(): Element {
    this.tree ??= this.addressTree()
    return this.tree
  }

  /**
   * What it counts where it is limited how many stanzas may wait: nothing when it follows another one of the same act to the same
   * recipient, so that whoever enters a room may read as slowly in a large one as in a small one. Its bytes count all the same.
   */
  get weight(): number {
    return this.changed & FOLLOWS ? 0 : 1
  }

  /** The same stanza with another sender or addressee; `follows`: see `weight`. */
  addressed(change: { from?: Jid; to?: Jid; follows?: boolean }): Stanza {
    const { from = this.sender, to = this.addressee } = change
    const kept = this.changed & ~FOLLOWS
    const changed = kept | (change.from ? FROM : 0) | (change.to ? TO : 0) | (change.follows ? FOLLOWS : 0)
    return new Stanza(this.kind, this.type, this.content, from, to, changed, this.streamLang)
  }

  /** The same stanza with another child behind those that it has: XML that declares its own namespace, `ns`. It has one already. */
  withChild(xml: string, ns: string): Stanza {
    const content = this.content.withChild(xml, ns)
    return new Stanza(this.kind, this.type, content, this.sender, this.addressee, this.changed, this.streamLang)
  }

  /** @internal The same stanza over bytes of its own, no more than it needs: for one that has to wait. */
  compact(): Stanza {
    const content = this.content.compact()
    if (content === this.content) return this
    return new Stanza(this.kind, this.type, content, this.sender, this.addressee, this.changed, this.streamLang)
  }

  /** @internal `encode` takes no more bytes than this. */
  encodedLength(encoding = plainEncoding): number {
    return spliceLength(this.content.wire(), this.envelope(encoding))
  }

  /** @internal Writes the stanza as XML and returns the number of bytes; there must be room for `encodedLength`. */
  encode(target: Buffer, offset: number, encoding = plainEncoding): number {
    return splice(this.content.wire(), this.envelope(encoding), target, offset)
  }

  /** The stanza as XML, in the namespace `jabber:client`. */
  toString(): string {
    const bytes = Buffer.allocUnsafe(this.encodedLength())
    return utf8(bytes, 0, this.encode(bytes, 0))
  }

  private envelope(encoding: Encoding): Envelope {
    envelope.from = this.changed & FROM ? this.sender?.text : undefined
    envelope.to = this.changed & TO ? this.addressee?.text : undefined
    envelope.lang = this.streamLang ?? encoding.lang
    envelope.xmlns = encoding.xmlns ?? ''
    return envelope
  }

  private addressTree(): Element {
    const tree = this.content.element()
    if ((this.changed & (FROM | TO)) === 0 && this.streamLang === undefined) return tree
    const addressed = copyTop(tree)
    if (this.changed & FROM) addressed.attrs.from = this.sender?.text
    if (this.changed & TO) addressed.attrs.to = this.addressee?.text
    if (this.streamLang !== undefined) addressed.attrs['xml:lang'] ??= this.streamLang
    return addressed
  }
}

/** What a stanza says, without regard to its envelope. One of the two is there from the start, the other once needed. */
class Content {
  constructor(
    private frame: Frame | undefined,
    private tree: Element | undefined,
  ) {}

  attribute(name: 'id' | 'from' | 'to' | 'xml:lang'): string | undefined {
    if (this.frame === undefined) return this.tree!.attrs[name]
    return name === 'xml:lang' ? this.frame.lang : this.frame[name]
  }

  get isAddressed(): boolean {
    return this.frame === undefined ? this.tree!.attrs.to !== undefined : this.frame.toAt !== 0
  }

  payload(): Payload | undefined {
    if (this.frame !== undefined) {
      const { payloadName: name, payloadNs: ns } = this.frame
      return name === undefined ? undefined : { name, ns: ns! } // a child that has a name has a namespace
    }
    const child = this.tree!.getChildElements()[0]
    return child && { name: child.getName(), ns: child.getNS() ?? NS.client }
  }

  get hasOneChild(): boolean {
    if (this.frame !== undefined) return this.frame.payloadAt !== 0 && (this.frame.flags & SEVERAL) === 0
    return this.tree!.getChildElements().length === 1
  }

  mask(): number {
    if (this.frame !== undefined) return this.frame.mask
    return this.tree!.getChildElements().reduce((mask, child) => mask | interestOf(child.getNS() ?? NS.client), 0)
  }

  element(): Element {
    this.tree ??= buildElement(this.frame!)
    return this.tree
  }

  /** Bytes that mean the same in any stream whose default namespace is that of the stanza. */
  wire(): Frame {
    if (this.frame === undefined || !this.frame.isForwardable) {
      const element = this.element()
      const inherited = this.frame?.contentNs ?? element.attrs.xmlns ?? NS.client
      this.frame = ownFrame(unprefixed(element, inherited).toString())
    }
    return this.frame
  }

  withChild(xml: string, ns: string): Content {
    return new Content(withChild(this.wire(), xml, ns), undefined)
  }

  compact(): Content {
    const frame = this.wire().compact()
    return frame === this.frame && this.tree === undefined ? this : new Content(frame, undefined)
  }
}

function kindOf(name: string): StanzaKind {
  if (name === 'message' || name === 'presence' || name === 'iq') return name
  throw new Error(`<${name}/> is not a stanza`)
}

const parseJid = (text: string | undefined) => (text === undefined ? null : (Jid.parse(text) ?? null))

// What no XML document can hold, though a tree can.
const illegal = /[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu

/** The text as a document can hold it: U+FFFD in the place of what none can. XML 1.0 §2.2 */
export const legalText = (text: string): string => text.replace(illegal, '\ufffd')

/** The frame of a text of our own making, over bytes of its own. */
function ownFrame(xml: string): Frame {
  const text = legalText(xml)
  const bytes = Buffer.allocUnsafeSlow(Buffer.byteLength(text))
  bytes.write(text)
  const [frame, another] = frameDocument(bytes, bytes.length, ownContext, 'own')
  if (frame === undefined || another !== undefined) throw new Error('not one element')
  return frame
}

const resultStart = '<iq type="result"'
const idStart = ' id="'

/** What the framer would find in an empty result, without looking for it: nothing is answered more often. */
function emptyResultFrame(id: string | undefined): Frame {
  const value = id === undefined ? undefined : escapeValue(legalText(id))
  const start = value === undefined ? resultStart : `${resultStart}${idStart}${value}"`
  const frame = new Frame()
  frame.bytes = Buffer.from(`${start}/>`)
  frame.end = frame.bytes.length
  frame.context = ownContext
  frame.name = 'iq'
  frame.ns = NS.client
  frame.nameEnd = '<iq'.length
  frame.typeEnd = resultStart.length - 1
  frame.typeAt = frame.typeEnd - 'result'.length
  frame.attributesEnd = frame.end - '/>'.length
  if (value !== undefined) {
    frame.idAt = resultStart.length + idStart.length
    frame.idEnd = frame.attributesEnd - 1
    if (value !== id || frame.idEnd - frame.idAt !== value.length) frame.flags = ENCODED
  }
  return frame
}

/** The same element over the same children, which stay the other's: to give it other attributes. */
function copyTop(element: Element): Element {
  const copy = new Element(element.name)
  for (const [name, value] of Object.entries(element.attrs)) setAttribute(copy.attrs, name, value)
  copy.children = element.children
  return copy
}

/** The stanza without a prefix on its own name; its children, of which some are in `inherited` by default, stay there. */
function unprefixed(element: Element, inherited: string): Element {
  if (!element.name.includes(':')) return element
  const renamed = copyTop(element)
  renamed.name = element.getName()
  delete renamed.attrs.xmlns
  if (inherited === element.getNS()) return renamed
  renamed.children = element.children.map(child => {
    // One with a prefix too: what stands inside it may have none.
    if (!(child instanceof Element) || child.attrs.xmlns !== undefined) return child
    const copy = copyTop(child)
    copy.attrs.xmlns = inherited
    return copy
  })
  return renamed
}

/** The answer to an IQ request. RFC 6120 §8.2.3 */
export function iqResult(request: Stanza, payload?: Element): Stanza {
  if (payload === undefined) return Stanza.emptyResult(request)
  const element = new Element('iq', { type: 'result', id: request.id })
  if (request.from) element.attrs.to = request.from.text
  if (request.to) element.attrs.from = request.to.text
  element.cnode(payload)
  return Stanza.fromElement(element)
}

/** True when an error may be sent in reply: never to an error, never to an IQ result. RFC 6120 §8.3.1 */
export function mayBounce(stanza: Stanza): boolean {
  return stanza.type !== 'error' && !(stanza.kind === 'iq' && stanza.type === 'result')
}

/** The error reply to a stanza; the content, which RFC 6120 §8.3.1 lets a server echo, is not sent back. */
export function errorReply(stanza: Stanza, error: StanzaError): Stanza {
  const element = new Element(stanza.kind, { type: 'error', id: stanza.id })
  if (stanza.from) element.attrs.to = stanza.from.text
  if (stanza.to) element.attrs.from = stanza.to.text
  element.cnode(error.toElement())
  return Stanza.fromElement(element)
}
