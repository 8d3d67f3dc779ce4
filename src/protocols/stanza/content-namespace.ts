import { Element } from 'ltx'
import type { Jid } from '../jid.js'
import { NS } from '../namespaces.js'
import type { Frame } from '../xml/frame.js'
import { buildElement } from '../xml/tree.js'
import { Stanza } from './stanza.js'

/*
 * Streams of components and of servers have content namespaces of their own; everything inside the server is `jabber:client`.
 * RFC 6120 §4.8.3
 */

/** Turns the stanzas of streams with one content namespace into ours. */
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
