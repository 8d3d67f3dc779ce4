import { afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { domain, type Meerkat } from '../support/meerkat.js'
import { freePort } from '../support/programs.js'
import { type Asker, askWithSlixmpp, type Encryption, slixmpp, startMeerkat } from './support.js'

/*
 * The REST APIs by `fetch`, and slixmpp at the other end.
 */

const tables = (port: number) => `
[modules.mod_roster]
[modules.mod_disco]
[modules.mod_mam_meta]
[modules.mod_commands]

[[listen.http]]
  port = ${port}
  ip_address = "127.0.0.1"
  [[listen.http.handlers.mongoose_api_admin]]
    host = "_"
    path = "/admin"
`

const romeo = { user: 'romeo', password: 'secret' }

let server: Meerkat<Encryption>
let base: string
const askers: Asker[] = []

beforeEach(({ skip }) => {
  const missing = slixmpp.missing()
  if (process.env.CI === 'true') expect(missing).toBeUndefined()
  skip(missing !== undefined, missing)
})

beforeAll(async () => {
  const port = await freePort()
  base = `http://127.0.0.1:${port}`
  server = await startMeerkat({ more: tables(port), auth: '  scram_iterations = 4096' })
  return async () => {
    expect(await server.stop(), 'how meerkat exited after SIGTERM').toBe(0)
  }
})

afterEach(async () => {
  for (const asker of askers.splice(0)) await asker.stop()
})

/** Sends JSON to the admin API; fails unless the answer has this status. */
async function administer(line: string, status: number, body?: object): Promise<string> {
  const [method = '', path = ''] = line.split(' ')
  const sent = body && { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }
  const answer = await fetch(`${base}/admin${path}`, { method, ...sent })
  expect([line, answer.status]).toEqual([line, status])
  return answer.text()
}

async function online(account: typeof romeo, resource: string): Promise<Asker> {
  const asker = askWithSlixmpp({ account, server, encryption: 'starttls' }, resource)
  askers.push(asker)
  await asker.isOnline()
  return asker
}

it('a message of the admin API arrives at slixmpp with its id, and is in its archive (A-9, A-10)', {
  timeout: 120_000,
}, async () => {
  await administer(`POST /users/${domain}`, 201, { username: romeo.user, password: romeo.password })
  const client = await online(romeo, 'orchard')
  const body = 'Gallop apace <&> 朱丽叶'
  const to = `romeo@${domain}`
  await administer('POST /messages', 204, { caller: `juliet@${domain}`, to, body })
  const { stanza } = (await client.event({ event: 'message', from: `juliet@${domain}`, body })) as { stanza: string }
  expect(stanza).not.toBe('')
  expect(await client.ask('archived', { body })).toEqual([stanza])
  const shown: unknown = JSON.parse(await administer(`GET /messages/${to}`, 200))
  expect(shown).toMatchObject([{ sender: `juliet@${domain}`, message_id: stanza, body }])
  // And it leaves when it is told to.
  await administer(`DELETE /sessions/${domain}/romeo/orchard`, 204)
  expect(JSON.parse(await administer(`GET /sessions/${domain}`, 200))).toEqual([])
})
