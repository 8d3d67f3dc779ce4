/*
 * The table-driven reader of one item: a stream header, an element with all that is in it, a stream's end tag or an XML
 * declaration. It works on offsets, makes no string while nothing asks for one, and stops and goes on at any byte.
 * There is one scanner for all streams; what it knows of an unfinished item is taken out (`save`) and put back (`load`).
 */

import { StreamError } from '../errors.js'
import { NS } from '../namespaces.js'
import { Bindings } from './bindings.js'
import {
  CDATA,
  checkName,
  checkUnicode,
  classes,
  malformed,
  NAME,
  NAME_START,
  QNAME,
  SPACE,
  TEXT,
  VALUE,
} from './characters.js'
import {
  FOREIGN,
  Frame,
  Header,
  INHERITS,
  interestOf,
  interestOfBytes,
  PREFIXED,
  StreamContext,
  type StreamEnd,
} from './frame.js'
import { equals, intern, pattern } from './intern.js'
import { decodeValue, dereference, latin1, predefined, utf8 } from './text.js'

/** Levels of nesting in a first-level element, itself included. spec/listeners.md §1.9 */
export const maxDepth = 256
/** Attributes of one element, namespace declarations included. spec/listeners.md §1.9 */
export const maxAttributes = 64

const xmlnsNs = 'http://www.w3.org/2000/xmlns/'

// Where the scanner is; cases of `run`. Numbers, so that the switch becomes a jump table.
const inContent = 0
const afterLess = 1
const inTagName = 2
const inTag = 3
const inAttributeName = 4
const beforeEquals = 5
const beforeQuote = 6
const inValue = 7
const afterSlash = 8
const inEndName = 9
const beforeEndGreater = 10
const afterBang = 11
const inCdata = 12
const inReference = 13
const inDeclaration = 14

// Names and values of a start tag, `stride` numbers each: first the element's own name, then one for each attribute.
const stride = 6
const nameStart = 0
const nameEnd = 1
/** The length of the prefix; 0 when there is no colon. */
const prefixLength = 2
const valueStart = 3
const valueEnd = 4
/** 1 when the value is not plain ASCII. */
const encoded = 5

const cdataStart = pattern('[CDATA[')
const xmlns = pattern('xmlns')
const xmlColon = pattern('xml:')
const xmlLang = pattern('xml:lang')
const typeName = pattern('type')
const fromName = pattern('from')
const predefinedPatterns = predefined.map(pattern)

/**
 * What is read: an XML declaration or a header, a header, what comes after it, an element of a document of a peer's or
 * of our own, where a stanza may have got attributes and wrappers beyond what its sender was allowed.
 */
export type Mode = 'start' | 'header' | 'stream' | 'document' | 'own'

/** What a scanner knows in the middle of an item: the scalars, the open tags, the names and values of the tag it is in. */
export class Unfinished {
  readonly numbers: number[] = []
  frame: Frame | undefined
  bindings: Bindings | undefined
}

/** An XML declaration, which is no item of its own. */
export const declaration = { kind: 'declaration' } as const

export const streamEnd: StreamEnd = { kind: 'end' }

export class Scanner {
  mode: Mode = 'stream'
  context = new StreamContext('', '', [])
  /** Set when the item is whole. */
  item: Header | Frame | StreamEnd | typeof declaration | undefined
  /** True when the header is an empty element, so that the stream ends with it. */
  isEmptyHeader = false

  private frame: Frame | undefined
  private bindings: Bindings | undefined
  /** Where the item begins in the bytes at hand. */
  private base = 0
  private state = inContent
  private depth = 0
  /** Where the name, reference, section ... being read began. */
  private mark = 0
  private prefix = 0
  private isWide = 0
  private quote = 0
  private count = 0
  private isSlow = 0
  private bits = 0
  /** Where the name of each open element begins. */
  private readonly open = new Int32Array(2 * maxDepth)
  private readonly tag = new Int32Array((2 * maxAttributes + 1) * stride)

  /** Begins an item whose `<` is at `base`. */
  begin(mode: Mode, context: StreamContext, base: number): void {
    this.mode = mode
    this.context = context
    this.item = undefined
    this.isEmptyHeader = false
    this.frame = undefined
    if (this.bindings !== undefined && !this.bindings.isEmpty) this.bindings = undefined
    this.base = base
    this.state = afterLess
    this.depth = 0
    this.bits = 0
    this.isSlow = 0
    this.quote = 0
    this.count = 0
    this.mark = base
  }

  /**
   * Reads on from `pos` and returns where the item ended, -1 when it goes on behind `end`.
   * Throws StreamError when it is not what XML, Namespaces in XML and RFC 6120 §11 allow.
   */
  run(bytes: Buffer, pos: number, end: number): number {
    const open = this.open
    const tag = this.tag
    const depthLimit = this.mode === 'own' ? 2 * maxDepth : maxDepth
    const attributeLimit = this.mode === 'own' ? 2 * maxAttributes : maxAttributes
    let state = this.state
    let depth = this.depth
    let mark = this.mark
    let prefix = this.prefix
    let isWide = this.isWide
    let quote = this.quote
    let count = this.count
    let isSlow = this.isSlow
    let bits = this.bits
    let byte = 0

    while (pos < end) {
      switch (state) {
        case 0: // inContent
          // Four at a time: most bytes of most stanzas are read here.
          for (const stop = end - 3; pos < stop; pos += 4) {
            const a = bytes[pos]!
            const b = bytes[pos + 1]!
            const c = bytes[pos + 2]!
            const d = bytes[pos + 3]!
            if ((classes[a]! & classes[b]! & classes[c]! & classes[d]! & TEXT) === 0) break
            bits |= a | b | c | d
          }
          while (pos < end) {
            byte = bytes[pos]!
            if ((classes[byte]! & TEXT) === 0) break
            bits |= byte
            pos++
          }
          if (pos === end) break
          pos++
          if (byte === 0x3c) {
            state = afterLess
            if (pos === end || bytes[pos] !== 0x2f) break
            pos++
            mark = pos
            state = inEndName
          } else if (byte === 0x26) {
            mark = pos
            state = inReference
          } else if (byte !== 0x3e) malformed('illegal character')
          else if (bytes[pos - 2] === 0x5d && bytes[pos - 3] === 0x5d) malformed(']]> in text')
          break

        case 1: // afterLess
          byte = bytes[pos]!
          if ((classes[byte]! & NAME_START) !== 0 || byte >= 0x80) {
            mark = pos
            prefix = 0
            isWide = 0
            isSlow = 0
            count = 0
            state = inTagName
          } else if (byte === 0x2f) {
            pos++
            mark = pos
            state = inEndName
            if (depth === 0 && this.mode !== 'stream') malformed('end tag of nothing')
          } else if (byte === 0x21) {
            pos++
            mark = pos
            state = afterBang
          } else if (byte === 0x3f) {
            if (this.mode !== 'start') throw new StreamError('restricted-xml', 'processing instruction')
            state = inDeclaration
          } else malformed('illegal start of a tag')
          break

        case 2: // inTagName
          while (pos < end) {
            byte = bytes[pos]!
            if ((classes[byte]! & NAME) === 0) break
            pos++
          }
          if (pos === end) break
          if (byte === 0x3a) {
            if (prefix !== 0) malformed('two colons in a name')
            pos++
            prefix = pos - mark
            isSlow = 1
            break
          }
          if (byte >= 0x80) {
            bits |= 0x80
            isWide = 1
            pos++
            break
          }
          if ((prefix | isWide) !== 0) checkQName(bytes, mark, pos, prefix, isWide !== 0)
          if (depth === depthLimit) throw new StreamError('policy-violation', 'elements nested too deep')
          open[depth] = mark
          depth++
          tag[nameStart] = mark
          tag[nameEnd] = pos
          tag[prefixLength] = prefix
          state = inTag
          break

        case 3: // inTag
          // Attributes as they are usually written, ` name="value"` in ASCII without a prefix or a reference, in one go.
          while (bytes[pos] === 0x20 && count < attributeLimit) {
            let nameStop = pos + 1
            if (nameStop === end || (classes[bytes[nameStop]!]! & NAME_START) === 0) break
            nameStop++
            while (nameStop < end && (classes[bytes[nameStop]!]! & NAME) !== 0) nameStop++
            if (nameStop + 2 >= end || bytes[nameStop] !== 0x3d) break
            byte = bytes[nameStop + 1]!
            if (byte !== 0x22 && byte !== 0x27) break
            let valueStop = nameStop + 2
            while (valueStop < end && (classes[bytes[valueStop]!]! & VALUE) !== 0) valueStop++
            if (valueStop === end || bytes[valueStop] !== byte) break
            count++
            const at = count * stride
            tag[at] = pos + 1
            tag[at + nameEnd] = nameStop
            tag[at + prefixLength] = 0
            tag[at + valueStart] = nameStop + 2
            tag[at + valueEnd] = valueStop
            tag[at + encoded] = 0
            if (nameStop - pos === 6 && bytes[pos + 1] === 0x78) this.checkDefault(bytes, at)
            pos = valueStop + 1
            if (pos === end) break
          }
          if (pos === end) break
          byte = bytes[pos]!
          if (byte === 0x20) {
            pos++
            if (pos === end) break
            byte = bytes[pos]!
          }
          if ((classes[byte]! & NAME_START) !== 0 || byte >= 0x80) {
            if ((classes[bytes[pos - 1]!]! & SPACE) === 0) malformed('no white space before an attribute')
            if (count === attributeLimit) throw new StreamError('policy-violation', 'too many attributes')
            count++
            mark = pos
            prefix = 0
            isWide = 0
            state = inAttributeName
          } else if (byte === 0x3e) {
            pos++
            if (depth <= 2 || isSlow !== 0 || count > 1) {
              if (this.startTag(bytes, depth, count, isSlow !== 0)) return pos
            }
            state = inContent
          } else if (byte === 0x2f) {
            pos++
            state = afterSlash
          } else if ((classes[byte]! & SPACE) !== 0) pos++
          else malformed('illegal character in a tag')
          break

        case 4: // inAttributeName
          while (pos < end) {
            byte = bytes[pos]!
            if ((classes[byte]! & NAME) === 0) break
            pos++
          }
          if (pos === end) break
          if (byte === 0x3a) {
            if (prefix !== 0) malformed('two colons in a name')
            pos++
            prefix = pos - mark
            break
          }
          if (byte >= 0x80) {
            bits |= 0x80
            isWide = 1
            pos++
            break
          }
          {
            if ((prefix | isWide) !== 0) checkQName(bytes, mark, pos, prefix, isWide !== 0)
            const at = count * stride
            tag[at] = mark
            tag[at + nameEnd] = pos
            tag[at + prefixLength] = prefix
            if (prefix !== 0 && !(prefix === 4 && equals(bytes, mark, mark + 4, xmlColon))) isSlow = 1
            state = beforeEquals
          }
          break

        case 5: // beforeEquals
          byte = bytes[pos]!
          pos++
          if (byte === 0x3d) state = beforeQuote
          else if ((classes[byte]! & SPACE) === 0) malformed('attribute without a value')
          break

        case 6: // beforeQuote
          byte = bytes[pos]!
          pos++
          if (byte === 0x22 || byte === 0x27) {
            quote = byte
            tag[count * stride + valueStart] = pos
            tag[count * stride + encoded] = 0
            state = inValue
          } else if ((classes[byte]! & SPACE) === 0) malformed('attribute value without quotes')
          break

        case 7: // inValue
          while (pos < end) {
            byte = bytes[pos]!
            if ((classes[byte]! & VALUE) === 0) break
            pos++
          }
          if (pos === end) break
          pos++
          if (byte === quote) {
            quote = 0
            const at = count * stride
            tag[at + valueEnd] = pos - 1
            if (tag[at + nameEnd]! - tag[at]! === 5 && bytes[tag[at]!] === 0x78) this.checkDefault(bytes, at)
            state = inTag
          } else if (byte === 0x22 || byte === 0x27) {
            // The other quote means itself.
          } else if (byte === 0x26) {
            tag[count * stride + encoded] = 1
            mark = pos
            state = inReference
          } else if (byte >= 0x80 || (classes[byte]! & SPACE) !== 0) {
            bits |= byte
            tag[count * stride + encoded] = 1
          } else malformed(byte === 0x3c ? '< in an attribute value' : 'illegal character')
          break

        case 8: // afterSlash
          if (bytes[pos] !== 0x3e) malformed('illegal character in a tag')
          pos++
          if (depth <= 2 || isSlow !== 0 || count > 1) {
            if (this.startTag(bytes, depth, count, isSlow !== 0)) {
              this.isEmptyHeader = true
              return pos
            }
          }
          if (isSlow !== 0) this.leave(depth)
          depth--
          if (depth === 0) return this.whole(bytes, pos, bits)
          state = inContent
          break

        case 9: // inEndName
          if (depth === 0) {
            while (pos < end && (classes[bytes[pos]!]! & QNAME) !== 0) pos++
            if (pos === end) break
            if (utf8(bytes, mark, pos) !== this.context.tag) malformed('mismatched end tag')
            state = beforeEndGreater
            break
          }
          {
            const shift = open[depth - 1]! - mark
            while (pos < end) {
              byte = bytes[pos]!
              if ((classes[byte]! & QNAME) === 0 || byte !== bytes[pos + shift]) break
              pos++
            }
            if (pos === end) break
            if (((classes[byte]! | classes[bytes[pos + shift]!]!) & QNAME) !== 0) malformed('mismatched end tag')
            state = beforeEndGreater
            if (byte !== 0x3e) break
            pos++
            if (this.bindings !== undefined) this.leave(depth)
            depth--
            if (depth === 0) return this.whole(bytes, pos, bits)
            state = inContent
          }
          break

        case 10: // beforeEndGreater
          byte = bytes[pos]!
          pos++
          if (byte === 0x3e) {
            if (depth === 0) {
              this.item = streamEnd
              return pos
            }
            if (this.bindings !== undefined) this.leave(depth)
            depth--
            if (depth === 0) return this.whole(bytes, pos, bits)
            state = inContent
          } else if ((classes[byte]! & SPACE) === 0) malformed('illegal character in an end tag')
          break

        case 11: // afterBang
          byte = bytes[pos]!
          if (pos === mark) this.checkBang(byte, depth)
          if (byte !== cdataStart[pos - mark]) malformed('illegal markup')
          pos++
          if (pos - mark === cdataStart.length) {
            mark = pos
            state = inCdata
          }
          break

        case 12: // inCdata
          while (pos < end) {
            byte = bytes[pos]!
            if ((classes[byte]! & CDATA) === 0) break
            bits |= byte
            pos++
          }
          if (pos === end) break
          if (byte !== 0x3e) malformed('illegal character')
          pos++
          if (pos - 3 >= mark && bytes[pos - 2] === 0x5d && bytes[pos - 3] === 0x5d) state = inContent
          break

        case 13: // inReference
          while (pos < end) {
            byte = bytes[pos]!
            if ((classes[byte]! & NAME) === 0 && byte < 0x80 && byte !== 0x23) break
            bits |= byte
            pos++
          }
          if (pos === end) break
          if (byte !== 0x3b) malformed('bare ampersand')
          checkReference(bytes, mark, pos)
          pos++
          state = quote === 0 ? inContent : inValue
          break

        case 14: // inDeclaration
          byte = bytes[pos]!
          pos++
          if (byte === 0x3e && bytes[pos - 2] === 0x3f) {
            checkDeclaration(latin1(bytes, this.base, pos))
            this.item = declaration
            return pos
          }
          break
      }
    }

    this.state = state
    this.depth = depth
    this.mark = mark
    this.prefix = prefix
    this.isWide = isWide
    this.quote = quote
    this.count = count
    this.isSlow = isSlow
    this.bits = bits
    return -1
  }

  /** Takes out what is known of an unfinished item, with all offsets counted from its `<`. */
  save(unfinished: Unfinished): void {
    const base = this.base
    const { numbers } = unfinished
    numbers[0] = this.state
    numbers[1] = this.depth
    numbers[2] = this.mark - base
    numbers[3] = this.prefix
    numbers[4] = this.isWide
    numbers[5] = this.quote
    numbers[6] = this.count
    numbers[7] = this.isSlow
    numbers[8] = this.bits
    let next = 9
    for (let i = 0; i < this.depth; i++) numbers[next++] = this.open[i]! - base
    const isInTag = (this.state >= inTagName && this.state <= afterSlash) || this.quote !== 0
    if (isInTag) {
      for (let at = 0; at <= this.count * stride; at += stride) {
        numbers[next++] = this.tag[at]! - base
        numbers[next++] = this.tag[at + nameEnd]! - base
        numbers[next++] = this.tag[at + prefixLength]!
        numbers[next++] = this.tag[at + valueStart]! - base
        numbers[next++] = this.tag[at + valueEnd]! - base
        numbers[next++] = this.tag[at + encoded]!
      }
    }
    numbers.length = next
    unfinished.frame = this.frame
    unfinished.bindings = this.bindings
    this.frame = undefined
    this.bindings = undefined
  }

  /** Puts it back; the item's `<` is at 0 now. */
  load(mode: Mode, context: StreamContext, { numbers, frame, bindings }: Unfinished): void {
    this.mode = mode
    this.context = context
    this.item = undefined
    this.frame = frame
    this.bindings = bindings
    this.base = 0
    this.state = numbers[0]!
    this.depth = numbers[1]!
    this.mark = numbers[2]!
    this.prefix = numbers[3]!
    this.isWide = numbers[4]!
    this.quote = numbers[5]!
    this.count = numbers[6]!
    this.isSlow = numbers[7]!
    this.bits = numbers[8]!
    let next = 9
    for (let i = 0; i < this.depth; i++) this.open[i] = numbers[next++]!
    for (let at = 0; next < numbers.length; at++) this.tag[at] = numbers[next++]!
  }

  /** The element is whole: finishes its frame. */
  private whole(bytes: Buffer, end: number, bits: number): number {
    const base = this.base
    if (bits >= 0x80) checkUnicode(bytes, base, end)
    const frame = this.frame!
    this.frame = undefined
    frame.bytes = bytes
    frame.start = base
    frame.end = end
    if (frame.flags & INHERITS) frame.mask |= interestOf(frame.contentNs)
    this.item = frame
    return end
  }

  private leave(depth: number): void {
    if (this.bindings !== undefined) this.bindings.leave(depth)
  }

  /**
   * A start tag is whole. True when it was the stream's header.
   * One long function on purpose: short enough to be inlined into `run`, it made V8 produce code twice as slow.
   */
  private startTag(bytes: Buffer, depth: number, count: number, isSlow: boolean): boolean {
    const tag = this.tag
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
        this.item = this.header(bytes, count)
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
  private checkDefault(bytes: Buffer, at: number): void {
    if (!equals(bytes, this.tag[at]!, this.tag[at + nameEnd]!, xmlns)) return
    const length = this.tag[at + valueEnd]! - this.tag[at + valueStart]!
    if (this.tag[at + encoded] === 0 && length !== NS.xml.length && length !== xmlnsNs.length) return
    const uri = this.value(bytes, at)
    if (uri === NS.xml || uri === xmlnsNs) malformed('reserved namespace')
  }

  /** Takes in the prefixes that a tag declares. Namespaces in XML §3 */
  private declare(bytes: Buffer, depth: number, count: number): void {
    const tag = this.tag
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
    const tag = this.tag
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
    const start = this.tag[at + valueStart]!
    const end = this.tag[at + valueEnd]!
    return this.tag[at + encoded] === 0 ? intern(bytes, start, end) : decodeValue(bytes, start, end)
  }

  /** What may come after `<!`. RFC 6120 §11.1 */
  private checkBang(byte: number, depth: number): void {
    if (byte === 0x2d) throw new StreamError('restricted-xml', 'comment')
    if (byte >= 0x41 && byte <= 0x5a) throw new StreamError('restricted-xml', 'document type declaration')
    if (byte === 0x5b && depth === 0 && this.mode !== 'start' && this.mode !== 'header')
      throw new StreamError('bad-format', 'text between stanzas')
    if (depth === 0) malformed('illegal markup')
  }

  /** The frame of a first-level start tag. */
  private top(bytes: Buffer, count: number): Frame {
    const tag = this.tag
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

  private header(bytes: Buffer, count: number): Header {
    const tag = this.tag
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

/** A name that has a prefix or bytes beyond ASCII. Namespaces in XML, production 7 */
function checkQName(bytes: Buffer, start: number, end: number, prefix: number, isWide: boolean): void {
  const local = start + prefix
  if (!isWide) {
    if (local === end || (classes[bytes[local]!]! & NAME_START) === 0) malformed('illegal name')
    return
  }
  if (prefix !== 0) checkName(bytes, start, local - 1)
  checkName(bytes, local, end)
}

/** What stands between `&` and `;`. */
function checkReference(bytes: Buffer, start: number, end: number): void {
  for (const name of predefinedPatterns) if (equals(bytes, start, end, name)) return
  dereference(utf8(bytes, start, end))
}

const version = String.raw`[ \t\r\n]+version[ \t\r\n]*=[ \t\r\n]*(?:'1\.[0-9]+'|"1\.[0-9]+")`
const encodingName = '[A-Za-z][A-Za-z0-9._-]*'
const encoding = String.raw`[ \t\r\n]+encoding[ \t\r\n]*=[ \t\r\n]*(?:'(${encodingName})'|"(${encodingName})")`
const standalone = String.raw`[ \t\r\n]+standalone[ \t\r\n]*=[ \t\r\n]*(?:'(?:yes|no)'|"(?:yes|no)")`
const xmlDeclaration = new RegExp(String.raw`^<\?xml${version}(?:${encoding})?(?:${standalone})?[ \t\r\n]*\?>$`)

/** XML 1.0 §2.8; RFC 6120 §11.6: UTF-8 and nothing else. */
function checkDeclaration(text: string): void {
  if (!/^<\?xml[ \t\r\n?]/.test(text)) throw new StreamError('restricted-xml', 'processing instruction')
  const match = xmlDeclaration.exec(text)
  if (match === null) malformed('illegal XML declaration')
  const named = match[1] ?? match[2]
  if (named !== undefined && named.toLowerCase() !== 'utf-8') throw new StreamError('unsupported-encoding', named)
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
