/*
 * What a start tag says, once the scanner has found where its names and values are: namespaces (Namespaces in XML), no
 * attribute twice, and the stream's header or the frame that comes of it.
 */

import { StreamError } from '../errors.js'
import { NS } from '../namespaces.js'
import { Bindings } from './bindings.js'
import { checkUnicode, malformed } from './characters.js'
import {
  FOREIGN,
  Frame,
  Header,
  INHERITS,
  interestOf,
  interestOfBytes,
  PREFIXED,
  SEVERAL,
  StreamContext,
} from './frame.js'
import { equals, intern, pattern } from './intern.js'
import { decodeValue, utf8 } from './text.js'

/** Attributes of one element, namespace declarations included. spec/listeners.md §1.9 */
export const maxAttributes = 64

/** Numbers in a record of `StartTag.records`: of the element's own name the first, then of one attribute each. */
export const stride = 6
// The fields of a record, all offsets but two.
export const nameStart = 0
export const nameEnd = 1
/** The length of the prefix with its colon; 0 without one. */
export const prefixLength = 2
export const valueStart = 3
export const valueEnd = 4
/** 1 when the value is not plain ASCII. */
export const encoded = 5

/**
 * What is read: an XML declaration or a header, a header, what comes after it, an element of a document of a peer's or
 * of our own, where a stanza may have got attributes and wrappers beyond what its sender was allowed.
 */
export type Mode = 'start' | 'header' | 'stream' | 'document' | 'own'

const xmlnsNs = 'http://www.w3.org/2000/xmlns/'
const xmlns = pattern('xmlns')
const xmlLang = pattern('xml:lang')
const typeName = pattern('type')
const fromName = pattern('from')

export class StartTag {
  mode: Mode = 'stream'
  context = new StreamContext('', '', [])
  /** Where the item begins in the bytes at hand. */
  base = 0
  /** The element being read, from the end of its start tag on. */
  frame: Frame | undefined
  header: Header | undefined
  /** The prefixes that are declared where we are. */
  bindings: Bindings | undefined
  readonly records = new Int32Array((2 * maxAttributes + 1) * stride)

  /**
   * A start tag is whole. True when it was the stream's header.
   * One long function on purpose: it is not to be inlined into `Scanner.run`, which is large enough for the compiler.
   */
  close(bytes: Buffer, depth: number, count: number, isSlow: boolean): boolean {
    const tag = this.records
    const last = count * stride
    // No attribute twice, by name as written. XML 1.0 §3.1
    for (let i = 2 * stride; i <= last; i += stride) {
      const start = tag[i]!
      const length = tag[i + nameEnd]! - start
      const first = bytes[start]
      for (let j = stride; j < i; j += stride) {
        const other = tag[j]!
        if (bytes[other] !== first || tag[j + nameEnd]! - other !== length) continue
        let k = 1
        while (k < length && bytes[start + k] === bytes[other + k]) k++
        if (k === length) malformed('duplicate attribute')
      }
    }
    if (isSlow) this.declare(bytes, depth, count)
    if (depth === 1) {
      if (this.mode === 'start' || this.mode === 'header') {
        this.header = this.readHeader(bytes, count)
        return true
      }
      this.frame = this.top(bytes, count)
      if (isSlow) this.resolve(bytes, count)
      if (this.mode === 'stream' && this.frame.ns === NS.stream && this.frame.name === 'stream') {
        throw new StreamError('policy-violation', 'second stream header')
      }
      return false
    }
    const uri = isSlow ? this.resolve(bytes, count) : undefined
    if (depth > 2) return false

    // A direct child of the first-level element: which namespace is it in?
    const frame = this.frame!
    if (frame.payloadAt === 0) frame.payloadAt = tag[nameStart]! - 1 - this.base
    else frame.flags |= SEVERAL
    if (uri !== undefined) {
      frame.mask |= interestOf(uri)
      return false
    }
    for (let at = stride; at <= last; at += stride) {
      if (!equals(bytes, tag[at]!, tag[at + nameEnd]!, xmlns)) continue
      if (tag[at + encoded] === 0) frame.mask |= interestOfBytes(bytes, tag[at + valueStart]!, tag[at + valueEnd]!)
      else frame.mask |= interestOf(this.value(bytes, at))
      return false
    }
    frame.flags |= INHERITS
    return false
  }

  /** `xmlns` may not name what belongs to the prefixes `xml` and `xmlns`. Namespaces in XML §3 */
  checkDefault(bytes: Buffer, at: number): void {
    if (!equals(bytes, this.records[at]!, this.records[at + nameEnd]!, xmlns)) return
    const length = this.records[at + valueEnd]! - this.records[at + valueStart]!
    if (this.records[at + encoded] === 0 && length !== NS.xml.length && length !== xmlnsNs.length) return
    const uri = this.value(bytes, at)
    if (uri === NS.xml || uri === xmlnsNs) malformed('reserved namespace')
  }

  /** Takes in the prefixes that a tag declares. Namespaces in XML §3 */
  private declare(bytes: Buffer, depth: number, count: number): void {
    const tag = this.records
    for (let at = stride; at <= count * stride; at += stride) {
      const start = tag[at]!
      const prefix = tag[at + prefixLength]!
      if (prefix !== 6 || !equals(bytes, start, start + 5, xmlns)) continue
      const uri = this.value(bytes, at)
      const name = intern(bytes, start + 6, tag[at + nameEnd]!)
      if (uri === xmlnsNs || (uri === NS.xml) !== (name === 'xml') || name === 'xmlns') malformed('reserved prefix')
      if (name === 'xml') continue
      if (uri === '') malformed('prefix bound to no namespace')
      this.bindings ??= new Bindings()
      this.bindings.declare(name, uri, depth)
    }
  }

  /** Finds every prefix in a tag; returns the namespace that the element's own means, undefined without one. */
  private resolve(bytes: Buffer, count: number): string | undefined {
    const tag = this.records
    let expanded: string[] | undefined
    for (let at = stride; at <= count * stride; at += stride) {
      const prefix = tag[at + prefixLength]!
      if (prefix === 0) continue
      const start = tag[at]!
      if (prefix === 6 && equals(bytes, start, start + 5, xmlns)) continue
      const uri = this.uri(bytes, start, prefix)
      if (uri === undefined) malformed('undeclared namespace prefix')
      if (count === 1 || uri === NS.xml) continue
      // Namespaces in XML §6.3; U+FFFF is in neither part.
      const name = `${uri}\uffff${utf8(bytes, start + prefix, tag[at + nameEnd]!)}`
      expanded ??= []
      if (expanded.includes(name)) malformed('duplicate attribute')
      expanded.push(name)
    }
    const prefix = tag[prefixLength]!
    if (prefix === 0) return undefined
    const uri = this.uri(bytes, tag[nameStart]!, prefix)
    if (uri === undefined) malformed('undeclared namespace prefix')
    return uri
  }

  /** The namespace of the prefix (with its colon) that begins here; notes when only the stream's header knows it. */
  private uri(bytes: Buffer, start: number, length: number): string | undefined {
    const prefix = intern(bytes, start, start + length - 1)
    if (prefix === 'xml') return NS.xml
    const uri = this.bindings?.lookup(prefix)
    if (uri !== undefined) return uri
    if (this.frame !== undefined) this.frame.flags |= FOREIGN
    return this.context.lookup(prefix)
  }

  /** An attribute's value as a string. */
  private value(bytes: Buffer, at: number): string {
    const start = this.records[at + valueStart]!
    const end = this.records[at + valueEnd]!
    return this.records[at + encoded] === 0 ? intern(bytes, start, end) : decodeValue(bytes, start, end)
  }

  /** The frame of a first-level start tag. */
  private top(bytes: Buffer, count: number): Frame {
    const tag = this.records
    const base = this.base
    const frame = new Frame()
    const prefix = tag[prefixLength]!
    frame.context = this.context
    frame.nameEnd = tag[nameEnd]! - base
    frame.attributesEnd = count === 0 ? frame.nameEnd : tag[count * stride + valueEnd]! + 1 - base
    frame.name = intern(bytes, tag[nameStart]! + prefix, tag[nameEnd]!)
    let ns = this.context.defaultNs
    let flags = 0
    for (let at = stride; at <= count * stride; at += stride) {
      const start = tag[at]!
      const from = tag[at + valueStart]! - base
      const to = tag[at + valueEnd]! - base
      flags |= tag[at + encoded]!
      if (tag[at + prefixLength]! !== 0) {
        if (equals(bytes, start, tag[at + nameEnd]!, xmlLang)) {
          frame.langAt = from
          frame.langEnd = to
        }
        continue
      }
      switch (tag[at + nameEnd]! - start) {
        case 2:
          if (bytes[start] === 0x74 && bytes[start + 1] === 0x6f) {
            frame.toAt = from
            frame.toEnd = to
          } else if (bytes[start] === 0x69 && bytes[start + 1] === 0x64) {
            frame.idAt = from
            frame.idEnd = to
          }
          break
        case 4:
          if (equals(bytes, start, start + 4, typeName)) {
            frame.typeAt = from
            frame.typeEnd = to
          } else if (equals(bytes, start, start + 4, fromName)) {
            frame.fromAt = from
            frame.fromEnd = to
          }
          break
        case 5:
          if (equals(bytes, start, start + 5, xmlns)) {
            frame.xmlnsAt = from
            frame.xmlnsEnd = to
            ns = this.value(bytes, at)
          }
          break
      }
    }
    if (prefix !== 0) {
      flags |= PREFIXED
      const uri = this.uri(bytes, tag[nameStart]!, prefix)
      if (uri === undefined) malformed('undeclared namespace prefix')
      ns = uri
    }
    frame.ns = ns
    frame.flags = flags
    return frame
  }

  private readHeader(bytes: Buffer, count: number): Header {
    const tag = this.records
    const prefix = tag[prefixLength]!
    const name = utf8(bytes, tag[nameStart]! + prefix, tag[nameEnd]!)
    // spec/listeners.md §3.1.1: the first item must be a stream start
    if (name !== 'stream') malformed('not a stream header')
    checkUnicode(bytes, this.base, tag[nameEnd]!)
    const attributes = new Map<string, string>()
    const prefixes = new Map<string, string>()
    let defaultNs = ''
    for (let at = stride; at <= count * stride; at += stride) {
      if (tag[at + encoded]) checkUnicode(bytes, tag[at + valueStart]!, tag[at + valueEnd]!)
      const attribute = utf8(bytes, tag[at]!, tag[at + nameEnd]!)
      const value = this.value(bytes, at)
      if (attribute === 'xmlns') defaultNs = value
      else if (attribute.startsWith('xmlns:')) prefixes.set(attribute.slice(6), value)
      else attributes.set(attribute, value)
    }
    this.context = contextOf(utf8(bytes, tag[nameStart]!, tag[nameEnd]!), defaultNs, prefixes)
    // Without its declaration the prefix means no namespace: `invalid-namespace` by spec/listeners.md §3.1.1, not here.
    let ns = defaultNs
    if (prefix !== 0) ns = this.uri(bytes, tag[nameStart]!, prefix) ?? ''
    tag[prefixLength] = 0
    this.resolve(bytes, count)
    this.bindings = undefined
    return new Header(name, ns, defaultNs, prefixes, attributes)
  }
}

const shared = new Map<string, StreamContext>()
const usual = new Map<string, readonly string[]>([
  ['', [NS.client, NS.server, NS.component]],
  ['stream', [NS.stream]],
  ['db', [NS.dialback]],
])

/** The context of a header's declarations: one object for all streams that declare the usual. */
function contextOf(tag: string, defaultNs: string, prefixes: Map<string, string>): StreamContext {
  const pairs = [...prefixes].flat()
  const isUsual = [...prefixes, ['', defaultNs] as const].every(([prefix, uri]) => usual.get(prefix)?.includes(uri))
  if (!isUsual || tag !== 'stream:stream') return new StreamContext(tag, defaultNs, pairs)
  const key = [defaultNs, ...pairs].join(' ')
  let context = shared.get(key)
  if (context === undefined) {
    context = new StreamContext(tag, defaultNs, pairs)
    shared.set(key, context)
  }
  return context
}
