import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { TestServer } from '../../src/testing.js'
import { actorsOfKind, eventually, RawConnection, recordedEvents, startServer } from '../support/server.js'
import { webSocketSession } from '../support/websocket.js'

/*
 * What a WebSocket may be sent: frames split, mixed, oversized, binary, continuations without end. Whatever comes, no actor fails,
 * each connection ends or waits, and nothing is left of it when it is gone.
 */

const pieces = [
  `<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='localhost' version='1.0'/>`,
  `<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>`,
  `<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AHJvbWVvAHIwbTMw</auth>`,
  `<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>`,
  `<iq type='get' id='p' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>`,
  '<presence/>',
  `<message to='romeo@localhost'><body>ä \u{1f339}</body></message>`,
  `<?xml version='1.0'?>`,
  `<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' to='x'>`,
  `<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='localhost' version='1.0'>`,
  '<a><b></a>',
  '<!DOCTYPE x>',
  '\ufeff ',
  ' \n',
  '<x:y/>',
  '</a>',
  '<![CDATA[x]]>',
]

interface Frame {
  fin: boolean
  reserved: number
  opcode: number
  isMasked: boolean
  payload: Uint8Array
  /** How the length is said: as it is, or too long or short. */
  length: number
}

function encoded({ fin, reserved, opcode, isMasked, payload, length }: Frame): Buffer {
  const header = [(fin ? 0x80 : 0) | reserved | opcode, (isMasked ? 0x80 : 0) | (length < 126 ? length : 126)]
  if (length >= 126) header.push(length >> 8, length & 255)
  const mask = isMasked ? [0x5a, 0x01, 0xff, 0x37] : []
  const body = Buffer.from(payload)
  for (let at = 0; at < body.length; at++) body[at] = body[at]! ^ (mask[at % 4] ?? 0)
  return Buffer.concat([Buffer.from([...header, ...mask]), body])
}

const payload = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .array(fc.constantFrom(...pieces), { minLength: 1, maxLength: 3 })
      .map(some => Buffer.from(some.join(''))),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(fc.constantFrom(...pieces), fc.nat(60)).map(([text, at]) => Buffer.from(text).subarray(at)),
  },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 200 }) },
  {
    weight: 1,
    arbitrary: fc.nat(20_000).map(size => Buffer.from(`<message><body>${'x'.repeat(size)}</body></message>`)),
  },
)
const wellFormed = payload.map(
  (bytes): Frame => ({
    fin: true,
    reserved: 0,
    opcode: 1,
    isMasked: true,
    payload: bytes,
    length: bytes.length,
  }),
)
const wild = fc
  .record({
    fin: fc.boolean(),
    reserved: fc.constantFrom(0, 0, 0, 0, 0x40, 0x10),
    opcode: fc.constantFrom(0, 0, 1, 1, 2, 8, 9, 10, 3, 15),
    isMasked: fc.constantFrom(true, true, true, true, false),
    payload,
    error: fc.constantFrom(0, 0, 0, 0, 0, 1, -1),
  })
  .map(({ error, ...frame }): Frame => ({ ...frame, length: Math.max(0, frame.payload.length + error) }))
/** A message in many small parts, with control frames between them. */
const split = fc
  .tuple(payload, fc.integer({ min: 1, max: 30 }), fc.boolean())
  .map(([bytes, size, isBinary]): Frame[] => {
    const frames: Frame[] = []
    for (let at = 0; at < Math.max(1, bytes.length); at += size) {
      const part = bytes.subarray(at, at + size)
      const first = at === 0 ? (isBinary ? 2 : 1) : 0
      frames.push({
        fin: at + size >= bytes.length,
        reserved: 0,
        opcode: first,
        isMasked: true,
        payload: part,
        length: part.length,
      })
      if (at % 3 === 1)
        frames.push({ fin: true, reserved: 0, opcode: 9, isMasked: true, payload: part, length: part.length })
    }
    return frames
  })
const talk = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: wellFormed.map(frame => [frame]) },
    { weight: 2, arbitrary: split },
    { weight: 1, arbitrary: wild.map(frame => [frame]) },
  ),
  { minLength: 1, maxLength: 8 },
)

const handshake =
  'GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n'

const isAlive = (server: TestServer) =>
  [...actorsOfKind(server, 'Connection'), ...actorsOfKind(server, 'ComponentConnection')].length

async function started() {
  const events = recordedEvents()
  const mod_websockets = [{ host: '_', path: '/ws', service: { password: 'secret' }, max_stanza_size: 10_000 }]
  const http = [{ port: 0, ip_address: '127.0.0.1', transport: { num_acceptors: 2 }, handlers: { mod_websockets } }]
  const server = await startServer({ users: ['romeo'], events, config: { listen: { http } } })
  const port = server.addresses.find(({ protocol }) => protocol === 'http')?.port ?? 0
  const faults = () => events.records.filter(({ name }) => name === 'actor.faulted' || name === 'server.bug')
  return { server, port, faults }
}

describe('WebSocket', () => {
  it('whatever frames come, however cut, no actor fails and nothing stays', async () => {
    const { server, port, faults } = await started()
    await fc.assert(
      fc.asyncProperty(talk, fc.array(fc.integer({ min: 1, max: 4_000 }), { maxLength: 4 }), async (frames, cuts) => {
        const raw = await RawConnection.open(port)
        const bytes = Buffer.concat([Buffer.from(handshake), ...frames.flat().map(encoded)])
        let from = 0
        for (const cut of [...cuts, bytes.length]) {
          await raw.send(bytes.subarray(from, from + cut))
          from += cut
        }
        // The server reads all of it before it sees the end.
        raw.socket.end()
        await raw.closed()
        await eventually(() => isAlive(server) === 0)
        expect(faults()).toEqual([])
        expect(server.status().connections).toBe(0)
      }),
      { numRuns: 150 },
    )
    await webSocketSession(port, 'romeo', { path: '/ws' })
    await server.stop()
  }, 120_000)

  it('a flood of continuations, pings or tiny messages stays within its limits', async () => {
    const { server, port, faults } = await started()
    const flood = (frame: Partial<Frame>) =>
      encoded({ fin: false, reserved: 0, opcode: 0, isMasked: true, payload: Buffer.from(' '), length: 1, ...frame })
    const floods: [string, Buffer][] = [
      ['continuations', flood({})],
      ['empty continuations', flood({ payload: Buffer.alloc(0), length: 0 })],
      ['pings', flood({ fin: true, opcode: 9 })],
      ['white space', flood({ fin: true, opcode: 1 })],
    ]
    for (const [what, one] of floods) {
      const raw = await RawConnection.open(port)
      await raw.send(handshake)
      if (what.includes('continuations')) await raw.send(flood({ opcode: 1 }))
      const chunk = Buffer.concat(Array.from({ length: 4_000 }, () => one))
      const before = process.memoryUsage().heapUsed
      for (let i = 0; i < 25 && (await raw.send(chunk)); i++);
      // 100 000 parts kept would be some ten times that.
      expect(process.memoryUsage().heapUsed - before, what).toBeLessThan(150 * 1024 * 1024)
      raw.socket.destroy()
      await eventually(() => isAlive(server) === 0)
    }
    expect(faults()).toEqual([])
    await server.stop()
  }, 120_000)
})
