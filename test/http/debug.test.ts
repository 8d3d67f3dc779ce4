import { describe, expect, it } from 'vitest'
import { httpPort } from '../support/bosh.js'
import { sharedServer } from '../support/server.js'
import { exchange } from './raw.js'

const shared = sharedServer({
  config: {
    listen: {
      http: [
        {
          port: 0,
          ip_address: '127.0.0.1',
          handlers: {
            meerkat_debug: [
              { host: '_', path: '/debug' },
              { host: '_', path: '/locked/', username: 'admin', password: 's\u00e9:cret' },
            ],
          },
        },
      ],
    },
  },
})

const ask = (method: string, target: string, headers: Record<string, string> = {}, body = '') => {
  const lines = Object.entries({ Host: 'localhost', ...headers }).map(([name, value]) => `${name}: ${value}\r\n`)
  const length = body === '' ? '' : `Content-Length: ${Buffer.byteLength(body)}\r\n`
  return exchange(httpPort(shared()), `${method} ${target} HTTP/1.1\r\n${lines.join('')}${length}\r\n${body}`)
}

describe('who may ask meerkat_debug, and how', () => {
  it('answers with the tree as inspect gives it, with defaults and with what was asked', async () => {
    const { path, children } = JSON.parse((await ask('GET', '/debug/actors')).body)
    expect(path).toBe('/root')
    const listeners = children.items.find(({ name }: { name: string }) => name === 'listeners')
    expect(listeners.children.items[0].children).toBeUndefined()
    const reply = await ask('GET', '/debug/actors/?path=%2Froot%2Flisteners&depth=1&limit=1&offset=1')
    expect(JSON.parse(reply.body)).toMatchObject({
      path: '/root/listeners',
      children: { total: 2, offset: 1, items: [{ kind: 'Listener' }] },
    })
    expect((await ask('HEAD', '/debug/actors')).status).toBe(200)
  })

  it('answers 404 for a path where nobody is', async () => {
    const reply = await ask('GET', '/debug/actors?path=/root/nobody')
    expect(reply.status).toBe(404)
    expect(JSON.parse(reply.body)).toEqual({ error: 'no actor at /root/nobody' })
  })

  it.each([
    'depth=11',
    'depth=-1',
    'depth=',
    'depth=1.5',
    'depth=1e1',
    'limit=0',
    'limit=1001',
    'limit=99999999999',
    'view=brief&limit=10001',
  ])('answers 400 for %s and says what is allowed', async query => {
    const reply = await ask('GET', `/debug/actors?${query}`)
    expect(reply.status).toBe(400)
    expect(JSON.parse(reply.body).error).toContain('must be a whole number from')
  })

  it.each([
    'view=x',
    'counts=yes',
    'state=lazy',
    'mailbox=0',
    'jid=',
    'jid=a&depth=1',
    'path=/root&listener=a',
    'depht=1',
    'toString=1',
    'depth=1&depth=2',
    'path=a&path=b',
  ])('answers 400 for %s', async query => {
    expect((await ask('GET', `/debug/actors?${query}`)).status).toBe(400)
  })

  it('answers other methods with 405 and allow, other paths with 404', async () => {
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS']) {
      const reply = await ask(method, '/debug/actors')
      expect(reply).toMatchObject({ status: 405, headers: { allow: 'GET, HEAD', 'content-length': '0' } })
    }
    for (const path of ['/debug/actors/x', '/debug//actors', '/debug/a%2Fb', '/debugger/actors']) {
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

  it('HC-4: shows the page to whom it shows the tree', async () => {
    expect((await ask('GET', '/debug')).headers).toMatchObject({ 'content-type': 'text/html; charset=utf-8' })
    for (const path of ['/debug', '/debug/', '/debug/assets/index.html']) {
      expect((await ask('GET', path)).status).toBe(200)
      expect((await ask('GET', path, { Host: 'evil.test' })).status).toBe(404)
      expect((await ask('GET', path.replace('debug', 'locked'))).status).toBe(401)
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

  const json = { 'Content-Type': 'application/json' }

  it('answers every POST with 403 where the configuration has no credentials', async () => {
    for (const path of ['actors/stop', 'actors/restart', 'sessions/kick', 'log-level', 'heap-snapshot', 'trace']) {
      const reply = await ask('POST', `/debug/${path}`, json, '{"path":"/root/listeners"}')
      expect(reply.status).toBe(403)
      expect(JSON.parse(reply.body).error).toContain('username and a password')
      expect((await ask('POST', `/locked/${path}`, json, '{}')).status).toBe(401)
      expect(await ask('GET', `/debug/${path}`)).toMatchObject({ status: 405, headers: { allow: 'POST' } })
    }
  })

  it.each([
    ['a form', {}, '{"path":"/root/x"}', 415],
    ['a text', { 'Content-Type': 'text/plain' }, '{"path":"/root/x"}', 415],
    ['no JSON', json, '{', 400],
    ['a list', json, '[]', 400],
    ['too little', json, '{}', 400],
    ['too much', json, '{"path":"/root/x","also":1}', 400],
    ['16 KiB and more', json, `{"path":"${'x'.repeat(16_384)}"}`, 413],
    ['somebody who is not there', json, '{"path":"/root/x"}', 404],
    ['root', json, '{"path":"/root"}', 409],
    ['a branch', json, '{"path":"/root/listeners"}', 409],
  ])('answers a POST of %s as it says', async (_what, headers, body, status) => {
    const Authorization = basic('admin:s\u00e9:cret')
    const reply = await ask('POST', '/locked/actors/stop', { Authorization, ...headers }, body)
    expect(reply.status).toBe(status)
    expect(JSON.parse(reply.body).error).not.toBe('')
  })
})
