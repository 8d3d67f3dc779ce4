import { isIPv4, isIPv6 } from 'node:net'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type Endpoint,
  type ProxyHeader,
  ProxyHeaderReader,
  type ProxyHeaderRefusal,
} from '../../src/protocols/proxy-header.js'

const SIGNATURE = [0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a]
const LOCAL = 0x20
const PROXY = 0x21
const TCP4 = 0x11
const TCP6 = 0x21

type Result = ProxyHeader | ProxyHeaderRefusal | undefined

const read = (bytes: string | Uint8Array): Result => new ProxyHeaderReader().read(Buffer.from(bytes as Uint8Array))
/** With what came behind the header as text. */
const readable = (result: Result) =>
  result === undefined || 'refused' in result
    ? result
    : { ...result, rest: Buffer.from(result.rest).toString('latin1') }

const at = (address: string, port: number): Endpoint => ({ address, port })

/** A header of version 2 as the specification draws it. */
function v2(command: number, family: number, block: readonly number[] | Uint8Array, length = block.length): Buffer {
  return Buffer.from([...SIGNATURE, command, family, length >> 8, length & 255, ...block])
}

const port = (number: number) => [number >> 8, number & 255]
const tlv = (type: number, value: readonly number[] | Uint8Array) => [type, ...port(value.length), ...value]

const inetBlock = [192, 0, 2, 1, 198, 51, 100, 2, ...port(56_324), ...port(5222)]
const inet6Block = [
  ...[0x20, 0x01, 0x0d, 0xb8, ...Array(11).fill(0), 1],
  ...[0x20, 0x01, 0x0d, 0xb8, ...Array(11).fill(0), 2],
  ...port(1),
  ...port(65_535),
]

/** CRC-32C bit by bit, as RFC 3720 appendix B.4 has it. */
function checksum(bytes: Uint8Array): number[] {
  let sum = 0xffff_ffff
  for (const byte of bytes) {
    sum ^= byte
    for (let bit = 0; bit < 8; bit++) sum = sum & 1 ? (sum >>> 1) ^ 0x82f6_3b78 : sum >>> 1
  }
  const value = Buffer.alloc(4)
  value.writeUInt32BE(~sum >>> 0)
  return [...value]
}

/** The header with its checksum in the last four bytes. */
function sealed(header: Buffer): Buffer {
  const sum = checksum(Buffer.concat([header.subarray(0, -4), Buffer.alloc(4)]))
  return Buffer.concat([header.subarray(0, -4), Buffer.from(sum)])
}

describe('a PROXY header of version 1 (§1.7)', () => {
  it.each([
    ['PROXY TCP4 192.0.2.1 198.51.100.2 56324 5222\r\n', at('192.0.2.1', 56_324), at('198.51.100.2', 5222)],
    ['PROXY TCP4 0.0.0.0 255.255.255.255 1 65535\r\n', at('0.0.0.0', 1), at('255.255.255.255', 65_535)],
    ['PROXY TCP6 2001:db8::1 ::1 56324 5222\r\n', at('2001:db8::1', 56_324), at('::1', 5222)],
    ['PROXY TCP6 2001:0DB8:0:0:0:0:0:1 :: 1 2\r\n', at('2001:db8::1', 1), at('::', 2)],
    ['PROXY TCP6 ::ffff:192.0.2.1 ::FFFF:c633:6402 1 2\r\n', at('192.0.2.1', 1), at('198.51.100.2', 2)],
    [
      `PROXY TCP6 ${Array(8).fill('ffff').join(':')} ${Array(8).fill('ffff').join(':')} 65535 65535\r\n`,
      at(Array(8).fill('ffff').join(':'), 65_535),
      at(Array(8).fill('ffff').join(':'), 65_535),
    ],
  ])('%j is accepted', (text, source, destination) => {
    expect(readable(read(text))).toEqual({ source, destination, rest: '' })
  })

  it.each([
    'PROXY UNKNOWN\r\n',
    'PROXY UNKNOWN \r\n',
    'PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n',
    `PROXY UNKNOWN ${'x'.repeat(107 - 16)}\r\n`,
  ])('%j has no addresses (trap 27)', text => {
    expect(readable(read(text))).toEqual({ rest: '' })
  })

  it('leaves what comes behind it alone', () => {
    expect(readable(read('PROXY UNKNOWN\r\n\r\nPROXY <stream'))).toEqual({ rest: '\r\nPROXY <stream' })
  })

  it.each([
    "<?xml version='1.0'?>",
    'proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n',
    'PROXY\tTCP4 192.0.2.1 192.0.2.2 1 2\r\n',
    'P',
    'PROXY TCP4 192.0.2.1 192.0.2.2 1 2',
    'PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n',
    'PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\r\n',
    'PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n',
    'PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n',
    'PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n',
    'PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n',
    'PROXY  TCP4 192.0.2.1 192.0.2.2 1 2\r\n',
    'PROXY TCP4 192.0.2.1 192.0.2.2  1 2\r\n',
    'PROXY TCP4\r\n',
    'PROXY TCP5 192.0.2.1 192.0.2.2 1 2\r\n',
    'PROXY tcp4 192.0.2.1 192.0.2.2 1 2\r\n',
    'PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n',
    'PROXY UNKNOWNS\r\n',
    'PROXY UNKNOWN\r \r\n',
    'PROXY \r\n',
    'PROXY TCP4 192.0.2.1 192.0.2.2 0 2\r\n',
    'PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n',
    'PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n',
    'PROXY TCP4 192.0.2.1 192.0.2.2 -1 2\r\n',
    'PROXY TCP4 192.0.2.1 192.0.2.2 1 522222\r\n',
    'PROXY TCP4 999.2.3.4 192.0.2.2 1 2\r\n',
    'PROXY TCP4 192.0.2.01 192.0.2.2 1 2\r\n',
    'PROXY TCP4 192.0.2 192.0.2.2 1 2\r\n',
    'PROXY TCP4 3221225985 192.0.2.2 1 2\r\n',
    'PROXY TCP4 0xc0.0.2.1 192.0.2.2 1 2\r\n',
    'PROXY TCP4 192.0.2.1. 192.0.2.2 1 2\r\n',
    'PROXY TCP4 ::1 192.0.2.2 1 2\r\n',
    'PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n',
    'PROXY TCP6 ::1 fe80::1%eth0 1 2\r\n',
    'PROXY TCP6 [::1] ::1 1 2\r\n',
    'PROXY TCP6 ::1] ::1 1 2\r\n',
    'PROXY TCP6 1::2::3 ::1 1 2\r\n',
    'PROXY TCP6 1:2:3:4:5:6:7 ::1 1 2\r\n',
    'PROXY TCP6 12345:: ::1 1 2\r\n',
    'PROXY TCP4 localhost 192.0.2.2 1 2\r\n',
    'PROXY TCP4 192.0.2.1 192.0.2.2 1 2\xa0\r\n',
  ])('%j is none', text => {
    const result = new ProxyHeaderReader().read(Buffer.from(text, 'latin1'))
    // What could still become one is not refused before it is whole or too long.
    if (text.endsWith('\n') || !text.startsWith('P')) expect(result).toEqual({ refused: expect.any(String) })
    else expect(result).toBeUndefined()
  })

  it('has 107 bytes at most, with its CRLF', () => {
    const line = (length: number) => `PROXY UNKNOWN ${'x'.repeat(length - 16)}\r\n`
    expect(line(107)).toHaveLength(107)
    expect(readable(read(line(107)))).toEqual({ rest: '' })
    expect(read(line(108))).toEqual({ refused: 'a line without end' })
    expect(read(line(107).slice(0, 106))).toBeUndefined()
    expect(read(`PROXY ${'x'.repeat(101)}`)).toEqual({ refused: 'a line without end' })
  })

  it('judges addresses as the operating system does', () => {
    const group = fc.integer({ min: 0, max: 0xffff }).map(number => number.toString(16))
    const mutated = fc
      .tuple(
        fc.oneof(
          fc.ipV6(),
          fc.ipV4(),
          fc.array(group, { maxLength: 9 }).map(parts => parts.join(':')),
        ),
        fc.nat(),
        fc.constantFrom('', ':', '::', '.', '0', 'g', 'F'),
      )
      .map(([text, where, extra]) => {
        const cut = where % (text.length + 1)
        return text.slice(0, cut) + extra + text.slice(cut)
      })
    fc.assert(
      fc.property(mutated, text => {
        for (const [version, isAddress] of [
          ['TCP4', isIPv4],
          ['TCP6', isIPv6],
        ] as const) {
          const result = read(`PROXY ${version} ${text} ${version === 'TCP4' ? '192.0.2.1' : '::1'} 1 2\r\n`)
          const isAccepted = result !== undefined && !('refused' in result)
          expect(isAccepted, `${version} ${text}`).toBe(isAddress(text))
        }
      }),
      { numRuns: 2000 },
    )
  })
})

describe('a PROXY header of version 2 (§1.7)', () => {
  it('has IPv4 or IPv6 addresses, with what comes behind it left alone', () => {
    const inet = Buffer.concat([v2(PROXY, TCP4, inetBlock), Buffer.from('<stream')])
    expect(readable(read(inet))).toEqual({
      source: at('192.0.2.1', 56_324),
      destination: at('198.51.100.2', 5222),
      rest: '<stream',
    })
    expect(readable(read(v2(PROXY, TCP6, inet6Block)))).toEqual({
      source: at('2001:db8::1', 1),
      destination: at('2001:db8::2', 65_535),
      rest: '',
    })
  })

  it('shows an IPv4 address that is mapped into IPv6 as what it is', () => {
    const mapped = [...Array(10).fill(0), 0xff, 0xff, 192, 0, 2, 1]
    const block = [...mapped, ...Array(16).fill(0), ...port(1), ...port(2)]
    expect(read(v2(PROXY, TCP6, block))).toMatchObject({ source: at('192.0.2.1', 1), destination: at('::', 2) })
  })

  it.each([
    ['LOCAL without anything', v2(LOCAL, 0, [])],
    ['LOCAL with addresses', v2(LOCAL, TCP4, inetBlock)],
    ['LOCAL of a UNIX socket', v2(LOCAL, 0x31, Array(216).fill(0))],
    ['an unspecified family', v2(PROXY, 0x00, [])],
    ['an unspecified family with bytes that mean nothing', v2(PROXY, 0x01, [3, 255, 255, 0])],
    ['an unspecified protocol', v2(PROXY, 0x10, inetBlock)],
  ])('%s has no addresses (trap 27)', (_, header) => {
    expect(readable(read(Buffer.concat([header, Buffer.from('<')])))).toEqual({ rest: '<' })
  })

  it.each([
    ['version 1 in binary', v2(0x11, TCP4, inetBlock), 'an unknown version'],
    ['version 3', v2(0x31, TCP4, inetBlock), 'an unknown version'],
    ['command 2', v2(0x22, TCP4, inetBlock), 'an unknown command'],
    ['family 4', v2(PROXY, 0x41, inetBlock), 'an unknown address family or protocol'],
    ['protocol 3', v2(PROXY, 0x13, inetBlock), 'an unknown address family or protocol'],
    ['family 4 of LOCAL', v2(LOCAL, 0x40, []), 'an unknown address family or protocol'],
    ['a UNIX address', v2(PROXY, 0x31, Array(216).fill(0x2f)), 'a UNIX address'],
    ['IPv4 in 11 bytes', v2(PROXY, TCP4, inetBlock.slice(0, 11)), 'too short for its addresses'],
    ['IPv6 in 35 bytes', v2(PROXY, TCP6, inet6Block.slice(0, 35)), 'too short for its addresses'],
    ['half an extension', v2(PROXY, TCP4, [...inetBlock, 4, 0]), 'a malformed extension'],
    ['an extension longer than the header', v2(PROXY, TCP4, [...inetBlock, 4, 0, 2, 0]), 'a malformed extension'],
    ['no signature', Buffer.from('\r\n\r\n\0\r\nQUIT\r'), 'no PROXY header'],
  ])('%s is refused', (_, header, refused) => {
    expect(read(header)).toEqual({ refused })
  })

  it('is judged as soon as a byte is wrong', () => {
    expect(read(Buffer.from([...SIGNATURE, 0x31]))).toEqual({ refused: 'an unknown version' })
    expect(read(Buffer.from([...SIGNATURE, PROXY, 0x31]))).toEqual({ refused: 'a UNIX address' })
    expect(read('\r\n<')).toEqual({ refused: 'no PROXY header' })
    expect(read(Buffer.from(SIGNATURE))).toBeUndefined()
  })

  it('may have extensions: they are passed over, of every size', () => {
    const extensions = [...tlv(1, Buffer.from('xmpp-client')), ...tlv(4, []), ...tlv(0x20, Array(300).fill(3))]
    expect(read(v2(PROXY, TCP4, [...inetBlock, ...extensions]))).toMatchObject({ source: at('192.0.2.1', 56_324) })
    const longest = [...inetBlock, ...tlv(4, new Uint8Array(65_535 - inetBlock.length - 3))]
    const header = v2(PROXY, TCP4, longest)
    expect(header).toHaveLength(16 + 65_535)
    expect(read(header.subarray(0, -1))).toBeUndefined()
    expect(read(header)).toMatchObject({ source: at('192.0.2.1', 56_324) })
  })

  it('has its checksum verified, when there is one', () => {
    // CRC-32C of "123456789", from the catalogue of parametrised CRCs.
    expect(Buffer.from(checksum(Buffer.from('123456789'))).toString('hex')).toBe('e3069283')
    const header = sealed(v2(PROXY, TCP6, [...inet6Block, ...tlv(4, [9]), ...tlv(3, [0, 0, 0, 0])]))
    expect(read(header)).toMatchObject({ source: at('2001:db8::1', 1) })
    for (const index of [16, 60, header.length - 1]) {
      const changed = Buffer.from(header)
      changed[index]! ^= 1
      expect(read(changed)).toEqual({ refused: expect.any(String) })
    }
    expect(read(v2(PROXY, TCP4, [...inetBlock, ...tlv(3, [0, 0, 0])]))).toEqual({ refused: 'a wrong checksum' })
    // Each takes a look at the whole header, so that one has to do.
    const two = v2(PROXY, TCP4, [...inetBlock, ...tlv(3, [0, 0, 0, 0]), ...tlv(3, [0, 0, 0, 0])])
    two.set(checksum(two), two.length - 11)
    expect(read(two)).toEqual({ refused: 'more than one checksum' })
  })
})

describe('for any bytes, a PROXY header', () => {
  const number = fc.integer({ min: 1, max: 65_535 })
  const canonical = (text: string) => {
    const host = new URL(`http://${text.includes(':') ? `[${text}]` : text}`).hostname.replace(/[[\]]/g, '')
    const [, high, low] = /^::ffff:([\da-f]+):([\da-f]+)$/.exec(host) ?? []
    if (high === undefined || low === undefined) return host
    return [...Buffer.from(high.padStart(4, '0') + low.padStart(4, '0'), 'hex')].join('.')
  }
  const octets = (text: string): number[] => {
    if (!text.includes(':')) return text.split('.').map(Number)
    const [left = '', right] = new URL(`http://[${text}]`).hostname.slice(1, -1).split('::')
    const groups = (part: string) => (part === '' ? [] : part.split(':'))
    const tail = groups(right ?? '')
    const head = groups(left)
    const zeros = Array(right === undefined ? 0 : 8 - head.length - tail.length).fill('0')
    return [...head, ...zeros, ...tail].flatMap(group => port(Number.parseInt(group, 16)))
  }
  const encoded = fc
    .tuple(
      fc.oneof(fc.tuple(fc.ipV4(), fc.ipV4()), fc.tuple(fc.ipV6(), fc.ipV6())),
      number,
      number,
      fc.constantFrom('v1', 'v2', 'v2 with checksum'),
      fc.array(fc.tuple(fc.integer({ min: 4, max: 255 }), fc.uint8Array({ maxLength: 40 })), { maxLength: 3 }),
    )
    .map(([[from, to], fromPort, toPort, form, extensions]) => {
      const isV6 = from.includes(':')
      const expected = { source: at(canonical(from), fromPort), destination: at(canonical(to), toPort) }
      if (form === 'v1') {
        return { expected, bytes: Buffer.from(`PROXY TCP${isV6 ? 6 : 4} ${from} ${to} ${fromPort} ${toPort}\r\n`) }
      }
      const block = [...octets(from), ...octets(to), ...port(fromPort), ...port(toPort)]
      block.push(...extensions.flatMap(([type, value]) => tlv(type, value)))
      if (form === 'v2') return { expected, bytes: v2(PROXY, isV6 ? TCP6 : TCP4, block) }
      return { expected, bytes: sealed(v2(PROXY, isV6 ? TCP6 : TCP4, [...block, ...tlv(3, [0, 0, 0, 0])])) }
    })

  /** All the results in turn: the first that is one. */
  function inParts(bytes: Uint8Array, cuts: readonly number[]): { result: ReturnType<typeof readable>; rest: Buffer } {
    const reader = new ProxyHeaderReader()
    const edges = [0, ...[...cuts].sort((a, b) => a - b), bytes.length]
    for (let index = 1; index < edges.length; index++) {
      const result = reader.read(bytes.subarray(edges[index - 1], edges[index]))
      if (result === undefined) continue
      if ('refused' in result) return { result, rest: Buffer.alloc(0) }
      return { result: readable(result), rest: Buffer.concat([result.rest, bytes.subarray(edges[index])]) }
    }
    return { result: undefined, rest: Buffer.alloc(0) }
  }

  const withoutRest = (result: ReturnType<typeof readable>) =>
    result === undefined || 'refused' in result ? result : { ...result, rest: undefined }

  it('is read back as it was written, with everything behind it', () => {
    fc.assert(
      fc.property(encoded, fc.uint8Array({ maxLength: 20 }), ({ bytes, expected }, behind) => {
        expect(readable(read(Buffer.concat([bytes, behind])))).toEqual({
          ...expected,
          rest: Buffer.from(behind).toString('latin1'),
        })
      }),
      { numRuns: 1000 },
    )
  })

  it('gives the same result however it is cut, whole or changed', () => {
    const anyHeader = fc
      .tuple(encoded, fc.option(fc.tuple(fc.nat(), fc.integer({ min: 1, max: 255 }))), fc.uint8Array({ maxLength: 5 }))
      .map(([{ bytes }, change, behind]) => {
        const all = Buffer.concat([bytes, behind])
        if (change !== null) all[change[0] % all.length]! ^= change[1]
        return all
      })
    fc.assert(
      fc.property(anyHeader, bytes => {
        const whole = inParts(bytes, [])
        const everyByte = Array.from({ length: bytes.length }, (_, index) => index)
        for (const cuts of [...everyByte.map(cut => [cut]), everyByte]) {
          const cut = inParts(bytes, cuts)
          expect(withoutRest(cut.result)).toEqual(withoutRest(whole.result))
          expect(cut.rest).toEqual(whole.rest)
        }
      }),
      { numRuns: 200 },
    )
  })

  it('never throws, and ends refused, whole or waiting', () => {
    const start = fc.constantFrom<number[][]>(
      [],
      [...Buffer.from('PROXY ')],
      [...Buffer.from('PROXY TCP4 ')],
      SIGNATURE,
      [...SIGNATURE, PROXY],
      [...SIGNATURE, PROXY, TCP4],
      [...SIGNATURE, PROXY, TCP6, 0],
    )
    fc.assert(
      fc.property(start, fc.uint8Array({ maxLength: 200 }), (first, others) => {
        const result = read(Uint8Array.from([...first, ...others]))
        if (result === undefined) return
        expect('refused' in result ? result.refused : result.rest).toBeDefined()
      }),
      { numRuns: 5000 },
    )
  })
})
