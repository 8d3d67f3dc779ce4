import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createDebugRoute, type InspectOptions } from '../../src/http/debug.js'
import { createHealthHandler, type HealthStatus } from '../../src/http/health.js'
import { exchange, serveApp, testApp } from './raw.js'

let health: HealthStatus = 'ok'
const asked: { path: string; options: InspectOptions }[] = []
const inspect = (path: string, options: InspectOptions) => {
  asked.push({ path, options })
  return path === '' || path === '/root/listeners' ? { path, ...options } : undefined
}

let server: Awaited<ReturnType<typeof serveApp>>
beforeAll(async () => {
  const credentials = { username: 'admin', password: 's\u00e9:cret' }
  const routes = [
    { host: '_', path: '/', target: createHealthHandler(() => health) },
    await createDebugRoute({ host: '_', path: '/debug' }, { inspect, credentials: undefined }),
    await createDebugRoute({ host: '_', path: '/locked/' }, { inspect, credentials }),
  ]
  server = await serveApp((await testApp(routes)).app)
})
afterAll(() => server.close(0))

const ask = (method: string, target: string, headers: Record<string, string> = {}) => {
  const lines = Object.entries({ Host: 'localhost', ...headers }).map(([name, value]) => `${name}: ${value}\r\n`)
  return exchange(server.port, `${method} ${target} HTTP/1.1\r\n${lines.join('')}\r\n`)
}

describe('meerkat_health', () => {
  it.each([
    ['ok', 200],
    ['starting', 503],
    ['draining', 503],
    ['storage', 503],
  ] as const)('answers %s with %d', async (status, code) => {
    health = status
    const reply = await ask('GET', '/')
    expect(reply.status).toBe(code)
    expect(JSON.parse(reply.body)).toEqual({ status })
    expect(reply.headers).toMatchObject({
      'content-type': 'application/json; charset=utf-8',
      'cache-control': 'no-store',
    })
    const head = await ask('HEAD', '/')
    expect(head.status).toBe(code)
    expect(head.headers['content-length']).toBe(reply.headers['content-length'])
  })

  it('answers other methods with 405 and allow, and other paths with 404', async () => {
    const reply = await ask('POST', '/')
    expect(reply).toMatchObject({ status: 405, headers: { allow: 'GET, HEAD', 'content-length': '0' } })
    expect((await ask('GET', '/health')).status).toBe(404)
  })
})

describe('meerkat_debug', () => {
  it('answers with the tree that inspect gives, with defaults and with what was asked', async () => {
    expect(JSON.parse((await ask('GET', '/debug/actors')).body)).toEqual({ path: '', depth: 2, limit: 100, offset: 0 })
    const reply = await ask('GET', '/debug/actors/?path=%2Froot%2Flisteners&depth=0&limit=1000&offset=20')
    expect(JSON.parse(reply.body)).toEqual({ path: '/root/listeners', depth: 0, limit: 1_000, offset: 20 })
    expect((await ask('HEAD', '/debug/actors')).status).toBe(200)
  })

  it('answers 404 for a path where nobody is', async () => {
    const reply = await ask('GET', '/debug/actors?path=/root/nobody')
    expect(reply.status).toBe(404)
    expect(JSON.parse(reply.body)).toEqual({ error: 'no actor at /root/nobody' })
  })

  it.each(['depth=11', 'depth=-1', 'depth=', 'depth=1.5', 'depth=1e1', 'limit=0', 'limit=1001', 'limit=99999999999'])(
    'answers 400 for %s and says what is allowed',
    async query => {
      const before = asked.length
      const reply = await ask('GET', `/debug/actors?${query}`)
      expect(reply.status).toBe(400)
      expect(JSON.parse(reply.body).error).toContain('must be a whole number from')
      expect(asked).toHaveLength(before)
    },
  )

  it.each(['depht=1', 'toString=1', 'depth=1&depth=2', 'path=a&path=b'])('answers 400 for %s', async query => {
    expect((await ask('GET', `/debug/actors?${query}`)).status).toBe(400)
  })

  it('answers other methods with 405 and allow, other paths with 404', async () => {
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS']) {
      const reply = await ask(method, '/debug/actors')
      expect(reply).toMatchObject({ status: 405, headers: { allow: 'GET, HEAD', 'content-length': '0' } })
    }
    for (const path of ['/debug', '/debug/', '/debug/actors/x', '/debug//actors', '/debug/a%2Fb', '/debugger/actors']) {
      expect((await ask('GET', path)).status).toBe(404)
    }
  })

  it.each(['localhost', 'LOCALHOST:8088', '127.0.0.1', '127.0.0.1:5281', '[::1]', '[::1]:80'])(
    'HC-4: without credentials it answers to the Host %s',
    async Host => {
      expect((await ask('GET', '/debug/actors', { Host })).status).toBe(200)
    },
  )

  it.each(['evil.test', 'localhost.evil.test', '127.0.0.1.evil.test', '127.0.0.2', '[::2]', ''])(
    'HC-4: without credentials it answers 404 to the Host "%s"',
    async Host => {
      expect((await ask('GET', '/debug/actors', { Host })).status).toBe(404)
      expect((await ask('POST', '/debug/actors', { Host })).status).toBe(404)
    },
  )

  it('HC-4: sends no CORS headers', async () => {
    for (const method of ['GET', 'OPTIONS']) {
      const reply = await ask(method, '/debug/actors', { Origin: 'http://evil.test' })
      expect(Object.keys(reply.headers).filter(name => name.startsWith('access-control'))).toEqual([])
    }
  })

  const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`

  it('with credentials it answers to any Host, and to who knows them', async () => {
    const Authorization = basic('admin:s\u00e9:cret')
    expect((await ask('GET', '/locked/actors', { Host: 'chat.example.org', Authorization })).status).toBe(200)
    expect(
      (await ask('GET', '/locked/actors', { Authorization: Authorization.replace('Basic', 'bASIC') })).status,
    ).toBe(200)
  })

  it.each([
    ['nothing', undefined],
    ['another password', basic('admin:secret')],
    ['another user', basic('root:s\u00e9:cret')],
    ['less', basic('admin:s\u00e9')],
    ['nothing in it', basic(':')],
    ['a bearer token', 'Bearer abc'],
    ['a digest', 'Digest username="admin"'],
  ])('HR-2: with credentials it answers 401 to %s', async (_what, Authorization) => {
    const reply = await ask('GET', '/locked/actors?depth=x', Authorization === undefined ? {} : { Authorization })
    expect(reply).toMatchObject({ status: 401, body: '', headers: { 'www-authenticate': 'Basic realm="meerkat"' } })
  })

  it.each(['Basic', 'Basic !!!', 'Basic YWJj', 'Basic YWRtaW46eA', 'Negotiate abc', 'Bearer'])(
    'HR-2: with credentials it answers 400 to %s',
    async Authorization => {
      expect(await ask('GET', '/locked/actors', { Authorization })).toMatchObject({ status: 400, body: '' })
    },
  )

  it('HR-3: 405 comes before 401', async () => {
    expect((await ask('POST', '/locked/actors')).status).toBe(405)
  })
})
