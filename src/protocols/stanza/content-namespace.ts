import { Element } from 'ltx'
import type { Jid } from '../jid.js'
import { NS } from '../namespaces.js'
import type { Frame } from '../xml/frame.js'
import { buildElement, setAttribute } from '../xml/tree.js'
import { Stanza } from './stanza.js'

/*
 * Streams of components and of servers have content namespaces of their own; everything inside the server is `jabber:client`.
 * RFC 6120 §4.8.3
 */

const client = Buffer.from(NS.client)

/** Turns the stanzas of streams with one content namespace into ours, and ours into those. */
export class ContentNamespace {
  private readonly bytes: Buffer

  constructor(private readonly ns: string) {
    this.bytes = Buffer.from(ns)
  }

  /** The stanza in a frame of such a stream, stamped with its sender and the language of the sender's stream. */
  stanza(frame: Frame, from: Jid, lang: string | undefined): Stanza {
    if (!frame.isForwardable || this.isNamedIn(frame)) return this.rebuilt(frame, from, lang)
    // What says no namespace has that of its stream, in either.
    frame.ns = NS.client
    return Stanza.fromFrame(frame, from, lang)
  }

  /**
   * A stanza of ours as it may stand on such a stream. Nearly all say no namespace, or say it as the default in their own start tag
   * only, which is never written: they go as they are. Where one says `jabber:client` elsewhere, the elements that are content of the
   * stanza itself, from the stanza down as long as there is no other namespace between, lose their declaration, and so take the
   * stream's. What lies inside another namespace is that one's business: of a stanza in `<forwarded/>` the namespace has to be
   * kept (XEP-0297 §3.1). Text, CDATA and attributes that only look like a declaration stay as they are.
   */
  outgoing(stanza: Stanza): Stanza {
    if (!stanza.saysBesides(client)) return stanza
    const element = rescoped(stanza.element)
    return element === stanza.element ? stanza : Stanza.fromElement(element)
  }

  /** Whether the text itself says the namespace somewhere, which is rare: then leaving the declaration of the stanza out is not enough. */
  private isNamedIn({ bytes, start, end }: Frame): boolean {
    return bytes.subarray(start, end).includes(this.bytes)
  }

  private rebuilt(frame: Frame, from: Jid, lang: string | undefined): Stanza {
    const element = buildElement(frame)
    this.rename(element)
    if (lang !== undefined) element.attrs['xml:lang'] ??= lang
    return Stanza.fromElement(element).addressed({ from })
  }

  private rename(element: Element): void {
    for (const [name, value] of Object.entries(element.attrs)) {
      const isDeclaration = name === 'xmlns' || name.startsWith('xmlns:')
      if (isDeclaration && value === this.ns) element.attrs[name] = NS.client
    }
    for (const child of element.children) if (child instanceof Element) this.rename(child)
  }
}

/** The element with no declaration of `jabber:client` on itself and on what it has of that namespace; itself where there is none. */
function rescoped(element: Element): Element {
  const isSaid = element.attrs.xmlns !== undefined || element.name.includes(':')
  const inherited = element.findNS() ?? NS.client
  const children = element.children.map(child => {
    if (!(child instanceof Element)) return child
    if ((child.getNS() ?? NS.client) === NS.client) return rescoped(child)
    // It has lost the declaration that it, or what stands inside it, may depend on.
    const depends = inherited !== NS.client && child.attrs.xmlns === undefined
    return depends ? copyOf(child.name, { xmlns: inherited, ...child.attrs }, child.children) : child
  })
  if (!isSaid && children.every((child, index) => child === element.children[index])) return element
  const { xmlns: _, ...attributes } = element.attrs
  return copyOf(element.getName(), attributes, children)
}

function copyOf(name: string, attributes: Element['attrs'], children: Element['children']): Element {
  const copy = new Element(name)
  for (const [key, value] of Object.entries(attributes)) setAttribute(copy.attrs, key, value)
  copy.children = children
  return copy
}
