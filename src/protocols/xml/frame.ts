import { NS } from '../namespaces.js'
import { classes, QNAME, SPACE } from './characters.js'
import { intern } from './intern.js'
import { decodeValue, latin1 } from './text.js'

/** The namespace declarations that a stream's header makes for everything in the stream. Immutable and shared. */
export class StreamContext {
  constructor(
    /** The header's name as it was written, for instance `stream:stream`. */
    readonly tag: string,
    /** '' when none is declared. */
    readonly defaultNs: string,
    /** Prefix, namespace, prefix, namespace ... */
    readonly prefixes: readonly string[],
  ) {}

  /** The namespace that a prefix is bound to, or undefined. */
  lookup(prefix: string): string | undefined {
    for (let i = 0; i < this.prefixes.length; i += 2) if (this.prefixes[i] === prefix) return this.prefixes[i + 1]
    return undefined
  }
}

/** The start of a stream. Whether it is in the right namespace is for the caller to see: any prefix will do. */
export class Header {
  readonly kind = 'header'
  constructor(
    /** The local name; always `stream`. */
    readonly name: string,
    /** The namespace of the element itself; '' when its prefix is bound to nothing. */
    readonly ns: string,
    /** The default namespace of the stream; '' when there is none. */
    readonly defaultNs: string,
    /** The prefixes declared, with their namespaces. */
    readonly prefixes: ReadonlyMap<string, string>,
    /** Every attribute that is no namespace declaration, by its name as written. */
    readonly attributes: ReadonlyMap<string, string>,
  ) {}

  get to(): string | undefined {
    return this.attributes.get('to')
  }

  get from(): string | undefined {
    return this.attributes.get('from')
  }

  get version(): string | undefined {
    return this.attributes.get('version')
  }

  get id(): string | undefined {
    return this.attributes.get('id')
  }

  get lang(): string | undefined {
    return this.attributes.get('xml:lang')
  }
}

/** The end tag of the stream. */
export interface StreamEnd {
  readonly kind: 'end'
}

interface Interest {
  readonly ns: string
  readonly bytes: Buffer
  readonly bit: number
}

const interests = new Map<string, number>()
const interestsByLength: (Interest[] | undefined)[] = []

/** Asks that frames tell which of them have a direct child in this namespace: the bit of it in `Frame.mask`. At most 30. */
export function interest(ns: string): number {
  const known = interests.get(ns)
  if (known !== undefined) return known
  if (interests.size === 30) throw new Error('more than 30 namespaces of interest')
  const bit = 1 << interests.size
  interests.set(ns, bit)
  const bytes = Buffer.from(ns)
  const others = interestsByLength[bytes.length] ?? []
  interestsByLength[bytes.length] = [...others, { ns, bytes, bit }]
  return bit
}

/** The bit of a namespace; 0 when nobody asked for it. */
export function interestOf(ns: string): number {
  return interests.get(ns) ?? 0
}

/** The same for a namespace still in bytes, without references. */
export function interestOfBytes(bytes: Buffer, start: number, end: number): number {
  const candidates = interestsByLength[end - start]
  if (candidates === undefined) return 0
  for (const candidate of candidates) {
    let at = end - 1
    let i = end - start - 1
    // From the end: namespaces of XEPs begin alike.
    while (i >= 0 && bytes[at] === candidate.bytes[i]) {
      at--
      i--
    }
    if (i < 0) return candidate.bit
  }
  return 0
}

/** Frame.flags: some attribute of the start tag holds a reference, non-ASCII or white space other than the space. */
export const ENCODED = 1
/** Frame.flags: a prefix is used that only the stream's header binds. */
export const FOREIGN = 2
/** Frame.flags: the element's own name has a prefix. */
export const PREFIXED = 4
/** Frame.flags: some direct child takes its namespace from this element. */
export const INHERITS = 8
/** Frame.flags: there is more than one direct child. */
export const SEVERAL = 16

const none = new StreamContext('', '', [])
const empty: Buffer = Buffer.alloc(0)

/**
 * One whole element of a stream: a slice of bytes found well-formed, with what is needed of its start tag.
 * All offsets but `start` and `end` count from `start`; an attribute is at 0 when it is absent.
 */
export class Frame {
  /** What the slice is a part of; whoever keeps a frame beyond the chunk's life copies it (`compact`). */
  declare bytes: Buffer
  declare start: number
  declare end: number
  declare context: StreamContext
  /** The local name. */
  declare name: string
  declare ns: string
  /** Where the element's name ends. */
  declare nameEnd: number
  /** Where the last attribute ends: others can be put in here. */
  declare attributesEnd: number
  /** Where the first child element begins; 0 = there is none. */
  declare payloadAt: number
  declare flags: number
  /** The bits of the namespaces of interest that direct children are in. */
  declare mask: number
  declare toAt: number
  declare toEnd: number
  declare fromAt: number
  declare fromEnd: number
  declare idAt: number
  declare idEnd: number
  declare typeAt: number
  declare typeEnd: number
  declare langAt: number
  declare langEnd: number
  declare xmlnsAt: number
  declare xmlnsEnd: number

  // Not field initialisers, which V8 does not always inline: this is done for every stanza.
  constructor() {
    this.bytes = empty
    this.start = 0
    this.end = 0
    this.context = none
    this.name = ''
    this.ns = ''
    this.nameEnd = 0
    this.attributesEnd = 0
    this.payloadAt = 0
    this.flags = 0
    this.mask = 0
    this.toAt = 0
    this.toEnd = 0
    this.fromAt = 0
    this.fromEnd = 0
    this.idAt = 0
    this.idEnd = 0
    this.typeAt = 0
    this.typeEnd = 0
    this.langAt = 0
    this.langEnd = 0
    this.xmlnsAt = 0
    this.xmlnsEnd = 0
  }

  get kind(): 'frame' {
    return 'frame'
  }

  /** Bytes from `<` to `>`. */
  get length(): number {
    return this.end - this.start
  }

  get to(): string | undefined {
    return this.toAt === 0 ? undefined : valueIn(this, this.toAt, this.toEnd)
  }

  get from(): string | undefined {
    return this.fromAt === 0 ? undefined : valueIn(this, this.fromAt, this.fromEnd)
  }

  get id(): string | undefined {
    return this.idAt === 0 ? undefined : valueIn(this, this.idAt, this.idEnd)
  }

  get lang(): string | undefined {
    return this.langAt === 0 ? undefined : valueIn(this, this.langAt, this.langEnd)
  }

  get type(): string | undefined {
    if (this.typeAt === 0) return undefined
    if (this.flags & ENCODED) return valueIn(this, this.typeAt, this.typeEnd)
    return intern(this.bytes, this.start + this.typeAt, this.start + this.typeEnd)
  }

  /** Any attribute of the start tag, by its name as written. */
  attribute(name: string): string | undefined {
    return attributeOf(this.bytes, this.start + this.nameEnd, name)
  }

  /** True when the bytes mean the same in any other stream with the same default namespace. */
  get isForwardable(): boolean {
    return (this.flags & (FOREIGN | PREFIXED)) === 0
  }

  /** The local name of the first child element. */
  get payloadName(): string | undefined {
    if (this.payloadAt === 0) return undefined
    const at = this.start + this.payloadAt + 1
    const end = nameEndOf(this.bytes, at)
    return intern(this.bytes, at + prefixLength(this.bytes, at, end), end)
  }

  /** The namespace of the first child element. */
  get payloadNs(): string | undefined {
    if (this.payloadAt === 0) return undefined
    const at = this.start + this.payloadAt + 1
    const end = nameEndOf(this.bytes, at)
    const prefix = prefixLength(this.bytes, at, end)
    if (prefix === 0) return attributeOf(this.bytes, end, 'xmlns') ?? this.contentNs
    const name = intern(this.bytes, at, at + prefix - 1)
    if (name === 'xml') return NS.xml
    const declaration = `xmlns:${name}`
    return attributeOf(this.bytes, end, declaration) ?? this.attribute(declaration) ?? this.context.lookup(name)
  }

  /** The default namespace inside the element: that of children which do not say theirs. */
  get contentNs(): string {
    if ((this.flags & PREFIXED) === 0) return this.ns
    return this.xmlnsAt === 0 ? this.context.defaultNs : valueIn(this, this.xmlnsAt, this.xmlnsEnd)
  }

  /** The same frame over bytes of its own, exactly as many as it needs. */
  compact(): Frame {
    const length = this.end - this.start
    if (length === this.bytes.length && length === this.bytes.buffer.byteLength) return this
    const copy = Object.assign(new Frame(), this)
    copy.bytes = Buffer.allocUnsafeSlow(length)
    this.bytes.copy(copy.bytes, 0, this.start, this.end)
    copy.start = 0
    copy.end = length
    return copy
  }
}

/** An attribute's value, given where it is in the frame. */
function valueIn(frame: Frame, at: number, end: number): string {
  const { bytes, start, flags } = frame
  return flags & ENCODED ? decodeValue(bytes, start + at, start + end) : latin1(bytes, start + at, start + end)
}

/** Where the name that begins here ends. */
export function nameEndOf(bytes: Buffer, at: number): number {
  while (classes[bytes[at]!]! & QNAME) at++
  return at
}

/** The length of a name's prefix with its colon; 0 when there is none. */
export function prefixLength(bytes: Buffer, start: number, end: number): number {
  for (let at = start; at < end; at++) if (bytes[at] === 0x3a) return at - start + 1
  return 0
}

/** The value of an attribute in the well-formed start tag whose name ends at `at`. */
function attributeOf(bytes: Buffer, at: number, name: string): string | undefined {
  for (;;) {
    while (classes[bytes[at]!]! & SPACE) at++
    if (bytes[at] === 0x3e || bytes[at] === 0x2f) return undefined
    const nameEnd = nameEndOf(bytes, at)
    let value = nameEnd
    while (bytes[value] !== 0x22 && bytes[value] !== 0x27) value++
    const end = bytes.indexOf(bytes[value]!, value + 1)
    if (intern(bytes, at, nameEnd) === name) return attributeValue(bytes, value + 1, end)
    at = end + 1
  }
}

/** An attribute's value, shared when it is a usual one. */
function attributeValue(bytes: Buffer, start: number, end: number): string {
  for (let at = start; at < end; at++) {
    const byte = bytes[at]!
    if (byte >= 0x80 || byte === 0x26 || byte < 0x20) return decodeValue(bytes, start, end)
  }
  return intern(bytes, start, end)
}
