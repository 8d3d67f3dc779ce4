import { once } from 'node:events'
import net from 'node:net'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { Admission, MAX_WAITING } from '../../src/actors/acceptor.js'
import type { TestServer } from '../../src/testing.js'
import { ManualClock } from '../support/clock.js'
import {
  actorsOfKind,
  clientOf,
  connectionOf,
  drained,
  eventually,
  RawConnection,
  recordedEvents,
  type Setup,
  session,
  startedServer,
  startServer,
  streamHeader,
} from '../support/server.js'

/*
 * Listeners behind a balancer: `proxy_protocol = true`. How a header is read is in test/protocols/proxy-header.test.ts.
 */

const certfile = join(import.meta.dirname, '../support/certificates/rsa.pem')
const version1 = 'PROXY TCP4 203.0.113.5 198.51.100.2 56324 5222\r\n'
const signature = '\r\n\r\n\0\r\nQUIT\n'
const binary = (text: string) => Buffer.from(text, 'latin1')
/** 203.0.113.6, port 258. */
const version2 = binary(`${signature}\x21\x11\0\x0c\xcb\0\x71\x06\xc6\x33\x64\x02\x01\x02\x14\x66`)
const local = binary(`${signature}\x20\0\0\0`)

async function proxied({ listener, ...setup }: Setup = {}) {
  const events = recordedEvents()
  const server = await startedServer({
    events,
    users: ['romeo'],
    listener: { proxy_protocol: true, ...listener },
    ...setup,
  })
  const told = (name: string) => events.records.filter(record => record.name === name).map(({ fields }) => fields)
  return { server, told }
}

/** A balancer that writes the header and the client's first bytes at once; its port. */
async function balancer(port: number, header: string | Uint8Array): Promise<number> {
  const open = new Set<net.Socket>()
  const relay = net.createServer(client => {
    const upstream = net.connect({ port, host: '127.0.0.1' })
    for (const socket of [client, upstream]) {
      open.add(socket)
      socket.on('error', () => socket.destroy())
    }
    client.once('data', first => {
      upstream.write(Buffer.concat([typeof header === 'string' ? binary(header) : header, first]))
      client.pipe(upstream).pipe(client)
    })
  })
  relay.listen(0, '127.0.0.1')
  await once(relay, 'listening')
  onTestFinished(() => {
    relay.close()
    for (const socket of open) socket.destroy()
  })
  const address = relay.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}

const acceptors = (server: TestServer) => actorsOfKind(server, 'ProxyAcceptor')
const reading = (server: TestServer) => acceptors(server).filter(({ details }) => details.isReading).length
const waiting = (server: TestServer) => actorsOfKind(server, 'Listener')[0]?.details.waiting
const refused = (server: TestServer) => server.status().counters.proxyHeadersRefused

/** A connection that says nothing and keeps an acceptor busy. */
async function silent(server: TestServer): Promise<RawConnection> {
  const before = reading(server)
  const raw = await RawConnection.open(server.port)
  await eventually(() => reading(server) === before + 1)
  return raw
}

describe('a connection that begins with a PROXY header (§1.7)', () => {
  it.each([
    ['1', version1, '203.0.113.5', 56_324],
    ['2', version2, '203.0.113.6', 258],
    ['1 over IPv6', 'PROXY TCP6 2001:DB8::5 ::1 1 2\r\n', '2001:db8::5', 1],
  ])(
    'of version %s, in one write with the stream, has the address and port that it names',
    async (_, header, address, port) => {
      const { server, told } = await proxied()
      const client = await session({ port: await balancer(server.port, header) }, 'romeo')
      await client.settled()
      expect(connectionOf(server, client).details).toMatchObject({ address, port })
      expect(told('connection.opened')).toMatchObject([{ address, port }])
      expect(told('auth.succeeded')).toMatchObject([{ address }])
      expect(refused(server)).toBe(0)
    },
  )

  it.each([
    ['UNKNOWN', 'PROXY UNKNOWN\r\n'],
    ['LOCAL', local],
  ])('of %s keeps the address of the socket (trap 27)', async (_, header) => {
    const { server, told } = await proxied()
    const raw = await RawConnection.open(server.port)
    await raw.send(header)
    await raw.send(streamHeader())
    await raw.until('</stream:features>')
    expect(told('connection.opened')).toMatchObject([{ address: '127.0.0.1', port: raw.socket.localPort }])
  })

  it('may come in pieces (trap 27)', async () => {
    const { server, told } = await proxied()
    for (const header of [binary(version1), version2]) {
      const raw = await RawConnection.open(server.port)
      raw.socket.setNoDelay(true)
      for (const byte of Buffer.concat([header, binary(streamHeader().slice(0, 3))])) {
        await raw.send(Uint8Array.of(byte))
        // What was sent has been read before the next byte.
        await new Promise(resolve => setImmediate(resolve))
      }
      await raw.send(streamHeader().slice(3))
      await raw.until('</stream:features>')
    }
    expect(told('connection.opened')).toMatchObject([{ address: '203.0.113.5' }, { address: '203.0.113.6' }])
  })

  it('loses nothing of what comes behind it in the same write', async () => {
    const { server } = await proxied()
    const raw = await RawConnection.open(server.port)
    const login = `<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='NONE'/>`
    await raw.send(version1 + streamHeader() + login + login)
    await raw.until(/(<failure.*){2}/s)
  })

  it.each(['tls', 'starttls_required'])('is followed by TLS in mode %s', async mode => {
    const { server } = await proxied({ listener: { tls: { mode, certfile } } })
    const tls = mode === 'tls' ? 'direct' : 'starttls'
    // The ClientHello may come in the same segment.
    const client = await session({ port: await balancer(server.port, version2) }, 'romeo', { tls })
    await client.settled()
    expect(connectionOf(server, client).details).toMatchObject({ address: '203.0.113.6' })
  })

  it('has its address judged by ip_access of mod_register, also when the balancer is denied', async () => {
    const fields = '<username>tybalt</username><password>pw</password>'
    const query = `<query xmlns='jabber:iq:register'>${fields}</query>`
    const { server } = await proxied({
      modules: {
        mod_register: {
          ip_access: [
            { policy: 'deny', address: '203.0.113.5/32' },
            { policy: 'deny', address: '127.0.0.0/8' },
          ],
        },
      },
    })
    const denied = await clientOf({ port: await balancer(server.port, version1) })
    await denied.open()
    expect((await denied.ask('set', query)).attrs.type).toBe('error')
    const allowed = await clientOf({ port: await balancer(server.port, version2) })
    await allowed.open()
    expect((await allowed.ask('set', query)).attrs.type).toBe('result')
  })
})

describe('a connection without an accepted PROXY header (§1.7)', () => {
  it.each([
    ['a stream', streamHeader(), 'no PROXY header'],
    ['a malformed line', 'PROXY TCP4 1.2.3.4 1.2.3.4 0 1\r\n', 'a malformed address or port'],
    ['a line without end', `PROXY ${'x'.repeat(200)}`, 'a line without end'],
    ['a UNIX address', binary(`${signature}\x21\x31\0\xd8${'x'.repeat(216)}`), 'a UNIX address'],
  ])('is closed without a byte, counted and told: %s', async (_, bytes, reason) => {
    const { server, told } = await proxied()
    const raw = await RawConnection.open(server.port)
    const port = raw.socket.localPort
    await raw.send(bytes)
    expect(await raw.closed()).toBe('')
    await eventually(() => refused(server) === 1)
    expect(told('proxy.refused')).toEqual([{ listener: server.addresses[0]!.name, address: '127.0.0.1', port, reason }])
    expect(server.status().counters.connectionsAccepted).toBe(0)
  })

  it('is counted when it closes before the header is whole', async () => {
    const { server, told } = await proxied()
    const raw = await silent(server)
    await raw.send('PROXY TCP4')
    raw.socket.destroy()
    await eventually(() => refused(server) === 1)
    expect(told('proxy.refused')).toMatchObject([{ reason: 'closed before its end' }])
    expect(reading(server)).toBe(0)
  })

  it('is closed after 1000 ms in all, whatever comes meanwhile', async () => {
    const clock = new ManualClock()
    const { server, told } = await proxied({ clock })
    const quiet = await silent(server)
    const slow = await silent(server)
    for (const part of ['PROX', 'Y TC', 'P4 ']) {
      await slow.send(part)
      clock.advance(300)
      await drained(server)
    }
    expect(reading(server)).toBe(2)
    expect([quiet.isClosed, slow.isClosed]).toEqual([false, false])
    clock.advance(200)
    expect(await Promise.all([quiet.closed(), slow.closed()])).toEqual(['', ''])
    expect(told('proxy.refused')).toMatchObject([{ reason: 'not whole in time' }, { reason: 'not whole in time' }])
    expect(refused(server)).toBe(2)
  })

  it('has no deadline left once the header is read', async () => {
    const clock = new ManualClock()
    const { server } = await proxied({ clock })
    const raw = await RawConnection.open(server.port)
    await raw.send(version1 + streamHeader())
    await raw.until('</stream:features>')
    clock.advance(5_000)
    await drained(server)
    expect([refused(server), server.status().connections, raw.isClosed]).toEqual([0, 1, false])
  })

  it('hurts nobody else: 300 at once, then a good one is served, and no acceptor has failed', async () => {
    const { server } = await proxied()
    const bad = await Promise.all(Array.from({ length: 300 }, () => RawConnection.open(server.port)))
    await Promise.all(
      bad.map((raw, index) => raw.send(index % 2 === 0 ? 'GET / HTTP/1.1\r\n\r\n' : `${signature}\x31`)),
    )
    const client = await session({ port: await balancer(server.port, version1) }, 'romeo')
    await client.settled()
    expect(await Promise.all(bad.map(raw => raw.closed()))).toEqual(bad.map(() => ''))
    expect(server.status().counters).toMatchObject({ proxyHeadersRefused: 300, actorFaults: 0 })
    expect(acceptors(server)).toHaveLength(2)
  })

  it('is XML to a listener that expects none: a header is not-well-formed', async () => {
    const server = await startedServer()
    for (const header of [version1, version2]) {
      const raw = await RawConnection.open(server.port)
      await raw.send(header)
      expect(await raw.closed()).toMatch(/<stream:stream .*<not-well-formed .*<\/stream:stream>$/s)
    }
  })
})

describe('num_acceptors where PROXY headers are read (§1.3)', () => {
  it('is how many headers are read at once; a further connection is served when a slot is free', async () => {
    const clock = new ManualClock()
    const { server } = await proxied({ clock })
    const mute = [await silent(server), await silent(server)]
    const good = await RawConnection.open(server.port)
    await good.send(version1 + streamHeader())
    await eventually(() => waiting(server) === 1)
    expect(acceptors(server)).toHaveLength(2)
    expect(good.text).toBe('')
    clock.advance(1_100)
    await good.until('</stream:features>')
    for (const raw of mute) expect(await raw.closed()).toBe('')
    expect([waiting(server), reading(server), good.isClosed]).toEqual([0, 0, false])
  })

  it('holds a slot no longer than the header takes: the connections behind it are not counted', async () => {
    const { server } = await proxied({ listener: { num_acceptors: 1 } })
    for (let i = 0; i < 5; i++) {
      const raw = await RawConnection.open(server.port)
      await raw.send(version1 + streamHeader())
      await raw.until('</stream:features>')
    }
    expect([server.status().connections, reading(server)]).toEqual([5, 0])
  })

  it('prefers acceptors that are free: one silent connection delays nobody', async () => {
    const { server } = await proxied({ clock: new ManualClock() })
    await silent(server)
    for (let i = 0; i < 4; i++) {
      const raw = await RawConnection.open(server.port)
      await raw.send(version1 + streamHeader())
      await raw.until('</stream:features>')
    }
    expect(reading(server)).toBe(1)
  })

  it('serves those that wait in their turn, and those that left meanwhile take no time', async () => {
    const clock = new ManualClock()
    const { server } = await proxied({ clock, listener: { num_acceptors: 1 } })
    await silent(server)
    const left: RawConnection[] = []
    for (let i = 0; i < 5; i++) left.push(await RawConnection.open(server.port))
    await eventually(() => waiting(server) === 5)
    for (const raw of left) raw.socket.destroy()
    const good = await RawConnection.open(server.port)
    await good.send(version1 + streamHeader())
    await eventually(() => waiting(server) === 6)
    // One slot, once.
    clock.advance(1_100)
    await good.until('</stream:features>')
    expect(waiting(server)).toBe(0)
  })

  it('is restored when an acceptor fails: its connection is closed, those that wait are served by the next one', async () => {
    const { server } = await proxied({ clock: new ManualClock(), listener: { num_acceptors: 1 } })
    const mute = await silent(server)
    const good = await RawConnection.open(server.port)
    await good.send(version1 + streamHeader())
    await eventually(() => waiting(server) === 1)
    server.internals.runtime.fault(acceptors(server)[0]!.path, new Error('made by a test'))
    expect(await mute.closed()).toBe('')
    await good.until('</stream:features>')
  })

  it('leaves nobody behind at a stop: what is read and what waits is closed without a byte', async () => {
    const server = await startServer({ clock: new ManualClock(), listener: { proxy_protocol: true, num_acceptors: 1 } })
    const mute = await silent(server)
    const behind = await RawConnection.open(server.port)
    await eventually(() => waiting(server) === 1)
    await server.stop()
    expect([await mute.closed(), await behind.closed()]).toEqual(['', ''])
  })

  it('lets a bounded number wait, and destroys the ones above', () => {
    const admission = new Admission()
    const sockets = Array.from({ length: MAX_WAITING + 1 }, () => new net.Socket())
    for (const socket of sockets) admission.admit(socket)
    expect([admission.waiting, admission.refused]).toEqual([MAX_WAITING, 1])
    expect(sockets.filter(socket => socket.destroyed)).toEqual([sockets.at(-1)])
    const told: net.Socket[] = []
    sockets[0]!.destroy()
    admission.take(0, { tell: socket => told.push(socket) > 0 }, 1)
    expect(told).toEqual([sockets[1]])
    admission.close()
    expect([admission.waiting, sockets[2]?.destroyed, sockets.at(-2)?.destroyed]).toEqual([0, true, true])
  })
})
