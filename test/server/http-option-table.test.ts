import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls'
import { describe, onTestFinished } from 'vitest'
import { httpListener } from '../../src/config/listen-http.js'
import { refusals } from '../../src/config/not-yet.js'
import type { TestServer } from '../../src/testing.js'
import { http, httpPort } from '../support/bosh.js'
import { digest } from '../support/component.js'
import { describeOptions, keysOf, type Row, type Table } from '../support/option-table.js'
import { freePort } from '../support/programs.js'
import { actorsOfKind, drained, eventually, RawConnection, session } from '../support/server.js'
import { webSocketClient, webSocketSession } from '../support/websocket.js'
import { enter, knock } from '../support/websocket-component.js'

/*
 * Every option of an HTTP listener, and of the handlers that are built, makes a difference that somebody outside can see.
 */

const file = (name: string) => join(import.meta.dirname, `../support/certificates/${name}.pem`)
const addressOf = ({ addresses }: TestServer) => addresses.find(({ protocol }) => protocol === 'http')?.address
const basic = (credentials: string) => ({ authorization: `Basic ${Buffer.from(credentials).toString('base64')}` })
const get = (server: TestServer, path: string, headers: Record<string, string> = {}) =>
  http(httpPort(server), undefined, { method: 'GET', path, headers })
const statusOf = async (server: TestServer, path: string, headers: Record<string, string> = {}) =>
  (await get(server, path, headers)).status

// ---- TLS

const withTls = (more: Table = {}) => ({ tls: { certfile: file('rsa'), ...more } })
/** What a client with this certificate, or with none, gets. */
const visit = async (server: TestServer, certificate?: string) => {
  const pem = certificate === undefined ? undefined : readFileSync(file(certificate))
  const request = http(httpPort(server), undefined, {
    method: 'GET',
    path: '/',
    tls: pem ? { cert: pem, key: pem } : {},
  })
  return Promise.resolve(request).then(
    ({ status }) => status,
    () => 'refused',
  )
}
const handshake = (server: TestServer, options: ConnectionOptions = {}) =>
  new Promise<TLSSocket>((resolve, reject) => {
    const socket = connect({ port: httpPort(server), host: '127.0.0.1', rejectUnauthorized: false, ...options })
    onTestFinished(() => void socket.destroy())
    socket.once('error', reject).once('secureConnect', () => resolve(socket))
  })
const on12: ConnectionOptions = { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' }
const suite = (cipher: string, key_exchange = 'ecdhe_rsa') => [
  { cipher, key_exchange, mac: 'aead', prf: cipher === 'aes_256_gcm' ? 'sha384' : 'sha256' },
]

// ---- handlers

/** A row for a key of a handler, which is one table of an array. */
function handlerRow(
  type: string,
  key: string,
  values: readonly [unknown, unknown],
  see: Row['see'],
  beside: Table = {},
): Row {
  const handlers = (value: unknown) => {
    const handler = { host: '_', path: '/here', ...beside, [key]: value }
    return { [type]: [Object.fromEntries(Object.entries(handler).filter(([, given]) => given !== undefined))] }
  }
  return {
    option: `handlers.${type}.${key}`,
    at: 'handlers',
    values: [handlers(values[0]), handlers(values[1])],
    see,
  }
}

/** Where a handler is mounted: by host and by path. */
const mounted = (type: string, beside: Table, status: (server: TestServer) => Promise<number>): Row[] => [
  handlerRow(type, 'host', ['localhost', 'other.example'], status, beside),
  handlerRow(type, 'path', ['/here', '/there'], status, { ...beside, path: undefined }),
]

/** The same for a key of the table `service`. */
function serviceRow(key: string, values: readonly [unknown, unknown], see: Row['see']): Row {
  const service = (value: unknown) => ({ password: 'secret', [key]: value })
  const row = handlerRow('mod_websockets', 'service', [service(values[0]), service(values[1])], see, {
    path: '/ws-xmpp',
  })
  return { ...row, option: `handlers.mod_websockets.service.${key}` }
}

const handlers = (type: string, more: Table = {}) => ({ handlers: { [type]: [{ host: '_', path: '/here', ...more }] } })
const folder = { path: '/here/[...]', type: 'priv_dir', app: 'cowboy_swagger', content_path: 'swagger' }
const locked = { username: 'admin', password: 'secret' }

const rows: readonly Row[] = [
  { option: 'port', values: [await freePort(), await freePort()], see: httpPort },
  { option: 'ip_address', values: ['127.0.0.1', '127.0.0.2'], see: addressOf },
  { option: 'ip_version', values: [4, 6], beside: { ip_address: undefined }, see: addressOf },
  { option: 'proto', values: ['tcp', 'udp'], mayRefuse: true, see: () => 'started' },
  {
    option: 'trusted_proxies',
    values: [[], ['127.0.0.1/32']],
    beside: handlers('mod_websockets'),
    async see(server) {
      await webSocketClient(httpPort(server), { path: '/here', headers: { 'x-forwarded-for': '192.0.2.7' } })
      return (await eventually(() => actorsOfKind(server, 'Connection')[0])).details.address
    },
  },
  {
    option: 'transport.num_acceptors',
    values: [1, 3],
    see: server => actorsOfKind(server, 'HttpAcceptor').length,
  },
  {
    option: 'transport.max_connections',
    values: [1, 2],
    async see(server) {
      const asking = 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'
      const first = await RawConnection.open(httpPort(server))
      await first.send(asking)
      await first.until('{"status":"ok"}')
      const second = await RawConnection.open(httpPort(server))
      await second.send(asking)
      // It would have been answered before the last of these.
      for (let count = 2; count <= 30; count++) {
        await first.send(asking)
        await eventually(() => first.text.split('{"status":"ok"}').length > count)
      }
      return second.text.includes('200')
    },
  },
  {
    option: 'protocol.compress',
    values: [false, true],
    beside: handlers('meerkat_debug'),
    see: async server =>
      (await get(server, '/here/actors?depth=9', { 'accept-encoding': 'gzip' })).headers['content-encoding'],
  },
  {
    option: 'tls.certfile',
    values: [file('rsa'), file('ecdsa')],
    see: async server => (await handshake(server)).getPeerCertificate().fingerprint256,
  },
  {
    option: 'tls.keyfile',
    values: [file('rsa-key'), file('other-key')],
    beside: withTls({ certfile: file('rsa-certificate') }),
    mayRefuse: true,
    see: server => visit(server),
  },
  {
    option: 'tls.password',
    values: ['secret', 'wrong'],
    beside: withTls({ certfile: file('rsa-encrypted') }),
    mayRefuse: true,
    see: server => visit(server),
  },
  {
    option: 'tls.cacertfile',
    values: [file('ca'), file('client-self-signed')],
    beside: withTls({ verify_peer: true }),
    see: server => visit(server, 'client'),
  },
  {
    option: 'tls.dhfile',
    values: [undefined, file('dh')],
    beside: withTls({ ciphers: suite('aes_128_gcm', 'dhe_rsa') }),
    see: async server => (await handshake(server, on12)).getEphemeralKeyInfo(),
  },
  {
    option: 'tls.verify_peer',
    values: [false, true],
    beside: withTls({ cacertfile: file('ca') }),
    see: server => visit(server),
  },
  {
    option: 'tls.verify_mode',
    values: ['peer', 'selfsigned_peer'],
    beside: withTls({ verify_peer: true, cacertfile: file('ca') }),
    see: server => visit(server, 'client-self-signed'),
  },
  {
    option: 'tls.ciphers',
    values: [suite('aes_128_gcm'), suite('aes_256_gcm')],
    beside: withTls(),
    see: async server => (await handshake(server)).getCipher().name,
  },
  {
    option: 'tls.versions',
    values: [['tlsv1.2'], ['tlsv1.3']],
    beside: withTls(),
    see: async server => (await handshake(server)).getProtocol(),
  },

  ...mounted('mod_bosh', {}, server => statusOf(server, '/here')),
  ...mounted('mod_websockets', {}, server => statusOf(server, '/here')),
  handlerRow('mod_websockets', 'timeout', [500, 'infinity'], async (server, clock) => {
    const client = await webSocketClient(httpPort(server), { path: '/here' })
    await eventually(() => actorsOfKind(server, 'Connection').length === 1)
    clock.advance(1_000)
    await drained(server)
    client.socket.ping('there')
    await Promise.race([client.closed, eventually(() => client.pongs.includes('there'))])
    return client.isClosed
  }),
  handlerRow('mod_websockets', 'ping_rate', [100, 'none'], async (server, clock) => {
    const client = await webSocketClient(httpPort(server), { path: '/here' })
    await eventually(() => actorsOfKind(server, 'Connection').length === 1)
    clock.advance(150)
    await drained(server)
    client.socket.ping('there')
    await eventually(() => client.pongs.includes('there'))
    return client.pings.length
  }),
  handlerRow('mod_websockets', 'max_stanza_size', [500, 5_000], async server => {
    const client = await webSocketSession(httpPort(server), 'romeo', { path: '/here' })
    client.send(`<message to='romeo@localhost'><body>${'x'.repeat(1_000)}</body></message>`)
    await Promise.race([client.closed, client.settled().catch(() => undefined)])
    return client.isClosed
  }),
  serviceRow('password', ['secret', 'other'], async server => {
    const bot = await knock(server, 'bot.localhost', '', id => digest(id, 'other'))
    return (await bot.until(/<handshake\/>|<\/stream:error>/)).includes('<handshake/>')
  }),
  serviceRow('access', ['all', 'none'], async server => {
    const bot = await knock(server, 'bot.localhost')
    return (await bot.until(/<handshake\/>|<\/stream:error>/)).includes('<handshake/>')
  }),
  {
    ...serviceRow('shaper_rule', ['none', 'slow'], async server => {
      await enter(server, 'bot.localhost')
      return actorsOfKind(server, 'ComponentConnection')[0]?.details.rate
    }),
    config: { shaper: { slow: { max_rate: 5_000 } } },
  },
  serviceRow('check_from', [true, false], async server => {
    const bot = await enter(server, 'bot.localhost')
    const romeo = await session(server, 'romeo', { priority: 0 })
    for (const from of ['other.example', 'bot.localhost'])
      bot.send(`<message from='${from}' to='${romeo.jid}' id='${from}'/>`)
    await romeo.receives('<message id="bot.localhost"/>')
    return bot.text.includes('other.example')
  }),
  serviceRow('hidden_components', [false, true], async server => {
    await enter(server, 'bot.localhost')
    const romeo = await session(server, 'romeo')
    const items = await romeo.ask('get', `<query xmlns='http://jabber.org/protocol/disco#items'/>`, { to: 'localhost' })
    return String(items).includes('bot.localhost')
  }),
  serviceRow('conflict_behaviour', ['disconnect', 'kick_old'], async server => {
    const first = await enter(server, 'bot.localhost')
    const second = await knock(server, 'bot.localhost')
    await Promise.race([first.closed(), second.closed()])
    return [first, second].map(({ text }) => text.includes('<conflict '))
  }),
  serviceRow('max_fsm_queue', [5, 500], async server => {
    await enter(server, 'bot.localhost')
    for (let count = 0; count < 10; count++) server.route(`<message from='localhost' to='bot.localhost' type='error'/>`)
    await drained(server)
    return actorsOfKind(server, 'ComponentConnection').length
  }),

  ...mounted('meerkat_debug', {}, server => statusOf(server, '/here/actors')),
  handlerRow(
    'meerkat_debug',
    'username',
    ['admin', 'other'],
    server => statusOf(server, '/here/actors', basic('admin:secret')),
    locked,
  ),
  handlerRow(
    'meerkat_debug',
    'password',
    ['secret', 'other'],
    server => statusOf(server, '/here/actors', basic('admin:secret')),
    locked,
  ),
  ...mounted('mongoose_api_admin', {}, server => statusOf(server, '/here/commands')),
  handlerRow(
    'mongoose_api_admin',
    'username',
    ['admin', 'other'],
    server => statusOf(server, '/here/commands', basic('admin:secret')),
    locked,
  ),
  handlerRow(
    'mongoose_api_admin',
    'password',
    ['secret', 'other'],
    server => statusOf(server, '/here/commands', basic('admin:secret')),
    locked,
  ),
  ...mounted('meerkat_health', {}, server => statusOf(server, '/here')),
  ...mounted('mongoose_api', { handlers: ['mongoose_api_metrics'] }, server => statusOf(server, '/here/metrics')),
  handlerRow('mongoose_api', 'handlers', [['mongoose_api_metrics'], ['mongoose_api_users']], server =>
    statusOf(server, '/here/metrics'),
  ),
  ...mounted('mongoose_prometheus_handler', {}, server => statusOf(server, '/here')),
  ...mounted('mongoose_client_api_messages', {}, server => statusOf(server, '/here')),
  ...mounted('mongoose_client_api_contacts', {}, server => statusOf(server, '/here')),
  ...mounted('mongoose_client_api_rooms', {}, server => statusOf(server, '/here')),
  ...mounted('mongoose_client_api_rooms_config', {}, server => statusOf(server, '/here')),
  ...mounted('mongoose_client_api_rooms_users', {}, server => statusOf(server, '/here')),
  ...mounted('mongoose_client_api_rooms_messages', {}, server => statusOf(server, '/here')),
  ...mounted('lasse_handler', { module: 'mongoose_client_api_sse' }, server => statusOf(server, '/here')),
  {
    ...handlerRow('lasse_handler', 'module', ['mongoose_client_api_sse', 'other'], server => statusOf(server, '/here')),
    mayRefuse: true,
  },
  ...mounted('cowboy_swagger_redirect_handler', {}, server => statusOf(server, '/here')),
  ...mounted('cowboy_swagger_json_handler', {}, server => statusOf(server, '/here')),
  handlerRow(
    'cowboy_static',
    'host',
    ['localhost', 'other.example'],
    server => statusOf(server, '/here/index.html'),
    folder,
  ),
  handlerRow(
    'cowboy_static',
    'path',
    ['/here/[...]', '/there/[...]'],
    server => statusOf(server, '/here/index.html'),
    folder,
  ),
  // Each has one legal value.
  ...(['type', 'app', 'content_path'] as const).map(
    (key): Row => ({
      ...handlerRow(
        'cowboy_static',
        key,
        [folder[key], 'other'],
        server => statusOf(server, '/here/index.html'),
        folder,
      ),
      mayRefuse: true,
    }),
  ),
]

/** Of a handler that the server refuses, as not built or for good. */
function isRefused(key: string): boolean {
  const [where, type = ''] = key.split('.')
  return where === 'handlers' && refusals({ listen: { http: [{ handlers: { [type]: [{}] } }] } }, []).length > 0
}

describe('each option of [[listen.http]] makes a difference', () => {
  describeOptions({
    path: 'listen.http',
    keys: keysOf(httpListener).filter(key => !isRefused(key)),
    rows,
    defaults: {
      port: 0,
      ip_address: '127.0.0.1',
      transport: { num_acceptors: 2 },
      handlers: { meerkat_health: [{ host: '_' }] },
    },
    configOf: table => ({ listen: { http: [table] } }),
  })
})
