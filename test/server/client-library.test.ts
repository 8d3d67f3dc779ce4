import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type ClientApi, createClient, RestError, type ServerEvent } from '../../src/client/index.js'
import { clientApiDocument } from '../../src/http/api-docs/client-api.js'
import { mismatch, type OpenApi, operationsOf } from '../support/rest-requests.js'
import { startClientApi } from '../support/rest-servers.js'
import { PASSWORD } from '../support/server.js'

/*
 * The typed client, which is made of the document, asks a running server for all that the document promises. spec/api-docs.md D-6, D-8
 */

type Started = Awaited<ReturnType<typeof startClientApi>>
type Key = keyof ClientApi.Operations

const document = clientApiDocument() as unknown as OpenApi // it is one
const hatter = 'hatter@localhost'
const croquet = { id: 'croquet' }
const lawn = { name: 'Lawn', subject: 'flamingos' }

let started: Started
beforeAll(async () => {
  started = await startClientApi(['dora', 'hatter', 'hare'])
  await as('dora').request('PUT /api/rooms/{id}', { path: croquet, body: lawn })
})
afterAll(() => started.server.stop())

const as = (user: string, password = PASSWORD) => createClient(started.base, { user: `${user}@localhost`, password })

/** Every documented operation, done with success. What is missing here does not compile. */
const cases: { readonly [K in Key]: () => Promise<{ status: number; body: unknown }> } = {
  'GET /api/messages': () => as('dora').request('GET /api/messages', { query: { limit: 5 } }),
  'POST /api/messages': () => as('dora').request('POST /api/messages', { body: { to: hatter, body: 'tea?' } }),
  'GET /api/messages/{with}': () => as('dora').request('GET /api/messages/{with}', { path: { with: hatter } }),
  'GET /api/contacts': () => as('dora').request('GET /api/contacts'),
  'POST /api/contacts': () => as('dora').request('POST /api/contacts', { body: { jid: hatter } }),
  'DELETE /api/contacts': () =>
    as('dora').request('DELETE /api/contacts', { body: { to_delete: [hatter, 'zorro@localhost'] } }),
  'PUT /api/contacts/{jid}': () =>
    as('dora').request('PUT /api/contacts/{jid}', { path: { jid: hatter }, body: { action: 'invite' } }),
  'DELETE /api/contacts/{jid}': () => as('dora').request('DELETE /api/contacts/{jid}', { path: { jid: hatter } }),
  'GET /api/rooms': () => as('dora').request('GET /api/rooms'),
  'POST /api/rooms': () => as('dora').request('POST /api/rooms', { body: lawn }),
  'GET /api/rooms/{id}': () => as('dora').request('GET /api/rooms/{id}', { path: croquet }),
  'PUT /api/rooms/{id}': () =>
    as('dora').request('PUT /api/rooms/{id}', { path: { id: `room-${randomUUID()}` }, body: lawn }),
  'PUT /api/rooms/{id}/config': () =>
    as('dora').request('PUT /api/rooms/{id}/config', { path: croquet, body: { ...lawn, subject: 'hedgehogs' } }),
  'POST /api/rooms/{id}/users': () =>
    as('dora').request('POST /api/rooms/{id}/users', { path: croquet, body: { user: 'hare@localhost' } }),
  'DELETE /api/rooms/{id}/users/{user}': () =>
    as('dora').request('DELETE /api/rooms/{id}/users/{user}', { path: { ...croquet, user: hatter } }),
  'POST /api/rooms/{id}/messages': () =>
    as('dora').request('POST /api/rooms/{id}/messages', { path: croquet, body: { body: 'play!', markable: true } }),
  'GET /api/rooms/{id}/messages': () =>
    as('dora').request('GET /api/rooms/{id}/messages', { path: croquet, query: { limit: 20 } }),
  'GET /api/sse': async () => {
    const { body: first } = await firstEvent('dora', () =>
      as('hatter').request('POST /api/messages', { body: { to: 'dora@localhost', body: 'now?' } }),
    )
    return { status: 200, body: first }
  },
}

/** The first event that comes for the user once something is done. */
async function firstEvent(user: string, act: () => Promise<unknown>): Promise<{ body: ServerEvent }> {
  const stop = new AbortController()
  const events = as(user).events({ signal: stop.signal })
  const first = events.next()
  // The session is there once the head of the answer has come; until then messages go elsewhere.
  const again = setInterval(() => void act(), 200)
  try {
    const { value } = await first
    if (value === undefined) throw new Error('the stream ended')
    return { body: value }
  } finally {
    clearInterval(again)
    stop.abort()
  }
}

describe('each documented success', () => {
  beforeEach(async () => {
    await as('dora').request('POST /api/contacts', { body: { jid: hatter } })
    await as('dora').request('POST /api/messages', { body: { to: hatter, body: 'before' } })
    await as('dora').request('POST /api/rooms/{id}/users', { path: croquet, body: { user: hatter } })
    await as('dora').request('POST /api/rooms/{id}/messages', { path: croquet, body: { body: 'before' } })
  })

  it('D-8: has its case here', () => {
    expect(Object.keys(cases).sort()).toEqual(
      operationsOf(document)
        .map(([key]) => key)
        .sort(),
    )
  })

  it.each(Object.entries(cases))('D-6, D-8: %s', async (key, act) => {
    const { status, body } = await act()
    expect([404, 405]).not.toContain(status)
    const operation = operationsOf(document).find(([name]) => name === key)?.[1]
    expect(Object.keys(operation?.responses ?? {})).toContain(String(status))
    const [schema] = Object.values(operation?.responses[status]?.content ?? {}).map(content => content.schema)
    if (schema === undefined) expect(body).toBeUndefined()
    else expect(mismatch(document, schema, body)).toBeUndefined()
  })
})

describe('the typed client', () => {
  it('rejects with the status and the text of an answer that is no success', async () => {
    const failure = await as('dora', 'wrong')
      .request('GET /api/contacts')
      .catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(RestError)
    expect(failure).toMatchObject({ operation: 'GET /api/contacts', status: 401, text: '' })
    const absent = as('dora').request('DELETE /api/contacts/{jid}', { path: { jid: 'zorro@localhost' } })
    await expect(absent).rejects.toThrow('DELETE /api/contacts/{jid}: status 404')
  })

  it('does not compile when something is missing or is not there', () => {
    const { request } = as('dora')
    const wrong = [
      // @ts-expect-error: it needs a body.
      () => request('POST /api/messages'),
      // @ts-expect-error: the path has a name that is not given.
      () => request('GET /api/rooms/{id}', { path: {} }),
      // @ts-expect-error: it is a text.
      () => request('POST /api/messages', { body: { to: 5, body: '' } }),
      // @ts-expect-error: there is no such operation.
      () => request('PATCH /api/messages'),
      // @ts-expect-error: the answer has no such member.
      async () => (await request('POST /api/rooms', { body: lawn })).body.jid,
    ]
    expect(wrong).toHaveLength(5) // None of them is called.
  })

  it('logs in with whatever a password is', async () => {
    await started.server.addUser('duchess', 'pepper: 朱丽叶 🌹')
    const { body } = await as('duchess', 'pepper: 朱丽叶 🌹').request('GET /api/contacts')
    expect(body).toEqual([])
  })

  it('escapes what stands in a path', async () => {
    const path = { with: 'x@localhost/a b/ü?#%' }
    expect((await as('dora').request('GET /api/messages/{with}', { path })).body).toEqual([])
  })

  it('asks at an address that has a path', async () => {
    const moved = createClient(`${started.base}/elsewhere/`, { user: 'dora@localhost', password: PASSWORD })
    await expect(moved.request('GET /api/contacts')).rejects.toMatchObject({ status: 404 })
  })

  it('gives up when it is told to', async () => {
    const request = as('dora').request('GET /api/contacts', { signal: AbortSignal.abort() })
    await expect(request).rejects.toMatchObject({ name: 'AbortError' })
  })

  it('reads events until the reader stops, and the session ends with it', async () => {
    const sessions = () => started.server.status().connections
    const before = sessions()
    let count = 0
    const again = setInterval(
      () => void as('hatter').request('POST /api/messages', { body: { to: 'hare@localhost', body: 'a\nb 🌹' } }),
      200,
    )
    for await (const { id, event, data } of as('hare').events()) {
      expect([id, event]).toEqual([String(++count), 'message'])
      expect(data).toMatchObject({ from: hatter, body: 'a\nb 🌹' })
      if (count === 2) break
    }
    clearInterval(again)
    await expect.poll(sessions, { timeout: 10_000 }).toBe(before)
  })
})

describe('swagger.json of a server', () => {
  const paths = async ({ base }: Pick<Started, 'base'>, prefix = '') => {
    const response = await fetch(`${base}${prefix}/api-docs/swagger.json`)
    expect(response.status).toBe(200)
    return (await response.json()) as { paths: Record<string, Record<string, unknown>> }
  }

  it('D-5, D-6: tells of the client API and of nothing else', async () => {
    const expected: Record<string, string[]> = {
      '/api/messages': ['get', 'post'],
      '/api/messages/{with}': ['get'],
      '/api/contacts': ['delete', 'get', 'post'],
      '/api/contacts/{jid}': ['delete', 'put'],
      '/api/rooms': ['get', 'post'],
      '/api/rooms/{id}': ['get', 'put'],
      '/api/rooms/{id}/config': ['put'],
      '/api/rooms/{id}/users': ['post'],
      '/api/rooms/{id}/users/{user}': ['delete'],
      '/api/rooms/{id}/messages': ['get', 'post'],
    }
    const shown = Object.entries((await paths(started)).paths)
    expect(Object.fromEntries(shown.map(([path, methods]) => [path, Object.keys(methods).sort()]))).toEqual(expected)
  })

  it('D-1, D-5, D-6: tells of what is mounted, where it is mounted', async () => {
    const handlers = {
      mongoose_client_api_messages: [{ host: '_', path: '/v1/talk/[:with]' }],
      cowboy_swagger_redirect_handler: [{ host: '_', path: '/v1/api-docs' }],
      cowboy_swagger_json_handler: [{ host: '_', path: '/v1/api-docs/swagger.json' }],
    }
    const other = await startClientApi(['dora'], { handlers })
    try {
      expect(Object.keys((await paths(other, '/v1')).paths)).toEqual(['/v1/talk', '/v1/talk/{with}'])
      const { headers } = await fetch(`${other.base}/v1/api-docs`, { redirect: 'manual' })
      expect(headers.get('location')).toBe('/v1/api-docs/index.html')
    } finally {
      await other.server.stop()
    }
  })

  it('D-7: has a definition for each reference', async () => {
    const whole = await paths(started)
    const { definitions } = whole as unknown as { definitions: Record<string, unknown> }
    const names = [...JSON.stringify(whole).matchAll(/"\$ref":"#\/definitions\/([^"]*)"/g)].map(([, name]) => name)
    expect(names.length).toBeGreaterThan(5)
    expect(names.filter(name => !(String(name) in definitions))).toEqual([])
    expect(JSON.stringify(whole).match(/"\$ref":"(?!#\/definitions\/)[^"]*"/g)).toBeNull()
  })

  it('spec/api-docs.md §4: knows one method and one host', async () => {
    const handlers = { cowboy_swagger_json_handler: [{ host: 'localhost', path: '/api-docs/swagger.json' }] }
    const other = await startClientApi([], { handlers })
    expect((await fetch(`${other.base}/api-docs/swagger.json`)).status).toBe(404) // its host is 127.0.0.1
    await other.server.stop()
    expect((await fetch(`${started.base}/api-docs/swagger.json`, { method: 'POST' })).status).toBe(405)
  })
})
