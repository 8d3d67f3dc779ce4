import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type AdminApi, type AdminClient, createAdminClient, RestError } from '../../src/client/index.js'
import { adminApiDocument } from '../../src/http/api-docs/admin-api.js'
import { mismatch, type OpenApi, operationsOf } from '../support/rest-requests.js'
import { administrator, startAdminApi } from '../support/rest-servers.js'
import { session } from '../support/server.js'

/*
 * The typed client, which is made of the document of the admin API, asks a running server for all that the document promises.
 */

type Key = keyof AdminApi.Operations

const document = adminApiDocument() as unknown as OpenApi // it is one
const [dora, hatter] = ['dora@localhost', 'hatter@localhost']
const host = { host: 'localhost' }
const domain = { domain: 'localhost' }

let started: Awaited<ReturnType<typeof startAdminApi>>
let ask: AdminClient['request']
beforeAll(async () => {
  started = await startAdminApi(['dora', 'hatter', 'hare'])
  ask = createAdminClient(started.base, administrator).request
})
afterAll(() => started.server.stop())

/** Every documented operation, done with success. What is missing here does not compile. */
const cases: { readonly [K in Key]: () => Promise<{ status: number; body: unknown }> } = {
  'GET /api/commands': () => ask('GET /api/commands'),
  'GET /api/users/{host}': () => ask('GET /api/users/{host}', { path: host }),
  'POST /api/users/{host}': () =>
    ask('POST /api/users/{host}', { path: host, body: { username: randomUUID(), password: 'grin' } }),
  'PUT /api/users/{host}/{user}': () =>
    ask('PUT /api/users/{host}/{user}', { path: { ...host, user: 'hare' }, body: { newpass: 'grin' } }),
  'DELETE /api/users/{host}/{user}': () =>
    ask('DELETE /api/users/{host}/{user}', { path: { ...host, user: 'nobody' } }),
  'GET /api/sessions/{host}': () => ask('GET /api/sessions/{host}', { path: host }),
  'DELETE /api/sessions/{host}/{user}/{res}': async () => {
    await session(started.server, 'dora', { resource: 'rose' })
    return ask('DELETE /api/sessions/{host}/{user}/{res}', { path: { ...host, user: 'dora', res: 'rose' } })
  },
  'POST /api/messages': () => ask('POST /api/messages', { body: { caller: dora, to: hatter, body: 'tea?' } }),
  'GET /api/messages/{caller}': () =>
    ask('GET /api/messages/{caller}', { path: { caller: dora }, query: { limit: 5 } }),
  'GET /api/messages/{caller}/{with}': () =>
    ask('GET /api/messages/{caller}/{with}', { path: { caller: dora, with: hatter } }),
  'POST /api/stanzas': () =>
    ask('POST /api/stanzas', { body: { stanza: `<message from='${dora}' to='${hatter}'><body>x</body></message>` } }),
  'GET /api/contacts/{caller}': () => ask('GET /api/contacts/{caller}', { path: { caller: dora } }),
  'POST /api/contacts/{caller}': () =>
    ask('POST /api/contacts/{caller}', { path: { caller: dora }, body: { jid: hatter } }),
  'PUT /api/contacts/{caller}/{jid}': () =>
    ask('PUT /api/contacts/{caller}/{jid}', { path: { caller: dora, jid: hatter }, body: { action: 'subscribe' } }),
  'DELETE /api/contacts/{caller}/{jid}': () =>
    ask('DELETE /api/contacts/{caller}/{jid}', { path: { caller: dora, jid: hatter } }),
  // No path holds a list: it is refused, and documented is that too. spec/rest-admin.md §3
  'DELETE /api/contacts/{caller}/{jids}/multiple': async () => {
    const refused = ask('DELETE /api/contacts/{caller}/{jids}/multiple', { path: { caller: dora, jids: hatter } })
    const error = await refused.catch((caught: unknown) => caught)
    return { status: error instanceof RestError ? error.status : 0, body: undefined }
  },
  'PUT /api/contacts/{caller}/{jid}/manage': () =>
    ask('PUT /api/contacts/{caller}/{jid}/manage', {
      path: { caller: dora, jid: hatter },
      body: { action: 'connect' },
    }),
  'POST /api/muc-lights/{domain}': () =>
    ask('POST /api/muc-lights/{domain}', { path: domain, body: { name: 'Shore', owner: dora, subject: 'dance' } }),
  'PUT /api/muc-lights/{domain}': () => lawn(),
  'PUT /api/muc-lights/{domain}/config': async () => {
    const { body: jid } = await lawn()
    const [id = ''] = jid.split('@')
    const body = { id, name: 'Lawn', user: dora, subject: 'hedgehogs' }
    return ask('PUT /api/muc-lights/{domain}/config', { path: domain, body })
  },
  'POST /api/muc-lights/{domain}/{name}/participants': async () => {
    await lawn()
    const path = { domain: 'muclight.localhost', name: 'Lawn' }
    return ask('POST /api/muc-lights/{domain}/{name}/participants', { path, body: { sender: dora, recipient: hatter } })
  },
  'POST /api/muc-lights/{domain}/{name}/messages': async () => {
    await lawn()
    const path = { domain: 'muclight.localhost', name: 'Lawn' }
    return ask('POST /api/muc-lights/{domain}/{name}/messages', { path, body: { from: dora, body: 'play!' } })
  },
  'DELETE /api/muc-lights/{domain}/{name}/{owner}/management': async () => {
    await lawn()
    const path = { domain: 'muclight.localhost', name: 'Lawn', owner: dora }
    return ask('DELETE /api/muc-lights/{domain}/{name}/{owner}/management', { path })
  },
  'POST /api/mucs/{host}': () => party(),
  'POST /api/mucs/{host}/{name}/participants': async () => {
    const { body: name } = await party()
    const body = { sender: dora, recipient: hatter, reason: 'tea' }
    return ask('POST /api/mucs/{host}/{name}/participants', { path: { ...host, name }, body })
  },
  'POST /api/mucs/{host}/{name}/messages': async () => {
    const { body: name } = await party()
    return ask('POST /api/mucs/{host}/{name}/messages', {
      path: { ...host, name },
      body: { from: dora, body: 'more?' },
    })
  },
  'DELETE /api/mucs/{host}/{name}/{nick}': async () => {
    const { body: name } = await party()
    return ask('DELETE /api/mucs/{host}/{name}/{nick}', { path: { ...host, name, nick: 'mad' } })
  },
}

/** A new room of light group chat. */
const lawn = () => {
  const body = { id: randomUUID(), name: 'Lawn', owner: dora, subject: 'flamingos' }
  return ask('PUT /api/muc-lights/{domain}', { path: domain, body })
}

/** A new room of the other kind. */
const party = () => ask('POST /api/mucs/{host}', { path: host, body: { name: randomUUID(), owner: dora, nick: 'mad' } })

describe('each documented success of the admin API', () => {
  beforeEach(async () => {
    await ask('POST /api/contacts/{caller}', { path: { caller: dora }, body: { jid: hatter } })
  })

  it('has its case here', () => {
    expect(Object.keys(cases).sort()).toEqual(
      operationsOf(document)
        .map(([key]) => key)
        .sort(),
    )
    expect(Object.keys(cases)).toHaveLength(27)
  })

  it.each(Object.entries(cases))('%s', async (key, act) => {
    const { status, body } = await act()
    const operation = operationsOf(document).find(([name]) => name === key)?.[1]
    expect(Object.keys(operation?.responses ?? {})).toContain(String(status))
    const [schema] = Object.values(operation?.responses[status]?.content ?? {}).map(content => content.schema)
    if (schema === undefined) expect(body).toBeUndefined()
    else expect(mismatch(document, schema, body)).toBeUndefined()
  })
})

describe('the typed client of an administrator', () => {
  it('rejects with the status and the text of an answer that is no success', async () => {
    const request = ask('POST /api/contacts/{caller}', { path: { caller: dora }, body: { jid: '@' } })
    await expect(request).rejects.toMatchObject({ status: 400, text: expect.stringMatching(/^Invalid jid/) })
  })

  it('is nobody with another password, and without one', async () => {
    for (const credentials of [{ ...administrator, password: 'x' }, undefined]) {
      const { request } = createAdminClient(started.base, credentials)
      await expect(request('GET /api/commands')).rejects.toMatchObject({ status: 401 })
    }
  })
})
