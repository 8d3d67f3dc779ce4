import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createStaticHandler } from '../../src/http/static-files.js'
import { startedServer } from '../support/server.js'
import { exchange, RawClient, type Reply, serveApp, testApp } from './raw.js'

/*
 * `cowboy_static`. spec/api-docs.md §3
 */

const script = `// ${'x'.repeat(100_000)}\n`
const written = new Date('2026-02-03T04:05:06.789Z')
const folder = mkdtempSync(join(tmpdir(), 'meerkat-static-'))
const root = join(folder, 'swagger')
const unixSocket = createServer()

let server: Awaited<ReturnType<typeof serveApp>>
beforeAll(async () => {
  mkdirSync(join(root, 'sub'), { recursive: true })
  const files = {
    'index.html': '<p>',
    'style.css': 'p {}',
    'code.js': script,
    'swagger.json': '{}',
    'logo.png': 'PNG',
    'favicon.ico': 'ICO',
    LICENCE: 'free',
    'empty.css': '',
    'sub/a b.html': 'inside',
    '../secret.html': 'secret',
  }
  for (const [name, content] of Object.entries(files)) {
    writeFileSync(join(root, name), content)
    utimesSync(join(root, name), written, written)
  }
  symlinkSync(join(folder, 'secret.html'), join(root, 'out.html'))
  symlinkSync(folder, join(root, 'up'))
  symlinkSync('index.html', join(root, 'within.html'))
  symlinkSync('loop.html', join(root, 'loop.html'))
  await new Promise<void>(resolve => unixSocket.listen(join(root, 'socket.html'), resolve))
  const routes = [{ host: '_', path: '/api-docs/[...]', target: createStaticHandler(root) }]
  server = await serveApp((await testApp(routes, { compress: true })).app)
})
afterAll(async () => {
  await server.close(0)
  await new Promise(resolve => unixSocket.close(resolve))
  rmSync(folder, { recursive: true })
})

const ask = (target: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Reply> => {
  const lines = Object.entries({ Host: 'localhost', ...headers }).map(([name, value]) => `${name}: ${value}\r\n`)
  return exchange(server.port, `${method} /api-docs/${target} HTTP/1.1\r\n${lines.join('')}\r\n`)
}
/** How many files of the process are open below the folder. */
const openFiles = () => (process.platform === 'linux' ? readdirSync('/proc/self/fd').length : 0)

describe('a file', () => {
  it.each([
    ['index.html', 'text/html', '<p>'],
    ['style.css', 'text/css', 'p {}'],
    ['code.js', 'application/javascript', script],
    ['swagger.json', 'application/json', '{}'],
    ['logo.png', 'image/png', 'PNG'],
    ['favicon.ico', 'image/x-icon', 'ICO'],
    ['LICENCE', 'application/octet-stream', 'free'],
    ['empty.css', 'text/css', ''],
    ['sub/a%20b.html', 'text/html', 'inside'],
    ['within.html', 'text/html', '<p>'],
  ])('D-10: %s is sent with its media type', async (name, type, body) => {
    const reply = await ask(name)
    expect(reply).toMatchObject({
      status: 200,
      body,
      headers: { 'content-type': type, 'content-length': String(body.length), 'accept-ranges': 'bytes' },
    })
  })

  it.each([
    ['the mount', '', 403],
    ['a folder', 'sub', 403],
    ['a folder with a slash', 'sub/', 403],
    ['what is no file', 'socket.html', 403],
    ['what is not there', 'nothing.html', 404],
    ['what would be below a file', 'index.html/x', 404],
    ['a name that is too long', 'x'.repeat(300), 404],
    ['a link to itself', 'loop.html', 404],
  ])('D-11: %s is not sent', async (_what, name, status) => {
    expect(await ask(name)).toMatchObject({ status, body: '', headers: { 'content-length': '0' } })
  })

  it('D-11: one that the server may not read is answered with 403', async ({ skip }) => {
    const { seteuid } = process
    if (seteuid === undefined || process.getuid?.() !== 0) skip('only root can give up what it may read')
    seteuid?.(65_534) // the folder is root's alone
    try {
      expect(await ask('index.html')).toMatchObject({ status: 403, body: '' })
    } finally {
      seteuid?.(0)
    }
    expect(await ask('index.html')).toMatchObject({ status: 200 })
  })

  it.each([
    ['encoded dots leave the mount', '%2e%2e/%2e%2e/etc/passwd', 404],
    ['dots leave the mount', '../../../etc/passwd', 404],
    ['dots that stay below it are resolved', 'sub/../index.html', 200],
    ['an encoded slash', '..%2f..%2fetc%2fpasswd', 400],
    ['an encoded slash to a file that is there', 'sub%2fa%20b.html', 400],
    ['an encoded backslash', '..%5csecret.html', 400],
    ['a NUL', 'index.html%00', 400],
    ['a bad escape', '%zz', 400],
    ['a link out of the folder', 'out.html', 404],
    ['a linked folder above', 'up/secret.html', 404],
    ['a linked folder above and back', 'up/swagger/index.html', 200],
  ])('D-12: %s', async (_what, name, status) => {
    const reply = await ask(name)
    expect(reply.status).toBe(status)
    expect(reply.body).not.toContain('secret')
  })
})

describe('a condition', () => {
  it('D-13: If-None-Match with the etag is answered with 304', async () => {
    const { headers } = await ask('index.html')
    expect(headers.etag).toMatch(/^"[0-9a-f]+-[0-9a-f]+"$/)
    const known = await ask('index.html', { 'If-None-Match': `"other", ${headers.etag}` })
    expect(known).toMatchObject({ status: 304, body: '', headers: { etag: headers.etag } })
    expect((await ask('index.html', { 'If-None-Match': '"other"' })).status).toBe(200)
  })

  it('D-13: If-Modified-Since the last change is answered with 304, before it with the file', async () => {
    const { headers } = await ask('index.html')
    expect(headers['last-modified']).toBe('Tue, 03 Feb 2026 04:05:06 GMT')
    expect((await ask('index.html', { 'If-Modified-Since': 'Tue, 03 Feb 2026 04:05:06 GMT' })).status).toBe(304)
    expect((await ask('index.html', { 'If-Modified-Since': 'Tue, 03 Feb 2026 04:05:05 GMT' })).status).toBe(200)
  })

  it('D-13: a file that changed has another etag', async () => {
    const before = await ask('style.css')
    writeFileSync(join(root, 'style.css'), 'q {}')
    const after = await ask('style.css', { 'If-None-Match': String(before.headers.etag) })
    expect(after).toMatchObject({ status: 200, body: 'q {}' })
    expect(after.headers.etag).not.toBe(before.headers.etag)
  })
})

describe('a range', () => {
  it.each([
    ['bytes=0-9', 0, 9],
    ['bytes=5-', 5, script.length - 1],
    ['bytes=-4', script.length - 4, script.length - 1],
    [`bytes=10-${script.length * 2}`, 10, script.length - 1],
    [`bytes=-${script.length * 2}`, 0, script.length - 1],
  ])('D-13: %s is answered with 206 and that part', async (range, start, end) => {
    const reply = await ask('code.js', { Range: range })
    expect(reply.status).toBe(206)
    expect(reply.headers).toMatchObject({
      'content-range': `bytes ${start}-${end}/${script.length}`,
      'content-type': 'application/javascript',
    })
    expect(reply.body).toBe(script.slice(start, end + 1))
  })

  it.each([
    ['code.js', `bytes=${script.length}-`, script.length],
    ['code.js', 'bytes=-0', script.length],
    ['empty.css', 'bytes=0-0', 0],
  ])('D-13: of %s, %s is answered with 416', async (name, range, size) => {
    const reply = await ask(name, { Range: range })
    expect(reply).toMatchObject({ status: 416, body: '', headers: { 'content-range': `bytes */${size}` } })
  })

  it.each(['bytes=0-1,3-4', 'bytes=5-2', 'lines=1-2', 'bytes=-', 'bytes=a-b'])(
    'D-13: %s is answered with the whole file',
    async range => {
      expect(await ask('index.html', { Range: range })).toMatchObject({ status: 200, body: '<p>' })
    },
  )

  it('D-13: If-Range gives a part only of the file that the client knows', async () => {
    const { etag = '', 'last-modified': changed = '' } = (await ask('index.html')).headers
    expect((await ask('index.html', { Range: 'bytes=0-0', 'If-Range': etag })).status).toBe(206)
    expect((await ask('index.html', { Range: 'bytes=0-0', 'If-Range': changed })).status).toBe(206)
    expect((await ask('index.html', { Range: 'bytes=0-0', 'If-Range': '"other"' })).status).toBe(200)
  })
})

describe('a method', () => {
  it('D-13: HEAD is answered as GET without the body', async () => {
    const reply = await ask('code.js', {}, 'HEAD')
    expect(reply.status).toBe(200)
    const { date: _, ...same } = (await ask('code.js')).headers
    expect(reply.headers).toMatchObject(same)
    expect(same['content-length']).toBe(String(script.length))
    expect((await ask('nothing.js', {}, 'HEAD')).status).toBe(404)
  })

  it.each(['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'])('D-13: %s is answered with 405', async method => {
    expect(await ask('index.html', {}, method)).toMatchObject({ status: 405, headers: { allow: 'GET, HEAD' } })
  })
})

describe('what is beside it', () => {
  it('D-14: protocol.compress leaves files as they are', async () => {
    const reply = await ask('code.js', { 'Accept-Encoding': 'gzip' })
    expect(reply.headers['content-encoding']).toBeUndefined()
    expect(reply.body).toBe(script)
  })

  it('keeps no file open, also when the client goes away in the middle', async () => {
    await ask('index.html')
    const before = openFiles()
    writeFileSync(join(root, 'big.bin'), Buffer.alloc(20_000_000))
    const client = new RawClient(server.port)
    client.socket.write('GET /api-docs/big.bin HTTP/1.1\r\nHost: localhost\r\n\r\n')
    await new Promise(resolve => client.socket.once('data', resolve))
    client.socket.destroy()
    await client.closed
    for (const headers of [{ 'If-None-Match': '*' }, { Range: 'bytes=-0' }]) await ask('index.html', headers)
    await ask('index.html', {}, 'HEAD')
    await expect.poll(openFiles, { timeout: 10_000 }).toBeLessThanOrEqual(before)
  })
})

describe('cowboy_static on a server', () => {
  const where = { host: '_', path: '/api-docs/[...]', type: 'priv_dir', app: 'cowboy_swagger', content_path: 'swagger' }
  const listener = (handler: object) => ({
    listen: { http: [{ port: 0, ip_address: '127.0.0.1', handlers: { cowboy_static: [handler] } }] },
  })

  it('D-9: serves the folder of the package, and nothing of it names another server (D-15)', async () => {
    const started = await startedServer({ config: listener(where) })
    const port = started.addresses.find(({ protocol }) => protocol === 'http')?.port ?? 0
    const page = await exchange(port, 'GET /api-docs/index.html HTTP/1.1\r\nHost: localhost\r\n\r\n')
    expect(page.status).toBe(200)
    const names = [...page.body.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, name]) => name)
    expect(names.length).toBeGreaterThan(0)
    expect(page.headers['content-security-policy']).toMatch(/^default-src 'none'; script-src 'self';/)
    for (const name of names) {
      const asset = await exchange(port, `GET /api-docs/${name} HTTP/1.1\r\nHost: localhost\r\n\r\n`)
      expect(asset.status).toBe(200)
      // Swagger UI has links in it, and names of namespaces; what it loads is seen in test/interop/swagger.test.ts.
      expect(asset.body.match(/(?:@import|url\()\W{0,2}https?:\/\/[^ ]*/g)).toBeNull()
    }
  })

  it.each([
    ['another type', { ...where, type: 'file' }, 'type'],
    ['an unknown package', { ...where, app: 'other' }, 'app'],
    ['a folder that the package does not have', { ...where, content_path: 'other' }, 'content_path'],
    ['no type', { ...where, type: undefined }, 'type'],
    ['no package', { ...where, app: undefined }, 'app'],
    ['no folder', { ...where, content_path: undefined }, 'content_path'],
    ['a path without [...]', { ...where, path: '/api-docs' }, 'path'],
  ])('D-9: %s is refused', async (_what, handler, key) => {
    const given = Object.fromEntries(Object.entries(handler).filter(([, value]) => value !== undefined))
    await expect(startedServer({ config: listener(given) })).rejects.toMatchObject({
      problems: [expect.objectContaining({ path: `listen.http[0].handlers.cowboy_static[0].${key}` })],
    })
  })
})
