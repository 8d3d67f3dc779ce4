import { describe, expect, it } from 'vitest'
import { adminListener } from '../support/admin-api.js'
import type { Client } from '../support/client.js'
import { request } from '../support/rest.js'
import { type Setup, session, startedServer } from '../support/server.js'

/*
 * Rooms over the admin REST API, with XMPP clients as occupants. spec/rest-admin.md
 */

const [dora, hatter, hare] = ['dora@localhost', 'hatter@localhost', 'hare@localhost'] as const

/** A server with rooms of both kinds, and what an operator asks of it. */
async function setUp({ light = {}, muc = {}, ...more }: Setup & { light?: object; muc?: object } = {}) {
  const server = await startedServer({
    users: ['dora', 'hatter', 'hare'],
    modules: {
      mod_muc_light: light,
      mod_muc: muc,
      mod_mam_meta: { muc: { host: 'muclight.@HOST@' } },
      mod_disco: {},
      mod_ping: {},
      mod_muc_light_commands: {},
      mod_muc_commands: {},
    },
    ...more,
    config: { listen: { http: [adminListener()] }, ...more.config },
  })
  const ask = (line: string, body?: unknown) => request(server, line, body)
  const online = (user: string, resource = 'x') => session(server, user, { resource, priority: 0 })
  return { server, ask, online }
}
type Ask = Awaited<ReturnType<typeof setUp>>['ask']

describe('rooms of light group chat', () => {
  const ns = 'urn:xmpp:muclight:0'
  const service = 'muclight.localhost'
  const croquet = `croquet@${service}`
  const texts = { name: 'Lawn', subject: 'flamingos' }

  /** The room `croquet` of dora, called `Lawn`; hatter is in it. */
  async function withRoom(ask: Ask): Promise<void> {
    expect((await ask('PUT /api/muc-lights/localhost', { id: 'croquet', owner: dora, ...texts })).status).toBe(201)
    const invitation = { sender: dora, recipient: hatter }
    expect((await ask(`POST /api/muc-lights/${service}/Lawn/participants`, invitation)).status).toBe(204)
  }

  const get = async (client: Client, part: string, to = croquet) =>
    (await client.ask('get', `<query xmlns="${ns}#${part}"/>`, { to })).getChild('query')
  const occupants = async (client: Client, to = croquet) =>
    (await get(client, 'affiliations', to))
      ?.getChildren('user')
      .map(user => `${user.attrs.affiliation} ${user.getText()}`)
  const rooms = async (client: Client) =>
    (await client.ask('get', '<query xmlns="http://jabber.org/protocol/disco#items"/>', { to: service }))
      .getChild('query')
      ?.getChildren('item')
      .map(({ attrs }) => attrs.jid)

  it('are made in silence, with an id of the server’s (A-18, A-28)', async () => {
    const { ask, online } = await setUp()
    const client = await online('dora')
    const answer = await ask('POST /api/muc-lights/localhost', { owner: dora, ...texts })
    expect(answer.status).toBe(201)
    expect(answer.text).toMatch(/^\d+-\d+-\d+@muclight\.localhost$/)
    expect(answer.headers['content-type']).toMatch(/^text\/plain/)
    expect(decodeURIComponent(String(answer.headers.location))).toBe(
      `http://localhost/api/muc-lights/localhost/${answer.text}`,
    )
    await client.receivesNothing('<message/>')
    expect(await rooms(client)).toEqual([answer.text])
    expect(await occupants(client, answer.text)).toEqual([`owner ${dora}`])
    await client.ask('set', '<query xmlns="urn:xmpp:mam:2"/>', { to: answer.text })
    await client.receivesNothing('<message/>')
  })

  it('are made with an id that is given, once (A-18)', async () => {
    const { ask, online } = await setUp()
    const client = await online('dora')
    const answer = await ask('PUT /api/muc-lights/localhost', { id: 'Cro_Quet', owner: 'DORA@localhost/x', ...texts })
    expect(answer).toMatchObject({ status: 201, text: `cro_quet@${service}` })
    expect(answer.headers).not.toHaveProperty('location')
    await client.receivesNothing('<message/>')
    expect((await get(client, 'configuration', answer.text))?.getChildText('subject')).toBe('flamingos')
    for (const id of ['cro_quet', `CRO_QUET@${service}`]) {
      const again = await ask('PUT /api/muc-lights/localhost', { id, owner: hatter, ...texts })
      expect(again).toMatchObject({ status: 403, text: 'Room already exists' })
    }
    expect(await occupants(client, answer.text)).toEqual([`owner ${dora}`])
  })

  it.each([
    ['an owner that is no JID', 'POST', { owner: '@bad' }, 400, /^Invalid jid: @bad/],
    ['an owner that is a host', 'POST', { owner: 'localhost' }, 400, /^Invalid jid: localhost/],
    ['an id that is none', 'PUT', { id: 'a b', owner: dora }, 400, /^invalid_room_id$/],
    ['an id of another domain', 'PUT', { id: 'a@b', owner: dora }, 400, /^invalid_room_id$/],
    ['a name that is no text', 'POST', { name: 7, owner: dora }, 400, /name/],
  ])('are not made of %s (§4)', async (_, method, body, status, text) => {
    const { ask } = await setUp()
    const answer = await ask(`${method} /api/muc-lights/localhost`, { ...texts, ...body })
    expect(answer).toMatchObject({ status, text: expect.stringMatching(text) })
  })

  it('are not made on a host that has none (A-18)', async () => {
    const { ask } = await setUp()
    expect((await ask('POST /api/muc-lights/other.test', { owner: dora, ...texts })).status).toBe(404)
    expect((await ask('PUT /api/muc-lights/other.test', { id: 'x', owner: dora, ...texts })).status).toBe(404)
  })

  it('are configured as their rules say, and everybody inside is told (A-19)', async () => {
    const { ask, online } = await setUp()
    await withRoom(ask)
    const clients = [await online('dora'), await online('hatter')]
    const change = (user: string, id = 'croquet') =>
      ask('PUT /api/muc-lights/localhost/config', { id, user, name: 'Court', subject: 'tarts' })
    for (const user of [hatter, hare]) {
      expect(await change(user)).toMatchObject({ status: 403, text: 'not_allowed' })
    }
    expect(await change(dora, 'other')).toMatchObject({ status: 404, text: 'room does not exist' })
    for (const client of clients) await client.receivesNothing('<message/>')
    expect(await change(dora)).toMatchObject({ status: 204, text: '' })
    for (const client of clients) {
      await client.receives(
        `<message type="groupchat" from="${croquet}"><x xmlns="${ns}#configuration"><prev-version/><version/>` +
          '<roomname>Court</roomname><subject>tarts</subject></x><body/></message>',
      )
    }
    const open = await setUp({ light: { all_can_configure: true } })
    await withRoom(open.ask)
    const byMember = { id: 'croquet', user: hatter, name: 'Court', subject: 'tarts' }
    expect((await open.ask('PUT /api/muc-lights/localhost/config', byMember)).status).toBe(204)
  })

  it('take somebody in at the wish of somebody inside, who gets no result; all are told (A-20)', async () => {
    const { ask, online } = await setUp()
    await withRoom(ask)
    const [owner, member, newcomer] = [await online('dora'), await online('hatter'), await online('hare')]
    const path = `POST /api/muc-lights/${service}/Lawn/participants`
    expect(await ask(path, { sender: dora, recipient: `${hare}/burrow` })).toMatchObject({ status: 204, text: '' })
    const told = `<user affiliation="member">${hare}</user>`
    const notice = (inside: string) =>
      `<message type="groupchat" from="${croquet}"><x xmlns="${ns}#affiliations">${inside}</x><body/></message>`
    await newcomer.receives(notice(`<version/>${told}`))
    for (const client of [owner, member]) await client.receives(notice(`<prev-version/><version/>${told}`))
    await owner.receivesNothing('<iq/>')
    expect((await ask(path, { sender: dora, recipient: hare })).status).toBe(204)
    await owner.receivesNothing('<message/>')
  })

  it('take nobody in for who is in none, in none of that name, or may not (A-20)', async () => {
    const { ask, online } = await setUp()
    await withRoom(ask)
    const invite = (sender: string, name = 'Lawn') =>
      ask(`POST /api/muc-lights/${service}/${name}/participants`, { sender, recipient: hare })
    expect(await invite(hare)).toMatchObject({ status: 403, text: 'given user does not occupy any room' })
    expect(await invite(dora, 'Other')).toMatchObject({ status: 404, text: 'room does not exist' })
    expect(await invite(dora, 'croquet')).toMatchObject({ status: 404, text: 'room does not exist' })
    expect(await invite(hatter)).toMatchObject({ status: 403, text: 'not_allowed' })
    expect(await invite('@bad')).toMatchObject({ status: 400, text: expect.stringMatching(/^Invalid jid: @bad/) })
    expect(await occupants(await online('dora'))).toEqual([`owner ${dora}`, `member ${hatter}`])
  })

  it('are found by their name among those of the user; the host stands for the service (A-17)', async () => {
    const { ask, online } = await setUp()
    for (const [id, owner] of [
      ['one', dora],
      ['two', hare],
    ]) {
      await ask('PUT /api/muc-lights/localhost', { id, owner, name: 'Lawn', subject: '' })
    }
    const [doras, hares] = [await online('dora'), await online('hare')]
    for (const [domain, sender] of [
      [service, dora],
      ['LocalHost', hare],
    ]) {
      const answer = await ask(`POST /api/muc-lights/${domain}/Lawn/participants`, { sender, recipient: hatter })
      expect(answer.status).toBe(204)
    }
    expect(await occupants(doras, `one@${service}`)).toEqual([`owner ${dora}`, `member ${hatter}`])
    expect(await occupants(hares, `two@${service}`)).toEqual([`owner ${hare}`, `member ${hatter}`])
    // The first of the two that hatter is in.
    await ask(`POST /api/muc-lights/${service}/Lawn/messages`, { from: hatter, body: 'which?' })
    await doras.receives(`<message from="one@${service}/${hatter}"><body>which?</body></message>`)
    await hares.receivesNothing('<message><body>which?</body></message>')
    const elsewhere = await ask('POST /api/muc-lights/other.test/Lawn/messages', { from: dora, body: 'x' })
    expect(elsewhere).toMatchObject({ status: 404, text: 'room does not exist' })
  })

  it('hear what is said in them, whoever says it too (A-21)', async () => {
    const { ask, online } = await setUp()
    await withRoom(ask)
    const clients = [await online('dora'), await online('hatter')]
    const say = (from: string, name = 'Lawn') =>
      ask(`POST /api/muc-lights/${service}/${name}/messages`, { from, body: 'a < b' })
    expect(await say(`${hatter}/phone`)).toMatchObject({ status: 204, text: '' })
    for (const client of clients) {
      await client.receives(`<message type="groupchat" from="${croquet}/${hatter}"><body>a &lt; b</body></message>`)
    }
    expect(await say(hare)).toMatchObject({ status: 403, text: 'given user does not occupy any room' })
    expect(await say(dora, 'Other')).toMatchObject({ status: 404, text: 'room does not exist' })
  })

  it('end at the wish of their owner, and everybody is told (A-22)', async () => {
    const { ask, online } = await setUp()
    await withRoom(ask)
    const clients = { [dora]: await online('dora'), [hatter]: await online('hatter') }
    const end = (user: string, name = 'Lawn') => ask(`DELETE /api/muc-lights/${service}/${name}/${user}/management`)
    expect(await end(hare)).toMatchObject({ status: 403, text: 'given user does not occupy this room' })
    expect(await end(dora, 'Other')).toMatchObject({ status: 404, text: 'room does not exist' })
    expect(await end(hatter)).toMatchObject({ status: 403, text: 'you can not delete this room' })
    expect(await end(dora)).toMatchObject({ status: 204, text: '' })
    for (const [jid, client] of Object.entries(clients)) {
      await client.receives(
        `<message type="groupchat" from="${croquet}"><x xmlns="${ns}#destroy"/>` +
          `<x xmlns="${ns}#affiliations"><user affiliation="none">${jid}</user></x><body/></message>`,
      )
    }
    expect(await rooms(clients[dora]!)).toEqual([])
  })

  it('are no business of an API without mod_muc_light_commands (§3)', async () => {
    const { ask } = await setUp({ modules: { mod_muc_light: {}, mod_muc_commands: {} } })
    expect((await ask('POST /api/muc-lights/localhost', { owner: dora, ...texts })).status).toBe(404)
  })
})

describe('rooms of multi-user chat', () => {
  const NS = 'http://jabber.org/protocol/muc'
  const service = 'conference.localhost'
  const lawn = `lawn@${service}`

  const make = (ask: Ask, more: object = {}) =>
    ask('POST /api/mucs/localhost', { name: 'lawn', owner: dora, nick: 'Queen', ...more })

  async function enter(client: Client, nick: string): Promise<void> {
    await client.send(`<presence to="${lawn}/${nick}"><x xmlns="${NS}"/></presence>`)
    await client.receives(`<presence from="${lawn}/${nick}"><x xmlns="${NS}#user"><status code="110"/></x></presence>`)
    await client.receives('<message type="groupchat"><subject/></message>')
  }

  const listed = async (client: Client) =>
    (await client.ask('get', '<query xmlns="http://jabber.org/protocol/disco#items"/>', { to: service }))
      .getChild('query')
      ?.getChildren('item')
      .map(({ attrs }) => attrs.jid)

  it('are made open, with the owner inside, whose clients see it (A-23, A-28)', async () => {
    const { ask, online } = await setUp()
    const client = await online('dora')
    const answer = await make(ask)
    expect(answer).toMatchObject({ status: 201, text: 'lawn' })
    expect(answer.headers.location).toBe('http://localhost/api/mucs/localhost/lawn')
    await client.receives(
      `<presence from="${lawn}/Queen"><x xmlns="${NS}#user"><item affiliation="owner" role="moderator"/>` +
        '<status code="110"/><status code="201"/></x></presence>',
    )
    await client.receives(`<message type="groupchat" from="${lawn}"><subject/></message>`)
    await client.receives(`<iq type="result" from="${lawn}"/>`)
    expect(await listed(client)).toEqual([lawn])
    const guest = await online('hatter')
    await enter(guest, 'Hatter')
    await client.receives(`<presence from="${lawn}/Hatter"/>`)
  })

  it('are entered by the owner where they are there and open; a locked one is an error (A-23)', async () => {
    const { ask, online } = await setUp()
    const client = await online('hatter')
    await client.send(`<presence to="${lawn}/Hatter"><x xmlns="${NS}"/></presence>`)
    await client.receives(`<presence from="${lawn}/Hatter"><x xmlns="${NS}#user"><status code="201"/></x></presence>`)
    expect(await make(ask)).toMatchObject({ status: 500, text: 'room is locked' })
    const form = '<x xmlns="jabber:x:data" type="submit"/>'
    await client.ask('set', `<query xmlns="${NS}#owner">${form}</query>`, { to: lawn })
    expect(await make(ask)).toMatchObject({ status: 201, text: 'lawn' })
    await client.receives(
      `<presence from="${lawn}/Queen"><x xmlns="${NS}#user"><item affiliation="none"/></x></presence>`,
    )
    // A nick is one user's at a time.
    expect((await make(ask, { owner: hare })).status).toBe(403)
  })

  it.each([
    ['an owner that is no JID', { owner: '@bad' }, 400],
    ['an owner that is a host', { owner: 'localhost' }, 400],
    ['a name that is none', { name: 'a b' }, 400],
    ['no name', { name: '' }, 400],
    ['no nick', { nick: ' ' }, 400],
    ['an owner who may make none', { owner: hatter }, 403],
  ])('are not made for %s (A-23)', async (_, more, status) => {
    const access = { queens: [{ acl: 'queen', value: 'allow' }] }
    const { ask, online } = await setUp({
      muc: { access_create: 'queens' },
      config: { acl: { queen: [{ user: 'dora' }] }, access, listen: { http: [adminListener()] } },
    })
    expect((await make(ask, more)).status).toBe(status)
    expect(await listed(await online('dora'))).toEqual([])
    expect((await make(ask)).status).toBe(201)
  })

  it('are invited to in somebody’s name, past the room (A-24)', async () => {
    const { ask, online } = await setUp()
    await make(ask)
    const guest = await online('hatter')
    const invite = (recipient: string, name = 'lawn') =>
      ask(`POST /api/mucs/localhost/${name}/participants`, { sender: dora, recipient, reason: 'tea & cake' })
    expect(await invite(hatter)).toMatchObject({ status: 204, text: '' })
    await guest.receives(
      `<message from="${dora}"><x xmlns="jabber:x:conference" jid="${lawn}" reason="tea &amp; cake"/></message>`,
    )
    expect(await invite(hatter, 'other')).toMatchObject({ status: 404, text: 'room does not exist' })
    const invalid = { status: 400, text: expect.stringMatching(/^Invalid jid: @bad/) }
    expect(await invite('@bad', 'other')).toMatchObject(invalid)
    await guest.receivesNothing('<message/>')
  })

  it('hear what somebody inside says; others are told that they are not (A-25)', async () => {
    const { ask, online } = await setUp()
    await make(ask)
    const [guest, outsider] = [await online('hatter'), await online('hare')]
    await enter(guest, 'Hatter')
    const say = (from: string, body: string) => ask('POST /api/mucs/localhost/lawn/messages', { from, body })
    for (const [from, nick] of [
      [dora, 'Queen'],
      [guest.jid, 'Hatter'],
      [hatter, 'Hatter'],
    ]) {
      expect(await say(String(from), 'off!')).toMatchObject({ status: 204, text: '' })
      await guest.receives(`<message type="groupchat" from="${lawn}/${nick}"><body>off!</body></message>`)
    }
    expect((await say(String(outsider.jid), 'psst')).status).toBe(204)
    await outsider.receives(`<message type="error" from="${lawn}"><error type="modify"/></message>`)
    await guest.receivesNothing('<message><body>psst</body></message>')
    expect((await say('@bad', 'x')).status).toBe(400)
    const nowhere = await ask('POST /api/mucs/localhost/other/messages', { from: outsider.jid, body: 'x' })
    expect(nowhere.status).toBe(204)
    await outsider.receives(`<message type="error" from="other@${service}"/>`)
  })

  it('lose an occupant in the name of a moderator, and everybody sees it (A-26)', async () => {
    const { ask, online } = await setUp()
    await make(ask)
    const [guest, other] = [await online('hatter'), await online('hare')]
    await enter(guest, 'Hatter')
    await enter(other, 'messages')
    expect(await ask('DELETE /api/mucs/localhost/lawn/messages')).toMatchObject({ status: 204, text: '' })
    for (const client of [guest, other]) {
      await client.receives(
        `<presence type="unavailable" from="${lawn}/messages"><x xmlns="${NS}#user"><item role="none">` +
          '<actor nick="Queen"/><reason>Kicked through HTTP Administration API.</reason></item><status code="307"/></x></presence>',
      )
    }
    expect((await ask('DELETE /api/mucs/localhost/lawn/Nobody')).status).toBe(204)
    await guest.receivesNothing('<presence type="unavailable"/>')
    const unknown = { status: 404, text: 'room does not exist' }
    expect(await ask('DELETE /api/mucs/localhost/other/Queen')).toMatchObject(unknown)
    expect(await ask('DELETE /api/mucs/other.test/lawn/Queen')).toMatchObject(unknown)
    // And with the last one the room ends.
    await ask('DELETE /api/mucs/localhost/lawn/Hatter')
    expect((await ask('DELETE /api/mucs/localhost/lawn/Queen')).status).toBe(204)
    expect(await listed(guest)).toEqual([])
  })

  it('are left by an account that is no more, though it had no client there (A-7)', async () => {
    const modules = { mod_muc: {}, mod_ping: {}, mod_commands: {}, mod_muc_commands: {} }
    const { ask, online } = await setUp({ modules })
    const guest = await online('hatter')
    await guest.send(`<presence to="${lawn}/Hatter"><x xmlns="${NS}"/></presence>`)
    await guest.receives(`<presence from="${lawn}/Hatter"/>`)
    await guest.ask('set', `<query xmlns="${NS}#owner"><x xmlns="jabber:x:data" type="submit"/></query>`, { to: lawn })
    await make(ask)
    await guest.receives(`<presence from="${lawn}/Queen"/>`)
    expect((await ask('DELETE /api/users/localhost/dora')).status).toBe(204)
    await guest.receives(`<presence type="unavailable" from="${lawn}/Queen"/>`)
  })

  it('are no business of an API without mod_muc_commands (§3)', async () => {
    const { ask } = await setUp({ modules: { mod_muc: {}, mod_muc_light_commands: {} } })
    expect((await make(ask)).status).toBe(404)
  })
})
