/*
 * The items of a stream whose every message is a document by itself. RFC 7395 §3.3
 */

import { StreamError } from '../errors.js'
import { NS } from '../namespaces.js'
import { classes, malformed, SPACE } from './characters.js'
import { type Frame, Header, StreamContext } from './frame.js'
import { type Item, type ItemReader, type Limits, maxHeader } from './framer.js'
import { Scanner, streamEnd } from './scanner.js'

const nothing: Buffer = Buffer.alloc(0)
const scanner = new Scanner()
/** Stanzas that say no namespace are in this one. spec/websockets.md W-10 */
const context = new StreamContext('', NS.client, [])
/** The start tag of a stream as it looks on TCP, which older drafts of RFC 7395 sent. */
const streamTag = /^<(?:[\w.-]+:)?stream[\s>/]/

const componentStream = new RegExp(
  String.raw`^\s*(?:<\?xml[^>]*\?>\s*)?<(?:[\w.-]+:)?stream\s[^>]*["']${NS.component}["']`,
)

/** True for the beginning of a component's stream as it looks on TCP. spec/websockets.md §6 */
export function beginsComponentStream(message: Buffer): boolean {
  const start = message[0] === 0xef ? 3 : 0
  return componentStream.test(message.toString('latin1', start, start + 1_024))
}

/** Reads the messages of a stream; it holds nothing between two of them. */
export class MessageFramer implements ItemReader {
  limits: Limits
  /** What it refused last is a stream that never began: nothing is said about it. spec/websockets.md W-16, W-20 */
  refusesSilently = false
  private isOpen = false
  private message = nothing
  private pos = 0

  constructor(limits: Limits) {
    this.limits = limits
  }

  feed(message: Buffer): void {
    this.message = message
    this.pos = message[0] === 0xef && message[1] === 0xbb && message[2] === 0xbf ? 3 : 0
  }

  next(): Item | undefined {
    try {
      return this.read()
    } catch (error) {
      this.reset()
      throw error
    }
  }

  reset(): void {
    this.isOpen = false
    this.message = nothing
    this.pos = 0
  }

  private read(): Item | undefined {
    const { message } = this
    if (!this.skipToElement()) {
      this.message = nothing
      return undefined
    }
    // An XML declaration may come first. W-8
    if (message[this.pos + 1] === 0x3f && this.isAtStart()) {
      this.scan('start')
      return this.read()
    }
    if (!this.isOpen) this.refuseOtherFramings()
    return this.item(this.scan('document'))
  }

  /** Passes over white space; false when the message has nothing else. */
  private skipToElement(): boolean {
    const { message } = this
    while (this.pos < message.length && (classes[message[this.pos]!]! & SPACE) !== 0) this.pos++
    if (this.pos === message.length) return false
    if (message[this.pos] !== 0x3c) malformed('text between elements')
    return true
  }

  private isAtStart(): boolean {
    return this.message.lastIndexOf(0x3e, this.pos) === -1
  }

  private scan(mode: 'start' | 'document'): Frame | undefined {
    const { message, pos } = this
    const limit = this.isOpen ? this.limits.element : Math.min(maxHeader, this.limits.element)
    const end = Math.min(message.length, pos + limit)
    scanner.begin(mode, context, pos)
    this.pos = scanner.run(message, pos + 1, end)
    if (this.pos === -1) {
      if (end === message.length) malformed('unfinished element')
      this.refusesSilently = !this.isOpen
      throw new StreamError('policy-violation', 'child element too big')
    }
    const { item } = scanner
    return item?.kind === 'frame' ? item : undefined
  }

  private refuseOtherFramings(): void {
    if (!streamTag.test(this.message.toString('latin1', this.pos, this.pos + 256))) return
    this.refusesSilently = true
    malformed('another framing')
  }

  /** `<open/>` and `<close/>` are the stream's header and end. RFC 7395 §3.4, §3.6 */
  private item(frame: Frame | undefined): Item | undefined {
    if (frame === undefined) malformed('no element')
    if (!this.isOpen && frame.name === 'open') {
      this.isOpen = true
      return header(frame)
    }
    // RFC 6120 §4.9.3.24. A client may say what is wrong before it closes its stream.
    if (frame.ns === NS.stream && frame.name !== 'error') throw new StreamError('unsupported-stanza-type')
    if (frame.ns !== NS.framing) return frame
    if (frame.name === 'open') return header(frame)
    return frame.name === 'close' ? streamEnd : frame
  }
}

function header(frame: Frame): Header {
  const attributes = new Map<string, string>()
  for (const name of ['to', 'from', 'version', 'id', 'xml:lang']) {
    const value = frame.attribute(name)
    if (value !== undefined) attributes.set(name, value)
  }
  return new Header('stream', frame.ns === NS.framing ? NS.stream : frame.ns, NS.client, new Map(), attributes)
}
