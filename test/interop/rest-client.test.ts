import { afterEach, beforeAll, describe, expect, it, type TestContext } from 'vitest'
import { type Account, domain, type Meerkat } from '../support/meerkat.js'
import { freePort } from '../support/programs.js'
import { type Asker, askWithSlixmpp, type Encryption, slixmpp, startMeerkat } from './support.js'

/*
 * The client REST API at one end and other people's clients at the other.
 */

const httpPort = await freePort()
const more = `
[[listen.http]]
  port = ${httpPort}
  ip_address = "127.0.0.1"
  [[listen.http.handlers.mongoose_client_api_messages]]
    host = "_"
    path = "/api/messages/[:with]"
  [[listen.http.handlers.mongoose_client_api_contacts]]
    host = "_"
    path = "/api/contacts/[:jid]"
  [[listen.http.handlers.mongoose_client_api_rooms]]
    host = "_"
    path = "/api/rooms/[:id]"
  [[listen.http.handlers.mongoose_client_api_rooms_users]]
    host = "_"
    path = "/api/rooms/:id/users/[:user]"
  [[listen.http.handlers.mongoose_client_api_rooms_messages]]
    host = "_"
    path = "/api/rooms/[:id]/messages"
[modules.mod_roster]
[modules.mod_disco]
[modules.mod_ping]
[modules.mod_carboncopy]
[modules.mod_offline]
[modules.mod_muc_light]
[modules.mod_mam_meta]
  pm = {}
  muc.host = "muclight.@HOST@"
`

let server: Meerkat<Encryption>
const askers: Asker[] = []

beforeAll(async () => {
  server = await startMeerkat({ more, auth: '  scram_iterations = 4096' })
  return async () => {
    expect(await server.stop(), 'how meerkat exited after SIGTERM').toBe(0)
  }
})

afterEach(async () => {
  for (const asker of askers.splice(0)) await asker.stop()
})

describe('slixmpp and the client REST API', () => {
  it('gets a message with the id that POST answers, and finds it in the archive; GET shows what it says (RM-1, RM-3)', async ({
    skip,
  }) => {
    need(skip)
    const [dora, hatter] = [await account('dora'), await account('hatter')]
    const his = await logIn(hatter)
    const sent = await ask(dora, 'POST', '/api/messages', { to: of(hatter), body: 'tea & cake?' })
    expect(sent.status).toBe(200)
    const { id } = sent.json as { id: string }
    await his.event({
      event: 'message',
      from: of(dora),
      type: 'chat',
      stanza: id,
      body: 'tea & cake?',
      ids: [expect.any(String)],
    })
    expect(await his.ask('page', { max: 10 })).toMatchObject({ count: 1, last: 'tea & cake?' })
    await his.ask('send', { to: of(dora), body: 'Yes!' })
    await his.ask('page', { max: 10 })
    const shown = await ask(dora, 'GET', `/api/messages/${of(hatter)}`)
    expect(shown).toMatchObject({
      status: 200,
      json: [
        { from: of(dora), to: of(hatter), id, body: 'tea & cake?', timestamp: expect.any(Number) },
        { from: his.jid, to: of(dora), body: 'Yes!' },
      ],
    })
  })

  it('gets copies of what its own user says over HTTP (RM-1, XEP-0280)', async ({ skip }) => {
    need(skip)
    const [dora, hatter] = [await account('dora'), await account('hatter')]
    const phone = await logIn(dora)
    await phone.ask('carbons', { enable: true })
    await ask(dora, 'POST', '/api/messages', { to: of(hatter), body: 'copied' })
    await phone.event({ event: 'carbon', direction: 'sent', body: 'copied', ids: [expect.any(String)] })
    await ask(dora, 'POST', '/api/messages', { to: `nobody@${domain}`, body: 'lost' })
    await phone.event({ event: 'message', type: 'error', condition: 'service-unavailable' })
  })

  it('is in a room that was made over HTTP, and both hear each other there (RR-4, RU-1, RX-1, RX-3)', async ({
    skip,
  }) => {
    need(skip)
    const [dora, hatter] = [await account('dora'), await account('hatter')]
    const his = await logIn(hatter)
    const [id, path] = [`room-${accounts}`, `/api/rooms/room-${accounts}`]
    const room = `${id}@muclight.${domain}`
    expect(await ask(dora, 'PUT', path, { name: 'Tea', subject: 'time' })).toEqual({ status: 201, json: { id } })
    expect((await ask(dora, 'POST', `${path}/users`, { user: of(hatter) })).status).toBe(204)
    await his.event({ event: 'message', from: room, type: 'groupchat' })
    const sent = await ask(dora, 'POST', `${path}/messages`, { body: 'more?' })
    const said = { event: 'message', from: `${room}/${of(dora)}`, type: 'groupchat', body: 'more?' }
    await his.event({ ...said, stanza: (sent.json as { id: string }).id })
    const shown = await ask(hatter, 'GET', `${path}/messages`)
    expect(shown).toMatchObject({
      status: 200,
      json: [
        { type: 'affiliation', from: room, user: of(hatter), affiliation: 'member' },
        { type: 'message', from: of(dora), body: 'more?', ...(sent.json as object) },
      ],
    })
  })
})

const of = ({ user }: Account) => `${user}@${domain}`

let accounts = 0

/** A fresh account, so that no test meets the messages of another. */
async function account(name: string): Promise<Account> {
  accounts += 1
  const made = { user: `${name}-${accounts}`, password: `pw-${accounts}` }
  await server.command(['user', 'add', of(made), '--password-stdin'], `${made.password}\n`)
  return made
}

async function logIn(who: Account): Promise<Asker> {
  const asker = askWithSlixmpp({ account: who, server, encryption: 'starttls' }, 'x')
  askers.push(asker)
  await asker.isOnline()
  return asker
}

async function ask({ user, password }: Account, method: string, path: string, body?: object) {
  const authorization = `Basic ${Buffer.from(`${user}@${domain}:${password}`).toString('base64')}`
  const response = await fetch(`http://127.0.0.1:${httpPort}${path}`, {
    method,
    headers: { authorization, ...(body && { 'content-type': 'application/json' }) },
    ...(body && { body: JSON.stringify(body) }),
  })
  const text = await response.text()
  return { status: response.status, json: text === '' ? undefined : (JSON.parse(text) as unknown) }
}

function need(skip: TestContext['skip']): void {
  const missing = slixmpp.missing()
  if (missing === undefined) return
  if (process.env.CI === 'true') throw new Error(missing)
  skip(missing)
}
