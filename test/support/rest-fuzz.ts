import { Agent } from 'node:http'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type AdminClient, type Client, createAdminClient, createClient } from '../../src/client/index.js'
import { adminApiDocument } from '../../src/http/api-docs/admin-api.js'
import { clientApiDocument } from '../../src/http/api-docs/client-api.js'
import { exchanged, fault, type Hints, type OpenApi, operationsOf, requestsFor } from './rest-requests.js'
import { administrator, startAdminApi, startClientApi } from './rest-servers.js'
import { PASSWORD, recordedEvents } from './server.js'

/*
 * What the REST APIs answer to requests of every kind, right and wrong: only what is documented, and never a failure of ours.
 */

interface Api {
  readonly document: object
  readonly credentials: { readonly user: string; readonly password: string }
  readonly hints: Hints
  start(events: ReturnType<typeof recordedEvents>): ReturnType<typeof startClientApi>
  /** Makes what the hints name, as far as it is gone. */
  prepare(base: string): Promise<unknown>
}

const jids = [
  'hatter@localhost',
  'hare@localhost/burrow',
  'zorro@localhost',
  'someone@elsewhere.example',
  'HATTER@LocalHost',
]
const rooms = ['croquet', 'croquet@muclight.localhost', 'other-room', 'Croquet']
const texts = { name: ['Lawn', 'lawn'], subject: ['flamingos'], body: ['tea?'] }
const lawn = { name: 'Lawn', subject: 'flamingos' }

const dora = { user: 'dora@localhost', password: PASSWORD }
const clientApi: Api = {
  document: clientApiDocument(),
  credentials: dora,
  hints: {
    ...texts,
    jid: jids,
    to: jids,
    with: jids,
    // Not dora: once she has left her room, all the rest is refused.
    user: jids,
    to_delete: jids,
    id: rooms,
    action: ['invite', 'accept'],
  },
  start: events => startClientApi(['dora', 'hatter', 'hare'], { events }),
  async prepare(base) {
    const client: Client = createClient(base, dora)
    const path = { id: 'croquet' }
    await client.request('PUT /api/rooms/{id}', { path, body: lawn }).catch(() => undefined)
    await client.request('POST /api/rooms/{id}/users', { path, body: { user: 'hatter@localhost' } })
    await client.request('POST /api/contacts', { body: { jid: 'hatter@localhost' } })
  },
}

const people = ['dora@localhost', ...jids]
const adminApi: Api = {
  document: adminApiDocument(),
  credentials: administrator,
  hints: {
    ...texts,
    ...Object.fromEntries(
      ['caller', 'to', 'with', 'jid', 'jids', 'owner', 'sender', 'recipient', 'from'].map(name => [name, people]),
    ),
    host: ['localhost', 'localhost', 'elsewhere.example'],
    domain: ['localhost', 'muclight.localhost', 'elsewhere.example'],
    user: ['dora', 'hatter', 'dora@localhost', 'nobody'],
    username: ['alice', 'bob', 'dora'],
    id: rooms,
    nick: ['dora', 'mad'],
    action: ['subscribe', 'subscribed', 'connect', 'disconnect'],
    stanza: [
      "<message from='dora@localhost' to='hatter@localhost'><body>x</body></message>",
      '<iq/>',
      '<a',
      '<message from="x"/>',
    ],
  },
  start: events => startAdminApi(['dora', 'hatter', 'hare'], { events }),
  async prepare(base) {
    const admin: AdminClient = createAdminClient(base, administrator)
    const host = { host: 'localhost' }
    const quietly = (work: Promise<unknown>) => work.catch(() => undefined)
    await quietly(
      admin.request('POST /api/users/{host}', { path: host, body: { username: 'dora', password: PASSWORD } }),
    )
    const room = { ...lawn, id: 'croquet', owner: 'dora@localhost' }
    await quietly(admin.request('PUT /api/muc-lights/{domain}', { path: { domain: 'localhost' }, body: room }))
    await quietly(
      admin.request('POST /api/mucs/{host}', {
        path: host,
        body: { name: 'lawn', owner: 'dora@localhost', nick: 'dora' },
      }),
    )
  },
}

/** As many requests for each documented operation; `seconds` bounds each test. */
export function describeRequests(api: 'client' | 'admin', runs: number, seconds: number): void {
  const { document: whole, credentials, hints, start, prepare } = api === 'client' ? clientApi : adminApi
  const document = whole as OpenApi // it is one
  const authorization = `Basic ${Buffer.from(`${credentials.user}:${credentials.password}`).toString('base64')}`
  const events = recordedEvents()
  const agent = new Agent({ keepAlive: true, maxSockets: 4 })
  let started: Awaited<ReturnType<typeof start>>

  beforeAll(async () => {
    started = await start(events)
  })
  afterAll(async () => {
    agent.destroy()
    await started.server.stop()
  })

  const failures = () => events.records.filter(({ name }) => name === 'http.failed').map(({ fields }) => fields)

  describe(`${runs} requests of every kind to the ${api} API`, () => {
    it.each(operationsOf(document))(
      '%s answers what is documented',
      async (key, operation) => {
        await prepare(started.base)
        const requests = requestsFor(document, key, operation, { authorization, hints })
        await fc.assert(
          fc.asyncProperty(requests, async request => {
            events.records.length = 0
            const reply = await exchanged(Number(new URL(started.base).port), agent, request)
            expect([fault(document, operation, reply), failures()]).toEqual([undefined, []])
          }),
          { numRuns: runs, interruptAfterTimeLimit: seconds * 900, markInterruptAsFailure: true },
        )
        expect((await fetch(`${started.base}/health`)).status).toBe(200)
      },
      seconds * 1_000,
    )
  })
}
