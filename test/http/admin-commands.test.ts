import { describe, expect, it } from 'vitest'
import { adminListener, adminModules } from '../support/admin-api.js'
import { boshSession } from '../support/bosh.js'
import { ManualClock } from '../support/clock.js'
import { eventsOf } from '../support/event-stream.js'
import { request } from '../support/rest.js'
import { clientOf, eventually, PASSWORD, type Setup, session, startedServer } from '../support/server.js'

/*
 * The commands of `mod_commands` over HTTP, with XMPP clients at the other end. spec/rest-admin.md §3
 */

const dora = 'dora@localhost'
const hatter = 'hatter@localhost'

interface Item {
  sender: string
  timestamp: number
  message_id: string
  body: string | null
}

async function setUp({ modules, handlers, ...more }: Setup & { handlers?: object } = {}) {
  const server = await startedServer({
    users: ['dora', 'hatter', 'hare'],
    modules: { ...adminModules, ...modules },
    config: { listen: { http: [adminListener({}, handlers)] } },
    ...more,
  })
  const ask = (line: string, body?: unknown) => request(server, line, body)
  const archiveOf = async (line: string) => (await ask(`GET /api/messages/${line}`)).json<Item[]>()
  const contactsOf = async (jid: string) => (await ask(`GET /api/contacts/${jid}`)).json()
  return { server, ask, archiveOf, contactsOf }
}

const push = (item: string) => `<iq type="set"><query xmlns="jabber:iq:roster">${item}</query></iq>`
/** A client that asked for its roster. */
async function interested(server: { port: number }, user: string, resource: string) {
  const client = await session(server, user, { resource, priority: 0 })
  await client.ask('get', '<query xmlns="jabber:iq:roster"/>')
  return client
}

describe('users', () => {
  it('are made once, listed in their order, and can log in (A-5)', async () => {
    const { server, ask } = await setUp()
    const made = await ask('POST /api/users/localhost', { username: 'Alice', password: 'wonder' })
    expect(made).toMatchObject({
      status: 201,
      text: 'User alice@localhost successfully registered',
      headers: { location: 'http://localhost/api/users/localhost/Alice' },
    })
    const listed = await ask('GET /api/users/LOCALHOST')
    expect(listed.json()).toEqual(['alice@localhost', dora, 'hare@localhost', hatter])
    expect(await ask('POST /api/users/localhost', { username: 'alice', password: 'x' })).toMatchObject({
      status: 403,
      text: 'User alice@localhost already registered',
    })
    await (await clientOf(server)).login('alice', 'wonder')
    const named = await ask('POST /api/users/localhost', { username: 'wörld', password: 'x' })
    expect(named.headers.location).toBe('http://localhost/api/users/localhost/w%C3%B6rld')
  })

  it.each([
    ['a name that is none', { username: 'm@ke', password: 'x' }, /^Invalid jid/],
    ['no name', { username: '', password: 'x' }, /^Invalid jid/],
    ['no password', { username: 'alice', password: '' }, /^Can't register user/],
    ['a password that cannot be one', { username: 'alice', password: 'a\u0007' }, /^Can't register user/],
    ['a host that is not served', { host: 'other.example', username: 'alice', password: 'x' }, /^Can't register user/],
    ['a host that is none', { host: 'not a host', username: 'alice', password: 'x' }, /^Invalid jid/],
  ])('are not made of %s (A-5)', async (_, body, text) => {
    const { ask } = await setUp({ users: [] })
    const reply = await ask('POST /api/users', { host: 'localhost', ...body })
    expect(reply.status).toBe(400)
    expect(reply.text).toMatch(text)
    expect((await ask('GET /api/users/localhost')).json()).toEqual([])
  })

  it('there are none on a host that is not served (§4)', async () => {
    const { ask } = await setUp()
    expect(await ask('GET /api/users/other.example')).toMatchObject({ status: 200, text: '[]' })
  })

  it('that are more than the store tells at once are all listed', async () => {
    const names = Array.from({ length: 1_001 }, (_, index) => `user${String(index).padStart(4, '0')}`)
    const { server, ask } = await setUp({ users: [] })
    const { accounts } = server.internals.store
    for (const name of names) await accounts.create(name, 'localhost', { scram: {} })
    expect((await ask('GET /api/users/localhost')).json()).toEqual(names.map(name => `${name}@localhost`))
  })

  it('get another password, and the old one is no longer one (A-6)', async () => {
    const { server, ask } = await setUp()
    expect(await ask('PUT /api/users/localhost/Dora', { newpass: 'new' })).toMatchObject({ status: 204, text: '' })
    await expect((await clientOf(server)).login('dora', PASSWORD)).rejects.toThrow('not-authorized')
    await (await clientOf(server)).login('dora', 'new')
  })

  it.each([
    ['empty', 'dora', '', 400, 'empty password'],
    ['for a name that is none', 'm%40ke', 'x', 400, 'invalid jid'],
    ['for nobody', 'nobody', 'x', 404, 'there is no account nobody@localhost'],
  ])('a password that is %s is refused (A-6)', async (_, user, newpass, status, text) => {
    const { server, ask } = await setUp()
    expect(await ask(`PUT /api/users/localhost/${user}`, { newpass })).toMatchObject({ status, text })
    expect(await server.internals.authenticator.verify('dora', 'localhost', PASSWORD)).toBe(true)
    expect(await server.internals.authenticator.exists('nobody', 'localhost')).toBe(false)
  })

  it('of a host that keeps no passwords get none (A-6)', async () => {
    const auth = { methods: ['anonymous'] }
    const { ask } = await setUp({ users: [], config: { auth, listen: { http: [adminListener()] } } })
    expect(await ask('PUT /api/users/localhost/dora', { newpass: 'x' })).toMatchObject({
      status: 403,
      text: 'password change not allowed',
    })
  })

  it('that are removed are gone with all they had, and their clients are told (A-7)', async () => {
    const { server, ask, archiveOf, contactsOf } = await setUp({ modules: { mod_muc_light: {} } })
    const client = await interested(server, 'dora', 'tea')
    const friend = await interested(server, 'hatter', 'hat')
    await client.ask('set', '<query xmlns="urn:xmpp:muclight:0#create"/>', { to: 'muclight.localhost' })
    await ask(`PUT /api/contacts/${dora}/${hatter}/manage`, { action: 'connect' })
    await ask('POST /api/messages', { caller: dora, to: hatter, body: 'tea?' })
    expect(await ask('DELETE /api/users/localhost/dora')).toMatchObject({ status: 204, text: '' })
    const told = await client.streamError('conflict')
    expect(told.getChildText('text')).toBe('User removed')
    await friend.receives(`<presence type="unsubscribed" from="${dora}"/>`)
    expect((await ask('GET /api/users/localhost')).json()).not.toContain(dora)
    expect((await ask('DELETE /api/users/localhost/dora')).status).toBe(204)

    await server.addUser('dora', PASSWORD)
    expect([await archiveOf(dora), await contactsOf(dora)]).toEqual([[], []])
    const again = await session(server, 'dora')
    const rooms = await again.ask('get', '<query xmlns="http://jabber.org/protocol/disco#items"/>', {
      to: 'muclight.localhost',
    })
    expect(rooms.getChild('query')?.getChildElements()).toEqual([])
    // What the other side of a conversation has stays.
    expect(await archiveOf(hatter)).toHaveLength(1)
  })

  it.each([
    ['m%40ke', 'localhost', 400, /^Invalid jid/],
    ['nobody', 'localhost', 204, /^$/],
    ['nobody', 'other.example', 204, /^$/],
  ])('%s of %s is removed with %i (A-7)', async (user, host, status, text) => {
    const reply = await (await setUp()).ask(`DELETE /api/users/${host}/${user}`)
    expect(reply.status).toBe(status)
    expect(reply.text).toMatch(text)
  })
})

describe('sessions', () => {
  it('are listed, and end when they are kicked (A-8)', async () => {
    const { server, ask } = await setUp()
    const client = await session(server, 'dora', { resource: 'tea time' })
    const other = await session(server, 'hatter', { resource: 'hat' })
    const path = '/api/sessions/localhost/dora/tea%20time'
    expect((await ask('GET /api/sessions/localhost')).json()).toEqual([`${dora}/tea time`, `${hatter}/hat`])
    expect(await ask(`DELETE ${path}`)).toMatchObject({ status: 204, text: '' })
    expect((await client.streamError('conflict')).getChildText('text')).toBe('kicked')
    expect((await ask('GET /api/sessions/localhost')).json()).toEqual([`${hatter}/hat`])
    expect(await ask(`DELETE ${path}`)).toMatchObject({ status: 404, text: 'no active session' })
    await other.settled()
  })

  it('that are kicked leave those who saw them (A-8)', async () => {
    const { server, ask } = await setUp()
    await ask(`PUT /api/contacts/${dora}/${hatter}/manage`, { action: 'connect' })
    const friend = await session(server, 'hatter', { priority: 0 })
    await session(server, 'dora', { resource: 'tea', priority: 0 })
    await friend.receives(`<presence from="${dora}/tea"/>`)
    await ask('DELETE /api/sessions/localhost/dora/tea')
    await friend.receives(`<presence type="unavailable" from="${dora}/tea"/>`)
  })

  it('whose client is away are among them, and it cannot come back to one that was kicked (A-8)', async () => {
    const sm = 'urn:xmpp:sm:3'
    const { server, ask } = await setUp({ modules: { mod_stream_management: {} } })
    const client = await session(server, 'dora', { resource: 'tea' })
    await client.send(`<enable xmlns="${sm}" resume="true"/>`)
    const { id } = (await client.receives(`<enabled xmlns="${sm}"/>`)).attrs
    client.drop()
    await eventually(() => server.internals.sessions.byFull(`${dora}/tea`)?.isDetached)
    expect((await ask('GET /api/sessions/localhost')).json()).toEqual([`${dora}/tea`])
    expect((await ask('DELETE /api/sessions/localhost/dora/tea')).status).toBe(204)
    const again = await clientOf(server)
    await again.open()
    await again.authenticate('SCRAM-SHA-1', 'dora', PASSWORD)
    await again.open()
    await again.send(`<resume xmlns="${sm}" previd="${id}" h="0"/>`)
    await again.receives(`<failed xmlns="${sm}"/>`)
    expect((await ask('GET /api/sessions/localhost')).text).toBe('[]')
  })

  it('there are none on a host that is not served, nor of a name that is none (A-8)', async () => {
    const { ask } = await setUp()
    expect(await ask('GET /api/sessions/other.example')).toMatchObject({ status: 200, text: '[]' })
    expect(await ask('DELETE /api/sessions/localhost/m%40ke/x')).toMatchObject({ status: 404 })
    expect(await ask('DELETE /api/sessions/other.example/dora/x')).toMatchObject({
      status: 404,
      text: 'no active session',
    })
  })

  it('of readers of events are among them, and end the same way (A-8)', async () => {
    const sse = [{ host: '_', path: '/api/sse', module: 'mongoose_client_api_sse' }]
    const { server, ask } = await setUp({ handlers: { lasse_handler: sse } })
    const events = await eventsOf(server, 'dora')
    const [jid = ''] = (await ask('GET /api/sessions/localhost')).json<string[]>()
    expect(jid).toMatch(/^dora@localhost\/sse-[0-9a-f-]{36}$/)
    expect((await ask(`DELETE /api/sessions/localhost/dora/${jid.split('/')[1]}`)).status).toBe(204)
    await eventually(() => events.isClosed)
    expect((await ask('GET /api/sessions/localhost')).json()).toEqual([])
  })

  it('of BOSH end by the admin API DELETE of a session while a poll is held (B-29)', async () => {
    const { server, ask } = await setUp({
      modules: { mod_bosh: {} },
      handlers: { mod_bosh: [{ host: '_', path: '/http-bind' }] },
    })
    const client = await boshSession(server, 'dora', { resource: 'tea' })
    const held = client.send()
    expect((await ask('GET /api/sessions/localhost')).json()).toEqual([`${dora}/tea`])
    expect((await ask('DELETE /api/sessions/localhost/dora/tea')).status).toBe(204)
    const { body } = await held
    expect(body.attrs).toMatchObject({ type: 'terminate', condition: 'remote-stream-error' })
    expect(body.toString()).toMatch(/<conflict [^>]*\/?>.*kicked/)
    expect((await ask('GET /api/sessions/localhost')).json()).toEqual([])
  })
})

describe('messages', () => {
  it('reach who is there, and both archives (A-9)', async () => {
    const { server, ask, archiveOf } = await setUp()
    const client = await session(server, 'hatter', { priority: 0 })
    expect(await ask('POST /api/messages', { caller: `${dora}/web`, to: hatter, body: 'a < b' })).toMatchObject({
      status: 204,
      text: '',
    })
    const message = await client.receives(
      `<message type="chat" from="${dora}/web" to="${hatter}"><body>a &lt; b</body></message>`,
    )
    const item = {
      sender: `${dora}/web`,
      timestamp: expect.any(Number),
      message_id: message.attrs.id,
      body: 'a < b',
    }
    expect(message.attrs.id).not.toBe('')
    const archives = [await archiveOf(dora), await archiveOf(hatter), await archiveOf(`${dora}/${hatter}`)]
    expect(archives).toEqual([[item], [item], [item]])
    expect(await archiveOf(`${dora}/hare@localhost`)).toEqual([])
  })

  it('wait for who is away; what nobody can take comes back to the sender alone, and is 204 (A-9)', async () => {
    const { server, ask } = await setUp()
    const own = await session(server, 'dora', { priority: 0 })
    for (const to of [hatter, 'nobody@localhost', 'somebody@elsewhere.example']) {
      expect((await ask('POST /api/messages', { caller: dora, to, body: 'later' })).status).toBe(204)
    }
    await own.receives('<message type="error" from="nobody@localhost"><error/></message>')
    await own.receives('<message type="error" from="somebody@elsewhere.example"><error/></message>')
    await (await session(server, 'hatter', { priority: 0 })).receives(
      '<message><body>later</body><delay xmlns="urn:xmpp:delay"/></message>',
    )
    // Nobody asks who it is.
    expect((await ask('POST /api/messages', { caller: 'ghost@localhost', to: dora, body: 'boo' })).status).toBe(204)
    await own.receives('<message from="ghost@localhost"><body>boo</body></message>')
  })

  it.each([
    [{ caller: 'a@@b', to: hatter, body: 'x' }, 'Invalid jid: a@@b'],
    [{ caller: dora, to: '@x', body: 'x' }, 'Invalid jid: @x'],
    [{ caller: 'a@@b', to: '@x', body: 'x' }, 'Invalid jid: a@@b; Invalid jid: @x'],
  ])('between %j are 400 (A-9)', async (body, text) => {
    expect(await (await setUp()).ask('POST /api/messages', body)).toMatchObject({ status: 400, text })
  })

  it('are shown by day, the newest of them, the oldest first (A-10)', async () => {
    const clock = new ManualClock(0, Date.UTC(2024, 0, 1, 12))
    const { server, ask, archiveOf } = await setUp({ clock })
    const day = 86_400_000
    for (const name of ['one', 'two', 'three']) {
      for (const part of ['a', 'b', 'c']) {
        await ask('POST /api/messages', { caller: dora, to: hatter, body: `${name} ${part}` })
        clock.advance(1_000)
      }
      clock.advance(day)
    }
    const yesterday = Date.UTC(2024, 0, 3) / 1_000
    const bodies = async (query: string) => (await archiveOf(`${dora}${query}`)).map(({ body }) => body)
    expect(await bodies(`?before=${yesterday}&limit=2`)).toEqual(['two b', 'two c'])
    expect(await bodies(`/${hatter}?before=${yesterday}&limit=2`)).toEqual(['two b', 'two c'])
    // Not later than: that second belongs to it.
    const noon = Date.UTC(2024, 0, 1, 12) / 1_000
    expect(await bodies(`?before=${noon}`)).toEqual(['one a'])
    expect(await bodies('?before=0&limit=1')).toEqual(['three c'])
    expect(await bodies('?limit=0')).toEqual([])
    expect(await bodies('?limit=500')).toHaveLength(9)
    expect((await archiveOf(dora))[0]).toMatchObject({ timestamp: noon })
    await server.stop()
  })

  it('are a hundred unless it is said how many (A-10)', async () => {
    const { server, archiveOf } = await setUp()
    const client = await session(server, 'hatter')
    for (let index = 0; index < 101; index++) {
      await client.send(`<message type="chat" to="${dora}" id="m${index}"><body>${index}</body></message>`)
    }
    await client.settled()
    const found = await archiveOf(dora)
    expect([found.length, found[0]?.message_id, found.at(-1)?.message_id]).toEqual([100, 'm1', 'm100'])
  })

  it('without an id or a body are shown all the same (A-10)', async () => {
    const { server, archiveOf } = await setUp({ modules: { mod_mam_meta: { pm: { archive_chat_markers: true } } } })
    const client = await session(server, 'hatter', { resource: 'hat' })
    await client.send(`<message type="chat" to="${dora}"><body>nameless</body></message>`)
    await client.send(
      `<message type="chat" to="${dora}" id="m"><received xmlns="urn:xmpp:chat-markers:0" id="x"/></message>`,
    )
    await client.settled()
    expect(await archiveOf(dora)).toEqual([
      { sender: `${hatter}/hat`, timestamp: expect.any(Number), message_id: '', body: 'nameless' },
      { sender: `${hatter}/hat`, timestamp: expect.any(Number), message_id: 'm', body: null },
    ])
  })

  it.each([
    [`${dora}?limit=501`, /^message_limit_too_high$/],
    [`${dora}?limit=few`, /^limit: .*integer/],
    [`${dora}?before=-1`, /^before: .*integer/],
    [`${dora}?before=1.5`, /^before: .*integer/],
    ['a@@b', /^Invalid jid: a@@b$/],
    [`${dora}/a@@b`, /^Invalid jid: a@@b$/],
  ])('GET /messages/%s is 400 (A-10, §4)', async (path, text) => {
    const reply = await (await setUp()).ask(`GET /api/messages/${path}`)
    expect(reply.status).toBe(400)
    expect(reply.text).toMatch(text)
  })
})

describe('stanzas', () => {
  it('arrive with all that they bear (A-11)', async () => {
    const { server, ask, archiveOf } = await setUp()
    const client = await session(server, 'hatter', { resource: 'hat', priority: 0 })
    const stanza = `<message from='${dora}/web' to='${hatter}/hat' type='chat' id='m1' extra='1'><body>tea</body><x xmlns='urn:example:x' a='b'><y/></x></message>`
    expect(await ask('POST /api/stanzas', { stanza })).toMatchObject({ status: 204, text: '' })
    await client.receives(
      `<message from="${dora}/web" id="m1" extra="1"><body>tea</body><x xmlns="urn:example:x" a="b"><y/></x></message>`,
    )
    expect(await archiveOf(dora)).toMatchObject([{ message_id: 'm1', body: 'tea' }])
  })

  it('that no client could send are told to the sender, and are 204 (A-11)', async () => {
    const { server, ask } = await setUp()
    const client = await session(server, 'dora', { resource: 'tea', priority: 0 })
    for (const stanza of [
      `<iq from="${client.jid}" to="${hatter}" type="get" id="two"><a xmlns="urn:a"/><b xmlns="urn:b"/></iq>`,
      `<presence from="${client.jid}" to="${hatter}" type="nonsense" id="odd"/>`,
    ]) {
      expect((await ask('POST /api/stanzas', { stanza })).status).toBe(204)
    }
    await client.receives('<iq type="error" id="two"><error/></iq>')
    await client.receives('<presence type="error" id="odd"><error/></presence>')
  })

  it('from and to elsewhere are nobody’s trouble (A-11)', async () => {
    const { ask, server } = await setUp()
    for (const from of ['a@elsewhere.example', 'localhost', 'other.example/x']) {
      const stanza = `<message from="${from}" to="b@elsewhere.example"><body>x</body></message>`
      expect((await ask('POST /api/stanzas', { stanza })).status).toBe(204)
      expect((await ask('POST /api/messages', { caller: from, to: 'x.example', body: '\u0000\ud800' })).status).toBe(
        204,
      )
    }
    expect(server.status().counters.httpFailures).toBe(0)
  })

  it('are presence and IQs too: the answer goes to who is said to ask (A-11)', async () => {
    const { server, ask, contactsOf } = await setUp()
    const client = await session(server, 'dora', { resource: 'tea', priority: 0 })
    const ping = `<iq from="${client.jid}" to="localhost" type="get" id="p"><ping xmlns="urn:xmpp:ping"/></iq>`
    expect((await ask('POST /api/stanzas', { stanza: ping })).status).toBe(204)
    await client.receives('<iq type="result" id="p" from="localhost"/>')
    const stanza = `<presence from="${hatter}" to="${dora}" type="subscribe"/>`
    expect((await ask('POST /api/stanzas', { stanza })).status).toBe(204)
    await client.receives(`<presence type="subscribe" from="${hatter}"/>`)
    expect(await contactsOf(hatter)).toEqual([{ jid: dora, subscription: 'none', ask: 'out' }])
  })

  it.each([
    [`<message to='${dora}'/>`, /^both from and to are required$/],
    [`<message from='${dora}'/>`, /^both from and to are required$/],
    [`<message from='a@@b' to='${dora}'/>`, /^Invalid jid/],
    [`<message from='${dora}' to='@x'/>`, /^Invalid jid/],
    ["<message from='a' to='b'", /^Malformed stanza:/],
    ["<message from='a' to='b'></presence>", /^Malformed stanza:/],
    ["<message from='a' to='b'/><message from='a' to='b'/>", /^Malformed stanza:/],
    ["<!DOCTYPE x><message from='a' to='b'/>", /^Malformed stanza:/],
    [`<m from='a' to='b'>${'<x>'.repeat(300)}`, /^Malformed stanza:/],
    ["<message from='a' to='b' xmlns='urn:other'/>", /^Malformed stanza:/],
    ["<starttls from='a' to='b'/>", /^Malformed stanza:/],
    ['tea', /^Malformed stanza:/],
    ['', /^Malformed stanza:/],
  ])('like %s are 400 (A-11)', async (stanza, text) => {
    const reply = await (await setUp({ users: [] })).ask('POST /api/stanzas', { stanza })
    expect(reply.status).toBe(400)
    expect(reply.text).toMatch(text)
  })
})

describe('contacts', () => {
  it('are added once, without name and groups, and pushed to every client that asked for the roster (A-13)', async () => {
    const { server, ask, contactsOf } = await setUp()
    const clients = [await interested(server, 'dora', 'one'), await interested(server, 'dora', 'two')]
    for (let times = 0; times < 2; times++) {
      expect(await ask(`POST /api/contacts/${dora}`, { jid: hatter })).toMatchObject({ status: 204, text: '' })
      for (const client of clients) {
        const { attrs } = (await client.receives(push(`<item jid="${hatter}" subscription="none"/>`)))
          .getChild('query')!
          .getChild('item')!
        expect(attrs.name ?? '').toBe('')
      }
    }
    expect(await contactsOf(dora)).toEqual([{ jid: hatter, subscription: 'none', ask: 'none' }])
  })

  it('show every step of a handshake, also what only asks to be one (A-12, A-14)', async () => {
    const { server, ask, contactsOf } = await setUp()
    const theirs = await session(server, 'hatter', { priority: 0 })
    const states = async () => [await contactsOf(dora), await contactsOf(hatter)]
    const state = (jid: string, subscription: string, ask: string) => [{ jid, subscription, ask }]
    const acts = async (caller: string, jid: string, action: string) =>
      expect(await ask(`PUT /api/contacts/${caller}/${jid}`, { action })).toMatchObject({ status: 204, text: '' })
    expect(await states()).toEqual([[], []])
    await acts(dora, hatter, 'subscribe')
    await theirs.receives(`<presence type="subscribe" from="${dora}"/>`)
    expect(await states()).toEqual([state(hatter, 'none', 'out'), state(dora, 'none', 'in')])
    await acts(hatter, dora, 'subscribed')
    expect(await states()).toEqual([state(hatter, 'to', 'none'), state(dora, 'from', 'none')])
    await acts(hatter, dora, 'subscribe')
    expect(await states()).toEqual([state(hatter, 'to', 'in'), state(dora, 'from', 'out')])
    await acts(dora, hatter, 'subscribed')
    expect(await states()).toEqual([state(hatter, 'both', 'none'), state(dora, 'both', 'none')])
  })

  it('are removed once, and hear of it (A-15)', async () => {
    const { server, ask, contactsOf } = await setUp()
    await ask(`PUT /api/contacts/${dora}/${hatter}/manage`, { action: 'connect' })
    const own = await interested(server, 'dora', 'tea')
    const theirs = await interested(server, 'hatter', 'hat')
    expect(await ask(`DELETE /api/contacts/${dora}/${hatter}`)).toMatchObject({ status: 204, text: '' })
    await own.receives(push(`<item jid="${hatter}" subscription="remove"/>`))
    await theirs.receives(`<presence type="unsubscribe" from="${dora}"/>`)
    await theirs.receives(`<presence type="unsubscribed" from="${dora}"/>`)
    expect(await contactsOf(dora)).toEqual([])
    expect((await ask(`DELETE /api/contacts/${dora}/${hatter}`)).status).toBe(404)
  })

  it('are made and ended for both sides at once; what is there keeps its name (A-16)', async () => {
    const { server, ask, contactsOf } = await setUp()
    const client = await interested(server, 'dora', 'tea')
    await client.ask('set', `<query xmlns="jabber:iq:roster"><item jid="${hatter}" name="Hatter"/></query>`)
    const path = `/api/contacts/${dora}/${hatter}/manage`
    for (let times = 0; times < 2; times++) {
      expect(await ask(`PUT ${path}`, { action: 'connect' })).toMatchObject({ status: 204, text: '' })
      expect(await contactsOf(dora)).toEqual([{ jid: hatter, subscription: 'both', ask: 'none' }])
      expect(await contactsOf(hatter)).toEqual([{ jid: dora, subscription: 'both', ask: 'none' }])
    }
    const roster = await client.ask('get', '<query xmlns="jabber:iq:roster"/>')
    expect(roster.getChild('query')?.getChild('item')?.attrs.name).toBe('Hatter')
    for (let times = 0; times < 2; times++) {
      expect((await ask(`PUT ${path}`, { action: 'disconnect' })).status).toBe(204)
      expect([await contactsOf(dora), await contactsOf(hatter)]).toEqual([[], []])
    }
  })

  it.each([
    ['POST', `${dora}`, { jid: 'a@@b' }, 400, /^Invalid jid: a@@b/],
    ['POST', 'a@@b', { jid: hatter }, 400, /^Invalid jid: a@@b/],
    ['POST', dora, { jid: dora }, 403, /own/],
    ['POST', 'nobody@localhost', { jid: dora }, 404, /^there is no account nobody@localhost$/],
    ['PUT', `${dora}/${hatter}`, { action: 'invite' }, 400, /^invalid action$/],
    ['PUT', `${dora}/a@@b`, { action: 'subscribe' }, 400, /^Invalid jid/],
    ['PUT', `${dora}/${hatter}/manage`, { action: 'subscribe' }, 400, /^invalid action$/],
    ['PUT', `${dora}/${dora}/manage`, { action: 'connect' }, 403, /itself/],
    ['PUT', `${dora}/nobody@localhost/manage`, { action: 'connect' }, 404, /^there is no account/],
    ['DELETE', `${dora}/a@@b`, undefined, 400, /^Invalid jid/],
    ['DELETE', `nobody@localhost/${dora}`, undefined, 404, /^$/],
    ['DELETE', `${dora}/${hatter},hare@localhost/multiple`, undefined, 400, /^jids: .*expected array/],
  ])('%s /contacts/%s with %j is %i (A-13 to A-16, #17)', async (method, path, body, status, text) => {
    const { ask, contactsOf } = await setUp()
    const reply = await ask(`${method} /api/contacts/${path}`, body)
    expect(reply.status).toBe(status)
    expect(reply.text).toMatch(text)
    expect(await contactsOf(dora)).toEqual([])
  })

  it('of nobody are none (A-12)', async () => {
    expect(await (await setUp()).contactsOf('nobody@localhost')).toEqual([])
  })
})
