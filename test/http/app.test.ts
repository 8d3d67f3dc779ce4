import { gunzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { empty, type HttpHandler, json } from '../../src/http/app.js'
import { StartupError } from '../../src/observability/startup-error.js'
import { exchange, RawClient, serveApp, testApp } from './raw.js'

const echo: HttpHandler = (ctx, asked) =>
  json(ctx, {
    host: asked.host,
    bindings: Object.fromEntries(asked.bindings),
    rest: asked.rest,
    query: ctx.querystring,
  })

const answering =
  (body: () => unknown): HttpHandler =>
  ctx => {
    ctx.body = body()
  }

const routes = [
  { host: '_', path: '/any/[...]', target: echo },
  { host: 'localhost', path: '/own/:name', target: echo },
  {
    host: '_',
    path: '/crash',
    target: (() => {
      throw new Error('a bug')
    }) as HttpHandler,
  },
  { host: '_', path: '/reject', target: (async () => Promise.reject('text')) as HttpHandler },
  {
    host: '_',
    path: '/half',
    target: (ctx => {
      ctx.respond = false
      ctx.res.writeHead(200, { 'content-length': '10' })
      ctx.res.write('half')
      throw new Error('in the middle')
    }) as HttpHandler,
  },
  { host: '_', path: '/circular', target: answering(circular) },
  { host: '_', path: '/long', target: answering(() => 'x'.repeat(301)) },
  { host: '_', path: '/short', target: answering(() => 'x'.repeat(300)) },
  { host: '_', path: '/none', target: (ctx => empty(ctx, 204)) as HttpHandler },
]

function circular(): object {
  const value: { self?: object } = {}
  value.self = value
  return value
}

let app: Awaited<ReturnType<typeof testApp>>
let server: Awaited<ReturnType<typeof serveApp>>
beforeAll(async () => {
  app = await testApp(routes)
  server = await serveApp(app.app)
})
afterAll(() => server.close(0))

const ask = (text: string) => exchange(server.port, text)

describe('the host of a request', () => {
  it.each([
    ['with a port', 'GET /own/x HTTP/1.1\r\nHost: localhost:8088\r\n\r\n', 'localhost'],
    ['in capitals', 'GET /own/x HTTP/1.1\r\nHost: LOCALHOST:8088\r\n\r\n', 'localhost'],
    ['with the dot of a full name', 'GET /own/x HTTP/1.1\r\nHost: localhost.\r\n\r\n', 'localhost.'],
    ['with an empty port', 'GET /own/x HTTP/1.1\r\nHost: localhost:\r\n\r\n', 'localhost'],
    ['in the target', 'GET http://localhost/own/x HTTP/1.1\r\nHost: localhost\r\n\r\n', 'localhost'],
    ['in the target, default port', 'GET HTTP://LocalHost:80/own/x HTTP/1.1\r\nHost: localhost\r\n\r\n', 'localhost'],
    ['in the target of HTTP/1.0', 'GET http://localhost/own/x HTTP/1.0\r\n\r\n', 'localhost'],
    ['missing in HTTP/1.0', 'GET /any HTTP/1.0\r\n\r\n', ''],
    ['empty', 'GET /any HTTP/1.1\r\nHost:\r\n\r\n', ''],
    ['an IPv6 address', 'GET /any HTTP/1.1\r\nHost: [::1]:80\r\n\r\n', '[::1]'],
  ])('HH-1: is accepted %s', async (_what, text, host) => {
    const reply = await ask(text)
    expect(reply.status).toBe(200)
    expect(JSON.parse(reply.body).host).toBe(host)
  })

  it.each([
    ['missing in HTTP/1.1', 'GET /any HTTP/1.1\r\n\r\n'],
    ['given twice', 'GET /any HTTP/1.1\r\nHost: localhost\r\nHost: evil.test\r\n\r\n'],
    ['given twice alike', 'GET /any HTTP/1.1\r\nHost: localhost\r\nhost: localhost\r\n\r\n'],
    ['two in one', 'GET /any HTTP/1.1\r\nHost: localhost, evil.test\r\n\r\n'],
    ['with user information', 'GET /any HTTP/1.1\r\nHost: a@localhost\r\n\r\n'],
    ['with a path', 'GET /any HTTP/1.1\r\nHost: localhost/x\r\n\r\n'],
    ['with a port that is none', 'GET /any HTTP/1.1\r\nHost: localhost:x\r\n\r\n'],
    ['with a port too high', 'GET /any HTTP/1.1\r\nHost: localhost:65536\r\n\r\n'],
    ['a broken IPv6 address', 'GET /any HTTP/1.1\r\nHost: [::1\r\n\r\n'],
    ['an open bracket of nothing', 'GET /any HTTP/1.1\r\nHost: [localhost]\r\n\r\n'],
    ['other than in the target', 'GET http://localhost/any HTTP/1.1\r\nHost: evil.test\r\n\r\n'],
    ['with another port than in the target', 'GET http://localhost:81/any HTTP/1.1\r\nHost: localhost\r\n\r\n'],
    ['empty in the target', 'GET http:///any HTTP/1.1\r\nHost:\r\n\r\n'],
    ['with user information in the target', 'GET http://a@localhost/any HTTP/1.1\r\nHost: localhost\r\n\r\n'],
    ['in the target of another scheme', 'GET ftp://localhost/any HTTP/1.1\r\nHost: localhost\r\n\r\n'],
  ])('HH-1: answers 400 and closes when it is %s', async (_what, text) => {
    const client = new RawClient(server.port)
    client.socket.write(text)
    const reply = await client.reply()
    await client.closed
    expect(reply.status).toBe(400)
    expect(reply.headers['content-length']).toBe('0')
    expect(client.text).toBe('')
  })

  it('HH-4: a foreign one gets 404 with an empty body, and the connection stays', async () => {
    const client = new RawClient(server.port)
    for (const [host, status] of [
      ['127.0.0.1', 404],
      ['localhost', 200],
    ]) {
      client.socket.write(`GET /own/x HTTP/1.1\r\nHost: ${host}\r\n\r\n`)
      const reply = await client.reply()
      expect(reply.status).toBe(status)
      if (status === 404) expect(reply.headers['content-length']).toBe('0')
    }
    client.socket.destroy()
  })
})

describe('the path of a request', () => {
  const get = (target: string) => ask(`GET ${target} HTTP/1.1\r\nHost: localhost\r\n\r\n`)

  it('is decoded after it was split, and keeps its query apart', async () => {
    expect(JSON.parse((await get('/own/bob%40x.org%2Fa?b=%2F')).body)).toMatchObject({
      bindings: { name: 'bob@x.org/a' },
      query: 'b=%2F',
    })
    expect(JSON.parse((await get('/zzz/../any//a/')).body)).toMatchObject({ rest: ['', 'a'] })
    expect(JSON.parse((await get('http://localhost?x')).status === 404 ? '{}' : 'x')).toEqual({})
  })

  it.each(['/own/%zz', '/own/%ff', '*', '//\u00f6'])('HP-1, HP-2: %j is answered with 400', async target => {
    expect((await get(target)).status).toBe(400)
  })

  it('HP-1: an inner empty segment counts', async () => {
    expect((await get('/own//x')).status).toBe(404)
    expect((await get('/own/x/')).status).toBe(200)
  })
})

describe('the app', () => {
  it('HL-7: names the server as the configuration says', async () => {
    const reply = await ask('GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n')
    expect(reply.headers.server).toBe('Classified')
  })

  it('refuses a route that is no pattern with a StartupError that names it', async () => {
    const bad = testApp([{ host: '_', path: '/a/[b', target: echo }])
    await expect(bad).rejects.toThrow(StartupError)
    await expect(bad).rejects.toThrow('/a/[b')
  })

  it.each([
    ['/crash', 'a bug'],
    ['/reject', 'text'],
  ])('HR-5: answers 500 when the handler of %s fails, tells once, and serves on', async (path, error) => {
    app.told.length = 0
    const failures = app.counters.httpFailures
    const client = new RawClient(server.port)
    client.socket.write(`GET ${path}?token=secret HTTP/1.1\r\nHost: x\r\n\r\n`)
    const reply = await client.reply()
    expect(reply).toMatchObject({ status: 500, body: '', headers: { 'content-length': '0', server: 'Classified' } })
    client.socket.write('GET /any HTTP/1.1\r\nHost: x\r\n\r\n')
    expect((await client.reply()).status).toBe(200)
    client.socket.destroy()
    expect(app.told).toHaveLength(1)
    expect(app.told[0]).toMatchObject({
      name: 'http.failed',
      fields: { request: reply.headers['x-request-id'], method: 'GET', path, error },
    })
    expect(app.counters.httpFailures).toBe(failures + 1)
  })

  it('HR-5: a handler that answers by itself is answered for when it fails, and serves on', async () => {
    const plain: HttpHandler = ctx => empty(ctx, 204)
    plain.plain = (request, response, { client }) => {
      if (request.method !== 'POST') return undefined
      if (request.url === '/plain?half') response.writeHead(200, { 'content-length': '10' }).write('half')
      if (request.url !== '/plain') return Promise.reject(new Error('a bug'))
      response.writeHead(200, { 'content-length': client.address.length }).end(client.address)
      return Promise.resolve()
    }
    const own = await testApp([{ host: '_', path: '/plain', target: plain }])
    const listening = await serveApp(own.app)
    const send = (line: string) => exchange(listening.port, `${line} HTTP/1.1\r\nHost: x\r\n\r\n`)
    const failed = await send('POST /plain?token=secret')
    expect(failed).toMatchObject({ status: 500, body: '', headers: { 'content-length': '0', server: 'Classified' } })
    await expect(send('POST /plain?half')).rejects.toThrow('closed after')
    expect(await send('POST /plain')).toMatchObject({ status: 200, body: '127.0.0.1' })
    expect((await send('GET /plain')).status).toBe(204)
    await listening.close(0)
    expect(own.told).toMatchObject([
      {
        name: 'http.failed',
        fields: { request: failed.headers['x-request-id'], method: 'POST', path: '/plain', error: 'a bug' },
      },
      { name: 'http.failed', fields: { method: 'POST', path: '/plain' } },
    ])
    expect(own.counters).toMatchObject({ httpRequests: 4, httpFailures: 2 })
  })

  it('HR-5: a handler that fails at an upgrade loses its connection and nothing else', async () => {
    const failing: HttpHandler = ctx => empty(ctx, 200)
    failing.upgrade = () => {
      throw new Error('a bug')
    }
    const own = await testApp([{ host: '_', path: '/up', target: failing }])
    const listening = await serveApp(own.app, { upgrade: own.upgrade })
    const client = new RawClient(listening.port)
    client.socket.write('GET /up?token=secret HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n')
    await client.closed
    expect(client.text).toBe('')
    expect(own.told).toMatchObject([{ name: 'http.failed', fields: { method: 'GET', path: '/up', error: 'a bug' } }])
    expect((await exchange(listening.port, 'GET /up HTTP/1.1\r\nHost: x\r\n\r\n')).status).toBe(200)
    await listening.close(0)
  })

  it('an upgrade that no handler takes is answered like any request, and its connection closes', async () => {
    const listening = await serveApp(app.app, { upgrade: app.upgrade })
    const client = new RawClient(listening.port)
    client.socket.write('GET /any/x HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n')
    const reply = await client.reply()
    expect(reply).toMatchObject({ status: 200, headers: { connection: 'close' } })
    expect(JSON.parse(reply.body)).toMatchObject({ rest: ['x'] })
    await client.closed
    await listening.close(0)
  })

  it('cuts an answer whose handler fails in the middle', async () => {
    const client = new RawClient(server.port)
    client.socket.write('GET /half HTTP/1.1\r\nHost: x\r\n\r\n')
    await client.closed
    expect(client.text).not.toContain('halfhalf')
    expect(app.told.at(-1)).toMatchObject({ name: 'http.failed', fields: { path: '/half', error: 'in the middle' } })
  })

  it('answers 500 when what a handler gave cannot be written as JSON', async () => {
    app.told.length = 0
    const reply = await ask('GET /circular HTTP/1.1\r\nHost: x\r\n\r\n')
    expect(reply.status).toBe(500)
    expect(app.told.map(record => record.name)).toEqual(['http.failed'])
  })

  it('says nothing about a client that went away', async () => {
    app.told.length = 0
    const client = new RawClient(server.port)
    client.socket.write('POST /any HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc')
    await client.reply()
    client.socket.resetAndDestroy()
    await client.closed
    expect((await ask('GET /any HTTP/1.1\r\nHost: x\r\n\r\n')).status).toBe(200)
    expect(app.told).toEqual([])
  })
})

describe('limits', () => {
  const get = (target: string, headers = '') => ask(`GET ${target} HTTP/1.1\r\nHost: x\r\n${headers}\r\n`)
  const length = 8_000 - 'GET  HTTP/1.1'.length

  it('§5: a request line has at most 8000 bytes', async () => {
    expect((await get(`/any/${'a'.repeat(length - 5)}`)).status).toBe(200)
    expect((await get(`/any/${'a'.repeat(length - 4)}`)).status).toBe(414)
    // node:http gives up before the line is whole, and its limit is that of the whole head.
    expect([414, 431]).toContain((await get(`/any/${'a'.repeat(200_000)}`)).status)
  })

  it('§5: a header has at most 64 bytes of name and 4096 of value, a request 100 headers', async () => {
    expect((await get('/any', `${'n'.repeat(64)}: ${'v'.repeat(4_096)}\r\n`)).status).toBe(200)
    expect((await get('/any', `${'n'.repeat(65)}: v\r\n`)).status).toBe(431)
    expect((await get('/any', `n: ${'v'.repeat(4_097)}\r\n`)).status).toBe(431)
    expect((await get('/any', 'n: v\r\n'.repeat(99))).status).toBe(200)
    expect((await get('/any', 'n: v\r\n'.repeat(100))).status).toBe(431)
    expect((await get('/any', 'n: v\r\n'.repeat(3_000))).status).toBe(431)
    expect((await get('/any', `n: ${'v'.repeat(200_000)}\r\n`)).status).toBe(431)
  })

  it.each(['FOO', 'get', 'X'.repeat(33), 'PROPFIND', 'TRACE'])(
    '§4.1, §5: the method %s is answered with 501',
    async method => {
      expect((await ask(`${method} /any HTTP/1.1\r\nHost: x\r\n\r\n`)).status).toBe(501)
    },
  )

  it('answers CONNECT with 501', async () => {
    expect((await ask('CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\n\r\n')).status).toBe(501)
  })

  it('§5: a body that announces more than 8 000 000 bytes is refused with 413 and the connection closed', async () => {
    const client = new RawClient(server.port)
    client.socket.write('POST /any HTTP/1.1\r\nHost: x\r\nContent-Length: 8000001\r\n\r\n')
    expect((await client.reply()).status).toBe(413)
    await client.closed
  })

  it.each([
    ['a TLS handshake', '\u0016\u0003\u0001\u0002\u0000\u0001'],
    ['a bad header', 'GET / HTTP/1.1\r\nHost x\r\n\r\n'],
    ['two lengths', 'GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n'],
    ['a length and chunks', 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n'],
  ])('answers %s with 400 and closes', async (_what, text) => {
    const client = new RawClient(server.port)
    client.socket.write(text, 'latin1')
    expect((await client.reply()).status).toBe(400)
    await client.closed
  })

  it('§5: 100 requests per connection, the last answer says close', async () => {
    const client = new RawClient(server.port)
    for (let i = 1; i <= 100; i++) {
      client.socket.write('GET /none HTTP/1.1\r\nHost: x\r\n\r\n')
      const reply = await client.reply()
      expect(reply.status).toBe(204)
      expect(reply.headers.connection).toBe(i < 100 ? 'keep-alive' : 'close')
    }
    await client.closed
  })
})

describe('compression', () => {
  let zipped: Awaited<ReturnType<typeof serveApp>>
  beforeAll(async () => {
    zipped = await serveApp((await testApp(routes, { compress: true })).app)
  })
  afterAll(() => zipped.close(0))
  const get = (path: string, accepted: string) =>
    exchange(
      zipped.port,
      `GET ${path} HTTP/1.1\r\nHost: x\r\n${accepted === '' ? '' : `Accept-Encoding: ${accepted}\r\n`}\r\n`,
    )

  it('HL-10: gzips what is longer than 300 bytes for who accepts gzip', async () => {
    const reply = await get('/long', 'br, gzip;q=0.5')
    expect(reply.headers).toMatchObject({ 'content-encoding': 'gzip', vary: 'accept-encoding' })
    expect(reply.headers['content-type']).toContain('text/plain')
    expect(gunzipSync(Buffer.from(reply.body, 'latin1')).toString()).toBe('x'.repeat(301))
  })

  it.each(['', 'identity', 'br', 'gzip;q=0'])('HL-10: sends it as it is to who accepts %j', async accepted => {
    const reply = await get('/long', accepted)
    expect(reply.headers['content-encoding']).toBeUndefined()
    expect(reply.headers.vary).toBe('accept-encoding')
    expect(reply.body).toHaveLength(301)
  })

  it('HL-10: leaves short answers alone, and everything where it is not configured', async () => {
    expect((await get('/short', 'gzip')).headers['content-encoding']).toBeUndefined()
    const plain = await ask('GET /long HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n')
    expect(plain.headers['content-encoding']).toBeUndefined()
  })
})
