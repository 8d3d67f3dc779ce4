import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { adminApiRoutes, categoryHandler } from '../../src/http/admin-api/handler.js'
import type { HttpHandler } from '../../src/http/app.js'
import { type Command, CommandError, command, text } from '../../src/operations/commands/command.js'
import type { OperationServices } from '../../src/operations/services.js'
import { StanzaError } from '../../src/protocols/errors.js'
import { adminListener, adminModules, sharedAdminApi } from '../support/admin-api.js'
import { basic, request } from '../support/rest.js'
import { clientOf, PASSWORD, sharedServer, startedServer } from '../support/server.js'
import { world } from '../support/world.js'
import { exchange, serveApp, testApp } from './raw.js'

/*
 * What all commands have in common over HTTP. spec/rest-admin.md §1, §2, §4
 */

const malformed = 'The request body is malformed.'
const preflight = {
  'access-control-allow-methods': 'GET, OPTIONS, PUT, POST, DELETE',
  'access-control-allow-origin': '*',
  'access-control-allow-headers': 'Content-Type',
}
const corsOf = ({ headers }: { headers: object }) =>
  Object.keys(headers).filter(name => name.startsWith('access-control-'))

describe('a command over HTTP', () => {
  const { ask, server, port } = sharedAdminApi()

  it.each([
    ['the body', 'POST /api/users', { host: 'localhost', username: 'alice', password: 'x' }],
    ['the path and the body', 'POST /api/users/localhost', { username: 'bob', password: 'x' }],
    ['the path, the query and the body', 'POST /api/users/localhost?username=carol', { password: 'x' }],
  ])('takes its arguments from %s (A-1)', async (_, line, body) => {
    const reply = await ask(line, body)
    const name = 'username' in body ? body.username : 'carol'
    expect(reply).toMatchObject({ status: 201, text: `User ${name}@localhost successfully registered` })
    expect(reply.headers.location).toBe(`http://localhost/api/users/localhost/${name}`)
    expect((await ask('GET /api/users/localhost')).json()).toContain(`${name}@localhost`)
  })

  it('is found by the number of its arguments, wherever they stand (A-1)', async () => {
    const contact = { caller: 'dora@localhost', jid: 'hatter@localhost' }
    expect((await ask('PUT /api/users', { host: 'localhost', user: 'hare', newpass: PASSWORD })).status).toBe(204)
    // Three arguments: the contact is called manage. Four would be too many, so that this is the subcategory.
    expect(await ask('PUT /api/contacts/dora@localhost/manage', { action: 'connect' })).toMatchObject({
      status: 400,
      text: 'invalid action',
    })
    expect((await ask('PUT /api/contacts/manage', { ...contact, action: 'connect' })).status).toBe(204)
    expect(
      (await ask(`PUT /api/contacts/${contact.caller}/manage?jid=${contact.jid}`, { action: 'disconnect' })).status,
    ).toBe(204)
    expect((await ask('GET /api/contacts/dora@localhost')).text).toBe('[]')
  })

  it.each([
    ['a name that nobody knows', { username: 'x', pasword: 'y' }],
    ['a name that other commands know', { username: 'x', newpass: 'y' }],
    ['a name that objects know', '{"username":"x","__proto__":"y"}'],
    ['what the path says already', { host: 'localhost', password: 'y' }],
  ])('refuses %s with 400 (A-2)', async (_, body) => {
    expect(await ask('POST /api/users/localhost', body)).toMatchObject({ status: 400, text: malformed })
    expect(await server().internals.authenticator.exists('x', 'localhost')).toBe(false)
  })

  it.each([
    ['too few in the body', 'POST /api/users/localhost', { username: 'x' }],
    ['too many in the body', 'POST /api/users/localhost', { username: 'x', password: 'y', more: 'z' }],
    ['too many in the query', 'PUT /api/users/localhost/dora?more=x', { newpass: 'y' }],
    ['one in the path that no command has there', 'POST /api/users/localhost/dora', { password: 'y' }],
  ])('with a wrong count, %s, is 404 Bad parameters length. (§4)', async (_, line, body) => {
    expect(await ask(line, body)).toMatchObject({ status: 404, text: 'Bad parameters length.' })
  })

  it.each([
    'GET /api/nothing',
    'GET /api',
    'GET /api/users',
    'GET /api/users/localhost/dora',
    'GET /api/users/localhost/dora/more',
    'DELETE /api/users/localhost',
    'DELETE /api/sessions/localhost/dora',
    'GET /api/commands/more',
    'GET /other/users/localhost',
  ])('%s is 404 and nothing: there is no such path (§4)', async line => {
    expect(await ask(line)).toMatchObject({ status: 404, text: '' })
  })

  it('at a path of no command is 404 and nothing also with a body (§4)', async () => {
    expect(await ask('POST /api/users/a/b/c/d', { x: 'y' })).toMatchObject({ status: 404, text: '' })
    expect(await ask('POST /api/nothing', { x: 'y' })).toMatchObject({ status: 404, text: '' })
  })

  it.each([
    ['PUT /api/sessions/localhost', 'OPTIONS, GET, DELETE'],
    ['GET /api/stanzas', 'OPTIONS, POST'],
    ['PATCH /api/users/localhost', 'OPTIONS, GET, POST, PUT, DELETE'],
    ['HEAD /api/commands', 'OPTIONS, GET'],
  ])('%s is 405: no command of the category has the method (§4)', async (line, allow) => {
    expect(await ask(line)).toMatchObject({ status: 405, headers: { allow }, text: '' })
  })

  it.each([
    ['no JSON', '{"username":'],
    ['nothing', ''],
    ['a list', '["x","y"]'],
    ['null', 'null'],
    ['a text', '"x"'],
  ])('with a body that is %s is 400 (§4)', async (_, body) => {
    expect(await ask('POST /api/users/localhost', body)).toMatchObject({ status: 400, text: malformed })
  })

  it.each([
    ['a number', 7],
    ['null', null],
    ['an object', {}],
    ['a boolean', true],
  ])('with %s where a text belongs is 400, which says so (§4)', async (_, password) => {
    const reply = await ask('POST /api/users/localhost', { username: 'x', password })
    expect(reply.status).toBe(400)
    expect(reply.text).toMatch(/^password: .*expected string/)
  })

  it('without a type that is JSON is 415, whoever accepts no JSON gets 406 (§4)', async () => {
    const body = { username: 'x', password: 'y' }
    for (const type of ['', 'text/plain']) {
      expect((await ask('POST /api/users/localhost', body, { 'content-type': type })).status).toBe(415)
    }
    expect((await ask('GET /api/users/localhost', undefined, { accept: 'text/plain' })).status).toBe(406)
    expect(await ask('GET /api/users/localhost', undefined, { accept: 'text/plain, */*' })).toMatchObject({
      status: 200,
      headers: { 'content-type': 'application/json' },
    })
  })

  it('with more than 8 000 000 bytes is 413, and the connection closes (§4)', async () => {
    const client = { username: 'x', password: 'y'.repeat(8_000_000) }
    expect(await ask('POST /api/users/localhost', client)).toMatchObject({
      status: 413,
      headers: { connection: 'close' },
    })
  })

  it('of a method that nobody knows is 501 (§4)', async () => {
    expect((await exchange(port(), 'FETCH /api/commands HTTP/1.1\r\nHost: localhost\r\n\r\n')).status).toBe(501)
  })

  it('takes the last of two members of one name (A-29)', async () => {
    const body = `{"newpass":"first","newpass":"${PASSWORD}"}`
    expect((await ask('PUT /api/users/localhost/hare', body)).status).toBe(204)
    await (await clientOf(server())).login('hare', PASSWORD)
  })

  it('takes what stands encoded in its path (§7)', async () => {
    expect((await ask('GET /api/messages/dora%40localhost%2Fphone/hatter@localhost')).json()).toEqual([])
  })

  it('ignores other parameters when it reads (§4)', async () => {
    expect((await ask('GET /api/messages/dora@localhost?nobody=knows&limit=3')).json()).toEqual([])
  })

  it('GET /commands lists all of the modules that run (#1)', async () => {
    const found = (await ask('GET /api/commands')).json<{ name: string; action: string; category: string }[]>()
    expect(found.map(({ action, category }) => `${action} ${category}`)).toEqual([
      'read commands',
      'read users',
      'create users',
      'update users',
      'delete users',
      'read sessions',
      'delete sessions',
      'create messages',
      'read messages',
      'read messages',
      'create stanzas',
      'read contacts',
      'create contacts',
      'update contacts',
      'delete contacts',
      'delete contacts',
      'update contacts',
    ])
    for (const entry of found) expect(Object.keys(entry)).toEqual(['name', 'category', 'action', 'desc'])
    expect(new Set(found.map(({ name }) => name)).size).toBe(found.length)
  })
})

describe('the credentials', () => {
  const credentials = { username: 'admin', password: 'sec:ret' }
  const guarded = sharedServer({ modules: adminModules, config: { listen: { http: [adminListener(credentials)] } } })
  const ask = (line: string, headers: Record<string, string> = {}) => request(guarded(), line, undefined, headers)
  const challenge = { status: 401, headers: { 'www-authenticate': 'Basic realm="mongooseim"' }, text: '' }

  it.each([
    ['nobody', {}],
    ['another name', basic('Admin', 'sec:ret')],
    ['another password', basic('admin', 'secret')],
    ['a token', { authorization: 'Bearer x' }],
  ])('let %s in for nothing (A-3)', async (_, headers) => {
    expect(await ask('GET /api/commands', headers)).toMatchObject(challenge)
    expect(await ask('OPTIONS /api/commands', headers)).toMatchObject(challenge)
    expect(corsOf(await ask('OPTIONS /api/commands', headers))).toEqual([])
    // HR-3
    expect((await ask('PATCH /api/commands', headers)).status).toBe(405)
    expect((await ask('GET /api/users', headers)).status).toBe(401)
  })

  it('let those in who bear exactly them; a header that is none is 400 (A-3)', async () => {
    expect((await ask('GET /api/commands', basic('admin', 'sec:ret'))).status).toBe(200)
    expect((await ask('GET /api/commands', { authorization: 'Basic' })).status).toBe(400)
  })

  it('are guessed ten times from one address, and then not tried any more (auth.max_failed_logins)', async () => {
    const server = await startedServer({
      modules: adminModules,
      config: { listen: { http: [adminListener({ username: 'admin', password: 'secret' })] } },
    })
    const ask = (password: string) => request(server, 'GET /api/commands', undefined, basic('admin', password))
    for (let guess = 0; guess < 10; guess += 1) expect((await ask(`${guess}`)).status).toBe(401)
    expect((await ask('secret')).status).toBe(429)
  })

  it('are asked for OPTIONS too, which then says what pages of others may do; nothing else says that (A-4)', async () => {
    const own = { ...basic('admin', 'sec:ret'), origin: 'https://page.example' }
    expect(await ask('OPTIONS /api/users/localhost', own)).toMatchObject({ status: 200, headers: preflight, text: '' })
    expect(corsOf(await ask('GET /api/users/localhost', own))).toEqual([])
  })

  describe('when there are none', () => {
    const open = sharedServer({ modules: adminModules, config: { listen: { http: [adminListener()] } } })
    const askOpen = (line: string, headers: Record<string, string> = {}) => request(open(), line, undefined, headers)

    it('keep nobody out, whatever he says (A-3)', async () => {
      const all = [{}, basic('x', 'y'), { authorization: 'Nonsense' }, { authorization: 'Basic !' }]
      for (const headers of all) {
        expect((await askOpen('GET /api/commands', headers as Record<string, string>)).status).toBe(200)
      }
      expect(await askOpen('OPTIONS /api/commands')).toMatchObject({ status: 200, headers: preflight })
    })

    it('only names of this machine are answered to, and pages of others may do nothing (HC-4)', async () => {
      for (const host of ['localhost:8088', 'LOCALHOST', '127.0.0.1:1', '[::1]']) {
        expect((await askOpen('GET /api/commands', { host })).status).toBe(200)
      }
      expect(await askOpen('GET /api/commands', { host: 'evil.test' })).toMatchObject({ status: 404, text: '' })
      for (const method of ['OPTIONS', 'GET']) {
        expect(corsOf(await askOpen(`${method} /api/commands`, { origin: 'https://evil.test' }))).toEqual([])
      }
      expect(await askOpen('OPTIONS /api/commands', { origin: 'http://localhost:8080' })).toMatchObject({
        headers: preflight,
      })
    })
  })

  it('a host that the configuration names is answered to, and no other (HH-4, HC-4)', async () => {
    const named = await startedServer({
      modules: adminModules,
      config: { listen: { http: [adminListener({ host: 'Admin.Example' })] } },
    })
    expect((await request(named, 'GET /api/commands', undefined, { host: 'admin.example' })).status).toBe(200)
    expect(await request(named, 'GET /api/commands')).toMatchObject({ status: 404, text: '' })
  })
})

describe('the modules', () => {
  const served = async (services: OperationServices) => {
    const routes = adminApiRoutes({ host: '_', path: '/api/', login: undefined }, services)
    const { app } = await testApp(routes)
    return serveApp(app)
  }

  it('add and take commands while the listener stays (HP-6)', async () => {
    let running = world({ modules: {} }).running
    // All that the list of commands asks for.
    const services = {
      accounts: { hosts: ['montague.example'] },
      offered: (host: string, key: never) => running.offered(host, key),
    } as unknown as OperationServices
    const http = await served(services)
    const status = async () =>
      (await exchange(http.port, 'GET /api/commands HTTP/1.1\r\nHost: localhost\r\n\r\n')).status
    try {
      expect(await status()).toBe(404)
      running = world({ modules: { mod_commands: {} } }).running
      expect(await status()).toBe(200)
      running.stop()
      expect(await status()).toBe(404)
    } finally {
      await http.close(0)
    }
  })

  it('that are disabled have no routes (§3)', async () => {
    const { mod_commands: _, ...others } = adminModules
    const server = await startedServer({
      modules: { ...others, mod_muc_light_commands: {} },
      config: { listen: { http: [adminListener()] } },
    })
    expect(await request(server, 'GET /api/users/localhost')).toMatchObject({ status: 404, text: '' })
    expect(await request(server, 'PATCH /api/users/localhost')).toMatchObject({ status: 404, text: '' })
  })

  it('count where one host has them', async () => {
    const { mod_commands: _, ...others } = adminModules
    const server = await startedServer({
      config: {
        general: { hosts: ['localhost', 'wonder.test'] },
        host_config: [{ host: 'wonder.test', modules: adminModules }] as object,
        listen: { http: [adminListener()] },
      },
      modules: others,
    })
    expect(await request(server, 'GET /api/users/localhost')).toMatchObject({ status: 200, text: '[]' })
  })
})

describe('what comes of a command', () => {
  const made = (name: string, result: z.ZodType | undefined, run: () => Promise<unknown>): Command => ({
    name,
    category: name,
    action: 'create',
    description: '',
    arguments: { word: text('') },
    ...(result && { result }),
    run,
  })
  const throwing = (error: unknown) => made('test', undefined, () => Promise.reject(error))
  const answer = async (it: Command, body = '{"word":"x"}') => {
    const handler: HttpHandler = categoryHandler(
      it.category,
      { host: '_', login: undefined },
      {} as OperationServices,
      () => [it],
    )
    const { app, told } = await testApp([{ host: '_', path: `/api/${it.category}/[...]`, target: handler }])
    const http = await serveApp(app)
    try {
      const head = `POST /api/${it.category} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n`
      const reply = await exchange(http.port, `${head}Content-Length: ${body.length}\r\n\r\n${body}`)
      return { reply, failed: told.filter(({ name }) => name === 'http.failed') }
    } finally {
      await http.close(0)
    }
  }

  it('is a failure of ours when the result is not as declared, and of the sender when an argument is not (A-27)', async () => {
    const wrong = await answer(made('test', z.string(), async () => 7))
    expect(wrong.reply).toMatchObject({ status: 500, body: '' })
    expect(wrong.failed).toHaveLength(1)
    const bad = await answer(
      made('test', z.string(), async () => 'fine'),
      '{"word":7}',
    )
    expect(bad.reply.status).toBe(400)
    expect(bad.failed).toHaveLength(0)
  })

  it('that creates is its result as it stands (A-28)', async () => {
    const { reply } = await answer(made('test', z.string(), async () => 'tea "party"'))
    expect(reply).toMatchObject({
      status: 201,
      body: 'tea "party"',
      headers: { location: 'http://localhost/api/test/tea%20%22party%22' },
    })
  })

  it.each([
    [new CommandError('bad_request', 'bad'), 400, 'bad'],
    [new CommandError('denied', 'no'), 403, 'no'],
    [new CommandError('not_found', 'none'), 404, 'none'],
    [new CommandError('not_implemented'), 501, ''],
    [new CommandError('internal', 'locked'), 500, 'locked'],
    [new StanzaError('item-not-found', 'gone'), 404, 'gone'],
    [new StanzaError('forbidden', 'not you'), 403, 'not you'],
    [new StanzaError('unexpected-request', 'secret'), 500, ''],
    [new Error('a bug'), 500, ''],
  ])('that ends with %s has the status of its kind (§4)', async (error, status, body) => {
    const { reply, failed } = await answer(throwing(error))
    expect(reply).toMatchObject({ status, body })
    expect(failed).toHaveLength(status === 500 && body === '' ? 1 : 0)
  })

  it('is one of those that have a schema for each argument', async () => {
    const typed = command({
      name: 'typed',
      category: 'typed',
      action: 'create',
      description: '',
      arguments: { word: z.stringbool() },
      result: z.string(),
      run: async (_, { word }) => `${word}`,
    })
    expect((await answer(typed, '{"word":"yes"}')).reply.body).toBe('true')
  })
})
