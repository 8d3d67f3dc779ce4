import { createServer } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { TestServer } from '../../src/testing.js'
import {
  actors,
  actorsOfKind,
  eventually,
  RawConnection,
  recordedEvents,
  type Setup,
  sharedServer,
  startedServer,
} from '../support/server.js'
import { type WebSocketClient, webSocketClient, webSocketSession } from '../support/websocket.js'
import { exchange } from './raw.js'

const loopback = { port: 0, ip_address: '127.0.0.1', transport: { num_acceptors: 2 } }
const health = { meerkat_health: [{ host: '_' }] }

const withHttp = (http: readonly object[], more: Partial<Setup> = {}): Setup => ({
  ...more,
  config: { ...more.config, listen: { http } },
})
const ports = ({ addresses }: TestServer) =>
  addresses.filter(({ protocol }) => protocol === 'http').map(({ port }) => port)
const get = (path: string, headers: Record<string, string> = {}) => {
  const lines = Object.entries({ Host: 'localhost', ...headers }).map(([name, value]) => `${name}: ${value}\r\n`)
  return `GET ${path} HTTP/1.1\r\n${lines.join('')}\r\n`
}

describe('a listener', () => {
  it('HL-1: each has its own socket and its own handlers', async () => {
    const server = await startedServer(
      withHttp([
        { ...loopback, handlers: { meerkat_health: [{ host: '_', path: '/x' }] } },
        { ...loopback, handlers: health },
      ]),
    )
    const [first = 0, second = 0] = ports(server)
    expect(first).not.toBe(second)
    expect((await exchange(first, get('/x'))).status).toBe(200)
    expect((await exchange(second, get('/x'))).status).toBe(404)
  })

  it('HL-2: ip_address binds that address alone', async () => {
    const server = await startedServer(withHttp([{ ...loopback, ip_address: '127.0.0.2', handlers: health }]))
    const address = server.addresses.find(({ protocol }) => protocol === 'http')
    expect(address?.address).toBe('127.0.0.2')
    await expect(RawConnection.open(address?.port ?? 0)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    const raw = await RawConnection.open(address?.port ?? 0, { host: '127.0.0.2' })
    await raw.send(get('/'))
    await raw.until('HTTP/1.1 200')
  })

  it('HL-3: ip_version 6 binds ::, and IPv4 clients are shown by their own addresses', async () => {
    const handlers = { ...health, mod_websockets: [{ host: '_', path: '/ws-xmpp' }] }
    const server = await startedServer(
      withHttp([{ port: 0, ip_version: 6, transport: { num_acceptors: 1 }, handlers }]),
    )
    const [port = 0] = ports(server)
    const raw = await RawConnection.open(port, { host: '::1' })
    await raw.send(get('/'))
    await raw.until('HTTP/1.1 200')
    await webSocketClient(port)
    const connection = await eventually(() => actorsOfKind(server, 'Connection')[0])
    expect(connection.details.address).toBe('127.0.0.1')
  })

  it('HL-4: a port that is in use is tried again', async () => {
    const blocker = createServer()
    await new Promise<void>(resolve => blocker.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void blocker.close())
    const address = blocker.address()
    const port = typeof address === 'object' ? (address?.port ?? 0) : 0
    const events = recordedEvents()
    const starting = startedServer(withHttp([{ ...loopback, port, handlers: health }], { events }))
    await eventually(() => events.records.some(({ name }) => name === 'listener.retrying'))
    blocker.close()
    const server = await starting
    expect(ports(server)).toEqual([port])
    // Kept: 20 times, then it is given up.
    const refused = startedServer(withHttp([{ ...loopback, port, handlers: health }]))
    await expect(refused).rejects.toMatchObject({ problem: 'address-in-use' })
  })

  it('HL-5: two listeners on one port are refused, two on port 0 are not', async () => {
    const twice = [
      { ...loopback, port: 5280, handlers: health },
      { ...loopback, port: 5280, handlers: health },
    ]
    await expect(startedServer(withHttp(twice))).rejects.toThrow(/5280/)
    const server = await startedServer(withHttp([loopback, loopback]))
    expect(new Set(ports(server)).size).toBe(2)
  })

  it('says once that its clients may send passwords in clear text, however many handlers they come by', async () => {
    const handlers = {
      mod_websockets: [
        { host: '_', path: '/a' },
        { host: '_', path: '/b' },
      ],
      mod_bosh: [{ host: '_', path: '/http-bind' }],
    }
    const events = recordedEvents()
    const open = { port: 0, transport: { num_acceptors: 1 } }
    await startedServer(
      withHttp(
        [
          { ...open, handlers },
          { ...loopback, handlers },
          { ...open, handlers: health },
        ],
        { events },
      ),
    )
    const warnings = events.records.filter(
      ({ name, fields }) => name === 'config.warning' && /^listener http/.test(String(fields.path)),
    )
    expect(warnings.map(({ fields }) => fields)).toEqual([
      { path: 'listener http-0.0.0.0-0-0', text: 'clients may send passwords in clear text' },
    ])
  })

  it('HL-8: num_acceptors acceptors share the connections', async () => {
    const listener = { ...loopback, transport: { num_acceptors: 3 }, handlers: health }
    const server = await startedServer(withHttp([listener]))
    const [port = 0] = ports(server)
    for (let i = 0; i < 6; i++) await exchange(port, get('/'))
    const acceptors = actorsOfKind(server, 'HttpAcceptor')
    expect(acceptors).toHaveLength(3)
    expect(acceptors.map(({ details }) => details.admitted)).toEqual([2, 2, 2])
    for (const num_acceptors of [0, '10']) {
      await expect(startedServer(withHttp([{ ...loopback, transport: { num_acceptors } }]))).rejects.toThrow(
        /num_acceptors/,
      )
    }
  })
})

describe('trusted_proxies', () => {
  const handlers = { mod_websockets: [{ host: '_', path: '/ws-xmpp' }] }
  const trusting = sharedServer(
    withHttp([{ ...loopback, trusted_proxies: ['127.0.0.0/8', '2001:db8::/32'], handlers }]),
  )
  const distrusting = sharedServer(withHttp([{ ...loopback, trusted_proxies: ['10.0.0.0/8'], handlers }]))

  async function addressSeen(server: TestServer, headers: Record<string, string>): Promise<unknown> {
    const before = new Set(actorsOfKind(server, 'Connection').map(({ path }) => path))
    await webSocketClient(ports(server)[0] ?? 0, { headers })
    const found = await eventually(() => actorsOfKind(server, 'Connection').find(({ path }) => !before.has(path)))
    return found.details.address
  }

  it.each<[string, Record<string, string>]>([
    ['127.0.0.1', {}],
    ['192.0.2.7', { 'X-Forwarded-For': '192.0.2.7' }],
    ['192.0.2.7', { 'X-Forwarded-For': '198.51.100.1, 192.0.2.7' }],
    ['192.0.2.7', { 'X-Forwarded-For': 'rubbish, 192.0.2.7, 127.0.0.9' }],
    ['192.0.2.7', { Forwarded: 'for=192.0.2.7' }],
    ['192.0.2.7', { Forwarded: 'proto=https;for="192.0.2.7:4711";by=x' }],
    ['192.0.2.7', { Forwarded: 'for=192.0.2.7', 'X-Forwarded-For': '198.51.100.1' }],
    ['2001:db9::1', { Forwarded: 'for=198.51.100.1, for="[2001:db9::1]:4711"' }],
    ['2001:db9::1', { 'X-Forwarded-For': '2001:db9::1, 2001:db8::1' }],
    ['127.0.0.1', { Forwarded: 'for=unknown' }],
    ['127.0.0.1', { Forwarded: 'for=_hidden, for=unknown' }],
    ['127.0.0.1', { 'X-Forwarded-For': '999.2.3.4' }],
    ['127.0.0.9', { 'X-Forwarded-For': '192.0.2.7, nobody, 127.0.0.9' }],
    ['127.0.0.1', { 'X-Forwarded-For': '' }],
  ])('the client is %s with %o', async (address, headers) => {
    expect(await addressSeen(trusting(), headers)).toBe(address)
  })

  it('nobody else is believed', async () => {
    expect(await addressSeen(distrusting(), { 'X-Forwarded-For': '192.0.2.7', Forwarded: 'for=192.0.2.7' })).toBe(
      '127.0.0.1',
    )
  })

  it('registration sees the client behind the proxy', async () => {
    const setup = withHttp([{ ...loopback, trusted_proxies: ['127.0.0.1/32'], handlers }], {
      modules: { mod_register: { ip_access: [{ address: '192.0.2.0/24', policy: 'deny' }] } },
    })
    const server = await startedServer(setup)
    const register = '<query xmlns="jabber:iq:register"><username>nurse</username><password>x</password></query>'
    for (const [address, type] of [
      ['192.0.2.7', 'error'],
      ['198.51.100.7', 'result'],
    ] as const) {
      const client = await webSocketClient(ports(server)[0] ?? 0, { headers: { 'X-Forwarded-For': address } })
      await client.open()
      expect((await client.ask('set', register)).attrs.type).toBe(type)
    }
  })
})

describe('host-meta (XEP-0156)', () => {
  const handlers = {
    mod_websockets: [
      { host: '_', path: '/ws-xmpp' },
      { host: 'chat.example', path: '/chat' },
      { host: '_', path: '/ws/[:room]' },
    ],
  }
  const server = sharedServer(withHttp([{ ...loopback, handlers }]))
  const links = [
    { rel: 'urn:xmpp:alt-connections:websocket', href: 'ws://web.example:8080/ws-xmpp' },
    { rel: 'urn:xmpp:alt-connections:websocket', href: 'ws://chat.example:8080/chat' },
  ]

  it('lists the WebSocket handlers, under the name and port that the client asked, as JSON', async () => {
    const reply = await exchange(
      ports(server())[0] ?? 0,
      get('/.well-known/host-meta.json', { Host: 'Web.example:8080' }),
    )
    expect(reply.status).toBe(200)
    expect(reply.headers).toMatchObject({
      'access-control-allow-origin': '*',
      'content-type': 'application/json; charset=utf-8',
    })
    expect(JSON.parse(reply.body)).toEqual({ links })
  })

  it('and as XML', async () => {
    const reply = await exchange(ports(server())[0] ?? 0, get('/.well-known/host-meta', { Host: 'web.example:8080' }))
    expect(reply.headers).toMatchObject({
      'access-control-allow-origin': '*',
      'content-type': 'application/xrd+xml',
    })
    expect(reply.body).toBe(
      `<?xml version='1.0' encoding='utf-8'?>\n<XRD xmlns="http://docs.oasis-open.org/ns/xri/xrd-1.0">${links
        .map(({ rel, href }) => `<Link rel="${rel}" href="${href}"/>`)
        .join('')}</XRD>`,
    )
  })

  it('answers other methods with 405, and is not there without such handlers', async () => {
    const port = ports(server())[0] ?? 0
    const reply = await exchange(port, get('/.well-known/host-meta').replace('GET', 'DELETE'))
    expect(reply).toMatchObject({ status: 405, headers: { allow: 'GET, HEAD' } })
    const bare = await startedServer(withHttp([{ ...loopback, handlers: health }]))
    expect((await exchange(ports(bare)[0] ?? 0, get('/.well-known/host-meta'))).status).toBe(404)
  })
})

describe('the drain', () => {
  it('HL-6: a WebSocket that nobody has begun a stream on is ended too', async () => {
    const server = await startedServer(
      withHttp([{ ...loopback, handlers: { mod_websockets: [{ host: '_', path: '/ws-xmpp' }] } }]),
    )
    const idle = await webSocketClient(ports(server)[0] ?? 0)
    await eventually(() => actorsOfKind(server, 'Connection').length === 1)
    const stopped = server.stop()
    expect((await idle.next()).getName()).toBe('open')
    await idle.streamError('system-shutdown')
    await stopped
  })
})

describe('supervision', () => {
  const setup = withHttp([{ ...loopback, handlers: { mod_websockets: [{ host: '_', path: '/ws-xmpp' }], ...health } }])

  async function setUp() {
    const server = await startedServer({ users: ['romeo', 'juliet'], ...setup })
    const [port = 0] = ports(server)
    const fault = (path: string) => {
      expect(server.internals.runtime.fault(path, new Error('made by a test'))).toBe(true)
    }
    const pathOf = ({ jid }: WebSocketClient) => actors(server).find(({ details }) => details.jid === jid)?.path ?? ''
    return { server, port, fault, pathOf }
  }

  it('a stream whose actor fails is told internal-server-error, and the others go on', async () => {
    const { port, fault, pathOf } = await setUp()
    const [romeo, juliet] = [await webSocketSession(port, 'romeo'), await webSocketSession(port, 'juliet')]
    fault(pathOf(romeo))
    await romeo.streamError('internal-server-error')
    await juliet.settled()
  })

  it('an acceptor that fails takes its WebSockets with it, each told why, and starts again', async () => {
    const { server, port, fault, pathOf } = await setUp()
    const clients = [await webSocketSession(port, 'romeo'), await webSocketSession(port, 'juliet')]
    const acceptors = clients.map(client => pathOf(client).replace(/\/[^/]*$/, ''))
    expect(new Set(acceptors).size).toBe(2)
    fault(acceptors[0] ?? '')
    await clients[0]?.streamError('internal-server-error')
    await clients[1]?.settled()
    await webSocketSession(port, 'romeo')
    expect(actorsOfKind(server, 'HttpAcceptor')).toHaveLength(2)
  })

  it('a port that fails is bound again, and WebSockets live on', async () => {
    const { server, port, fault } = await setUp()
    const romeo = await webSocketSession(port, 'romeo')
    fault(actorsOfKind(server, 'SocketActor').find(({ path }) => path.includes('/http-'))?.path ?? '')
    await romeo.settled()
    await eventually(() => actorsOfKind(server, 'SocketActor').every(({ details }) => details.isListening))
    expect((await exchange(port, get('/'))).status).toBe(200)
    await webSocketSession(port, 'juliet')
    await romeo.settled()
  })
})
