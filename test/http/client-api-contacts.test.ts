import { describe, expect, it } from 'vitest'
import { userOf } from '../support/rest.js'
import { type Setup, session, sharedServer, startedServer } from '../support/server.js'

/*
 * `mongoose_client_api_contacts` of a running server, with XMPP clients at the other end. spec/rest-client.md §1, §3
 */

const dora = 'dora@localhost'
const hatter = 'hatter@localhost'
const hare = 'hare@localhost'
const path = '/api/contacts'
const roster = '<query xmlns="jabber:iq:roster"/>'
const push = (item: string) => `<iq type="set"><query xmlns="jabber:iq:roster">${item}</query></iq>`

const handlers = { mongoose_client_api_contacts: [{ host: '_', path: `${path}/[:jid]` }] }

const setup: Setup = {
  users: ['dora', 'hatter', 'hare'],
  modules: { mod_roster: {}, mod_privacy: {}, mod_blocking: {}, mod_ping: {} },
  config: { listen: { http: [{ port: 0, ip_address: '127.0.0.1', handlers }] } },
}

async function setUp(more: Setup = {}) {
  const server = await startedServer({ ...setup, ...more })
  return { server, asDora: userOf(server, dora), asHatter: userOf(server, hatter) }
}

/** The same of a server that is shared: Dora has nobody there, and Hatter nobody but her. */
const quiet = sharedServer(setup)
const quietly = () => ({ asDora: userOf(quiet(), dora), asHatter: userOf(quiet(), hatter) })

type Setting = Awaited<ReturnType<typeof setUp>>

/** A client that gets roster pushes. */
async function interested({ server }: Pick<Setting, 'server'>, user: string) {
  const client = await session(server, user, { priority: 0 })
  await client.ask('get', roster)
  return client
}

const listOf = async (asked: Setting['asDora']) => (await asked(`GET ${path}`)).json()

describe('GET /api/contacts', () => {
  it('shows each step of a handshake, incoming requests too (RK-1, RK-3)', async () => {
    const { asDora, asHatter } = await setUp()
    expect(await listOf(asDora)).toEqual([])
    await asDora(`POST ${path}`, { jid: hatter })
    expect(await listOf(asDora)).toEqual([{ jid: hatter, subscription: 'none', ask: 'none' }])
    expect(await asDora(`PUT ${path}/${hatter}`, { action: 'invite' })).toMatchObject({ status: 204, text: '' })
    expect(await listOf(asDora)).toEqual([{ jid: hatter, subscription: 'none', ask: 'out' }])
    expect(await listOf(asHatter)).toEqual([{ jid: dora, subscription: 'none', ask: 'in' }])
    // Somebody who has only asked is a contact already.
    expect((await asHatter(`PUT ${path}/${dora}`, { action: 'accept' })).status).toBe(204)
    expect(await listOf(asDora)).toEqual([{ jid: hatter, subscription: 'to', ask: 'none' }])
    expect(await listOf(asHatter)).toEqual([{ jid: dora, subscription: 'from', ask: 'none' }])
    await asHatter(`PUT ${path}/${dora}`, { action: 'invite' })
    await asDora(`PUT ${path}/${hatter}`, { action: 'accept' })
    expect(await listOf(asDora)).toEqual([{ jid: hatter, subscription: 'both', ask: 'none' }])
    expect(await listOf(asHatter)).toEqual([{ jid: dora, subscription: 'both', ask: 'none' }])
  })

  it('shows requests in both directions at once (RK-1)', async () => {
    const { asDora, asHatter } = await setUp()
    await asDora(`POST ${path}`, { jid: hatter })
    await asHatter(`POST ${path}`, { jid: dora })
    await asDora(`PUT ${path}/${hatter}`, { action: 'invite' })
    await asHatter(`PUT ${path}/${dora}`, { action: 'invite' })
    expect(await listOf(asDora)).toEqual([{ jid: hatter, subscription: 'none', ask: 'both' }])
  })

  it('shows the rooms that are put into rosters (RK-1)', async () => {
    const { server, asDora } = await setUp({ modules: { mod_roster: {}, mod_muc_light: { rooms_in_rosters: true } } })
    const client = await session(server, 'dora')
    const room = 'tea@muclight.localhost'
    const create =
      '<query xmlns="urn:xmpp:muclight:0#create"><configuration><roomname>Tea</roomname></configuration></query>'
    expect((await client.ask('set', create, { to: room })).attrs.type).toBe('result')
    await asDora(`POST ${path}`, { jid: hatter })
    expect(await listOf(asDora)).toEqual([
      { jid: hatter, subscription: 'none', ask: 'none' },
      { jid: room, subscription: 'to', ask: 'none' },
    ])
    // It is no contact that could be removed.
    expect((await asDora(`DELETE ${path}/${room}`)).status).toBe(404)
  })

  it('answers 404 for one contact, whether it is there or not (RK-1)', async () => {
    const { asHatter } = quietly()
    await asHatter(`POST ${path}`, { jid: dora })
    for (const jid of [dora, hare, '@bad'])
      expect(await asHatter(`GET ${path}/${jid}`)).toMatchObject({ status: 404, text: '' })
  })
})

describe('POST /api/contacts', () => {
  it('adds a contact and tells the clients of the user, also the second time (RK-2)', async () => {
    const { server, asDora } = await setUp()
    const client = await interested({ server }, 'dora')
    for (let time = 1; time <= 2; time++) {
      expect(await asDora(`POST ${path}`, { jid: 'HATTER@localhost' })).toMatchObject({ status: 204, text: '' })
      await client.receives(push(`<item jid="${hatter}" subscription="none"/>`))
    }
    expect(await asDora(`POST ${path}/${hare}`, {})).toMatchObject({ status: 204 })
    await client.receives(push(`<item jid="${hare}" subscription="none"/>`))
    expect(String(await client.ask('get', roster))).toContain(`jid="${hare}"`)
  })

  it.each([
    ['no jid', {}],
    ['a jid that is no text', { jid: 1 }],
    ['a JID that is none (RK-2)', { jid: '@bad' }],
    ['malformed JSON (RK-6)', '{'],
    ['no object', [hatter]],
    ['no body', ''],
  ])('refuses %s with 400 and nothing', async (_, body) => {
    const { asDora } = quietly()
    expect(await asDora(`POST ${path}`, body)).toMatchObject({ status: 400, text: '' })
    expect(await listOf(asDora)).toEqual([])
  })

  it('refuses the user itself with 400, as a client would be refused', async () => {
    const { asDora } = quietly()
    expect((await asDora(`POST ${path}`, { jid: dora })).status).toBe(400)
    expect(await listOf(asDora)).toEqual([])
  })
})

describe('PUT /api/contacts', () => {
  it('asks a contact, who sees it and whose answer is pushed (RK-3)', async () => {
    const { server, asDora } = await setUp()
    const own = await interested({ server }, 'dora')
    const theirs = await interested({ server }, 'hatter')
    await asDora(`POST ${path}`, { jid: hatter })
    await asDora(`PUT ${path}/${hatter}`, { action: 'invite' })
    await theirs.receives(`<presence type="subscribe" from="${dora}"/>`)
    await own.receives(push(`<item jid="${hatter}" ask="subscribe"/>`))
    await theirs.send(`<presence type="subscribed" to="${dora}"/>`)
    await own.receives(push(`<item jid="${hatter}" subscription="to"/>`))
    await own.receives(`<presence from="${theirs.jid}"/>`)
  })

  it('lets a contact see the user who has accepted it (RK-3)', async () => {
    const { server, asDora } = await setUp()
    const own = await interested({ server }, 'dora')
    const theirs = await interested({ server }, 'hatter')
    await theirs.send(`<presence type="subscribe" to="${dora}"/>`)
    await own.receives(`<presence type="subscribe" from="${hatter}"/>`)
    expect((await asDora(`PUT ${path}/${hatter}`, { action: 'accept' })).status).toBe(204)
    await theirs.receives(`<presence type="subscribed" from="${dora}"/>`)
    await theirs.receives(`<presence from="${own.jid}"/>`)
    await own.receives(push(`<item jid="${hatter}" subscription="from"/>`))
  })

  it('takes the jid of the body before that of the path (RK-3)', async () => {
    const { asDora } = await setUp()
    await asDora(`POST ${path}`, { jid: hatter })
    expect((await asDora(`PUT ${path}/${hare}`, { jid: hatter, action: 'invite' })).status).toBe(204)
    expect((await asDora(`PUT ${path}`, { jid: hatter, action: 'invite' })).status).toBe(204)
    expect((await asDora(`PUT ${path}/${hatter}`, { jid: hare, action: 'invite' })).status).toBe(404)
    expect(await listOf(asDora)).toEqual([{ jid: hatter, subscription: 'none', ask: 'out' }])
  })

  it.each([
    ['another action', { action: 'dance' }],
    ['no action', {}],
    ['an action that is no text', { action: 1 }],
  ])('answers 501 for %s, but 404 first where there is no such contact (RK-3)', async (_, body) => {
    const { asHatter } = quietly()
    await asHatter(`POST ${path}`, { jid: dora })
    expect(await asHatter(`PUT ${path}/${dora}`, body)).toMatchObject({ status: 501, text: '' })
    expect(await asHatter(`PUT ${path}/${hare}`, body)).toMatchObject({ status: 404, text: '' })
  })

  it.each([
    ['malformed JSON (RK-6)', `/${hatter}`, '{'],
    ['nobody', '', { action: 'invite' }],
    ['a JID that is none', '', { jid: '@bad', action: 'invite' }],
  ])('refuses %s with 400', async (_, rest, body) => {
    const { asDora } = quietly()
    expect(await asDora(`PUT ${path}${rest}`, body)).toMatchObject({ status: 400, text: '' })
  })

  it('refuses whom the user blocks with 400, as a client would be refused (XEP-0191 §3.3)', async () => {
    const { server, asDora } = await setUp()
    const own = await session(server, 'dora')
    const theirs = await session(server, 'hatter', { priority: 0 })
    await own.ask('set', `<block xmlns="urn:xmpp:blocking"><item jid="${hatter}"/></block>`)
    await asDora(`POST ${path}`, { jid: hatter })
    expect((await asDora(`PUT ${path}/${hatter}`, { action: 'invite' })).status).toBe(400)
    await theirs.receivesNothing('<presence type="subscribe"/>')
  })
})

describe('DELETE /api/contacts', () => {
  it('removes a contact, tells the clients of the user and the contact; the second time 404 (RK-4)', async () => {
    const { server, asDora, asHatter } = await setUp()
    await asDora(`POST ${path}`, { jid: hatter })
    await asDora(`PUT ${path}/${hatter}`, { action: 'invite' })
    await asHatter(`PUT ${path}/${dora}`, { action: 'accept' })
    const own = await interested({ server }, 'dora')
    const theirs = await interested({ server }, 'hatter')
    expect(await asDora(`DELETE ${path}/${hatter}`)).toMatchObject({ status: 204, text: '' })
    await own.receives(push(`<item jid="${hatter}" subscription="remove"/>`))
    await theirs.receives(`<presence type="unsubscribe" from="${dora}"/>`)
    for (const jid of [hatter, '@bad'])
      expect(await asDora(`DELETE ${path}/${jid}`)).toMatchObject({ status: 404, text: '' })
    expect(await listOf(asDora)).toEqual([])
  })

  it('denies the request of somebody who has only asked (RK-4)', async () => {
    const { server, asDora, asHatter } = await setUp()
    const theirs = await interested({ server }, 'hatter')
    await asHatter(`POST ${path}`, { jid: dora })
    await asHatter(`PUT ${path}/${dora}`, { action: 'invite' })
    expect((await asDora(`DELETE ${path}/${hatter}`)).status).toBe(204)
    await theirs.receives(`<presence type="unsubscribed" from="${dora}"/>`)
    expect(await listOf(asDora)).toEqual([])
    expect(await listOf(asHatter)).toEqual([{ jid: dora, subscription: 'none', ask: 'none' }])
  })

  it('removes several and names those that were not there, whatever type the body is said to be (RK-5)', async () => {
    const { asDora } = await setUp()
    for (const jid of [hatter, hare]) await asDora(`POST ${path}`, { jid })
    const body = { to_delete: [hatter, 'nobody@localhost', '@bad', 'HARE@localhost', hatter] }
    const answer = await asDora(`DELETE ${path}`, body, { 'content-type': '' })
    expect(answer.status).toBe(200)
    expect(answer.json()).toEqual({ not_deleted: ['nobody@localhost', '@bad', hatter] })
    expect(await listOf(asDora)).toEqual([])
    expect((await asDora(`DELETE ${path}`, { to_delete: [] })).json()).toEqual({ not_deleted: [] })
  })

  it.each([
    ['no body', undefined],
    ['malformed JSON', '{'],
    ['no list', {}],
    ['a list that is none', { to_delete: hatter }],
    ['a list of other things', { to_delete: [1] }],
    ['more than a roster can hold', { to_delete: Array.from({ length: 10_501 }, () => 'a') }],
  ])('refuses %s with 400 and removes nobody (RK-5)', async (_, body) => {
    const { asHatter } = quietly()
    await asHatter(`POST ${path}`, { jid: dora })
    expect(await asHatter(`DELETE ${path}`, body)).toMatchObject({ status: 400, text: '' })
    expect(await listOf(asHatter)).toHaveLength(1)
  })
})

describe('the order of decisions on contacts (RC-7)', () => {
  const none = { authorization: '' }
  it.each([
    ['405 before 401', 'PATCH', '', undefined, none, 405],
    ['401 before 404', 'GET', `/${hare}`, undefined, none, 401],
    ['401 before 406', 'GET', '', undefined, { ...none, accept: 'text/plain' }, 401],
    ['406 before 404', 'GET', `/${hare}`, undefined, { accept: 'application/xml' }, 406],
    ['406 before 415', 'POST', '', 'x', { accept: 'text/html', 'content-type': '' }, 406],
    ['415 before 400', 'POST', '', '{', { 'content-type': 'text/plain' }, 415],
    ['415 before 404', 'PUT', `/${hare}`, {}, { 'content-type': '' }, 415],
    ['400 before 404', 'PUT', `/${hare}`, '{', {}, 400],
    ['404 before 501', 'PUT', `/${hare}`, {}, {}, 404],
  ])('%s', async (_, method, rest, body, headers, status) => {
    const { asDora } = quietly()
    const answer = await asDora(`${method} ${path}${rest}`, body, headers)
    expect(answer).toMatchObject({ status, text: '' })
    if (status === 405) expect(answer.headers.allow).toBe('OPTIONS, GET, POST, PUT, DELETE')
  })

  it('lists the same methods for one contact as for all', async () => {
    const { asDora } = quietly()
    const answer = await asDora(`PATCH ${path}/${hare}`)
    expect(answer).toMatchObject({ status: 405, headers: { allow: 'OPTIONS, GET, POST, PUT, DELETE' } })
  })
})
