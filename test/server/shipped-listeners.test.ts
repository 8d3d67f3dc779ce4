import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { get } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { type Server, startServer } from '../../src/index.js'
import { connect } from '../support/client.js'
import { freePort } from '../support/programs.js'

/*
 * The listeners of the shipped configuration, and the examples of the reference's chapter on listeners: they start as they stand, but for the
 * ports, which are free ones, and serve. spec/listeners.md §2.9, spec/seed-listen.txt
 */

const certificates = join(import.meta.dirname, '../support/certificates')

/** Starts the text as a file in a folder of its own; gives the server and where each port of the text has gone. */
async function started(text: string, folder: string): Promise<{ server: Server; portOf(port: number): number }> {
  const ports = new Map<number, number>()
  for (const [, port] of text.matchAll(/^\s*port = (\d+)/gm)) ports.set(Number(port), await freePort())
  const moved = text.replace(/^(\s*port = )(\d+)/gm, (_, before, port) => `${before}${ports.get(Number(port))}`)
  mkdirSync(join(folder, 'config'))
  writeFileSync(join(folder, 'config/meerkat.toml'), moved)
  const server = await startServer({ configFile: join(folder, 'config/meerkat.toml') }, { dev: true })
  onTestFinished(() => server.stop())
  return { server, portOf: port => ports.get(port) ?? 0 }
}

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'meerkat-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

const base = `
[general]
  hosts = ["localhost"]
  data_dir = "../data"
[auth]
  methods = ["internal"]
[modules.mod_bosh]
[modules.mod_commands]
[modules.mod_muc_light]
`

/** Status and body; HTTPS is not asked whose certificate it is. */
const ask = (url: string, headers: Record<string, string> = {}): Promise<{ status: number; body: string }> =>
  url.startsWith('https:')
    ? new Promise((resolve, reject) => {
        get(url, { headers, rejectUnauthorized: false }, response => {
          const parts: Buffer[] = []
          response.on('data', part => parts.push(part))
          response.on('end', () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(parts).toString() }))
        }).on('error', reject)
      })
    : fetch(url, { headers, redirect: 'manual' }).then(async answer => ({
        status: answer.status,
        body: await answer.text(),
      }))

it('serves with the shipped file what it says, on all of its ports (§2.9)', { timeout: 60_000 }, async () => {
  const folder = newFolder()
  const { portOf } = await started(readFileSync(new URL('../../config/meerkat.toml', import.meta.url), 'utf8'), folder)

  const admin = `http://localhost:${portOf(8088)}/api`
  const made = await fetch(`${admin}/users/localhost`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ username: 'hatter', password: 'tea' }),
  })
  expect(made.status).toBe(201)
  expect(JSON.parse((await ask(`${admin}/users/localhost`)).body)).toEqual(['hatter@localhost'])

  const hatter = await connect({ port: portOf(5222), tls: 'starttls' })
  await hatter.login('hatter', 'tea')
  expect(JSON.parse((await ask(`${admin}/sessions/localhost`)).body)).toEqual([hatter.jid])
  await hatter.close()

  const authorization = `Basic ${Buffer.from('hatter@localhost:tea').toString('base64')}`
  const users = `https://localhost:${portOf(8089)}`
  expect((await ask(`${users}/api/contacts`, { authorization })).body).toBe('[]')
  expect((await ask(`${users}/api/contacts`)).status).toBe(401)
  expect((await ask(`${users}/api-docs`)).status).toBe(301)
  expect(JSON.parse((await ask(`${users}/api-docs/swagger.json`)).body).swagger).toBe('2.0')
  expect((await ask(`${users}/api-docs/index.html`)).body).toContain('<html')

  const metrics = `http://localhost:${portOf(5288)}`
  expect(JSON.parse((await ask(`${metrics}/api/metrics`)).body).hosts).toEqual(['localhost'])
  expect((await ask(`${metrics}/metrics`)).body).toMatch(/^xmpp_\w+/m)

  const debug = `http://localhost:${portOf(5281)}`
  expect(JSON.parse((await ask(`${debug}/`)).body)).toEqual({ status: 'ok' })
  expect((await ask(`${debug}/debug/actors`)).status).toBe(200)
  for (const web of [`http://localhost:${portOf(5280)}`, `https://localhost:${portOf(5285)}`]) {
    expect((await ask(`${web}/.well-known/host-meta.json`)).body).toContain('http-bind')
  }
})

/** One of the chapter's examples, on its own. */
async function example(text: string): Promise<(port: number) => number> {
  return (await started(base + text, newFolder())).portOf
}

it('serves the first example: BOSH and WebSocket over TLS, with a key that a password protects', async () => {
  const portOf = await example(`
[[listen.http]]
  port = 5285
  tls.certfile = "${join(certificates, 'rsa-certificate.pem')}"
  tls.keyfile = "${join(certificates, 'rsa-key-encrypted.pem')}"
  tls.password =  "secret"

  [[listen.http.handlers.mod_bosh]]
    host = "_"
    path = "/http-bind"

  [[listen.http.handlers.mod_websockets]]
    host = "_"
    path = "/ws-xmpp"
`)
  const found = await ask(`https://localhost:${portOf(5285)}/.well-known/host-meta`)
  expect(found.body).toContain('/ws-xmpp')
  expect(found.body).toContain('/http-bind')
})

it('serves the second example: the admin API on this machine, for one host name', async () => {
  const portOf = await example(`
[[listen.http]]
  ip_address = "127.0.0.1"
  port = 8088
  transport.num_acceptors = 5
  transport.max_connections = 10

  [[listen.http.handlers.mongoose_api_admin]]
    host = "localhost"
    path = "/api"
`)
  const commands = JSON.parse((await ask(`http://localhost:${portOf(8088)}/api/commands`)).body) as { name: string }[]
  expect(commands.length).toBeGreaterThan(10)
  expect((await ask(`http://127.0.0.1:${portOf(8088)}/api/commands`)).status).toBe(404)
})

it('serves the third example: the whole client API with its documentation, without TLS', async () => {
  const handlers = [
    ['lasse_handler', '/api/sse', 'module = "mongoose_client_api_sse"'],
    ['mongoose_client_api_messages', '/api/messages/[:with]'],
    ['mongoose_client_api_contacts', '/api/contacts/[:jid]'],
    ['mongoose_client_api_rooms', '/api/rooms/[:id]'],
    ['mongoose_client_api_rooms_config', '/api/rooms/[:id]/config'],
    ['mongoose_client_api_rooms_users', '/api/rooms/:id/users/[:user]'],
    ['mongoose_client_api_rooms_messages', '/api/rooms/[:id]/messages'],
    ['cowboy_swagger_redirect_handler', '/api-docs'],
    ['cowboy_swagger_json_handler', '/api-docs/swagger.json'],
    ['cowboy_static', '/api-docs/[...]', 'type = "priv_dir"\n app = "cowboy_swagger"\n content_path = "swagger"'],
  ].map(([type, path, more = '']) => `[[listen.http.handlers.${type}]]\n host = "_"\n path = "${path}"\n ${more}\n`)
  const portOf = await example(`
[[listen.http]]
  port = 8089
  transport.max_connections = 1024
  protocol.compress = true

${handlers.join('\n')}`)
  const users = `http://localhost:${portOf(8089)}`
  const document = JSON.parse((await ask(`${users}/api-docs/swagger.json`)).body) as { paths: Record<string, unknown> }
  expect(Object.keys(document.paths).length).toBeGreaterThanOrEqual(8)
  for (const path of ['messages', 'contacts', 'rooms', 'rooms/tea', 'rooms/tea/messages', 'sse']) {
    expect((await ask(`${users}/api/${path}`)).status, path).toBe(401)
  }
})
