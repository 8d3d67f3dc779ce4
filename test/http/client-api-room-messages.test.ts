import { describe, expect, it } from 'vitest'
import { ManualClock } from '../support/clock.js'
import { userOf } from '../support/rest.js'
import { type Setup, session, startedServer } from '../support/server.js'

/*
 * Messages of rooms over the client REST API, with XMPP clients as occupants. spec/rest-client.md §7
 */

const ns = 'urn:xmpp:muclight:0'
const markers = 'urn:xmpp:chat-markers:0'
const tea = 'tea@muclight.localhost'
const [queen, alice, hatter] = ['queen@localhost', 'alice@localhost', 'hatter@localhost'] as const
const uuid4 = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

const mounted = (path: string) => [{ host: '_', path }]
const handlers = {
  mongoose_client_api_rooms: mounted('/api/rooms/[:id]'),
  mongoose_client_api_rooms_config: mounted('/api/rooms/[:id]/config'),
  mongoose_client_api_rooms_users: mounted('/api/rooms/:id/users/[:user]'),
  mongoose_client_api_rooms_messages: mounted('/api/rooms/[:id]/messages'),
}
const room = '/api/rooms/tea'
const path = `${room}/messages`

/** Queen owns the room `tea`, alice is in it, hatter is not. */
async function setUp(more: Setup = {}) {
  const server = await startedServer({
    users: ['queen', 'alice', 'hatter'],
    modules: {
      mod_muc_light: {},
      mod_mam_meta: { muc: { host: 'muclight.@HOST@', archive_chat_markers: true } },
      mod_ping: {},
    },
    ...more,
    config: { listen: { http: [{ port: 0, ip_address: '127.0.0.1', handlers }] } },
  })
  const ask = (user: string) => userOf(server, user)
  const all = { server, asQueen: ask(queen), asAlice: ask(alice), asHatter: ask(hatter) }
  expect((await all.asQueen(`PUT ${room}`, { name: 'Tea', subject: 'time' })).status).toBe(201)
  expect((await all.asQueen(`POST ${room}/users`, { user: alice })).status).toBe(204)
  return all
}

interface Item {
  type: string
  id: string
  from: string
  timestamp: number
  body?: string
  user?: string
  affiliation?: string
}

describe('POST /api/rooms/:id/messages', () => {
  it('reaches everybody in the room, the sender too, as from an occupant (RX-1, RX-2)', async () => {
    const { server, asAlice } = await setUp()
    const clients = [await session(server, 'queen', { priority: 0 }), await session(server, 'alice', { priority: 0 })]
    const answer = await asAlice(`POST ${room}@muclight.localhost/messages`, { body: 'a < b', markable: true, more: 1 })
    expect(answer).toMatchObject({ status: 200, headers: { 'content-type': 'application/json' } })
    const { id } = answer.json<{ id: string }>()
    expect(id).toMatch(uuid4)
    for (const client of clients) {
      const message = await client.receives(
        `<message type="groupchat" id="${id}" from="${tea}/${alice}"><body>a &lt; b</body><markable xmlns="${markers}"/></message>`,
      )
      expect(message.getChildElements().map(child => child.getName())).toEqual(['body', 'markable', 'stanza-id'])
    }
  })

  it.each(['received', 'displayed', 'acknowledged'])('says that something was %s (RX-1, RX-2)', async type => {
    const { server, asAlice } = await setUp()
    const client = await session(server, 'queen', { priority: 0 })
    const marker = { type, id: 'm"1' }
    const { id } = (await asAlice(`POST ${path}`, { chat_marker: marker, markable: true })).json<{ id: string }>()
    const message = await client.receives(
      `<message type="groupchat" id="${id}" from="${tea}/${alice}"><${type} xmlns="${markers}" id="m&quot;1"/></message>`,
    )
    expect(message.getChildElements().map(child => child.getName())).toEqual([type, 'stanza-id'])
    const [, item] = (await asAlice(`GET ${path}`)).json<Item[]>()
    expect(item).toEqual({ type: 'message', id, from: alice, timestamp: expect.any(Number), chat_marker: marker })
  })

  const notJson = 'Request body is not a valid JSON'
  const wrongText = 'Invalid body, it must be a string'
  const wrongMarker = "Invalid marker, it must be 'received', 'displayed' or 'acknowledged'"
  const nothing = 'No valid message elements'
  it.each([
    ['', notJson],
    ['{', notJson],
    [{ body: 1 }, wrongText],
    [{ body: null }, wrongText],
    [{ body: ['x'], chat_marker: 1 }, wrongText],
    [{ chat_marker: { type: 'seen', id: '1' } }, wrongMarker],
    [{ chat_marker: { type: 'received' } }, wrongMarker],
    [{ chat_marker: { type: 'received', id: 1 } }, wrongMarker],
    [{ body: 'x', chat_marker: 'received' }, wrongMarker],
    [{}, nothing],
    [{ markable: true }, nothing],
    ['[]', nothing],
    ['null', nothing],
  ])('refuses %j with 400 and %s (RX-1)', async (body, text) => {
    const { asAlice } = await setUp()
    expect(await asAlice(`POST ${path}`, body)).toMatchObject({ status: 400, text })
  })

  it('takes `markable` for nothing unless it is true (RX-1)', async () => {
    const { server, asAlice } = await setUp()
    const client = await session(server, 'queen', { priority: 0 })
    for (const markable of [false, 'true', 1, null]) {
      expect((await asAlice(`POST ${path}`, { body: 'x', markable })).status).toBe(200)
      const message = await client.receives(`<message from="${tea}/${alice}"><body>x</body></message>`)
      expect(message.getChild('markable')).toBeUndefined()
    }
  })

  it('is for those in the room alone: 403, and 404 where there is none (RX-1)', async () => {
    const { server, asHatter } = await setUp()
    const client = await session(server, 'queen', { priority: 0 })
    expect(await asHatter(`POST ${path}`, { body: 'x' })).toMatchObject({ status: 403, text: '' })
    expect(await asHatter('POST /api/rooms/other/messages', { body: 'x' })).toMatchObject({ status: 404, text: '' })
    await client.receivesNothing('<message/>')
  })

  it('refuses what would be longer than a client may send (RX-1)', async () => {
    const { server, asAlice } = await setUp()
    const client = await session(server, 'queen', { priority: 0 })
    expect((await asAlice(`POST ${path}`, { body: '&'.repeat(2_000_000) })).status).toBe(413)
    await client.receivesNothing('<message/>')
  })
})

describe('GET /api/rooms/:id/messages', () => {
  it('shows who came and what was said, oldest first, however it was said (RX-3)', async () => {
    const { server, asQueen, asAlice } = await setUp()
    const client = await session(server, 'alice', { resource: 'x', priority: 0 })
    const { id } = (await asQueen(`POST ${path}`, { body: 'one', markable: true })).json<{ id: string }>()
    await client.send(`<message type="groupchat" id="two" to="${tea}"><body>two</body></message>`)
    await client.receives('<message id="two"/>')
    const timestamp = expect.any(Number)
    const items = (await asAlice(`GET ${path}`)).json<Item[]>()
    expect(items).toEqual([
      {
        type: 'affiliation',
        id: expect.stringMatching(uuid4),
        from: tea,
        timestamp,
        user: alice,
        affiliation: 'member',
      },
      { type: 'message', id, from: queen, timestamp, body: 'one', markable: true },
      { type: 'message', id: 'two', from: alice, timestamp, body: 'two' },
    ])
    expect(Math.abs(items[2]!.timestamp - Date.now())).toBeLessThan(60_000)
    expect((await asQueen(`GET ${room}@muclight.localhost/messages`)).json()).toEqual(items)
  })

  it('agrees with what a query over XMPP shows (RX-3, ML-35)', async () => {
    const { server, asQueen } = await setUp()
    const { id } = (await asQueen(`POST ${path}`, { body: 'one' })).json<{ id: string }>()
    const client = await session(server, 'alice', { priority: 0 })
    await client.ask('set', '<query xmlns="urn:xmpp:mam:2" queryid="q"/>', { to: tea })
    const forwarded = (content: string) =>
      `<message from="${tea}"><result xmlns="urn:xmpp:mam:2" queryid="q"><forwarded xmlns="urn:xmpp:forward:0">${content}</forwarded></result></message>`
    await client.receives(
      forwarded(`<message xmlns="jabber:client" type="groupchat"><x xmlns="${ns}#affiliations"/></message>`),
    )
    await client.receives(
      forwarded(`<message xmlns="jabber:client" id="${id}" from="${tea}/${queen}"><body>one</body></message>`),
    )
  })

  it('takes limit and before as messages do (RX-3, RC-6)', async () => {
    const clock = new ManualClock()
    const { asQueen } = await setUp({ clock })
    for (let count = 1; count <= 60; count++) {
      clock.advance(1)
      await asQueen(`POST ${path}`, { body: `${count}` })
    }
    const show = async (query: string) => (await asQueen(`GET ${path}?${query}`)).json<Item[]>()
    const texts = (items: Item[]) => items.map(({ body }) => body)
    expect(texts(await show(''))).toEqual(Array.from({ length: 50 }, (_, index) => `${index + 11}`))
    expect(await show('limit=500')).toHaveLength(61)
    expect(await show('limit=0')).toEqual([])
    expect(texts(await show(`limit=2&before=${clock.wall() - 3}`))).toEqual(['56', '57'])
    for (const wrong of ['limit=x', 'limit=-1', 'before=1.5']) {
      expect(await asQueen(`GET ${path}?${wrong}`)).toMatchObject({ status: 400, text: '' })
    }
  })

  it('is for those in the room alone, as long as they are: 403, and 404 where there is none (RX-3)', async () => {
    const { asQueen, asAlice, asHatter } = await setUp()
    expect(await asHatter(`GET ${path}`)).toMatchObject({ status: 403, text: '' })
    expect(await asHatter('GET /api/rooms/other/messages')).toMatchObject({ status: 404, text: '' })
    expect((await asAlice(`GET ${path}`)).status).toBe(200)
    await asQueen(`DELETE ${room}/users/${alice}`)
    expect((await asAlice(`GET ${path}`)).status).toBe(403)
    expect((await asQueen(`GET ${path}`)).json<Item[]>().at(-1)).toMatchObject({ user: alice, affiliation: 'none' })
  })

  it('shows the making of a room over XMPP, and none over REST (RX-4)', async () => {
    const { server, asQueen } = await setUp()
    await asQueen('PUT /api/rooms/quiet', { name: 'x', subject: 'y' })
    expect((await asQueen('GET /api/rooms/quiet/messages')).text).toBe('[]')
    const client = await session(server, 'queen', { priority: 0 })
    const made = await client.ask('set', `<query xmlns="${ns}#create"/>`, { to: 'loud@muclight.localhost' })
    expect(made.attrs.type).toBe('result')
    const items = (await asQueen('GET /api/rooms/loud/messages')).json<Item[]>()
    expect(items).toMatchObject([
      { type: 'affiliation', id: made.attrs.id, from: 'loud@muclight.localhost', user: queen, affiliation: 'owner' },
    ])
  })

  it('shows a change of the configuration as a message without a text (RX-4)', async () => {
    const { asQueen } = await setUp()
    await asQueen(`PUT ${room}/config`, { name: 'Coffee', subject: '' })
    const [, item] = (await asQueen(`GET ${path}`)).json<Item[]>()
    expect(item).toMatchObject({ type: 'message', from: tea, body: '' })
  })

  it('is empty where rooms have no archive', async () => {
    const { asQueen } = await setUp({ modules: { mod_muc_light: {} } })
    expect((await asQueen(`POST ${path}`, { body: 'x' })).status).toBe(200)
    expect((await asQueen(`GET ${path}`)).text).toBe('[]')
  })
})
