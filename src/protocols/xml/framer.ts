/*
 * Cuts the bytes of one XMPP stream into its header, its first-level elements and its end, and refuses what RFC 6120 §11
 * and the limits do not allow. A framer at rest holds no bytes; an element that is whole in one chunk is not copied.
 */

import { StreamError } from '../errors.js'
import { classes, malformed, SPACE } from './characters.js'
import { type Frame, type Header, StreamContext, type StreamEnd } from './frame.js'
import { type declaration, Scanner, streamEnd, Unfinished } from './scanner.js'
import type { Mode } from './start-tag.js'

export { Frame, Header, interest, StreamContext, type StreamEnd } from './frame.js'
export { maxDepth } from './scanner.js'
export { maxAttributes } from './start-tag.js'

export interface Limits {
  /** Bytes of a whole first-level element, from the `<` of its start tag to the `>` of its end tag. */
  readonly element: number
}

/** Bytes of a stream header, from `<` to `>`; of an XML declaration likewise. spec/listeners.md §1.9 */
export const maxHeader = 16_384

const nothing: Buffer = Buffer.alloc(0)

export type Item = Header | Frame | StreamEnd

/** Turns what a peer sends into the items of its stream. */
export interface ItemReader {
  /** May be replaced at any time. */
  limits: Limits
  /** True when what `next` threw is not answered: the connection closes without a word. */
  readonly refusesSilently: boolean
  /** Takes the next bytes, all of a message where there are messages; `next` must have answered undefined before. */
  feed(bytes: Buffer): void
  /** The next item, or undefined when more bytes are needed. Throws StreamError. */
  next(): Item | undefined
  /** Expects a new stream and forgets what was fed. */
  reset(): void
}

/** An item that goes on behind the chunk. */
class Partial extends Unfinished {
  /** Its bytes so far, `length` of them; no more room than the limit. */
  bytes = nothing
  length = 0
}

// Where a stream is.
const atStart = 0
const afterBom1 = 1
const afterBom2 = 2
const beforeHeader = 3
const isOpen = 4
/** The header was an empty element. */
const isEnding = 5
const hasEnded = 6

const smallestRoom = 256
const noContext = new StreamContext('', '', [])
const scanner = new Scanner()

export class Framer implements ItemReader {
  limits: Limits
  /** Bytes of white space between elements so far (keep-alives). */
  whitespace = 0
  private phase = atStart
  private streamContext = noContext
  private chunk = nothing
  private pos = 0
  private partial: Partial | undefined

  constructor(limits: Limits) {
    this.limits = limits
  }

  get refusesSilently(): boolean {
    return false
  }

  /** True when nothing is begun and nothing waits to be read. */
  get isIdle(): boolean {
    return this.partial === undefined && this.pos === this.chunk.length
  }

  /** Bytes held for an unfinished item. */
  get retained(): number {
    return this.partial === undefined ? 0 : this.partial.bytes.length
  }

  /** What the stream's header declares. */
  get context(): StreamContext {
    return this.streamContext
  }

  /**
   * Takes the next bytes of the stream; `next` must have answered undefined before. The chunk is not changed and not
   * kept beyond the `next` that answers undefined, but frames point into it.
   */
  feed(chunk: Buffer): void {
    if (this.pos !== this.chunk.length) throw new Error('the chunk before is not read to its end')
    this.chunk = chunk
    this.pos = 0
  }

  /**
   * The next item, or undefined when more bytes are needed or the stream has ended. Throws StreamError; then the stream
   * has ended for the framer too.
   */
  next(): Item | undefined {
    try {
      const item = this.read()
      if (item === undefined) {
        this.chunk = nothing
        this.pos = 0
      }
      return item
    } catch (error) {
      this.reset()
      this.phase = hasEnded
      throw error
    }
  }

  /** Takes away the bytes that were fed and not read yet, as a view of the chunk (an unfinished item excepted). */
  rest(): Buffer {
    const rest = this.chunk.subarray(this.pos)
    this.chunk = nothing
    this.pos = 0
    return rest
  }

  /** Expects a new stream and forgets everything, bytes not read yet included: they came before what the peer was told. */
  reset(): void {
    this.phase = atStart
    this.streamContext = noContext
    this.chunk = nothing
    this.pos = 0
    this.partial = undefined
  }

  private read(): Item | undefined {
    if (this.phase === isEnding) return this.take(streamEnd)
    for (;;) {
      if (this.partial === undefined && !this.skipToItem()) return undefined
      const item = this.partial === undefined ? this.scan() : this.resume(this.partial)
      if (item === undefined) return undefined
      if (item.kind === 'declaration') {
        this.phase = beforeHeader
        continue
      }
      return this.take(item)
    }
  }

  /** What an item means for the stream. */
  private take(item: Item): Item {
    if (item.kind === 'header') {
      this.streamContext = scanner.context
      this.phase = scanner.isEmptyHeader ? isEnding : isOpen
    } else if (item.kind === 'end') this.phase = hasEnded
    return item
  }

  /** Passes over white space; false when the chunk has nothing else. */
  private skipToItem(): boolean {
    const chunk = this.chunk
    const end = chunk.length
    let pos = this.pos
    if (this.phase === hasEnded) pos = end
    else {
      if (this.phase < beforeHeader) pos = this.skipBom(pos)
      const begin = pos
      while (pos < end && (classes[chunk[pos]!]! & SPACE) !== 0) pos++
      if (pos !== begin) {
        this.whitespace += pos - begin
        if (this.phase === atStart) this.phase = beforeHeader
      }
    }
    this.pos = pos
    if (pos === end) return false
    if (chunk[pos] !== 0x3c) {
      if (this.phase === isOpen) throw new StreamError('bad-format', 'text between stanzas')
      malformed('not a stream header')
    }
    return true
  }

  /** EF BB BF may stand before everything. */
  private skipBom(pos: number): number {
    const chunk = this.chunk
    for (; pos < chunk.length; pos++) {
      const byte = chunk[pos]
      if (this.phase === atStart && byte === 0xef) this.phase = afterBom1
      else if (this.phase === afterBom1 && byte === 0xbb) this.phase = afterBom2
      else if (this.phase === afterBom2 && byte === 0xbf) {
        // Twice is once too often: the next byte is judged as the header's.
        this.phase = atStart
        return pos + 1
      } else if (this.phase === atStart) return pos
      else malformed('not a stream header')
    }
    return pos
  }

  private get mode(): Mode {
    if (this.phase === isOpen) return 'stream'
    return this.phase === beforeHeader ? 'header' : 'start'
  }

  private get limit(): number {
    return this.phase === isOpen ? this.limits.element : maxHeader
  }

  /** Reads an item from its `<`. */
  private scan(): Header | Frame | StreamEnd | typeof declaration | undefined {
    const chunk = this.chunk
    const start = this.pos
    const limit = this.limit
    const end = chunk.length
    const mayReadTo = end - start > limit ? start + limit : end
    scanner.begin(this.mode, this.streamContext, start)
    const pos = scanner.run(chunk, start + 1, mayReadTo)
    if (pos !== -1) {
      this.pos = pos
      return scanner.item
    }
    if (mayReadTo < end) this.tooBig()
    const partial = new Partial()
    partial.length = end - start
    partial.bytes = Buffer.allocUnsafeSlow(Math.min(limit, Math.max(2 * partial.length, smallestRoom)))
    chunk.copy(partial.bytes, 0, start, end)
    scanner.save(partial)
    this.partial = partial
    this.pos = end
    return undefined
  }

  /**
   * Goes on with an unfinished item. The chunk is appended piece by piece, each as large as what is there already, so
   * that few of the bytes behind the item are copied.
   */
  private resume(partial: Partial): Header | Frame | StreamEnd | typeof declaration | undefined {
    const chunk = this.chunk
    const limit = this.limit
    if (this.pos === chunk.length) return undefined
    scanner.load(this.mode, this.streamContext, partial)
    while (this.pos < chunk.length) {
      const { length } = partial
      if (length >= limit) this.tooBig()
      const more = Math.min(chunk.length - this.pos, limit - length, Math.max(length, smallestRoom))
      if (length + more > partial.bytes.length) {
        const larger = Buffer.allocUnsafeSlow(Math.min(limit, 2 * (length + more)))
        partial.bytes.copy(larger, 0, 0, length)
        partial.bytes = larger
      }
      chunk.copy(partial.bytes, length, this.pos, this.pos + more)
      const pos = scanner.run(partial.bytes, length, length + more)
      if (pos !== -1) {
        this.pos += pos - length
        this.partial = undefined
        return scanner.item
      }
      partial.length += more
      this.pos += more
    }
    scanner.save(partial)
    return undefined
  }

  private tooBig(): never {
    if (this.phase === isOpen) throw new StreamError('policy-violation', 'child element too big')
    throw new StreamError('policy-violation', 'stream header too big')
  }
}

/**
 * The elements of a buffer that is a document by itself, with nothing but white space around them: a message of RFC 7395,
 * or (`own`) a text of ours. Throws StreamError; `not-well-formed` also when the last element is not whole.
 */
export function frameDocument(
  bytes: Buffer,
  limit: number,
  context: StreamContext,
  mode: 'document' | 'own' = 'document',
): Frame[] {
  const frames: Frame[] = []
  let pos = 0
  for (;;) {
    while (pos < bytes.length && (classes[bytes[pos]!]! & SPACE) !== 0) pos++
    if (pos === bytes.length) return frames
    if (bytes[pos] !== 0x3c) throw new StreamError('bad-format', 'text between stanzas')
    const mayReadTo = Math.min(bytes.length, pos + limit)
    scanner.begin(mode, context, pos)
    pos = scanner.run(bytes, pos + 1, mayReadTo)
    if (pos === -1) {
      if (mayReadTo < bytes.length) throw new StreamError('policy-violation', 'child element too big')
      malformed('unfinished element')
    }
    // In these modes there are no other items.
    frames.push(scanner.item as Frame)
  }
}
