import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { noContent, ok, Refused } from '../../src/http/rest/answer.js'
import { operation, resourceHandler } from '../../src/http/rest/resource.js'
import { exchange, serveApp, testApp } from './raw.js'

/*
 * The order in which the checks of spec/http-listener.md §4 answer, on a resource made for the purpose.
 */

const things = new Map([['a', 'first']])

const resource = resourceHandler<string>({
  authorize(ctx) {
    const name = ctx.get('x-user')
    if (name === 'broken') throw new Refused(400)
    if (name === '') throw new Refused(401, '', { 'www-authenticate': 'Basic realm="mongooseim"' })
    return name
  },
  headers: (ctx, methods) => (ctx.get('origin') === '' ? {} : { 'x-methods': methods.join(' ') }),
  exists: ({ bindings }) => things.has(bindings.get('id') ?? ''),
  operations: {
    GET: operation({
      description: 'Shows it.',
      responses: { 200: { description: '' } },
      query: z.object({ limit: z.coerce.number().int().min(0).default(50) }),
      handle: ({ user, bindings, query }) => ok({ user, id: bindings.get('id'), limit: query.limit }),
    }),
    PUT: operation({
      description: 'Makes it.',
      responses: { 204: { description: '' } },
      body: z.object({ text: z.string() }),
      wrongBody: problem => (problem === 'no JSON' ? 'malformed' : 'wrong member'),
      permit({ user }) {
        if (user === 'guest') throw new Refused(403)
      },
      handle({ body, bindings }) {
        if (body.text === 'boom') throw new Error('a bug')
        things.set(bindings.get('id') ?? '', body.text)
        return noContent
      },
    }),
    DELETE: operation({ description: 'Removes it.', responses: {}, handle: () => noContent }),
  },
})

let server: Awaited<ReturnType<typeof serveApp>>
beforeAll(async () => {
  server = await serveApp((await testApp([{ host: '_', path: '/things/:id', target: resource }])).app)
})
afterAll(() => server.close(0))

const ask = (line: string, headers: Record<string, string> = {}, body = '') => {
  const all = { Host: 'localhost', ...(body !== '' && { 'Content-Length': `${Buffer.byteLength(body)}` }), ...headers }
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`)
  return exchange(server.port, `${line} HTTP/1.1\r\n${lines.join('')}\r\n${body}`)
}
const user = { 'X-User': 'dora' }
const json = { 'Content-Type': 'application/json; charset=utf-8' }

describe('a REST request (spec/http-listener.md §4)', () => {
  it('is answered with JSON that says no charset', async () => {
    const reply = await ask('GET /things/a?limit=3&more=x', user)
    expect(reply).toMatchObject({ status: 200, headers: { 'content-type': 'application/json' } })
    expect(JSON.parse(reply.body)).toEqual({ user: 'dora', id: 'a', limit: 3 })
  })

  it('step 2 before 3: another method gets 405 with allow, logged in or not (HR-3, HR-1)', async () => {
    for (const method of ['PATCH', 'POST', 'HEAD']) {
      const reply = await ask(`${method} /things/a`)
      expect(reply).toMatchObject({ status: 405, headers: { allow: 'OPTIONS, GET, PUT, DELETE' }, body: '' })
    }
  })

  it('step 3 before 5, 6 and 7: nobody gets 401, and a header that is none 400 (HR-2, HR-3)', async () => {
    const reply = await ask('GET /things/zorro', { Accept: 'text/plain' })
    expect(reply).toMatchObject({ status: 401, headers: { 'www-authenticate': 'Basic realm="mongooseim"' }, body: '' })
    expect((await ask('PUT /things/a', { 'X-User': 'broken' })).status).toBe(400)
  })

  it('step 4: OPTIONS is answered with 200 and nothing, without credentials (RC-4)', async () => {
    const reply = await ask('OPTIONS /things/zorro', { Origin: 'https://web.example', Accept: 'text/plain' })
    expect(reply).toMatchObject({ status: 200, headers: { 'x-methods': 'OPTIONS GET PUT DELETE' }, body: '' })
  })

  it.each([
    ['text/plain', 406],
    ['application/xml;q=1, text/*', 406],
    ['nonsense', 400],
    ['a/b;;=', 400],
    ['*/*', 200],
    ['application/*;q=0.1', 200],
    ['application/json; charset="a,b"', 400],
  ])('step 5: Accept: %s gets %d', async (accept, status) => {
    expect((await ask('GET /things/a', { ...user, Accept: accept })).status).toBe(status)
  })

  it('step 6 before 7 and 8: what is not there gets 404, but PUT goes on', async () => {
    expect((await ask('GET /things/zorro?limit=x', user)).status).toBe(404)
    expect((await ask('DELETE /things/zorro', user)).status).toBe(404)
    expect((await ask('PUT /things/new', { ...user, ...json }, '{"text":"t"}')).status).toBe(204)
    expect((await ask('DELETE /things/new', user)).status).toBe(204)
  })

  it('step 7 before what the operation permits, and that before the body is read (RC-7)', async () => {
    const guest = { 'X-User': 'guest' }
    expect((await ask('PUT /things/a', guest, '{')).status).toBe(415)
    for (const type of ['text/json', 'application', 'application/json x'])
      expect((await ask('PUT /things/a', { ...guest, 'Content-Type': type }, '{')).status).toBe(415)
    expect((await ask('PUT /things/a', { ...guest, ...json }, '{')).status).toBe(403)
  })

  it.each([
    ['{', 'malformed'],
    ['', 'malformed'],
    ['"\xff"', 'malformed'],
    ['{"text":1}', 'wrong member'],
    ['[]', 'wrong member'],
  ])('step 8: the body %j gets 400 and its text, which is no JSON (HR-4)', async (body, text) => {
    const reply = await ask('PUT /things/a', { ...user, ...json, 'Content-Length': `${body.length}` }, body)
    expect(reply).toMatchObject({ status: 400, body: text, headers: { 'content-type': 'text/plain; charset=utf-8' } })
  })

  it('a query that is wrong gets 400 (RC-6)', async () => {
    for (const limit of ['x', '-1', '1.5']) expect((await ask(`GET /things/a?limit=${limit}`, user)).status).toBe(400)
  })

  it('a body of more than 8 000 000 bytes gets 413 and the connection ends (§5)', async () => {
    const body = `{"text":"${'x'.repeat(8_000_000)}"}`
    expect(await ask('PUT /things/a', { ...user, ...json }, body)).toMatchObject({
      status: 413,
      headers: { connection: 'close' },
    })
  })

  it('a failure of an operation gets 500 without a word (HR-5)', async () => {
    const reply = await ask('PUT /things/a', { ...user, ...json }, '{"text":"boom"}')
    expect(reply).toMatchObject({ status: 500, body: '' })
  })
})
