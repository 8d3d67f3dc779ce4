import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { loadConfigOrThrow } from '../../src/config/load.js'
import { modules } from '../../src/modules/index.js'
import { createEvents, type EventRecord } from '../../src/observability/events.js'
import { createServer } from '../../src/server.js'
import { ask, debugListener, EventReader } from '../support/debug-client.js'
import { actorsOfKind, eventually, PASSWORD, session, startedServer } from '../support/server.js'

const start = (more: object = {}) =>
  startedServer({ users: ['romeo', 'juliet'], config: { listen: debugListener }, ...more })

describe('acting on actors', () => {
  it('stops a connection, whose client is told', async () => {
    const server = await start()
    const romeo = await session(server, 'romeo')
    const path = actorsOfKind(server, 'Connection')[0]!.path
    expect(await ask(server, 'actors/stop', { path })).toEqual({ status: 200, json: { path } })
    await romeo.receives('<stream:error><system-shutdown xmlns="urn:ietf:params:xml:ns:xmpp-streams"/></stream:error>')
    expect((await ask(server, 'actors/stop', { path })).status).toBe(404)
  })

  it('restarts an acceptor, whose connections end, without counting a fault', async () => {
    const server = await start()
    const { path } = actorsOfKind(server, 'Acceptor')[0]!
    const reader = await EventReader.open(server, 'actors/events?types=restarted')
    await reader.until('hello')
    expect(await ask(server, 'actors/restart', { path })).toEqual({ status: 200, json: { path } })
    await reader.until('restarted', { path })
    const { startedAt, faults } = server.tree(path)!
    expect(faults).toBe(0)
    expect(startedAt).toBeGreaterThan(0)
    await session(server, 'romeo')
    await session(server, 'juliet')
  })

  it('restarts a listener, which takes connections again', async () => {
    const server = await start()
    const { path } = actorsOfKind(server, 'Listener').find(({ name }) => name.startsWith('c2s'))!
    const reader = await EventReader.open(server, 'actors/events?types=restarted')
    await reader.until('hello')
    expect((await ask(server, 'actors/restart', { path })).status).toBe(200)
    await reader.until('restarted', { path })
    await eventually(() => server.tree(`${path}/socket`) !== undefined)
  })

  it('does not stop what would be missed, nor restart what nobody restarts', async () => {
    const server = await start()
    await session(server, 'romeo')
    const listener = actorsOfKind(server, 'Listener')[0]!.path
    expect((await ask(server, 'actors/stop', { path: listener })).status).toBe(409)
    expect((await ask(server, 'actors/stop', { path: '/root/storage/store' })).status).toBe(409)
    const connection = actorsOfKind(server, 'Connection')[0]!.path
    expect((await ask(server, 'actors/restart', { path: connection })).status).toBe(409)
  })
})

describe('acting on the server', () => {
  it('ends a session', async () => {
    const server = await start()
    const romeo = await session(server, 'romeo')
    expect(await ask(server, 'sessions/kick', { jid: romeo.jid })).toEqual({ status: 200, json: { jid: romeo.jid } })
    await romeo.receives('<stream:error><conflict xmlns="urn:ietf:params:xml:ns:xmpp-streams"/></stream:error>')
    expect((await ask(server, 'sessions/kick', { jid: romeo.jid })).status).toBe(404)
    expect((await ask(server, 'sessions/kick', { jid: '@' })).status).toBe(404)
  })

  it('changes what is logged', async () => {
    const records: EventRecord[] = []
    const events = createEvents({ level: 'all', sinks: [record => records.push(record)] })
    const server = await start({ events })
    expect((await ask(server, 'log-level', { level: 'error' })).json).toEqual({ level: 'error', before: 'all' })
    const told = records.length
    await session(server, 'romeo')
    expect(records).toHaveLength(told)
    expect((await ask(server, 'log-level', { level: 'info' })).json).toEqual({ level: 'info', before: 'error' })
    const { jid } = await session(server, 'romeo')
    expect(records).toContainEqual(expect.objectContaining({ name: 'session.opened', fields: { jid } }))
    expect((await ask(server, 'log-level', { level: 'loud' })).status).toBe(400)
    expect((await ask(server, 'summary')).json.logLevel).toBe('info')
  })

  it('writes a heap snapshot for nobody but the owner, and none where everything is in memory', async () => {
    expect((await ask(await start(), 'heap-snapshot', {})).status).toBe(409)
    const folder = mkdtempSync(join(tmpdir(), 'meerkat-heap-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    const object = { general: { hosts: ['localhost'], data_dir: join(folder, 'data') }, listen: debugListener }
    const server = await createServer(loadConfigOrThrow({ object, folder }, { modules }).config)
    onTestFinished(() => server.stop())
    // The heap of the tests is large.
    const { status, json } = await ask(server, 'heap-snapshot', {}, 90_000)
    expect(status).toBe(200)
    const [name] = readdirSync(join(folder, 'data')).filter(file => file.endsWith('.heapsnapshot'))
    expect(json).toEqual({ file: join(folder, 'data', name!), bytes: expect.any(Number), ms: expect.any(Number) })
    expect(statSync(json.file).mode & 0o777).toBe(0o600)
  }, 120_000)
})

describe('trace', () => {
  it('shows the stanzas of a JID as they pass, without what was said, and ends at the count', async () => {
    const server = await start()
    const romeo = await session(server, 'romeo')
    const juliet = await session(server, 'juliet', { priority: 1 })
    const reader = await EventReader.open(server, 'trace', { jid: romeo.jid, kind: 'message', count: 2 })
    expect(await reader.until('started')).toMatchObject({ count: 2, seconds: 60, bodies: false })
    const secret = 'it is the east'
    await juliet.send(`<message to="juliet@localhost" id="other"><body>${secret}</body></message>`)
    await romeo.send(
      `<message to="${juliet.jid}" id="m1" type="chat"><body>${secret}</body><x xmlns="urn:x" note="${secret}"/></message>`,
    )
    expect(await reader.until('ended')).toMatchObject({ why: 'count', seen: 2, leftOut: 0 })
    await reader.closed()
    const shown = reader.named('stanza')
    expect(shown).toMatchObject([
      { n: 1, direction: 'sent', session: romeo.jid, kind: 'message', id: 'm1', type: 'chat', to: juliet.jid },
      { n: 2, direction: 'received', session: juliet.jid, from: romeo.jid, namespace: 'jabber:client' },
    ])
    expect(shown[0]!.xml).toContain('<body>…</body><x xmlns="urn:x" note="…"/>')
    expect(JSON.stringify(reader.events)).not.toContain(secret)
  })

  it('shows what was said to who asks, but no password', async () => {
    const server = await start({ modules: { mod_register: {} } })
    const romeo = await session(server, 'romeo')
    const reader = await EventReader.open(server, 'trace', { bodies: true, direction: 'sent' })
    await reader.until('started')
    await romeo.send('<message to="juliet@localhost"><body>it is the east</body></message>')
    await romeo.ask(
      'set',
      `<query xmlns="jabber:iq:register"><username>romeo</username><password>${PASSWORD}</password></query>`,
    )
    expect((await reader.until('stanza', { kind: 'message' })).xml).toContain('<body>it is the east</body>')
    expect((await reader.until('stanza', { kind: 'iq' })).xml).toContain('<password>…</password>')
    expect(JSON.stringify(reader.events)).not.toContain(PASSWORD)
  })

  it('ends with the time', async () => {
    const server = await start()
    const reader = await EventReader.open(server, 'trace', { seconds: 1 })
    expect(await reader.until('ended')).toMatchObject({ why: 'time', seen: 0 })
    await reader.closed()
  })

  it('takes four at a time, and no count above 1000', async () => {
    const server = await start()
    for (let i = 0; i < 4; i++) await EventReader.open(server, 'trace', {})
    expect((await ask(server, 'trace', {})).status).toBe(503)
    expect((await ask(server, 'trace', { count: 1001 })).status).toBe(400)
    expect((await ask(server, 'trace', { jid: '@' })).json.error).toBe('jid is no JID')
  })
})
