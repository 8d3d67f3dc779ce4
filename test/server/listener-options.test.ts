import dgram from 'node:dgram'
import { once } from 'node:events'
import net from 'node:net'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { Admission } from '../../src/actors/acceptor.js'
import { openTcp } from '../../src/actors/socket.js'
import { StartupError } from '../../src/observability/startup-error.js'
import type { TestServer } from '../../src/testing.js'
import { ManualClock } from '../support/clock.js'
import {
  acceptorNames,
  actors,
  clientOf,
  eventually,
  RawConnection,
  recordedEvents,
  type Setup,
  session,
  startedServer,
  startServer,
} from '../support/server.js'
import { isWithoutSs, ss } from '../support/ss.js'

/*
 * The options of every XMPP listener that are about its port. Addresses, ports in use and port 0: lifecycle.test.ts.
 */

const certfile = join(import.meta.dirname, '../support/certificates/rsa.pem')

/** The server, or why there is none, with the clock moved on in steps meanwhile. */
async function outcome(setup: Setup & { clock: ManualClock }, each = () => {}): Promise<unknown> {
  const starting = startServer(setup)
  let isSettled = false
  const settle = () => {
    isSettled = true
  }
  starting.then(settle, settle)
  await eventually(() => {
    setup.clock.advance(100)
    each()
    return isSettled
  })
  return starting.catch((error: unknown) => error)
}

describe('two listeners on one port (§1.2, trap 26)', () => {
  it('of which one is a wildcard are two to the grammar and one to the system: the start fails and says so', async () => {
    const first = await startServer()
    const { port } = first
    await first.stop()
    const listeners = [{ port, ip_address: '0.0.0.0' }, { port }]
    expect(await outcome({ clock: new ManualClock(), listeners })).toMatchObject({
      problem: 'address-in-use',
      message: expect.stringContaining(`127.0.0.1:${port}`),
    })
  })

  it('of the same address are refused before anything starts', async () => {
    await expect(startServer({ listeners: [{ port: 5222 }, { port: 5222 }] })).rejects.toThrow(
      /belongs to listen\.c2s\[0\]/,
    )
  })
})

describe('backlog (§1.3)', () => {
  it("is the length of the kernel's accept queue, 100 when not given", async ({ skip }) => {
    if (isWithoutSs) skip(isWithoutSs)
    const server = await startedServer({ listeners: [{ backlog: 7 }, {}, { proxy_protocol: true, backlog: 9 }] })
    const lengths = server.addresses.map(({ port }) => ss('-lt', `sport = :${port}`).trim().split(/\s+/)[2])
    // The operating system has a limit of its own, which is above these.
    expect(lengths).toEqual(['7', '100', '9'])
  })
})

describe('num_acceptors (§1.3)', () => {
  it('is the number of acceptor actors, 100 when not given, with proxy_protocol too', async () => {
    for (const [options, count] of [
      [{ num_acceptors: 3 }, 3],
      [{ num_acceptors: 3, proxy_protocol: true }, 3],
      [{}, 100],
    ] as const) {
      const server = await startedServer({
        config: { listen: { c2s: [{ port: 0, ip_address: '127.0.0.1', ...options }] } },
      })
      expect(acceptorNames(server)).toHaveLength(count)
    }
  })

  it('does not bound TLS handshakes: with one acceptor, ten silent clients delay nobody', async () => {
    const listener = { num_acceptors: 1, tls: { mode: 'tls', certfile } }
    const server = await startedServer({ users: ['romeo'], listener, clock: new ManualClock() })
    for (let i = 0; i < 10; i++) await RawConnection.open(server.port)
    const client = await session(server, 'romeo', { tls: 'direct' })
    await client.settled()
    expect(server.status().connections).toBe(11)
  })
})

describe('accepted connections (§1.3)', () => {
  it('are kept alive by the kernel, with the first probe after 60 s', async ({ skip }) => {
    if (isWithoutSs) skip(isWithoutSs)
    const server = await startedServer()
    const client = await clientOf(server)
    await client.open()
    const timer = () => /keepalive,([\d.]+)(min|sec|ms)/.exec(ss('-to', `sport = :${server.port}`))
    // Until what was sent is acknowledged, another timer runs.
    const [, value, unit] = await eventually(() => timer() ?? undefined)
    const seconds = unit === 'min' ? 60 * Number(value) : Number(value)
    expect(seconds).toBeLessThanOrEqual(60)
    expect(seconds).toBeGreaterThan(30)
  })

  it('send small writes at once: nodelay is on', async () => {
    // What the kernel was told shows nowhere but in a mark of Node's.
    let accepted: net.Socket | undefined
    const admission = new Admission()
    admission.take(0, {
      tell(socket) {
        accepted = socket
        return true
      },
    })
    const listening = openTcp(admission)
    listening.listen({ address: '127.0.0.1', port: 0, backlog: 1 })
    await once(listening.server, 'listening')
    const address = listening.server.address()
    const client = net.connect({ host: '127.0.0.1', port: typeof address === 'object' && address ? address.port : 0 })
    onTestFinished(async () => {
      client.destroy()
      accepted?.destroy()
      await listening.close()
    })
    const socket = await eventually(() => accepted)
    const marks = Object.getOwnPropertySymbols(socket).filter(({ description }) => description === 'kSetNoDelay')
    expect(marks.map(mark => Reflect.get(socket, mark))).toEqual([true])
    expect(socket.isPaused()).toBe(true)
  })
})

describe('proto = "udp" (§1.2)', () => {
  const refuses = async (port: number) => {
    const socket = net.connect({ port, host: '127.0.0.1' })
    const [error] = await once(socket, 'error')
    return error.code === 'ECONNREFUSED'
  }

  /** Sends datagrams one after the other. */
  async function send(port: number, count: number, host = '127.0.0.1'): Promise<void> {
    const socket = dgram.createSocket(host.includes(':') ? 'udp6' : 'udp4')
    onTestFinished(() => void socket.close())
    for (let i = 0; i < count; i++) {
      await new Promise<void>((resolve, reject) => {
        socket.send('<stream:stream>', port, host, error => (error ? reject(error) : resolve()))
      })
    }
  }

  const udp = (server: TestServer) => server.addresses.find(({ protocol }) => protocol === 'udp')!

  async function udpServer(listener: object = {}) {
    const clock = new ManualClock()
    const events = recordedEvents()
    const server = await startedServer({
      clock,
      events,
      users: ['romeo'],
      listeners: [{ proto: 'udp', ...listener }, {}],
    })
    const told = (name: string) => events.records.filter(record => record.name === name).map(({ fields }) => fields)
    const dropped = (count: number) => eventually(() => server.status().counters.datagramsDropped === count)
    return { server, clock, told, dropped, port: udp(server).port }
  }

  it('binds a port of its own that takes no TCP, reported and in the tree; other listeners work', async () => {
    const { server, port, told } = await udpServer()
    expect(port).toBeGreaterThan(0)
    expect(udp(server)).toMatchObject({ name: 'c2s-udp-127.0.0.1-0-0', address: '127.0.0.1' })
    expect(await refuses(port)).toBe(true)
    expect(server.tree('/root/listeners/c2s-udp-127.0.0.1-0-0')).toMatchObject({
      kind: 'Listener',
      children: { items: [{ kind: 'SocketActor', details: { address: '127.0.0.1', port, isListening: true } }] },
    })
    expect(told('listener.bound')).toContainEqual({ listener: 'c2s-udp-127.0.0.1-0-0', address: '127.0.0.1', port })
    const client = await session({ port: server.addresses[1]!.port }, 'romeo')
    await client.settled()
  })

  it('says once at the start that there is no XMPP over UDP', async () => {
    const { told } = await udpServer()
    const path = 'listener c2s-udp-127.0.0.1-0-0'
    const warnings = told('config.warning').filter(fields => fields.path === path)
    expect(warnings).toEqual([{ path, text: expect.stringContaining('no XMPP over UDP') }])
  })

  it('drops datagrams and counts them, with a warning at the first and then one a minute at most', async () => {
    const { server, port, clock, told, dropped } = await udpServer()
    await send(port, 5)
    await dropped(5)
    expect(told('datagrams.dropped')).toEqual([{ listener: udp(server).name, count: 1 }])
    clock.advance(59_000)
    await send(port, 1)
    await dropped(6)
    expect(told('datagrams.dropped')).toHaveLength(1)
    clock.advance(1_000)
    await send(port, 2)
    await dropped(8)
    // Those that came meanwhile are in it.
    expect(told('datagrams.dropped').slice(1)).toEqual([{ listener: udp(server).name, count: 6 }])
    expect(server.status().counters).toMatchObject({ connectionsAccepted: 0, actorFaults: 0 })
  })

  it('may be of IPv6', async () => {
    const { server, port, dropped } = await udpServer({ ip_address: '::1' })
    expect(udp(server)).toMatchObject({ name: 'c2s-udp-v6-0-0', address: '::1' })
    await send(port, 1, '::1')
    await dropped(1)
  })

  it('may have the number of a TCP port', async () => {
    const first = await startServer()
    const { port } = first
    await first.stop()
    const server = await startedServer({ listeners: [{ port }, { port, proto: 'udp' }] })
    expect(server.addresses.map(({ name }) => name)).toEqual([`c2s-127.0.0.1-${port}`, `c2s-udp-127.0.0.1-${port}`])
    await send(port, 1)
    await eventually(() => server.status().counters.datagramsDropped === 1)
    await clientOf({ port }).then(client => client.open())
  })

  it('has its port again after a fault of the socket actor, and frees it at a stop', async () => {
    const { server, port, dropped, told } = await udpServer()
    const path = '/root/listeners/c2s-udp-127.0.0.1-0-0/socket'
    expect(server.internals.runtime.fault(path, new Error('made by a test'))).toBe(true)
    await eventually(() => told('listener.bound').length === 3)
    expect(told('listener.bound').at(-1)).toMatchObject({ port })
    await send(port, 1)
    await dropped(1)
    await server.stop()
    const next = dgram.createSocket('udp4')
    onTestFinished(() => void next.close())
    next.bind(port, '127.0.0.1')
    await once(next, 'listening')
  })

  it('tries a port that is in use 10 times, 100 ms apart, then fails with one line that names it', async () => {
    const clock = new ManualClock()
    const events = recordedEvents()
    const other = dgram.createSocket('udp4')
    other.bind(0, '127.0.0.1')
    await once(other, 'listening')
    let isClosed = false
    const close = () => {
      if (!isClosed) other.close()
      isClosed = true
    }
    onTestFinished(close)
    const { port } = other.address()
    const retries = () => events.records.filter(({ name }) => name === 'listener.retrying').length
    const failure = await outcome({ clock, events, listener: { port, proto: 'udp' } })
    expect(failure).toBeInstanceOf(StartupError)
    expect(failure).toMatchObject({ problem: 'address-in-use', message: expect.stringContaining(`127.0.0.1:${port}`) })
    expect(retries()).toBe(10)
    const server = await outcome({ clock, events, listener: { port, proto: 'udp' } }, () => {
      if (retries() >= 12) close()
    })
    expect(server).toMatchObject({ addresses: [{ port }] })
    await (server as TestServer).stop() // it is no error, as the line above says
  })

  it('fails at once for an address that is not ours', async () => {
    const starting = startServer({ listener: { proto: 'udp', ip_address: '192.0.2.1' } })
    await expect(starting).rejects.toMatchObject({ problem: 'address-not-available' })
  })
})

describe('a fault of the socket actor (§1.2)', () => {
  it('keeps the port number where the port was 0, also behind a balancer', async () => {
    const events = recordedEvents()
    const server = await startedServer({ events, listeners: [{ proxy_protocol: true }, {}] })
    const [first] = server.addresses
    const bound = () => events.records.filter(({ name }) => name === 'listener.bound').map(({ fields }) => fields)
    server.internals.runtime.fault(`/root/listeners/${first!.name}/socket`, new Error('made by a test'))
    await eventually(() => bound().length === 3)
    expect(bound().at(-1)).toMatchObject({ listener: first!.name, port: first!.port })
    const raw = await RawConnection.open(first!.port)
    await raw.send('<')
    expect(await raw.closed()).toBe('')
  })
})

/** The same on a plain port: flood.test.ts. */
describe('robustness (§6.6)', () => {
  const kinds = [
    ['behind a balancer', { proxy_protocol: true }],
    ['direct TLS', { tls: { mode: 'tls', certfile } }],
  ] as const

  it.each(kinds)('random bytes on a port (%s) end their connections and nothing else', async (_, listener) => {
    const server = await startedServer({ users: ['romeo'], listeners: [listener, {}], clock: new ManualClock() })
    let seed = 1
    const random = () => {
      seed = (seed * 48_271) % 0x7fff_ffff
      return seed & 255
    }
    const connections = await Promise.all(Array.from({ length: 100 }, () => RawConnection.open(server.port)))
    for (const connection of connections) {
      // A line feed ends what still could be a header; the rest is no XML, no PROXY and no TLS.
      await connection.send(Uint8Array.from([...Array.from({ length: 1 + random() }, random), 0, 10]))
      connection.socket.end()
    }
    await Promise.all(connections.map(connection => connection.closed()))
    await eventually(() => server.status().connections === 0)
    expect(server.status().counters.actorFaults).toBe(0)
    const client = await session({ port: server.addresses[1]!.port }, 'romeo')
    await client.settled()
  })

  it('random datagrams are dropped, as all are', async () => {
    const server = await startedServer({ listeners: [{ proto: 'udp' }, {}] })
    const socket = dgram.createSocket('udp4')
    onTestFinished(() => void socket.close())
    for (const size of [0, 1, 1_000, 9_000]) {
      await new Promise<void>((resolve, reject) => {
        const datagram = Buffer.alloc(size, 0xff)
        socket.send(datagram, server.addresses[0]!.port, '127.0.0.1', error => (error ? reject(error) : resolve()))
      })
    }
    await eventually(() => server.status().counters.datagramsDropped === 4)
    await clientOf(server).then(client => client.open())
  })

  it.each(kinds)('1000 connections that say nothing (%s) are all gone after their time', async (_, listener) => {
    const clock = new ManualClock()
    const server = await startedServer({ users: ['romeo'], listeners: [{ backlog: 1000, ...listener }, {}], clock })
    const before = actors(server).length
    const silent: RawConnection[] = []
    for (let batch = 0; batch < 10; batch++) {
      silent.push(...(await Promise.all(Array.from({ length: 100 }, () => RawConnection.open(server.port)))))
    }
    const client = await session({ port: server.addresses[1]!.port }, 'romeo')
    await client.settled()
    let left = silent.length
    for (const connection of silent) void connection.closed().then(() => left--)
    await eventually(() => {
      clock.advance(1_000)
      return left === 0
    })
    await eventually(() => server.status().connections === 1)
    await client.settled()
    expect(actors(server).length).toBe(before + 1)
    expect(server.status().counters.actorFaults).toBe(0)
  })
})
