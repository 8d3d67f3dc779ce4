import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { StartupError } from '../../src/observability/startup-error.js'
import { ManualClock } from '../support/clock.js'
import {
  actors,
  clientOf,
  connectionOf,
  eventually,
  PASSWORD,
  RawConnection,
  recordedEvents,
  session,
  startedServer,
  startInFolder,
  startServer,
  streamHeader,
} from '../support/server.js'

const certfile = join(import.meta.dirname, '../support/certificates/rsa.pem')
const shutdown =
  "<stream:error><system-shutdown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>"

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'meerkat-server-'))
  onTestFinished(() => rmSync(path, { recursive: true, force: true }))
  return path
}

/** A port that somebody else has. */
async function busyPort(): Promise<{ port: number; free(): Promise<void> }> {
  const server = net.createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const free = () => new Promise<void>(resolve => server.close(() => resolve()))
  onTestFinished(async () => {
    if (server.listening) await free()
  })
  return { port, free }
}

/** What a promise became, with the clock moved on in steps meanwhile. */
async function whileTimePasses<T>(clock: ManualClock, promise: Promise<T>, each = () => {}): Promise<T> {
  let isSettled = false
  const settle = () => {
    isSettled = true
  }
  promise.then(settle, settle)
  await eventually(() => {
    clock.advance(100)
    each()
    return isSettled
  })
  return promise
}

const refuses = async (port: number, host = '127.0.0.1') => {
  const socket = net.connect({ port, host })
  const refused = await Promise.race([
    once(socket, 'connect').then(() => false),
    once(socket, 'error').then(() => true),
  ]).catch(() => true)
  socket.destroy()
  return refused
}

describe('the addresses of listeners (§1.2)', () => {
  it('are each their own where the port is 0, and reported', async () => {
    const server = await startedServer({ listeners: [{}, {}, {}] })
    const ports = server.addresses.map(({ port }) => port)
    expect(new Set(ports).size).toBe(3)
    for (const port of ports) await clientOf({ port }).then(client => client.open())
    expect(server.addresses.map(({ name }) => name)).toEqual([
      'c2s-127.0.0.1-0-0',
      'c2s-127.0.0.1-0-1',
      'c2s-127.0.0.1-0-2',
    ])
  })

  it('may be of IPv6: a literal, or all with ip_version, which takes IPv4 too', async () => {
    const server = await startedServer({
      users: ['romeo'],
      listeners: [{ ip_address: '::1' }, { ip_address: undefined, ip_version: 6 }].map(({ ip_address, ...rest }) =>
        ip_address === undefined ? { ...rest, ip_address: '::' } : { ...rest, ip_address },
      ),
    })
    const [literal, all] = server.addresses
    expect(literal).toMatchObject({ address: '::1', name: 'c2s-v6-0-0' })
    for (const [port, host] of [
      [literal!.port, '::1'],
      [all!.port, '::1'],
      [all!.port, '127.0.0.1'],
    ] as const) {
      const client = await session({ port }, 'romeo', { host })
      expect(connectionOf(server, client).details.address).toBe(host)
    }
    expect(await refuses(literal!.port)).toBe(true)
  })

  it('are IPv6 where only ip_version says so', async () => {
    const server = await startedServer({ config: { listen: { c2s: [{ port: 0, ip_version: 6 }] } } })
    expect(server.addresses[0]?.address).toBe('::')
    const client = await clientOf(server, { host: '::1' })
    await client.open()
  })

  it('that are loopback are reachable on loopback only', async () => {
    const server = await startedServer()
    expect(server.addresses[0]?.address).toBe('127.0.0.1')
    expect(await refuses(server.port, '127.0.0.2')).toBe(true)
  })
})

describe('a port that is in use at the start (§1.2)', () => {
  it('is tried again every 100 ms, and had when it becomes free', async () => {
    const clock = new ManualClock()
    const events = recordedEvents()
    const { port, free } = await busyPort()
    const retries = () => events.records.filter(({ name }) => name === 'listener.retrying').length
    const starting = startServer({ clock, events, listener: { port } })
    let isFreed = false
    const server = await whileTimePasses(clock, starting, () => {
      if (retries() < 3 || isFreed) return
      isFreed = true
      void free()
    })
    onTestFinished(() => server.stop())
    expect(retries()).toBeGreaterThanOrEqual(3)
    expect(server.port).toBe(port)
    await clientOf(server).then(client => client.open())
  })

  it('is given up after 10 times, with an error that names address and port, and nothing is left behind', async () => {
    const clock = new ManualClock()
    const events = recordedEvents()
    const { port } = await busyPort()
    const place = folder()
    const starting = startInFolder(place, { clock, events, listener: { port } })
    const error: unknown = await whileTimePasses(clock, starting).catch(thrown => thrown)
    expect(error).toBeInstanceOf(StartupError)
    expect(error).toMatchObject({ problem: 'address-in-use', message: expect.stringContaining(`127.0.0.1:${port}`) })
    const retried = events.records.filter(({ name }) => name === 'listener.retrying')
    expect(retried.map(({ fields }) => fields.attempt)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    expect(events.records.filter(({ name }) => name === 'listener.failed')).toHaveLength(1)
    // The folder is free again.
    const next = await startInFolder(place)
    await next.stop()
  })

  it('closes the listeners that had theirs', async () => {
    const clock = new ManualClock()
    const events = recordedEvents()
    const { port } = await busyPort()
    await expect(whileTimePasses(clock, startServer({ clock, events, listeners: [{}, { port }] }))).rejects.toThrow(
      StartupError,
    )
    const bound = events.records.find(({ name }) => name === 'listener.bound')
    expect(await refuses(Number(bound?.fields.port))).toBe(true)
  })

  it('is another matter than an address that is not ours: that fails at once', async () => {
    const events = recordedEvents()
    const starting = startServer({ events, listener: { ip_address: '192.0.2.1' } })
    await expect(starting).rejects.toMatchObject({
      problem: 'address-not-available',
      message: expect.stringContaining('192.0.2.1:0'),
    })
    expect(events.records.some(({ name }) => name === 'listener.retrying')).toBe(false)
  })
})

describe('several hosts in one server (§2.1)', () => {
  it('have accounts of their own, and their users talk to each other', async () => {
    const server = await startedServer({ users: ['romeo'], config: { general: { hosts: ['localhost', 'b.example'] } } })
    await server.internals.authenticator.create('romeo', 'b.example', PASSWORD)
    const here = await session(server, 'romeo', { priority: 1 })
    const there = await session(server, 'romeo', { domain: 'b.example', priority: 1 })
    expect([here.bareJid, there.bareJid]).toEqual(['romeo@localhost', 'romeo@b.example'])
    await here.send(`<message to='${there.bareJid}'><body>ho</body></message>`)
    await there.receives(`<message from='${here.jid}'><body>ho</body></message>`)
    await there.send(`<message to='${here.jid}'><body>hi</body></message>`)
    await here.receives(`<message from='${there.jid}'><body>hi</body></message>`)
    expect((await there.ask('get', '<query xmlns="jabber:iq:roster"/>')).attrs.type).toBe('result')
  })
})

describe('one data_dir (DESIGN §8)', () => {
  it('is for one server at a time; the next has what the first stored', async () => {
    const place = folder()
    const first = await startInFolder(place)
    await first.internals.authenticator.create('romeo', 'localhost', PASSWORD)
    const second: unknown = await startInFolder(place).catch(thrown => thrown)
    expect(second).toBeInstanceOf(StartupError)
    expect(second).toMatchObject({ problem: 'data-dir-in-use' })
    const client = await session(first, 'romeo')
    await client.settled()
    await first.stop()
    const third = await startInFolder(place)
    onTestFinished(() => third.stop())
    await session(third, 'romeo')
  })
})

describe('a stop (DESIGN §8)', () => {
  it('tells every client system-shutdown, with a header first where there was none, and the trailer', async () => {
    const server = await startServer({ users: ['romeo'] })
    const inSession = await session(server, 'romeo', { resource: 'x' })
    const beforeLogin = await clientOf(server)
    await beforeLogin.open()
    const beforeBind = await clientOf(server)
    await beforeBind.open()
    await beforeBind.authenticate('PLAIN', 'romeo', PASSWORD)
    const silent = await RawConnection.open(server.port)
    const halfway = await RawConnection.open(server.port)
    await halfway.send(streamHeader().slice(0, 50))
    await eventually(() => server.status().connections === 5)
    await server.stop()
    for (const client of [inSession, beforeLogin, beforeBind]) {
      await client.streamError('system-shutdown')
      expect(await client.closed()).toEqual({ streamEnded: true })
    }
    for (const raw of [silent, halfway]) {
      expect(await raw.closed()).toMatch(/^<\?xml version='1.0'\?><stream:stream [^>]* version='1.0' xml:lang='en'>/)
      expect(raw.text.endsWith(shutdown)).toBe(true)
    }
  })

  it('tells clients over TLS likewise, and drops those in the middle of a handshake', async () => {
    const server = await startServer({ users: ['romeo'], listener: { tls: { mode: 'tls', certfile } } })
    const inSession = await session(server, 'romeo', { tls: 'direct' })
    const silent = await RawConnection.open(server.port)
    await eventually(() => server.status().connections === 2)
    await server.stop()
    await inSession.streamError('system-shutdown')
    expect(await silent.closed()).toBe('')
  })

  it('frees the port at once, and everything else', async () => {
    const first = await startServer({ users: ['romeo'] })
    const client = await session(first, 'romeo', { answersClose: false })
    await first.stop()
    expect(await refuses(first.port)).toBe(true)
    const second = await startedServer({ listener: { port: first.port } })
    expect(second.port).toBe(first.port)
    expect(actors(first).filter(({ kind }) => kind === 'Connection')).toEqual([])
    await client.streamError('system-shutdown')
  })

  it('goes step by step: no more connections, then the clients, then the modules and the store', async () => {
    const clock = new ManualClock()
    const events = recordedEvents()
    const place = folder()
    const server = await startInFolder(place, { clock, events })
    for (const user of ['romeo', 'juliet']) await server.internals.authenticator.create(user, 'localhost', PASSWORD)
    const romeo = await session(server, 'romeo', { priority: 1 })
    const juliet = await session(server, 'juliet', { resource: 'slow', priority: 1 })
    // Juliet reads nothing for a while: what is with her socket has to go out, what waits behind it has to be kept.
    juliet.pause()
    let fillers = 0
    for (; !connectionOf(server, juliet).details.isBlocked; fillers++) {
      await romeo.send(`<message to='${juliet.jid}' type='chat'><body>${'x'.repeat(100_000)}</body></message>`)
      await romeo.settled()
    }
    for (let i = 0; i < 20; i++)
      await romeo.send(`<message to='juliet@localhost' type='chat'><body>${i}</body></message>`)
    await romeo.settled()

    let isStopped = false
    const stopping = server.stop('test').then(() => {
      isStopped = true
    })
    expect(server.stop()).toBeInstanceOf(Promise)
    expect(await refuses(server.port)).toBe(true)
    await romeo.streamError('system-shutdown')
    expect(server.status()).toMatchObject({ state: 'draining' })
    expect(server.internals.store.isOpen).toBe(true)
    expect(isStopped).toBe(false)

    juliet.resume()
    for (let i = 0; i < fillers; i++) await juliet.receives('<message/>')
    await juliet.streamError('system-shutdown')
    await stopping
    expect(server.internals.store.isOpen).toBe(false)
    expect(server.status()).toMatchObject({ sessions: 0, connections: 0 })
    expect(events.records.filter(({ name }) => /^server\.sto/.test(name)).map(({ name }) => name)).toEqual([
      'server.stopping',
      'server.stopped',
    ])

    const again = await startInFolder(place)
    onTestFinished(() => again.stop())
    const later = await session(again, 'juliet')
    await later.send('<presence/>')
    for (let i = 0; i < 20; i++) await later.receives(`<message><body>${i}</body></message>`)
  })

  it('waits for a client that does not read no longer than shutdown_timeout', async () => {
    const clock = new ManualClock()
    const server = await startServer({
      users: ['romeo', 'juliet'],
      clock,
      config: { general: { hosts: ['localhost'], shutdown_timeout: 3_000 } },
    })
    const romeo = await session(server, 'romeo')
    const juliet = await session(server, 'juliet', { priority: 1 })
    juliet.pause()
    while (!connectionOf(server, juliet).details.isBlocked) {
      await romeo.send(`<message to='${juliet.jid}' type='chat'><body>${'x'.repeat(100_000)}</body></message>`)
      await romeo.settled()
    }
    let isStopped = false
    const stopping = server.stop().then(() => {
      isStopped = true
    })
    await romeo.streamError('system-shutdown')
    clock.advance(2_900)
    await new Promise(resolve => setImmediate(resolve))
    expect(isStopped).toBe(false)
    clock.advance(200)
    await stopping
    juliet.drop()
  })

  it('answers what was asked before it', async () => {
    const server = await startServer({ users: ['romeo'] })
    const romeo = await session(server, 'romeo')
    await romeo.send("<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>")
    await romeo.receives('<iq type="result" id="r"/>')
    await server.stop()
    await romeo.streamError('system-shutdown')
  })
})
