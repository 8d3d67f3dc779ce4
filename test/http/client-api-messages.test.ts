import { describe, expect, it } from 'vitest'
import { ManualClock } from '../support/clock.js'
import { request, userOf } from '../support/rest.js'
import { type Setup, session, sharedServer, startedServer } from '../support/server.js'

/*
 * `mongoose_client_api_messages` of a running server, with XMPP clients at the other end. spec/rest-client.md §1, §2
 */

const dora = 'dora@localhost'
const hatter = 'hatter@localhost'
const path = '/api/messages'
const uuid4 = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

interface Item {
  from: string
  to: string
  id: string
  body?: string
  timestamp: number
  properties?: Record<string, string>
}

const handlers = { mongoose_client_api_messages: [{ host: '_', path: `${path}/[:with]` }] }
const modules = {
  mod_mam_meta: { pm: { archive_chat_markers: true } },
  mod_offline: {},
  mod_roster: {},
  mod_privacy: {},
  mod_blocking: {},
  mod_carboncopy: {},
  mod_ping: {},
}

const setup: Setup = {
  users: ['dora', 'hatter', 'hare'],
  modules,
  config: { listen: { http: [{ port: 0, ip_address: '127.0.0.1', handlers }] } },
}

/** Dora is asked for over HTTP; the users are all there. */
async function setUp(more: Setup = {}) {
  const server = await startedServer({ ...setup, ...more })
  return { server, asDora: userOf(server, dora), asHatter: userOf(server, hatter) }
}

/** The same of a server that is shared by tests that leave nothing behind in it. */
const quiet = sharedServer(setup)
const quietly = () => ({ asDora: userOf(quiet(), dora) })

const idOf = (answer: { json(): unknown }) => (answer.json() as { id: string }).id

describe('POST /api/messages', () => {
  it('reaches a client with the id that is answered, from the bare JID (RM-1, RC-5)', async () => {
    const { server, asHatter } = await setUp()
    const client = await session(server, 'hatter', { resource: 'tea', priority: 1 })
    const answer = await request(
      server,
      `POST ${path}/ignored@localhost`,
      { to: hatter, body: 'a < b & c', more: 1 },
      {
        authorization: `Basic ${Buffer.from(`${dora}/x:r0m30`).toString('base64')}`,
      },
    )
    expect(answer).toMatchObject({ status: 200, headers: { 'content-type': 'application/json' } })
    const id = idOf(answer)
    expect(id).toMatch(uuid4)
    const message = await client.receives(
      `<message type="chat" id="${id}" from="${dora}"><body>a &lt; b &amp; c</body></message>`,
    )
    expect(message.attrs.to).toBe(hatter)
    // It is in both archives when the answer comes, under the same id.
    const shown = { from: dora, to: hatter, id, body: 'a < b & c', timestamp: expect.any(Number) }
    expect((await userOf(server, dora)(`GET ${path}`)).json()).toEqual([shown])
    expect((await asHatter(`GET ${path}`)).json()).toEqual([shown])
  })

  it('is kept for who is away (RM-1)', async () => {
    const { server, asDora } = await setUp()
    const id = idOf(await asDora(`POST ${path}`, { to: hatter, body: 'later' }))
    const client = await session(server, 'hatter', { priority: 0 })
    await client.receives(`<message id="${id}" from="${dora}"><body>later</body></message>`)
  })

  it('is copied to clients of the sender that want copies (RM-1, XEP-0280)', async () => {
    const { server, asDora } = await setUp()
    const phone = await session(server, 'dora', { priority: 0 })
    await phone.ask('set', '<enable xmlns="urn:xmpp:carbons:2"/>')
    const id = idOf(await asDora(`POST ${path}`, { to: hatter, body: 'hi' }))
    await phone.receives(
      `<message from="${dora}"><sent xmlns="urn:xmpp:carbons:2"><forwarded xmlns="urn:xmpp:forward:0">
        <message xmlns="jabber:client" id="${id}"><stanza-id xmlns="urn:xmpp:sid:0" by="${dora}"/></message>
      </forwarded></sent></message>`.replaceAll(/>\s+</g, '><'),
    )
  })

  it('succeeds where nobody is; the bounce goes to the sessions of the sender that are available (RM-2)', async () => {
    const { server, asDora } = await setUp()
    const phone = await session(server, 'dora', { priority: -1 })
    const silent = await session(server, 'dora')
    for (const [to, condition] of [
      ['nobody@localhost', 'service-unavailable'],
      ['hatter@nowhere.example', 'remote-server-not-found'],
    ]) {
      const answer = await asDora(`POST ${path}`, { to, body: 'x' })
      expect(answer.status).toBe(200)
      const bounce = await phone.receives(`<message type="error" id="${idOf(answer)}" from="${to}"/>`)
      expect(String(bounce)).toContain(`<${condition} `)
    }
    await silent.receivesNothing('<message/>')
  })

  it('that the sender blocks is told to its sessions too, and reaches nobody (RM-2, XEP-0191 §3.3)', async () => {
    const { server, asDora } = await setUp()
    const phone = await session(server, 'dora', { priority: 0 })
    const client = await session(server, 'hatter', { priority: 0 })
    await phone.ask('set', `<block xmlns="urn:xmpp:blocking"><item jid="${hatter}"/></block>`)
    const answer = await asDora(`POST ${path}`, { to: hatter, body: 'x' })
    expect(answer.status).toBe(200)
    await phone.receives(
      `<message type="error" id="${idOf(answer)}"><error><blocked xmlns="urn:xmpp:blocking:errors"/></error></message>`,
    )
    await client.receivesNothing('<message/>')
  })

  it('errors that somebody else sends to a bare JID are ignored still (RFC 6121 §8.5.2.1.1)', async () => {
    const { server } = await setUp()
    const phone = await session(server, 'dora', { priority: 0 })
    const client = await session(server, 'hatter', { priority: 0 })
    await client.send(`<message type="error" to="${dora}"><error type="cancel"/></message>`)
    await client.settled()
    await phone.receivesNothing('<message/>')
  })

  it('has no characters that XML cannot have', async () => {
    const { server, asDora } = await setUp()
    const client = await session(server, 'hatter', { priority: 0 })
    await asDora(`POST ${path}`, '{"to":"hatter@localhost","body":"a\\u0000b\\ud800c\\ud83d\\ude00]]>"}')
    await client.receives('<message><body>a\ufffdb\ufffdc\u{1f600}]]&gt;</body></message>')
    expect((await asDora(`GET ${path}`)).json()).toMatchObject([{ body: 'a\ufffdb\ufffdc\u{1f600}]]>' }])
  })

  it('does not make a message to oneself vanish', async () => {
    const { server, asDora } = await setUp()
    const phone = await session(server, 'dora', { priority: 0 })
    const id = idOf(await asDora(`POST ${path}`, { to: dora, body: 'note' }))
    await phone.receives(`<message id="${id}" from="${dora}"><body>note</body></message>`)
    expect((await asDora(`GET ${path}`)).json<Item[]>().map(item => item.id)).toEqual([id])
  })

  it.each([
    ['malformed JSON', '{'],
    ['no body', ''],
    ['no to', { body: 'x' }],
    ['no text', { to: hatter }],
    ['a text that is none', { to: hatter, body: 1 }],
    ['a JID that is none', { to: '@bad', body: 'x' }],
    ['an empty JID', { to: '', body: 'x' }],
    ['an array', [hatter, 'x']],
  ])('refuses %s with 400 and nothing (RM-1)', async (_, body) => {
    const { asDora } = quietly()
    expect(await asDora(`POST ${path}`, body)).toMatchObject({ status: 400, text: '' })
    expect((await asDora(`GET ${path}`)).json()).toEqual([])
  })

  it('refuses what would be longer than a client may send, and lives on', async () => {
    const { server, asDora } = await setUp()
    const client = await session(server, 'hatter', { priority: 0 })
    expect(await asDora(`POST ${path}`, { to: hatter, body: '&'.repeat(2_000_000) })).toMatchObject({
      status: 413,
      text: '',
    })
    expect((await asDora(`POST ${path}`, { to: hatter, body: 'x'.repeat(8_000_000) })).status).toBe(413)
    await client.receivesNothing('<message/>')
    expect((await asDora(`POST ${path}`, { to: hatter, body: 'short' })).status).toBe(200)
    await client.receives('<message><body>short</body></message>')
  })

  it('answers 503 when the store is away, so that nobody takes it for kept', async () => {
    const { server, asDora } = await setUp()
    await server.internals.store.kill()
    const answer = await asDora(`POST ${path}`, { to: hatter, body: 'x' })
    expect(answer).toMatchObject({ status: 503, text: '' })
  })
})

describe('GET /api/messages', () => {
  it('shows both directions, oldest first; with a JID only what was exchanged with that (RM-3)', async () => {
    const { server, asDora } = await setUp()
    const tea = await session(server, 'hatter', { resource: 'tea', priority: 0 })
    await asDora(`POST ${path}`, { to: `${hatter}/tea`, body: '1' })
    await tea.send(`<message type="chat" id="h2" to="${dora}"><body>2</body></message>`)
    await tea.settled()
    await asDora(`POST ${path}`, { to: 'hare@localhost', body: '3' })
    await asDora(`POST ${path}`, { to: hatter, body: '4' })
    const bodies = async (target: string) => (await asDora(`GET ${target}`)).json<Item[]>().map(({ body }) => body)
    expect(await bodies(path)).toEqual(['1', '2', '3', '4'])
    expect(await bodies(`${path}/${hatter}`)).toEqual(['1', '2', '4'])
    expect(await bodies(`${path}/HATTER%40localhost`)).toEqual(['1', '2', '4'])
    expect(await bodies(`${path}/${hatter}%2Ftea`)).toEqual(['1', '2'])
    expect(await bodies(`${path}/hare%40localhost`)).toEqual(['3'])
    expect(await bodies(`${path}/nobody@localhost`)).toEqual([])
    const [, second] = (await asDora(`GET ${path}`)).json<Item[]>()
    expect(second).toMatchObject({ from: `${hatter}/tea`, to: dora, id: 'h2' })
  })

  it('takes limit and before, which that millisecond belongs to (RC-6, RM-3)', async () => {
    const clock = new ManualClock()
    const { asDora } = await setUp({ clock })
    for (let count = 1; count <= 70; count++) {
      await asDora(`POST ${path}`, { to: hatter, body: `${count}` })
      clock.advance(1)
    }
    const show = async (query: string) => (await asDora(`GET ${path}?${query}`)).json<Item[]>()
    const numbers = (items: Item[]) => items.map(({ body }) => Number(body))
    const all = await show('limit=9999999999999999999999')
    expect(numbers(all)).toEqual(Array.from({ length: 70 }, (_, index) => index + 1))
    expect(numbers(await show(''))).toEqual(numbers(all).slice(20))
    expect(await show('limit=60')).toHaveLength(60)
    expect(await show('limit=0')).toEqual([])
    const { timestamp } = all[9]!
    expect(timestamp).toBe(clock.wall() - 61)
    expect(numbers(await show(`limit=3&before=${timestamp}`))).toEqual([8, 9, 10])
    expect(numbers(await show(`limit=3&before=${timestamp - 1}`))).toEqual([7, 8, 9])
    expect(await show('before=0')).toEqual([])
    expect(await show(`before=99999999999999999999`)).toHaveLength(50)
  })

  it.each(['limit=x', 'limit=-1', 'limit=1.5', 'limit=', 'limit=1e2', 'before=x', 'before=-1', 'before=%20'])(
    'refuses %s with 400 (RC-6)',
    async query => {
      const { asDora } = quietly()
      expect(await asDora(`GET ${path}?${query}`)).toMatchObject({ status: 400, text: '' })
    },
  )

  it('gives no more than 500 at a time (RC-6)', async () => {
    const { server, asDora } = await setUp()
    const client = await session(server, 'dora')
    for (let count = 1; count <= 505; count++) {
      await client.send(`<message type="chat" to="${hatter}"><body>${count}</body></message>`)
    }
    await client.settled()
    const items = (await asDora(`GET ${path}?limit=501`)).json<Item[]>()
    expect(items).toHaveLength(500)
    expect([items[0]?.body, items.at(-1)?.body]).toEqual(['6', '505'])
  })

  it('shows what applications say beside the text, and is not broken by what is none (RM-4)', async () => {
    const { server, asDora } = await setUp()
    const client = await session(server, 'hatter')
    const property = (content: string) => `<property>${content}</property>`
    const properties = [
      property('<name>colour</name><value type="string">red</value>'),
      property('<name>count</name><value type="integer">7</value>'),
      property('<name>lost</name>'),
      property('<value>nameless</value>'),
      '<other/>',
    ]
    const ns = 'http://www.jivesoftware.com/xmlns/xmpp/properties'
    await client.send(
      `<message type="chat" to="${dora}"><body>x</body><properties xmlns="${ns}">${properties.join('')}</properties></message>`,
    )
    await client.send(`<message type="chat" to="${dora}"><body>y</body><properties xmlns="${ns}"/></message>`)
    await client.settled()
    const items = (await asDora(`GET ${path}`)).json<Item[]>()
    expect(items.map(item => item.properties)).toEqual([{ colour: 'red', count: '7' }, undefined])
  })

  it('answers 404 for a JID that is none (RM-5)', async () => {
    const { asDora } = quietly()
    for (const wrong of ['@bad', 'a@@b', 'dora@', '%20'])
      expect(await asDora(`GET ${path}/${wrong}`)).toMatchObject({ status: 404, text: '' })
  })

  it('shows a message without a text as one without `body` (RM-6)', async () => {
    const { server, asDora } = await setUp()
    const client = await session(server, 'hatter')
    await client.send(
      `<message type="chat" id="m" to="${dora}"><displayed xmlns="urn:xmpp:chat-markers:0" id="1"/></message>`,
    )
    await client.send(`<message type="chat" to="${dora}"><body/></message>`)
    await client.settled()
    const items = (await asDora(`GET ${path}`)).json<Item[]>()
    expect(items[0]).toEqual({ from: client.jid, to: dora, id: 'm', timestamp: expect.any(Number) })
    expect(items[1]).toMatchObject({ id: '', body: '' })
  })

  it('is empty where nothing is archived', async () => {
    const { asDora } = await setUp({ modules: { mod_offline: {} } })
    expect((await asDora(`POST ${path}`, { to: hatter, body: 'x' })).status).toBe(200)
    expect((await asDora(`GET ${path}`)).json()).toEqual([])
  })
})

describe('the order of decisions on messages (RC-7)', () => {
  it.each([
    ['405 before 401', 'PATCH', '', {}, { authorization: '' }, 405],
    ['401 before 406', 'GET', '', undefined, { authorization: '', accept: 'text/plain' }, 401],
    ['401 before 415', 'POST', '', 'x', { authorization: '', 'content-type': 'text/plain' }, 401],
    ['406 before 404', 'GET', '/@bad', undefined, { accept: 'application/xml' }, 406],
    ['404 before 400', 'GET', '/@bad?limit=x', undefined, {}, 404],
    ['406 before 415', 'POST', '', 'x', { accept: 'text/html', 'content-type': '' }, 406],
    ['415 before 400', 'POST', '', '{', { 'content-type': 'text/plain' }, 415],
  ])('%s', async (_, method, rest, body, headers, status) => {
    const { asDora } = quietly()
    const answer = await asDora(`${method} ${path}${rest}`, body, headers)
    expect(answer).toMatchObject({ status, text: '' })
    if (status === 405) expect(answer.headers.allow).toBe('OPTIONS, GET, POST')
  })
})
