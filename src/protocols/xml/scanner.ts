/*
 * The table-driven reader of one item: a stream header, an element with all that is in it, a stream's end tag or an XML
 * declaration. It works on offsets, makes no string while nothing asks for one, and stops and goes on at any byte.
 * There is one scanner for all streams; what it knows of an unfinished item is taken out (`save`) and put back (`load`).
 */

import { StreamError } from '../errors.js'
import type { Bindings } from './bindings.js'
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
import { type Frame, type Header, INHERITS, interestOf, type StreamContext, type StreamEnd } from './frame.js'
import { equals, pattern } from './intern.js'
import {
  encoded,
  type Mode,
  maxAttributes,
  nameEnd,
  nameStart,
  prefixLength,
  StartTag,
  stride,
  valueEnd,
  valueStart,
} from './start-tag.js'
import { dereference, latin1, predefined, utf8 } from './text.js'

/** Levels of nesting in a first-level element, itself included. spec/listeners.md §1.9 */
export const maxDepth = 256

// Where the scanner is. Numbers, so that a switch becomes a jump table; `run` knows the first, `runSeldom` the others.
const inContent = 0
const afterLess = 1
const inTagName = 2
const inTag = 3
const afterSlash = 4
const inEndName = 5
const inAttributeName = 6
const beforeEquals = 7
const beforeQuote = 8
const inValue = 9
const beforeEndGreater = 10
const inStreamEnd = 11
const afterBang = 12
const inCdata = 13
const inReference = 14
const inDeclaration = 15

const cdataStart = pattern('[CDATA[')
const xmlColon = pattern('xml:')
const predefinedPatterns = predefined.map(pattern)

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
  /** Set when the item is whole. */
  item: Header | Frame | StreamEnd | typeof declaration | undefined
  /** True when the header is an empty element, so that the stream ends with it. */
  isEmptyHeader = false

  private readonly startTag = new StartTag()
  private state = inContent
  private depth = 0
  /** Where the name, reference, section ... being read began. */
  private mark = 0
  private prefix = 0
  private isWide = false
  private quote = 0
  private count = 0
  private isSlow = false
  private bits = 0
  /** Where the name of each open element begins. */
  private readonly open = new Int32Array(2 * maxDepth)

  /** What the header that was read declares. */
  get context(): StreamContext {
    return this.startTag.context
  }

  /** Begins an item whose `<` is at `base`. */
  begin(mode: Mode, context: StreamContext, base: number): void {
    const { startTag } = this
    startTag.mode = mode
    startTag.context = context
    startTag.base = base
    startTag.frame = undefined
    if (startTag.bindings !== undefined && !startTag.bindings.isEmpty) startTag.bindings = undefined
    this.item = undefined
    this.isEmptyHeader = false
    this.state = afterLess
    this.depth = 0
    this.mark = base
    this.quote = 0
    this.count = 0
    this.isSlow = false
    this.bits = 0
  }

  /**
   * Reads on from `pos` and returns where the item ended, -1 when it goes on behind `end`.
   * Throws StreamError when it is not what XML, Namespaces in XML and RFC 6120 §11 allow.
   */
  run(bytes: Buffer, pos: number, end: number): number {
    const { open, startTag } = this
    const { mode, records } = startTag
    const depthLimit = mode === 'own' ? 2 * maxDepth : maxDepth
    const attributeLimit = mode === 'own' ? 2 * maxAttributes : maxAttributes
    let { state, depth, mark, prefix, isWide, count, isSlow, bits } = this
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
            isWide = false
            isSlow = false
            count = 0
            state = inTagName
          } else {
            mark = pos + 1
            state = checkMarkup(byte, depth, mode)
            if (state !== inDeclaration) pos++
          }
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
            isSlow = true
            break
          }
          if (byte >= 0x80) {
            bits |= 0x80
            isWide = true
            pos++
            break
          }
          if (prefix !== 0 || isWide) checkQName(bytes, mark, pos, prefix, isWide)
          if (depth === depthLimit) throw new StreamError('policy-violation', 'elements nested too deep')
          open[depth] = mark
          depth++
          records[nameStart] = mark
          records[nameEnd] = pos
          records[prefixLength] = prefix
          state = inTag
          break

        case 3: // inTag
          // Attributes as they are usually written, ` name="value"` in ASCII without a reference and without another
          // prefix than `xml`, in one go.
          while (bytes[pos] === 0x20 && count < attributeLimit) {
            let nameStop = pos + 1
            if (nameStop === end || (classes[bytes[nameStop]!]! & NAME_START) === 0) break
            nameStop++
            while (nameStop < end && (classes[bytes[nameStop]!]! & NAME) !== 0) nameStop++
            if (nameStop + 2 >= end) break
            const hasPrefix = bytes[nameStop] === 0x3a && equals(bytes, pos + 1, nameStop + 1, xmlColon)
            if (hasPrefix) {
              nameStop++
              if ((classes[bytes[nameStop]!]! & NAME_START) === 0) break
              while (nameStop < end && (classes[bytes[nameStop]!]! & NAME) !== 0) nameStop++
              if (nameStop + 2 >= end) break
            }
            if (bytes[nameStop] !== 0x3d) break
            byte = bytes[nameStop + 1]!
            if (byte !== 0x22 && byte !== 0x27) break
            let valueStop = nameStop + 2
            while (valueStop < end && (classes[bytes[valueStop]!]! & VALUE) !== 0) valueStop++
            if (valueStop === end || bytes[valueStop] !== byte) break
            count++
            const at = count * stride
            records[at] = pos + 1
            records[at + nameEnd] = nameStop
            records[at + prefixLength] = hasPrefix ? xmlColon.length : 0
            records[at + valueStart] = nameStop + 2
            records[at + valueEnd] = valueStop
            records[at + encoded] = 0
            if (nameStop - pos === 6 && bytes[pos + 1] === 0x78) startTag.checkDefault(bytes, at)
            pos = valueStop + 1
            if (pos === end) break
          }
          if (pos === end) break
          byte = bytes[pos]!
          if (byte === 0x3e) {
            pos++
            if (depth <= 2 || isSlow || count > 1) {
              if (startTag.close(bytes, depth, count, isSlow)) {
                this.item = startTag.header
                return pos
              }
            }
            state = inContent
          } else if (byte === 0x2f) {
            pos++
            state = afterSlash
          } else if ((classes[byte]! & SPACE) !== 0) pos++
          else if ((classes[byte]! & NAME_START) !== 0 || byte >= 0x80) {
            if ((classes[bytes[pos - 1]!]! & SPACE) === 0) malformed('no white space before an attribute')
            if (count === attributeLimit) throw new StreamError('policy-violation', 'too many attributes')
            count++
            mark = pos
            prefix = 0
            isWide = false
            state = inAttributeName
          } else malformed('illegal character in a tag')
          break

        case 4: // afterSlash
          if (bytes[pos] !== 0x3e) malformed('illegal character in a tag')
          pos++
          if (depth <= 2 || isSlow || count > 1) {
            if (startTag.close(bytes, depth, count, isSlow)) {
              this.item = startTag.header
              this.isEmptyHeader = true
              return pos
            }
          }
          if (startTag.bindings !== undefined) startTag.bindings.leave(depth)
          depth--
          if (depth === 0) return this.whole(bytes, pos, bits)
          state = inContent
          break

        case 5: // inEndName
          {
            const shift = open[depth - 1]! - mark
            while (pos < end) {
              byte = bytes[pos]!
              if ((classes[byte]! & QNAME) === 0 || byte !== bytes[pos + shift]) break
              pos++
            }
            if (pos === end) break
            if (((classes[byte]! | classes[bytes[pos + shift]!]!) & QNAME) !== 0) malformed('mismatched end tag')
          }
          if (byte !== 0x3e) {
            state = beforeEndGreater
            break
          }
          pos++
          if (startTag.bindings !== undefined) startTag.bindings.leave(depth)
          depth--
          if (depth === 0) return this.whole(bytes, pos, bits)
          state = inContent
          break

        default:
          this.state = state
          this.depth = depth
          this.mark = mark
          this.prefix = prefix
          this.isWide = isWide
          this.count = count
          this.isSlow = isSlow
          this.bits = bits
          pos = this.runSeldom(bytes, pos, end)
          if (this.item !== undefined) return pos
          state = this.state
          depth = this.depth
          isSlow = this.isSlow
          bits = this.bits
          prefix = this.prefix
          isWide = this.isWide
          mark = this.mark
      }
    }

    this.state = state
    this.depth = depth
    this.mark = mark
    this.prefix = prefix
    this.isWide = isWide
    this.count = count
    this.isSlow = isSlow
    this.bits = bits
    return -1
  }

  /** Reads on while the scanner is where few bytes are, to keep `run` small; sets `item` when that ends the item. */
  private runSeldom(bytes: Buffer, pos: number, end: number): number {
    const { startTag } = this
    const { records } = startTag
    const at = this.count * stride
    let byte = 0

    while (pos < end) {
      switch (this.state) {
        case 6: // inAttributeName
          while (pos < end) {
            byte = bytes[pos]!
            if ((classes[byte]! & NAME) === 0) break
            pos++
          }
          if (pos === end) break
          if (byte === 0x3a) {
            if (this.prefix !== 0) malformed('two colons in a name')
            pos++
            this.prefix = pos - this.mark
            break
          }
          if (byte >= 0x80) {
            this.bits |= 0x80
            this.isWide = true
            pos++
            break
          }
          if (this.prefix !== 0 || this.isWide) checkQName(bytes, this.mark, pos, this.prefix, this.isWide)
          // The prefix `xml` needs no declaration, and `xml:lang` is usual.
          if (this.prefix !== 0 && !equals(bytes, this.mark, this.mark + this.prefix, xmlColon)) this.isSlow = true
          records[at] = this.mark
          records[at + nameEnd] = pos
          records[at + prefixLength] = this.prefix
          this.state = beforeEquals
          break

        case 7: // beforeEquals
          byte = bytes[pos]!
          pos++
          if (byte === 0x3d) this.state = beforeQuote
          else if ((classes[byte]! & SPACE) === 0) malformed('attribute without a value')
          break

        case 8: // beforeQuote
          byte = bytes[pos]!
          pos++
          if (byte === 0x22 || byte === 0x27) {
            this.quote = byte
            records[at + valueStart] = pos
            records[at + encoded] = 0
            this.state = inValue
          } else if ((classes[byte]! & SPACE) === 0) malformed('attribute value without quotes')
          break

        case 9: // inValue
          while (pos < end) {
            byte = bytes[pos]!
            if ((classes[byte]! & VALUE) === 0) break
            pos++
          }
          if (pos === end) break
          pos++
          if (byte === this.quote) {
            this.quote = 0
            records[at + valueEnd] = pos - 1
            if (records[at + nameEnd]! - records[at]! === 5) startTag.checkDefault(bytes, at)
            this.state = inTag
            return pos
          }
          if (byte === 0x26) {
            records[at + encoded] = 1
            this.mark = pos
            this.state = inReference
          } else if (byte >= 0x80 || (classes[byte]! & SPACE) !== 0) {
            this.bits |= byte
            records[at + encoded] = 1
          } else if (byte !== 0x22 && byte !== 0x27) {
            malformed(byte === 0x3c ? '< in an attribute value' : 'illegal character')
          }
          break

        case 10: // beforeEndGreater
          byte = bytes[pos]!
          pos++
          if (byte === 0x3e) return this.endTag(bytes, pos)
          if ((classes[byte]! & SPACE) === 0) malformed('illegal character in an end tag')
          break

        case 11: // inStreamEnd
          while (pos < end && (classes[bytes[pos]!]! & QNAME) !== 0) pos++
          if (pos === end) break
          if (utf8(bytes, this.mark, pos) !== startTag.context.tag) malformed('mismatched end tag')
          this.state = beforeEndGreater
          break

        case 12: // afterBang
          byte = bytes[pos]!
          if (pos === this.mark) checkBang(byte, this.depth, startTag.mode)
          if (byte !== cdataStart[pos - this.mark]) malformed('illegal markup')
          pos++
          if (pos - this.mark === cdataStart.length) {
            this.mark = pos
            this.state = inCdata
          }
          break

        case 13: // inCdata
          while (pos < end) {
            byte = bytes[pos]!
            if ((classes[byte]! & CDATA) === 0) break
            this.bits |= byte
            pos++
          }
          if (pos === end) break
          if (byte !== 0x3e) malformed('illegal character')
          pos++
          if (pos - 3 >= this.mark && bytes[pos - 2] === 0x5d && bytes[pos - 3] === 0x5d) {
            this.state = inContent
            return pos
          }
          break

        case 14: // inReference
          while (pos < end) {
            byte = bytes[pos]!
            if ((classes[byte]! & NAME) === 0 && byte < 0x80 && byte !== 0x23) break
            this.bits |= byte
            pos++
          }
          if (pos === end) break
          if (byte !== 0x3b) malformed('bare ampersand')
          checkReference(bytes, this.mark, pos)
          pos++
          if (this.quote !== 0) this.state = inValue
          else {
            this.state = inContent
            return pos
          }
          break

        case 15: // inDeclaration
          byte = bytes[pos]!
          pos++
          if (byte === 0x3e && bytes[pos - 2] === 0x3f) {
            checkDeclaration(latin1(bytes, startTag.base, pos))
            this.item = declaration
            return pos
          }
          break

        default: // where `run` goes on
          return pos
      }
    }
    return pos
  }

  /** The `>` of an end tag that had white space in it. */
  private endTag(bytes: Buffer, pos: number): number {
    if (this.depth === 0) {
      this.item = streamEnd
      return pos
    }
    this.startTag.bindings?.leave(this.depth)
    this.depth--
    this.state = inContent
    return this.depth === 0 ? this.whole(bytes, pos, this.bits) : pos
  }

  /** Takes out what is known of an unfinished item, with all offsets counted from its `<`. */
  save(unfinished: Unfinished): void {
    const { base, records, frame, bindings } = this.startTag
    const { numbers } = unfinished
    numbers[0] = this.state
    numbers[1] = this.depth
    numbers[2] = this.mark - base
    numbers[3] = this.prefix
    numbers[4] = this.isWide ? 1 : 0
    numbers[5] = this.quote
    numbers[6] = this.count
    numbers[7] = this.isSlow ? 1 : 0
    numbers[8] = this.bits
    let next = 9
    for (let i = 0; i < this.depth; i++) numbers[next++] = this.open[i]! - base
    const isInTag = (this.state >= inTagName && this.state <= inValue && this.state !== inEndName) || this.quote !== 0
    if (isInTag) {
      for (let at = 0; at <= this.count * stride; at += stride) {
        numbers[next++] = records[at]! - base
        numbers[next++] = records[at + nameEnd]! - base
        numbers[next++] = records[at + prefixLength]!
        numbers[next++] = records[at + valueStart]! - base
        numbers[next++] = records[at + valueEnd]! - base
        numbers[next++] = records[at + encoded]!
      }
    }
    numbers.length = next
    unfinished.frame = frame
    unfinished.bindings = bindings
    this.startTag.frame = undefined
    this.startTag.bindings = undefined
  }

  /** Puts it back; the item's `<` is at 0 now. */
  load(mode: Mode, context: StreamContext, { numbers, frame, bindings }: Unfinished): void {
    const { startTag } = this
    startTag.mode = mode
    startTag.context = context
    startTag.base = 0
    startTag.frame = frame
    startTag.bindings = bindings
    this.item = undefined
    this.isEmptyHeader = false
    this.state = numbers[0]!
    this.depth = numbers[1]!
    this.mark = numbers[2]!
    this.prefix = numbers[3]!
    this.isWide = numbers[4] === 1
    this.quote = numbers[5]!
    this.count = numbers[6]!
    this.isSlow = numbers[7] === 1
    this.bits = numbers[8]!
    let next = 9
    for (let i = 0; i < this.depth; i++) this.open[i] = numbers[next++]!
    for (let at = 0; next < numbers.length; at++) startTag.records[at] = numbers[next++]!
  }

  /** The element is whole: finishes its frame. */
  private whole(bytes: Buffer, end: number, bits: number): number {
    const { base } = this.startTag
    if (bits >= 0x80) checkUnicode(bytes, base, end)
    const frame = this.startTag.frame!
    this.startTag.frame = undefined
    frame.bytes = bytes
    frame.start = base
    frame.end = end
    if (frame.flags & INHERITS) frame.mask |= interestOf(frame.contentNs)
    this.item = frame
    return end
  }
}

/** What comes after a `<` that begins no name: where the scanner is then. RFC 6120 §11.1 */
function checkMarkup(byte: number, depth: number, mode: Mode): number {
  switch (byte) {
    case 0x2f:
      if (depth > 0) return inEndName
      if (mode !== 'stream') malformed('end tag of nothing')
      return inStreamEnd
    case 0x21:
      return afterBang
    case 0x3f:
      if (mode !== 'start') throw new StreamError('restricted-xml', 'processing instruction')
      return inDeclaration
    default:
      return malformed('illegal start of a tag')
  }
}

/** What may come after `<!`. RFC 6120 §11.1 */
function checkBang(byte: number, depth: number, mode: Mode): void {
  if (byte === 0x2d) throw new StreamError('restricted-xml', 'comment')
  if (byte >= 0x41 && byte <= 0x5a) throw new StreamError('restricted-xml', 'document type declaration')
  if (byte === 0x5b && depth === 0 && mode !== 'start' && mode !== 'header') {
    throw new StreamError('bad-format', 'text between stanzas')
  }
  if (depth === 0) malformed('illegal markup')
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
