import type { Element } from 'ltx'
import { StreamError } from '../errors.js'
import { classes, malformed, SPACE } from './characters.js'
import { StreamContext } from './frame.js'
import { Framer, frameDocument, maxHeader } from './framer.js'
import { escapeValue } from './text.js'
import { buildElement } from './tree.js'

/*
 * Reads a large document piece by piece, by the rules and limits of a stream: no document type, no comments, no processing
 * instructions, UTF-8. What is a container is told by its start and its end; every other element comes whole.
 */

export interface Limits {
  /** Bytes of an element that is no container. */
  readonly element: number
}

/** Names a container by where it stands: the names of those around it, from the root, and its own namespace and name. */
export type IsContainer = (path: readonly string[], ns: string, name: string) => boolean

export type DocumentPart =
  /** `element` has no children. */
  | { readonly kind: 'start'; readonly ns: string; readonly name: string; readonly element: Element }
  | { readonly kind: 'element'; readonly ns: string; readonly name: string; readonly element: Element }
  | { readonly kind: 'end' }

interface Open {
  /** As it was written. */
  readonly tag: string
  readonly name: string
  readonly context: StreamContext
  /** Reads what stands in it. */
  framer: Framer | undefined
}

const nothing: Buffer = Buffer.alloc(0)
const bom = Buffer.from('\ufeff')
const noContext = new StreamContext('', '', [])
const end: DocumentPart = { kind: 'end' }

export class DocumentReader {
  /** Of the part that was read last, or is being read; from 1. */
  line = 1
  #bytes = nothing
  #phase: 'start' | 'prologue' | 'open' | 'ended' = 'start'
  readonly #open: Open[] = []
  /** Line breaks of what was taken off the bytes since the part began. */
  #breaks = 0
  /** Reads an element that is no container, and is not whole yet. */
  #framer: Framer | undefined
  #isEnding = false

  constructor(
    private readonly limits: Limits,
    private readonly isContainer: IsContainer,
  ) {}

  /** Takes the next bytes; `next` must have answered undefined before. */
  feed(chunk: Buffer): void {
    if (this.#framer === undefined) this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk])
    else this.#framer.feed(chunk)
    if (this.#framer !== undefined) this.#breaks += breaksIn(chunk)
  }

  /** The next part; undefined when more bytes are needed, or after the end of the root. Throws StreamError. */
  next(): DocumentPart | undefined {
    if (this.#isEnding) return this.#close()
    for (;;) {
      if (this.#framer !== undefined) return this.#element(this.#framer)
      if (this.#phase === 'start' && this.#bytes[0] === bom[0]) {
        if (this.#bytes.length < bom.length) return undefined
        if (bom.equals(this.#bytes.subarray(0, bom.length))) this.#take(bom.length)
      }
      this.#take(leadingSpace(this.#bytes))
      this.#settleLine()
      if (this.#bytes.length === 0) return undefined
      if (this.#bytes[0] !== 0x3c) malformed(this.#open.length === 0 ? 'not an element' : 'text between elements')
      // A quote in a comment would hide its end.
      if (this.#bytes[1] === 0x21) throw new StreamError('restricted-xml', 'a comment or a document type declaration')
      const length = tagLength(this.#bytes)
      if (length === undefined) {
        if (this.#bytes.length > maxHeader) throw new StreamError('policy-violation', 'the tag is too long')
        return undefined
      }
      const part = this.#tag(this.#bytes.subarray(0, length))
      if (part !== undefined) return part
    }
  }

  /** Throws StreamError unless the document is whole. */
  finish(): void {
    if (this.#phase !== 'ended' || this.#isEnding) malformed('the document ends too early')
  }

  #tag(tag: Buffer): DocumentPart | undefined {
    if (tag[1] === 0x2f) {
      this.#take(tag.length)
      return this.#endTag(tag)
    }
    if (this.#phase === 'ended') malformed('something behind the end of the document')
    if (this.#phase === 'start' && tag[1] === 0x3f) {
      checkDeclaration(tag)
      this.#phase = 'prologue'
      this.#take(tag.length)
      return undefined
    }
    return this.#startTag(tag)
  }

  #startTag(tag: Buffer): DocumentPart | undefined {
    const context = this.#open.at(-1)?.context ?? noContext
    const isEmpty = tag[tag.length - 2] === 0x2f
    const alone = isEmpty ? tag : Buffer.concat([tag.subarray(0, -1), Buffer.from('/>')])
    // Refuses comments and the like as well.
    const frame = frameDocument(alone, alone.length, context)[0]!
    const { ns, name } = frame
    this.#phase = 'open'
    const path = this.#open.map(open => open.name)
    if (!this.isContainer(path, ns, name)) {
      if (path.length === 0) malformed(`the root is <${name}/>`)
      this.#begin()
      return undefined
    }
    this.#take(tag.length)
    const element = buildElement(frame)
    this.#open.push({ tag: element.name, name, context: within(context, element), framer: undefined })
    this.#isEnding = isEmpty
    return { kind: 'start', ns, name, element }
  }

  #endTag(tag: Buffer): DocumentPart {
    const name = tag.toString('utf8', 2, tag.length - 1).trimEnd()
    if (name !== this.#open.at(-1)?.tag) malformed('the end tag of something else')
    return this.#close()
  }

  #close(): DocumentPart {
    this.#isEnding = false
    this.#open.pop()
    if (this.#open.length === 0) this.#phase = 'ended'
    return end
  }

  /** Hands the bytes to the framer of the container they stand in. */
  #begin(): void {
    const open = this.#open.at(-1)!
    open.framer ??= framerIn(open.context, this.limits)
    this.#framer = open.framer
    this.#framer.feed(this.#bytes)
    this.#breaks += breaksIn(this.#bytes)
    this.#bytes = nothing
  }

  #element(framer: Framer): DocumentPart | undefined {
    const item = framer.next()
    if (item === undefined) return undefined
    // It is fed from the beginning of an element to its end.
    if (item.kind !== 'frame') malformed('not an element')
    const element = buildElement(item)
    // It stands for itself, as with the prefixes.
    const { defaultNs } = this.#open.at(-1)!.context
    if (defaultNs !== '') element.attrs.xmlns ??= defaultNs
    this.#framer = undefined
    this.#bytes = framer.rest()
    this.#breaks -= breaksIn(this.#bytes)
    return { kind: 'element', ns: item.ns, name: item.name, element }
  }

  #take(length: number): void {
    this.#breaks += breaksIn(this.#bytes.subarray(0, length))
    this.#bytes = this.#bytes.subarray(length)
  }

  #settleLine(): void {
    this.line += this.#breaks
    this.#breaks = 0
  }
}

/** The one element in a text, which stands for itself. Throws StreamError. */
export function elementOf(xml: string): Element {
  const bytes = Buffer.from(xml)
  const [frame, another] = frameDocument(bytes, bytes.length, noContext)
  if (frame === undefined || another !== undefined) malformed('not one element')
  return buildElement(frame)
}

function leadingSpace(bytes: Buffer): number {
  let at = 0
  while (at < bytes.length && (classes[bytes[at]!]! & SPACE) !== 0) at++
  return at
}

/** The length of the tag that begins here; undefined when it is not whole. */
function tagLength(bytes: Buffer): number | undefined {
  let quote = 0
  const limit = Math.min(bytes.length, maxHeader)
  for (let at = 1; at < limit; at++) {
    const byte = bytes[at]!
    if (quote !== 0) quote = byte === quote ? 0 : quote
    else if (byte === 0x22 || byte === 0x27) quote = byte
    else if (byte === 0x3e) return at + 1
  }
  return undefined
}

function breaksIn(bytes: Buffer): number {
  let count = 0
  for (let at = bytes.indexOf(0x0a); at >= 0; at = bytes.indexOf(0x0a, at + 1)) count++
  return count
}

/** As at the start of a stream. RFC 6120 §11.5, §11.6 */
function checkDeclaration(tag: Buffer): void {
  const framer = new Framer({ element: maxHeader })
  framer.feed(Buffer.concat([tag, Buffer.from('<stream>')]))
  framer.next()
}

/** What an element declares, and what is declared around it. */
function within(context: StreamContext, { name, attrs }: Element): StreamContext {
  const prefixes = new Map<string, string>()
  for (let at = 0; at < context.prefixes.length; at += 2) prefixes.set(context.prefixes[at]!, context.prefixes[at + 1]!)
  for (const [key, value] of Object.entries(attrs)) if (key.startsWith('xmlns:')) prefixes.set(key.slice(6), value)
  return new StreamContext(name, attrs.xmlns ?? context.defaultNs, [...prefixes].flat())
}

/** A framer whose stream declares what is declared in a container. */
function framerIn({ defaultNs, prefixes }: StreamContext, limits: Limits): Framer {
  const framer = new Framer(limits)
  let header = `<stream xmlns="${escapeValue(defaultNs)}"`
  for (let at = 0; at < prefixes.length; at += 2) header += ` xmlns:${prefixes[at]}="${escapeValue(prefixes[at + 1]!)}"`
  framer.feed(Buffer.from(`${header}>`))
  framer.next()
  return framer
}
