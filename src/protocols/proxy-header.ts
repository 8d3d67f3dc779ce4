/*
 * The header that a balancer puts in front of a connection to say whose it is: PROXY protocol, versions 1 and 2, as
 * HAProxy's proxy-protocol.txt defines it. spec/listeners.md §1.7
 */

export interface Endpoint {
  /** In canonical form; an IPv4 address that came mapped into IPv6 is plain IPv4. */
  readonly address: string
  readonly port: number
}

/** A whole header. Without endpoints the real ones of the connection hold: `UNKNOWN`, `LOCAL`, `UNSPEC`. */
export interface ProxyHeader {
  readonly source?: Endpoint
  readonly destination?: Endpoint
  /** What came behind the header in the chunk that ended it. */
  readonly rest: Uint8Array
}

/** Why the bytes are no header that is accepted. */
export interface ProxyHeaderRefusal {
  readonly refused: string
}

type Endpoints = Pick<ProxyHeader, 'source' | 'destination'>
type Parsed = Endpoints | ProxyHeaderRefusal

/** Bytes of a header of version 1 at most, with its CRLF. */
const V1_LIMIT = 107
const LF = 10
const V1_PREFIX = latin1Bytes('PROXY ')
const V2_SIGNATURE = latin1Bytes('\r\n\r\n\0\r\nQUIT\n')
/** Bytes of a header of version 2 before the part whose length it declares; that is 65 535 at most. */
const V2_FIXED = 16

const LOCAL = 0
const PROXY = 1
const UNSPEC = 0
const INET = 1
const INET6 = 2
const UNIX = 3
const DGRAM = 2
const TLV_CRC32C = 3

/** Reads one header, chunk by chunk; keeps no more bytes than the header has. */
export class ProxyHeaderReader {
  private bytes = new Uint8Array(V1_LIMIT)
  private length = 0

  /** Undefined while the header is not whole. The same bytes give the same result however they are cut. Not to be called after a result. */
  read(chunk: Uint8Array): ProxyHeader | ProxyHeaderRefusal | undefined {
    let taken = 0
    while (taken < chunk.length) {
      const part = chunk.subarray(taken, taken + this.wanted())
      this.keep(part)
      taken += part.length
      const parsed = this.parsed()
      if (parsed !== undefined) return 'refused' in parsed ? parsed : { ...parsed, rest: chunk.subarray(taken) }
    }
    return undefined
  }

  /** How many bytes can be taken without going beyond the header or past a fault. */
  private wanted(): number {
    // A line may end anywhere. Version 2 is judged field by field until its length is known.
    if (this.length < V2_FIXED || this.bytes[0] === V1_PREFIX[0]) return 1
    return V2_FIXED + uint16(this.bytes, 14) - this.length
  }

  private keep(part: Uint8Array): void {
    const length = this.length + part.length
    if (length > this.bytes.length) {
      const grown = new Uint8Array(Math.max(length, 2 * this.bytes.length))
      grown.set(this.bytes.subarray(0, this.length))
      this.bytes = grown
    }
    this.bytes.set(part, this.length)
    this.length = length
  }

  /** What the bytes so far amount to; called after each byte that decides something. */
  private parsed(): Parsed | undefined {
    const { bytes, length } = this
    return bytes[0] === V1_PREFIX[0] ? v1(bytes, length) : v2(bytes, length)
  }
}

// ---- version 1

function v1(bytes: Uint8Array, length: number): Parsed | undefined {
  const last = length - 1
  if (last < V1_PREFIX.length) return bytes[last] === V1_PREFIX[last] ? undefined : refused('no PROXY header')
  if (bytes[last] === LF) return line(String.fromCharCode(...bytes.subarray(V1_PREFIX.length, length)))
  return length === V1_LIMIT ? refused('a line without end') : undefined
}

/** What stands behind `PROXY `: fields with exactly one space between them, and CRLF. */
function line(text: string): Parsed {
  // Whatever follows has no meaning.
  if (/^UNKNOWN( [^\r\n]*)?\r\n$/.test(text)) return {}
  const [, version, from = '', to = '', fromPort = '', toPort = ''] =
    /^TCP([46]) ([^ ]+) ([^ ]+) (\d+) (\d+)\r\n$/.exec(text) ?? []
  if (version === undefined) return refused('a malformed line')
  const read = version === '4' ? ipv4 : ipv6
  const source = endpoint(read(from), fromPort)
  const destination = endpoint(read(to), toPort)
  return source && destination ? { source, destination } : refused('a malformed address or port')
}

function endpoint(address: string | undefined, text: string): Endpoint | undefined {
  const port = Number(text)
  const isPort = /^[1-9]\d{0,4}$/.test(text) && port <= 65_535
  return address !== undefined && isPort ? { address, port } : undefined
}

/** The text of an IPv4 address in canonical form, which is the only one that is accepted. */
function ipv4(text: string): string | undefined {
  const octets = text.split('.')
  const isAddress =
    octets.length === 4 && octets.every(octet => /^(0|[1-9]\d{0,2})$/.test(octet) && Number(octet) <= 255)
  return isAddress ? text : undefined
}

/** The canonical form of an IPv6 address; undefined when it is none. */
function ipv6(text: string): string | undefined {
  const url = `http://[${text}]`
  if (!/^[\da-f:.]+$/i.test(text) || !URL.canParse(url)) return undefined
  // Brackets stand around it.
  const address = new URL(url).hostname.slice(1, -1)
  const [, high, low] = /^::ffff:([\da-f]+):([\da-f]+)$/.exec(address) ?? []
  if (high === undefined || low === undefined) return address
  return [high, low]
    .map(group => Number.parseInt(group, 16))
    .flatMap(group => [group >> 8, group & 255])
    .join('.')
}

// ---- version 2

function v2(bytes: Uint8Array, length: number): Parsed | undefined {
  const last = length - 1
  if (last < V2_SIGNATURE.length) return bytes[last] === V2_SIGNATURE[last] ? undefined : refused('no PROXY header')
  if (length === 13) return command(bytes[12]!) // of that length
  if (length === 14) return transport(bytes[12]!, bytes[13]!) // of that length
  if (length < V2_FIXED || length < V2_FIXED + uint16(bytes, 14)) return undefined
  return addresses(bytes.subarray(0, length))
}

/** Version and command. */
function command(byte: number): ProxyHeaderRefusal | undefined {
  if (byte >> 4 !== 2) return refused('an unknown version')
  return (byte & 15) > PROXY ? refused('an unknown command') : undefined
}

/** Address family and protocol. */
function transport(commandByte: number, byte: number): ProxyHeaderRefusal | undefined {
  const family = byte >> 4
  if (family > UNIX || (byte & 15) > DGRAM) return refused('an unknown address family or protocol')
  // A balancer's own connection has no addresses, whatever the family says.
  return family === UNIX && (commandByte & 15) === PROXY ? refused('a UNIX address') : undefined
}

function addresses(header: Uint8Array): Parsed {
  const commandByte = header[12]! // the fixed part is there
  const familyByte = header[13]! // likewise
  const family = familyByte >> 4
  if ((commandByte & 15) === LOCAL || family === UNSPEC || (familyByte & 15) === UNSPEC) return {}
  const size = family === INET ? 4 : 16
  const end = V2_FIXED + 2 * size + 4
  if (header.length < end) return refused('too short for its addresses')
  const fault = tlvFault(header, end)
  if (fault !== undefined) return refused(fault)
  const address = family === INET6 ? ipv6Of : ipv4Of
  const ports = V2_FIXED + 2 * size
  return {
    source: { address: address(header, V2_FIXED), port: uint16(header, ports) },
    destination: { address: address(header, V2_FIXED + size), port: uint16(header, ports + 2) },
  }
}

/** What is wrong with the type-length-values from `at` on; only the checksum is looked into. */
function tlvFault(header: Uint8Array, start: number): string | undefined {
  let hasChecksum = false
  for (let at = start; at < header.length; ) {
    const value = at + 3
    const end = value <= header.length ? value + uint16(header, at + 1) : Number.POSITIVE_INFINITY
    if (end > header.length) return 'a malformed extension'
    if (header[at] === TLV_CRC32C) {
      // Each costs a look at the whole header.
      if (hasChecksum) return 'more than one checksum'
      if (!isChecksum(header, value, end)) return 'a wrong checksum'
      hasChecksum = true
    }
    at = end
  }
  return undefined
}

/** The checksum is of the whole header, with zeros in its own place. */
function isChecksum(header: Uint8Array, start: number, end: number): boolean {
  if (end - start !== 4) return false
  const sum = crc32c(header, index => index >= start && index < end)
  return sum === uint16(header, start) * 0x1_0000 + uint16(header, start + 2)
}

/** RFC 3720 appendix B.4, reversed polynomial. */
const CRC32C = Uint32Array.from({ length: 256 }, (_, index) => {
  let sum = index
  for (let bit = 0; bit < 8; bit++) sum = sum & 1 ? (sum >>> 1) ^ 0x82f6_3b78 : sum >>> 1
  return sum
})

function crc32c(bytes: Uint8Array, isZero: (index: number) => boolean): number {
  let sum = 0xffff_ffff
  for (let index = 0; index < bytes.length; index++) {
    const byte = isZero(index) ? 0 : bytes[index]! // below the length
    sum = (sum >>> 8) ^ CRC32C[(sum ^ byte) & 255]! // of 256
  }
  return (sum ^ 0xffff_ffff) >>> 0
}

// ---- bytes

const ipv4Of = (bytes: Uint8Array, at: number) => bytes.subarray(at, at + 4).join('.')

function ipv6Of(bytes: Uint8Array, at: number): string {
  const groups = Array.from({ length: 8 }, (_, index) => uint16(bytes, at + 2 * index).toString(16))
  return ipv6(groups.join(':'))! // eight groups are an address
}

/** In network byte order. */
const uint16 = (bytes: Uint8Array, at: number) => (bytes[at]! << 8) | bytes[at + 1]! // the callers look at the length

const refused = (reason: string): ProxyHeaderRefusal => ({ refused: reason })

function latin1Bytes(text: string): Uint8Array {
  return Uint8Array.from(text, char => char.charCodeAt(0))
}
