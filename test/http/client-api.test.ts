import { describe, expect, it } from 'vitest'
import { ManualClock } from '../support/clock.js'
import { basic, request } from '../support/rest.js'
import {
  eventually,
  PASSWORD,
  recordedEvents,
  type Setup,
  session,
  sharedServer,
  startServer,
} from '../support/server.js'

/*
 * What all handlers of the client REST API do. spec/rest-client.md §1
 */

const handlers = {
  mongoose_client_api_messages: [{ host: '_', path: '/api/messages/[:with]' }],
  mongoose_client_api_contacts: [{ host: '_', path: '/api/contacts/[:jid]' }],
}
const listener = { port: 0, ip_address: '127.0.0.1', handlers }
const setup = (more: Setup & { http?: object } = {}): Setup => ({
  users: ['dora', 'hatter'],
  modules: { mod_roster: {}, mod_ping: {} },
  ...more,
  config: { ...more.config, listen: { http: [{ ...listener, ...more.http }] } },
})
const contacts = 'GET /api/contacts'
const challenge = 'Basic realm="mongooseim"'

describe('who asks', () => {
  const server = sharedServer(setup())
  const withHeader = (authorization: string) => request(server(), contacts, undefined, { authorization })
  const asUser = (user: string, password?: string) => request(server(), contacts, undefined, basic(user, password))
  const coded = (text: string) => Buffer.from(text).toString('base64')

  it.each(['dora@localhost', 'DORA@LocalHost', 'dora@localhost/x'])(
    'is %s, if the password is right (RC-1)',
    async user => {
      expect(await asUser(user)).toMatchObject({ status: 200, text: '[]' })
    },
  )

  it.each([
    ['nobody', ''],
    ['somebody by a token', 'Bearer x'],
    ['somebody by another scheme', 'Digest x'],
    ['a JID that is none', `Basic ${coded(`@bad:${PASSWORD}`)}`],
    ['a user without a host', `Basic ${coded(`dora:${PASSWORD}`)}`],
    ['a host', `Basic ${coded(`localhost:${PASSWORD}`)}`],
    ['a user of another host', `Basic ${coded(`dora@other.example:${PASSWORD}`)}`],
    ['somebody unknown', `Basic ${coded(`nobody@localhost:${PASSWORD}`)}`],
    ['somebody with a wrong password', `Basic ${coded('dora@localhost:wrong')}`],
    ['somebody with an empty password', `Basic ${coded('dora@localhost:')}`],
  ])('is not %s: 401 with the challenge and nothing (RC-1)', async (_, header) => {
    expect(await withHeader(header)).toMatchObject({
      status: 401,
      headers: { 'www-authenticate': challenge, 'content-length': '0' },
      text: '',
    })
  })

  it.each(['Basic %%%', 'Basic YQ=', `Basic ${coded('no colon')}`, 'Basic', 'Negotiate abc'])(
    'cannot be read from %s: 400 and nothing (RC-1, HR-2)',
    async header => {
      const answer = await withHeader(header)
      expect(answer).toMatchObject({ status: 400, text: '' })
      expect(answer.headers).not.toHaveProperty('www-authenticate')
    },
  )

  it('may have a colon in the password (HR-2)', async () => {
    await server().addUser('alice', 'a:b')
    expect((await asUser('alice@localhost', 'a:b')).status).toBe(200)
  })

  it('is let in by the new password from the moment that it is changed, and not by the old one', async () => {
    const { authenticator } = server().internals
    await server().addUser('bob', 'old')
    expect((await asUser('bob@localhost', 'old')).status).toBe(200)
    await authenticator.setPassword('bob', 'localhost', 'new')
    expect((await asUser('bob@localhost', 'old')).status).toBe(401)
    expect((await asUser('bob@localhost', 'new')).status).toBe(200)
    await authenticator.remove('bob', 'localhost')
    expect((await asUser('bob@localhost', 'new')).status).toBe(401)
  })
})

describe('wrong passwords', () => {
  it('are answered slowly, and count with those over XMPP until nobody is heard any more (RC-1)', async () => {
    const clock = new ManualClock()
    const events = recordedEvents()
    const server = await startServer(
      setup({ clock, events, config: { auth: { methods: ['internal'], max_failed_logins: 3 } } }),
    )
    try {
      const guess = async () => {
        const answer = request(server, contacts, undefined, basic('dora@localhost', 'wrong'))
        const before = clock.pending
        await eventually(() => clock.pending > before)
        clock.advance(3_000)
        return (await answer).status
      }
      expect([await guess(), await guess()]).toEqual([401, 401])
      const overXmpp = session(server, 'dora', { mechanism: 'PLAIN' })
      // A right one starts afresh.
      await overXmpp
      expect([await guess(), await guess(), await guess()]).toEqual([401, 401, 401])
      const right = () => request(server, contacts, undefined, basic('dora@localhost'))
      expect(await right()).toMatchObject({ status: 429, text: '' })
      expect(events.records.map(({ name }) => name)).toContain('auth.blocked')
      await expect(session(server, 'dora', { mechanism: 'PLAIN' })).rejects.toThrow('temporary-auth-failure')
      expect((await request(server, contacts, undefined, basic('hatter@localhost'))).status).toBe(200)
      clock.advance(3_600_000)
      expect((await right()).status).toBe(200)
    } finally {
      await server.stop()
    }
  })
})

describe('web pages of another origin (RC-3, RC-4)', () => {
  const server = sharedServer(setup())
  const origin = 'https://app.example'
  const headersOf = (methods: string) => ({
    'access-control-allow-origin': origin,
    'access-control-allow-methods': methods,
    'access-control-allow-credentials': 'true',
    'access-control-allow-headers': 'authorization, content-type',
    vary: 'origin',
  })

  it.each([
    ['GET', '/api/contacts', 'OPTIONS, GET, POST, PUT, DELETE'],
    ['GET', '/api/messages', 'OPTIONS, GET, POST'],
  ])('may read the answer to %s %s, and what else they may ask (RC-3)', async (method, path, methods) => {
    const asked = (headers: Record<string, string>) =>
      request(server(), `${method} ${path}`, undefined, { ...basic('dora@localhost'), ...headers })
    expect(await asked({ origin })).toMatchObject({ status: 200, headers: headersOf(methods) })
    for (const name of Object.keys((await asked({})).headers)) expect(name).not.toMatch(/^access-control|^vary$/)
  })

  it.each([
    ['405', 'PATCH /api/messages', undefined, {}],
    ['401', 'GET /api/messages', undefined, { authorization: '' }],
    ['406', 'GET /api/messages', undefined, { accept: 'text/plain' }],
    ['404', 'GET /api/messages/@bad', undefined, {}],
    ['415', 'POST /api/messages', 'x', { 'content-type': 'text/plain' }],
    ['400', 'POST /api/messages', '{', {}],
    ['413', 'POST /api/messages', { to: 'hatter@localhost', body: '&'.repeat(2_000_000) }, {}],
  ])('may read an answer of status %s too (RC-3)', async (status, line, body, headers) => {
    const answer = await request(server(), line, body, { ...basic('dora@localhost'), origin, ...headers })
    expect(answer).toMatchObject({ status: Number(status), headers: headersOf('OPTIONS, GET, POST') })
  })

  it('ask first, without a password (RC-4)', async () => {
    for (const path of ['/api/contacts', '/api/contacts/hatter@localhost']) {
      const answer = await request(server(), `OPTIONS ${path}`, undefined, {
        origin,
        'access-control-request-method': 'PUT',
        'access-control-request-headers': 'authorization',
      })
      expect(answer).toMatchObject({ status: 200, text: '', headers: headersOf('OPTIONS, GET, POST, PUT, DELETE') })
    }
    const plain = await request(server(), 'OPTIONS /api/contacts', undefined, {})
    expect(plain).toMatchObject({ status: 200, text: '' })
    expect(plain.headers).not.toHaveProperty('access-control-allow-origin')
  })
})

describe('without TLS (RC-2)', () => {
  const text = 'users of the REST API may send passwords in clear text'
  const warnings = async (http: object) => {
    const events = recordedEvents()
    const server = await startServer(setup({ users: ['dora'], events, http }))
    try {
      expect((await request(server, contacts, undefined, basic('dora@localhost'))).status).toBe(200)
    } finally {
      await server.stop()
    }
    return events.records
      .filter(({ name, fields }) => name === 'config.warning' && fields.text === text)
      .map(({ fields }) => fields.path)
  }

  it('it works, and a listener that others reach says so when it starts', async () => {
    expect(await warnings({ ip_address: '0.0.0.0' })).toEqual([expect.stringMatching(/^listener http-0\.0\.0\.0-/)])
  })

  it('a listener of this machine alone says nothing', async () => {
    expect(await warnings({})).toEqual([])
  })
})
