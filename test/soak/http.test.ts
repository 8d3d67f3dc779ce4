import { once } from 'node:events'
import { Agent } from 'node:http'
import net from 'node:net'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, inject, it, onTestFinished } from 'vitest'
import { boshSession, creation, http, httpbind, httpPort } from '../support/bosh.js'
import { dropClients } from '../support/client.js'
import { ManualClock } from '../support/clock.js'
import { Meerkat } from '../support/meerkat.js'
import { freePort } from '../support/programs.js'
import { actorsOfKind, eventually, startedServer } from '../support/server.js'
import { webSocketClient } from '../support/websocket.js'
import { newClient } from './talker.js'

/*
 * BOSH and WebSocket clients by the thousand that keep to no rule: memory stays flat, nothing stays of them, and the next good
 * client is served.
 */

const scale = inject('soakScale')
const SESSIONS = Math.ceil(10_000 * scale)
const CONNECTIONS = Math.ceil(5_000 * scale)
/** Of each kind of flood, in bytes. */
const FLOOD = Math.ceil(400 * 1024 * 1024 * scale)
/** Clients at a time. */
const AT_ONCE = 50
/** What abandoned sessions may leave on the heap, caches and pools included, in MiB; 10 000 of them hold ten times as much. */
const LEFT = 12
/** What the server's memory may grow by while it is flooded, in MiB. */
const GROWTH = 128

/** Runs it with each number below `count`, some at a time. */
async function each(count: number, act: (index: number) => Promise<void>): Promise<void> {
  let next = 0
  const one = async () => {
    while (next < count) await act(next++)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, one))
}

/** In MiB, without what can be collected. */
function heap(): number {
  setFlagsFromString('--expose-gc')
  runInNewContext('gc')()
  return process.memoryUsage().heapUsed / 1024 / 1024
}

describe(`${SESSIONS} BOSH sessions`, () => {
  it('that are opened, confused and abandoned are gone after `inactivity`, and leave no memory behind (B-12, B-22)', async () => {
    const clock = new ManualClock()
    const server = await startedServer({
      users: ['romeo'],
      clock,
      modules: { mod_bosh: { inactivity: 30 } },
      config: {
        listen: {
          http: [
            {
              port: 0,
              ip_address: '127.0.0.1',
              transport: { max_connections: 'infinity' },
              handlers: { mod_bosh: [{ host: '_', path: '/http-bind' }] },
            },
          ],
        },
      },
    })
    const port = httpPort(server)
    const living = () => actorsOfKind(server, 'Connection').length
    const agent = new Agent({ keepAlive: true, maxSockets: 2 * AT_ONCE })
    onTestFinished(() => agent.destroy())
    const tick = () => clock.advance(1)
    let opened = 0

    async function abandon(index: number): Promise<void> {
      const { body } = await http(port, creation(100, "wait='20'"), { agent })
      opened++
      const send = (rid: number, content = '', own?: Agent) =>
        http(
          port,
          `<body rid='${rid}' sid='${body.attrs.sid}' xmlns='${httpbind}'>${content}</body>`,
          own && { agent: own },
        )
      switch (index % 5) {
        case 0: // Nothing more is heard of it.
          return
        case 1: {
          const poll = send(101)
          await new Promise(resolve => setImmediate(resolve))
          poll.abort()
          return
        }
        case 2: {
          const [first, second] = [send(102), send(101)]
          first.abort()
          second.abort()
          return
        }
        case 3: // Ends at once.
          expect((await send(5_000, '', agent)).text).toContain('item-not-found')
          return
        default: // So does this.
          expect((await send(101, '<a><b></a>', agent)).text).toContain('bad-request')
      }
    }

    const ticking = setInterval(tick, 2)
    onTestFinished(() => clearInterval(ticking))
    await each(Math.min(SESSIONS, 200), abandon)
    clock.advance(60_000)
    await eventually(() => living() === 0)
    const before = heap()
    await each(SESSIONS, abandon)
    clearInterval(ticking)
    const most = living()
    // A request that is held by nobody any more is answered when its time is over; then the silence begins.
    for (let seconds = 0; seconds < 60; seconds += 5) {
      clock.advance(5_000)
      await new Promise(resolve => setImmediate(resolve))
    }
    await eventually(() => living() === 0)
    expect(server.status().connections).toBe(0)
    const left = heap() - before
    console.log(`${opened} sessions opened, up to ${most} of them at a time; they left ${left.toFixed(1)} MiB`)
    expect(left).toBeLessThan(LEFT)
    const romeo = await boshSession(server, 'romeo', { tick: () => clock.advance(10) })
    expect(romeo.jid).toBe('romeo@localhost/bosh')
  })
})

describe(`${CONNECTIONS} WebSockets`, () => {
  it('that send frames of every kind, and floods of them, leave the server flat and serving (W-7, W-20, W-21)', async () => {
    const port = await freePort()
    const server = await Meerkat.start({ clear: '' }, { more: webSockets(port) })
    onTestFinished(async () => {
      dropClients()
      expect(await server.stop(), 'how meerkat exited after SIGTERM').toBe(0)
    })
    const { jid } = await newClient(server)
    const good = async () => {
      const client = await webSocketClient(port)
      await client.login((jid ?? '').split('@')[0] ?? '', 'secret')
      client.socket.terminate()
    }
    await good()
    await each(Math.min(CONNECTIONS, 200), index => wild(port, index))
    const before = server.memory.peak
    await each(CONNECTIONS, index => wild(port, index))
    for (const [what, first, then] of floods) {
      const sent = await flood(port, first, then)
      console.log(
        `${what}: the server took ${(sent / 1024 / 1024).toFixed(0)} MiB, peak ${server.memory.peak.toFixed(0)} MiB`,
      )
    }
    const growth = server.memory.peak - before
    console.log(
      `${CONNECTIONS} connections and ${floods.length} floods: memory grew from ${before.toFixed(0)} MiB by ${growth.toFixed(0)} MiB`,
    )
    expect(growth).toBeLessThan(GROWTH)
    await good()
  })
})

const webSockets = (port: number) => `
[[listen.http]]
  port = ${port}
  ip_address = "127.0.0.1"

  [[listen.http.handlers.mod_websockets]]
    host = "_"
    path = "/ws-xmpp"
    max_stanza_size = 100000
`

const handshake = Buffer.from(
  'GET /ws-xmpp HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n',
)
const open = `<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='localhost' version='1.0'/>`
const said = [
  open,
  `<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>`,
  `<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AHgAeA==</auth>`,
  `<message to='nobody@localhost'><body>${'ä\u{1f339}'.repeat(300)}</body></message>`,
  `<presence/><presence/>`,
  '<a><b></a>',
  '<!DOCTYPE x>',
  ' \n',
  `<message><body>${'x'.repeat(200_000)}</body></message>`,
]

/** A frame of a client, with a mask of zeros. RFC 6455 §5.2 */
function frame(first: number, payload: Uint8Array): Buffer {
  const size = payload.length
  const header =
    size < 126
      ? [first, 0x80 | size]
      : size < 65_536
        ? [first, 0xfe, size >> 8, size & 255]
        : [first, 0xff, 0, 0, 0, 0, 0, size >> 16, (size >> 8) & 255, size & 255]
  return Buffer.concat([Buffer.from([...header, 0, 0, 0, 0]), payload])
}

/** The same numbers for the same seed. */
function numbers(seed: number): (below: number) => number {
  let state = seed * 2_654_435_761 + 1
  return below => {
    state = (Math.imul(state ^ (state >>> 15), 1 | state) + 0x6d2b79f5) | 0
    return (state >>> 0) % below
  }
}

/** A message whole, in pieces with control frames between them, as binary, or one that breaks a rule of RFC 6455. */
function frames(next: (below: number) => number): Buffer[] {
  const payload = Buffer.from(said[next(said.length)] ?? '')
  const first = next(4) === 0 ? 2 : 1
  switch (next(5)) {
    case 0:
    case 1:
      return [frame(0x80 | first, payload)]
    case 2: {
      const parts: Buffer[] = []
      const size = 1 + next(2_000)
      for (let at = 0; at < payload.length; at += size) {
        const isLast = at + size >= payload.length
        parts.push(frame((isLast ? 0x80 : 0) | (at === 0 ? first : 0), payload.subarray(at, at + size)))
        if (next(3) === 0) parts.push(frame(next(2) === 0 ? 0x89 : 0x8a, payload.subarray(0, next(100))))
      }
      return parts
    }
    case 3: // A rule is broken: reserved bits and codes, control frames in pieces, continuations of nothing.
      return [frame([0xc1, 0x83, 0x8f, 0x09, 0x00, 0x80, 0x88][next(7)] ?? 0, payload.subarray(0, next(200)))]
    default: // Not UTF-8.
      return [frame(0x80 | first, Buffer.from([0x3c, 0xff, 0xfe, next(256)]))]
  }
}

const closeOf = (socket: net.Socket) => new Promise(resolve => socket.once('close', resolve))

/** One connection, which ends itself or is ended. */
async function wild(port: number, seed: number): Promise<void> {
  const next = numbers(seed)
  const socket = net.connect(port, '127.0.0.1')
  socket.on('error', () => undefined) // 'close' follows
  const closed = closeOf(socket)
  socket.resume()
  const start = next(4) === 0 ? [] : [frame(0x81, Buffer.from(open))]
  const all = Array.from({ length: 1 + next(6) }, () => frames(next)).flat()
  const bytes = Buffer.concat([handshake, ...start, ...all])
  const cut = next(bytes.length)
  socket.write(bytes.subarray(0, cut))
  socket.write(bytes.subarray(cut))
  if (next(3) === 0) setImmediate(() => socket.resetAndDestroy())
  else socket.end()
  await closed
}

const space = Buffer.from(' ')
const floods: readonly [what: string, first: Buffer, then: Buffer][] = [
  ['continuations', frame(0x01, space), frame(0x00, Buffer.alloc(1_000, ' '))],
  ['continuations of a byte', frame(0x01, space), frame(0x00, space)],
  ['empty continuations', frame(0x02, space), frame(0x00, Buffer.alloc(0))],
  ['pings', frame(0x89, space), frame(0x89, Buffer.alloc(125, 'p'))],
  ['white space', frame(0x81, space), frame(0x81, space)],
]

/** Sends the same frame again and again, as fast as the server reads, until it closes or has had enough; the bytes. */
async function flood(port: number, first: Buffer, then: Buffer): Promise<number> {
  const socket = net.connect(port, '127.0.0.1')
  socket.on('error', () => undefined)
  const closed = closeOf(socket)
  socket.resume()
  socket.write(Buffer.concat([handshake, frame(0x81, Buffer.from(open)), first]))
  const chunk = Buffer.concat(Array.from({ length: Math.ceil(65_536 / then.length) }, () => then))
  let sent = 0
  while (sent < FLOOD && !socket.destroyed) {
    sent += chunk.length
    if (!socket.write(chunk)) await Promise.race([once(socket, 'drain').catch(() => undefined), closed])
  }
  socket.destroy()
  await closed
  return sent
}
