import { describe, expect, it } from 'vitest'
import type { Client } from '../support/client.js'
import { userOf } from '../support/rest.js'
import { recordedEvents, type Setup, session, startedServer } from '../support/server.js'

/*
 * Rooms of a running server over the client REST API, with XMPP clients as occupants. spec/rest-client.md §4 to §6
 */

const ns = 'urn:xmpp:muclight:0'
const domain = 'muclight.localhost'
const [queen, alice, hatter] = ['queen@localhost', 'alice@localhost', 'hatter@localhost'] as const

const mounted = (path: string) => [{ host: '_', path }]
const handlers = {
  mongoose_client_api_rooms: mounted('/api/rooms/[:id]'),
  mongoose_client_api_rooms_config: mounted('/api/rooms/[:id]/config'),
  mongoose_client_api_rooms_users: mounted('/api/rooms/:id/users/[:user]'),
  mongoose_client_api_rooms_messages: mounted('/api/rooms/[:id]/messages'),
}

/** Queen, alice and hatter are users; queen has rooms to make. */
async function setUp({ light = {}, ...more }: Setup & { light?: object } = {}) {
  const server = await startedServer({
    users: ['queen', 'alice', 'hatter'],
    modules: { mod_muc_light: light, mod_mam_meta: { muc: { host: 'muclight.@HOST@' } }, mod_disco: {}, mod_ping: {} },
    ...more,
    config: { ...more.config, listen: { http: [{ port: 0, ip_address: '127.0.0.1', handlers }] } },
  })
  const [asQueen, asAlice, asHatter] = [queen, alice, hatter].map(jid => userOf(server, jid)) as [Ask, Ask, Ask]
  const online = (user: string) => session(server, user, { resource: 'x', priority: 0 })
  return { server, asQueen, asAlice, asHatter, online }
}
type Ask = ReturnType<typeof userOf>

const lawn = { name: 'Lawn', subject: 'flamingos' }
const path = '/api/rooms/croquet'

/** The room `croquet`, which queen owns. */
async function room(asQueen: Ask, ...members: string[]): Promise<void> {
  expect((await asQueen(`PUT ${path}`, lawn)).status).toBe(201)
  for (const user of members) expect((await asQueen(`POST ${path}/users`, { user })).status).toBe(204)
}

const participants = async (ask: Ask, at = path) =>
  (await ask(`GET ${at}`))
    .json<{ participants: { user: string; role: string }[] }>()
    .participants.map(({ user, role }) => `${role} ${user}`)

const affiliationNotice = (client: Client, ...users: [jid: string, affiliation: string][]) =>
  client.receives(
    `<message type="groupchat" from="croquet@${domain}"><x xmlns="${ns}#affiliations">${users
      .map(([jid, affiliation]) => `<user affiliation="${affiliation}">${jid}</user>`)
      .join('')}</x><body/></message>`,
  )

describe('the rooms of a user', () => {
  it('are listed to the owner and to members, and nobody else’s (RR-1)', async () => {
    const { asQueen, asAlice, asHatter } = await setUp()
    for (const ask of [asQueen, asAlice]) {
      expect(await ask('GET /api/rooms')).toMatchObject({
        status: 200,
        text: '[]',
        headers: { 'content-type': 'application/json' },
      })
    }
    await room(asQueen, alice)
    const listed = [{ id: 'croquet', ...lawn }]
    expect((await asQueen('GET /api/rooms')).json()).toEqual(listed)
    expect((await asAlice('GET /api/rooms')).json()).toEqual(listed)
    expect((await asHatter('GET /api/rooms')).json()).toEqual([])
  })

  it('are all listed, however many a page of XMPP has (RR-1)', async () => {
    const { asQueen } = await setUp({ light: { rooms_per_page: 2 } })
    for (let count = 0; count < 5; count++)
      await asQueen(`PUT /api/rooms/r${count}`, { name: `n${count}`, subject: '' })
    const names = (await asQueen('GET /api/rooms')).json<{ name: string }[]>().map(({ name }) => name)
    expect(names).toEqual(['n0', 'n1', 'n2', 'n3', 'n4'])
  })

  it('are those of the host that the user is of', async () => {
    const { server, asQueen } = await setUp({
      config: { general: { hosts: ['localhost', 'wonder.test', 'bare.test'] } },
      modules: { mod_muc_light: {} },
    })
    await server.internals.authenticator.create('dora', 'wonder.test', 'r0m30')
    const asDora = userOf(server, 'dora@wonder.test')
    await room(asQueen)
    expect((await asDora(`PUT ${path}`, { name: 'Other', subject: '' })).status).toBe(201)
    expect((await asDora(`GET ${path}@muclight.wonder.test`)).json()).toMatchObject({ name: 'Other' })
    expect(await asDora(`GET ${path}@${domain}`)).toMatchObject({ status: 400, text: 'invalid_room_id' })
    expect((await asQueen(`GET ${path}`)).json()).toMatchObject(lawn)
  })

  it('are not to be had without mod_muc_light', async () => {
    const { asQueen } = await setUp({ modules: { mod_ping: {} } })
    for (const line of [
      'GET /api/rooms',
      'POST /api/rooms',
      `PUT ${path}`,
      `GET ${path}/messages`,
      `PUT ${path}/config`,
    ]) {
      const body = line.startsWith('GET') ? undefined : lawn
      expect(await asQueen(line, body)).toMatchObject({ status: 404, text: '' })
    }
  })
})

describe('a new room', () => {
  it('has an id of the server’s and belongs to who makes it (RR-2)', async () => {
    const { asQueen } = await setUp()
    const answer = await asQueen('POST /api/rooms', { ...lawn, more: 1 })
    expect(answer).toMatchObject({ status: 200, headers: { 'content-type': 'application/json' } })
    const { id } = answer.json<{ id: string }>()
    expect(id).toMatch(/^\d+-\d+-\d+$/)
    expect((await asQueen(`GET /api/rooms/${id}`)).json()).toEqual({
      ...lawn,
      participants: [{ user: queen, role: 'owner' }],
    })
    expect((await asQueen('POST /api/rooms', lawn)).json<{ id: string }>().id).not.toBe(id)
  })

  it.each([
    ['malformed JSON', '{'],
    ['nothing', ''],
    ['an array', [lawn]],
    ['no name', { subject: 'x' }],
    ['no subject', { name: 'x' }],
    ['a name that is none', { name: 1, subject: 'x' }],
    ['null for a subject', { name: 'x', subject: null }],
  ])('is not made of %s: 400 and nothing (RR-2, RR-4)', async (_, body) => {
    const { asQueen } = await setUp()
    for (const line of ['POST /api/rooms', `PUT ${path}`]) {
      expect(await asQueen(line, body)).toMatchObject({ status: 400, text: '' })
    }
    expect((await asQueen('GET /api/rooms')).text).toBe('[]')
  })

  it('has the id of the path, or of the JID there, in small letters; 400 where there is one (RR-4)', async () => {
    const { asQueen, asAlice } = await setUp()
    expect(await asQueen('PUT /api/rooms/My_Room', lawn)).toMatchObject({ status: 201, text: '{"id":"my_room"}' })
    expect(await asQueen(`PUT /api/rooms/Tea%20Party@MucLight.LocalHost`, lawn)).toMatchObject({ status: 400 })
    expect(await asQueen(`PUT /api/rooms/Tea@MucLight.LocalHost`, lawn)).toMatchObject({
      status: 201,
      text: '{"id":"tea"}',
    })
    for (const id of ['my_room', 'MY_ROOM', `my_room@${domain}`, `my_room%40${domain}`]) {
      expect(await asAlice(`PUT /api/rooms/${id}`, { name: 'x', subject: 'y' })).toMatchObject({
        status: 400,
        text: '',
      })
      expect((await asQueen(`GET /api/rooms/${id}`)).json()).toMatchObject(lawn)
    }
  })

  it('wants an id where one is to be put (RR-4)', async () => {
    const { asQueen } = await setUp()
    expect(await asQueen('PUT /api/rooms', lawn)).toMatchObject({ status: 404, text: '' })
  })

  it('is another one than the path says where it is posted, and the log has it (RR-5)', async () => {
    const events = recordedEvents()
    const { asQueen, asAlice } = await setUp({ events })
    await room(asQueen)
    const answer = await asAlice(`POST ${path}`, { name: 'Mine', subject: '' })
    expect(answer.status).toBe(200)
    const { id } = answer.json<{ id: string }>()
    expect(id).toMatch(/^\d+-\d+-\d+$/)
    expect((await asQueen(`GET ${path}`)).json()).toMatchObject(lawn)
    expect(await participants(asAlice, `/api/rooms/${id}`)).toEqual([`owner ${alice}`])
    const told = events.records.filter(({ name }) => name === 'http.ignored')
    expect(told.map(({ fields }) => fields)).toEqual([expect.objectContaining({ method: 'POST', path })])
  })

  it('is made in silence, and is there for XMPP at once (RR-6)', async () => {
    const { asQueen, online } = await setUp()
    const client = await online('queen')
    await room(asQueen)
    await asQueen('POST /api/rooms', lawn)
    await client.receivesNothing('<message/>')
    const items = await client.ask('get', '<query xmlns="http://jabber.org/protocol/disco#items"/>', { to: domain })
    expect(items.getChild('query')?.getChildren('item')).toHaveLength(2)
    await client.send(`<message type="groupchat" to="croquet@${domain}"><body>off</body></message>`)
    await client.receives(`<message type="groupchat" from="croquet@${domain}/${queen}"><body>off</body></message>`)
  })

  it('is refused to who is in too many, and where rooms have no subject', async () => {
    const { asQueen } = await setUp({ light: { rooms_per_user: 1 } })
    await room(asQueen)
    expect((await asQueen('POST /api/rooms', lawn)).status).toBe(400)
    const other = await setUp({ light: { config_schema: [{ field: 'roomname', value: 'x' }] } })
    expect((await other.asQueen(`PUT ${path}`, lawn)).status).toBe(400)
  })

  it('has no character that XML has not', async () => {
    const { asQueen, online } = await setUp()
    const client = await online('queen')
    await asQueen(`PUT ${path}`, { name: 'a\u0000b', subject: '\uD800' })
    expect((await asQueen(`GET ${path}`)).json()).toMatchObject({ name: 'a\uFFFDb', subject: '\uFFFD' })
    const shown = await client.ask('get', `<query xmlns="${ns}#configuration"/>`, { to: `croquet@${domain}` })
    expect(shown.getChild('query')?.getChildText('roomname')).toBe('a\uFFFDb')
  })

  it('called `config` is found where the configuration of no room would be (HP-5, §12)', async () => {
    const { asQueen } = await setUp()
    expect((await asQueen('PUT /api/rooms/config', lawn)).json()).toEqual({ id: 'config' })
    expect((await asQueen('GET /api/rooms/config')).json()).toMatchObject(lawn)
  })
})

describe('a room', () => {
  it('is shown to who is in it, others hear that it is not theirs, or not there (RR-3)', async () => {
    const { asQueen, asAlice, asHatter } = await setUp()
    await room(asQueen, alice)
    const shown = {
      ...lawn,
      participants: [
        { user: alice, role: 'member' },
        { user: queen, role: 'owner' },
      ],
    }
    expect((await asQueen(`GET ${path}`)).json()).toEqual(shown)
    expect((await asAlice(`GET ${path}`)).json()).toEqual(shown)
    expect(await asHatter(`GET ${path}`)).toMatchObject({ status: 403, text: '' })
    expect(await asHatter('GET /api/rooms/other')).toMatchObject({ status: 404, text: '' })
  })

  it.each([
    ['of another domain', 'croquet@elsewhere.test'],
    ['with a resource', `croquet@${domain}%2Fx`],
    ['of the service', `@${domain}`],
    ['that is no JID', 'a@b@c'],
    ['that is no localpart', 'a%20b'],
    ['with a slash', 'a%2Fb'],
    ['that is too long', 'x'.repeat(1024)],
  ])('with an id %s is a bad request, whatever is asked (§4)', async (_, id) => {
    const { asQueen } = await setUp()
    const requests = [`GET /api/rooms/${id}`, `PUT /api/rooms/${id}`, `POST /api/rooms/${id}/users`]
    for (const line of [...requests, `GET /api/rooms/${id}/messages`, `PUT /api/rooms/${id}/config`]) {
      const answer = await asQueen(line, line.startsWith('GET') ? undefined : lawn)
      expect([line, answer.status, answer.text]).toEqual([line, 400, 'invalid_room_id'])
    }
  })
})

describe('the configuration of a room', () => {
  const changed = { name: 'Court', subject: 'tarts' }

  it('is the owner’s to change, and everybody is told as after an IQ (RG-1, RG-3)', async () => {
    const { asQueen, asAlice, online } = await setUp()
    await room(asQueen, alice)
    const clients = await Promise.all([online('queen'), online('alice')])
    expect(await asQueen(`PUT ${path}/config`, changed)).toMatchObject({ status: 204, text: '' })
    for (const client of clients) {
      const notice = await client.receives(
        `<message type="groupchat" from="croquet@${domain}"><x xmlns="${ns}#configuration">` +
          '<prev-version/><version/><roomname>Court</roomname><subject>tarts</subject></x><body/></message>',
      )
      expect(notice.attrs.id).not.toBe('')
    }
    expect((await asAlice(`GET ${path}`)).json()).toMatchObject(changed)
    const shown = await clients[1].ask('get', `<query xmlns="${ns}#configuration"/>`, { to: `croquet@${domain}` })
    expect(shown.getChild('query')?.getChildText('subject')).toBe('tarts')
  })

  it('is not a member’s, unless all_can_configure says so (RG-1)', async () => {
    const { asQueen, asAlice } = await setUp()
    await room(asQueen, alice)
    expect(await asAlice(`PUT ${path}/config`, changed)).toMatchObject({ status: 403, text: '' })
    expect((await asAlice(`GET ${path}`)).json()).toMatchObject(lawn)
    const other = await setUp({ light: { all_can_configure: true } })
    await room(other.asQueen, alice)
    expect((await other.asAlice(`PUT ${path}/config`, changed)).status).toBe(204)
    expect((await other.asQueen(`GET ${path}`)).json()).toMatchObject(changed)
  })

  it('is refused to outsiders with 403, of no room with 404, and of no texts with 400 (RG-2)', async () => {
    const { asQueen, asHatter } = await setUp({ light: { all_can_configure: true } })
    await room(asQueen)
    expect(await asHatter(`PUT ${path}/config`, changed)).toMatchObject({ status: 403, text: '' })
    expect(await asHatter('PUT /api/rooms/other/config', changed)).toMatchObject({ status: 404, text: '' })
    for (const body of ['{', { name: 'x' }, { name: 'x', subject: 7 }]) {
      expect(await asQueen(`PUT ${path}/config`, body)).toMatchObject({ status: 400, text: '' })
    }
  })
})

describe('who is in a room', () => {
  it('the owner says: the newcomer and those inside are told (RU-1)', async () => {
    const { asQueen, online } = await setUp()
    await room(asQueen)
    const [owner, member] = await Promise.all([online('queen'), online('alice')])
    expect(await asQueen(`POST ${path}/users`, { user: 'Alice@LocalHost/phone', more: 1 })).toMatchObject({
      status: 204,
      text: '',
    })
    const welcome = await affiliationNotice(member, [alice, 'member'])
    expect(welcome.getChild('x')?.getChild('prev-version')).toBeUndefined()
    await affiliationNotice(owner, [alice, 'member'])
    expect(await participants(asQueen)).toEqual([`member ${alice}`, `owner ${queen}`])
  })

  it('nobody else says, even where all can invite (RU-1)', async () => {
    const { asQueen, asAlice, asHatter } = await setUp({ light: { all_can_invite: true } })
    await room(asQueen, alice)
    for (const ask of [asAlice, asHatter]) {
      expect(await ask(`POST ${path}/users`, { user: hatter })).toMatchObject({ status: 403, text: '' })
    }
    expect(await participants(asQueen)).toEqual([`member ${alice}`, `owner ${queen}`])
  })

  it.each(['{', {}, { user: 1 }, { user: '@bad' }, { user: '' }, { user: 'localhost' }])(
    'is not said by %j: 400 (RU-1)',
    async body => {
      const { asQueen } = await setUp()
      await room(asQueen)
      expect(await asQueen(`POST ${path}/users`, body)).toMatchObject({ status: 400, text: '' })
      expect((await asQueen('POST /api/rooms/other/users', body)).status).toBe(404)
    },
  )

  it('does not change where it cannot, and nobody is told, but that is no failure (RU-2)', async () => {
    const { asQueen, asAlice, online } = await setUp({ light: { max_occupants: 2 } })
    const client = await online('hatter')
    const block = `<query xmlns="${ns}#blocking"><user action="deny">${queen}</user></query>`
    expect((await client.ask('set', block, { to: domain })).attrs.type).toBe('result')
    await room(asQueen)
    const owner = await online('queen')
    const add = async (user: string) => (await asQueen(`POST ${path}/users`, { user })).status
    expect(await add(hatter)).toBe(204)
    await client.receivesNothing('<message/>')
    expect(await add(alice)).toBe(204)
    await affiliationNotice(owner, [alice, 'member'])
    expect([await add(alice), await add(queen), await add('hare@localhost')]).toEqual([204, 204, 204])
    await owner.receivesNothing('<message/>')
    expect(await participants(asAlice)).toEqual([`member ${alice}`, `owner ${queen}`])
  })

  it('the owner ends for anybody, a member for himself alone, an outsider for nobody (RU-3)', async () => {
    const { asQueen, asAlice, asHatter, online } = await setUp()
    await room(asQueen, alice, 'hare@localhost')
    const client = await online('alice')
    const remove = async (ask: Ask, user: string) => (await ask(`DELETE ${path}/users/${user}`)).status
    expect([await remove(asHatter, hatter), await remove(asHatter, alice)]).toEqual([403, 403])
    expect([await remove(asAlice, queen), await remove(asAlice, hatter)]).toEqual([403, 403])
    expect(await remove(asQueen, 'HARE@LocalHost')).toBe(204)
    await affiliationNotice(client, ['hare@localhost', 'none'])
    expect(await remove(asQueen, hatter)).toBe(204)
    await client.receivesNothing('<message/>')
    expect(await remove(asAlice, 'Alice%40localhost%2Fphone')).toBe(204)
    const farewell = await affiliationNotice(client, [alice, 'none'])
    expect(farewell.getChild('x')?.getChild('version')).toBeUndefined()
    expect(await remove(asAlice, alice)).toBe(403)
    expect(await asQueen(`DELETE /api/rooms/other/users/${alice}`)).toMatchObject({ status: 404, text: '' })
    expect(await participants(asQueen)).toEqual([`owner ${queen}`])
  })

  it('the owner ends for himself: another owns the room, or there is none (RU-3)', async () => {
    const { asQueen, asAlice, online } = await setUp()
    await room(asQueen, alice)
    const client = await online('alice')
    expect((await asQueen(`DELETE ${path}/users/${queen}`)).status).toBe(204)
    await affiliationNotice(client, [alice, 'owner'], [queen, 'none'])
    expect(await participants(asAlice)).toEqual([`owner ${alice}`])
    expect((await asAlice(`DELETE ${path}/users/${alice}`)).status).toBe(204)
    expect((await asAlice(`GET ${path}`)).status).toBe(404)
  })

  it('is a user: nobody, and nothing that is none, is a bad request (RU-3)', async () => {
    const { asQueen } = await setUp()
    await room(asQueen)
    for (const rest of ['', '/', '/@bad', '/localhost', '/a%20b@localhost']) {
      expect(await asQueen(`DELETE ${path}/users${rest}`)).toMatchObject({ status: 400, text: '' })
    }
  })
})

describe('the order of decisions on rooms (RC-7)', () => {
  const withoutJson = { 'content-type': 'text/plain' }
  it.each([
    ['405 before 401', 'PATCH', '', {}, { authorization: '' }, 405],
    ['401 before 400', 'GET', '/a@b@c', undefined, { authorization: '' }, 401],
    ['406 before 404', 'GET', '/other', undefined, { accept: 'application/xml' }, 406],
    ['406 before 400', 'GET', '/a@b@c', undefined, { accept: 'application/xml' }, 406],
    ['404 before 415: users', 'POST', '/other/users', 'x', withoutJson, 404],
    ['415 before 403: users', 'POST', '/croquet/users', {}, withoutJson, 415],
    ['403 before 400: users', 'POST', '/croquet/users', '{', {}, 403],
    ['404 before 415: messages', 'POST', '/other/messages', 'x', withoutJson, 404],
    ['415 before 403: messages', 'POST', '/croquet/messages', {}, withoutJson, 415],
    ['403 before 400: messages', 'POST', '/croquet/messages', '{', {}, 403],
    ['403 before 400: the query of messages', 'GET', '/croquet/messages?limit=x', undefined, {}, 403],
    ['404 before 415: config', 'PUT', '/other/config', 'x', withoutJson, 404],
    ['415 before 403: config', 'PUT', '/croquet/config', {}, withoutJson, 415],
    ['403 before 400: config', 'PUT', '/croquet/config', '{', {}, 403],
    ['404 before 403: config', 'PUT', '/other/config', {}, {}, 404],
    ['415 before 400: rooms', 'POST', '', '{', withoutJson, 415],
    ['404 before 403: users', 'DELETE', '/other/users/queen@localhost', undefined, {}, 404],
    ['403 before 400: a user', 'DELETE', '/croquet/users/@bad', undefined, {}, 403],
  ])('%s', async (_, method, rest, body, headers: Record<string, string>, status) => {
    const { asQueen, asHatter } = await setUp()
    await room(asQueen)
    expect((await asHatter(`${method} /api/rooms${rest}`, body, headers)).status).toBe(status)
  })

  it.each([
    ['/api/rooms', 'OPTIONS, GET, POST, PUT'],
    [path, 'OPTIONS, GET, POST, PUT'],
    [`${path}/config`, 'OPTIONS, PUT'],
    [`${path}/users`, 'OPTIONS, POST, DELETE'],
    [`${path}/users/${alice}`, 'OPTIONS, POST, DELETE'],
    [`${path}/messages`, 'OPTIONS, GET, POST'],
  ])('%s allows %s', async (target, allow) => {
    const { asQueen } = await setUp()
    expect(await asQueen(`PATCH ${target}`)).toMatchObject({ status: 405, text: '', headers: { allow } })
  })
})
