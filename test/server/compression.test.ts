import { join } from 'node:path'
import { deflateSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { NS } from '../../src/protocols/namespaces.js'
import type { Client } from '../support/client.js'
import {
  available,
  clientOf,
  connectionOf,
  PASSWORD,
  recordedEvents,
  session,
  sharedServer,
  startedServer,
} from '../support/server.js'

const certfile = join(import.meta.dirname, '../support/certificates/rsa.pem')
const feature = `<compression xmlns='${NS.compressFeature}'><method>zlib</method></compression>`
const request = (method: string) => `<compress xmlns='${NS.compress}'>${method}</compress>`
const zlib = request('<method>zlib</method>')
const failure = (condition: string) => `<failure xmlns='${NS.compress}'><${condition}/></failure>`
const compressed = `<compressed xmlns='${NS.compress}'/>`

/** Logged in, with the features that follow, nothing bound. */
async function authenticated(client: Client, user: string): Promise<Client> {
  await client.open()
  await client.authenticate('SCRAM-SHA-1', user, PASSWORD)
  await client.open()
  return client
}

async function compressedSession(server: { port: number }, user: string, options = {}): Promise<Client> {
  const client = await authenticated(await clientOf(server, options), user)
  await client.compress()
  await client.open()
  await client.bind()
  return client
}

const hasCompression = (client: Client) => client.features?.toString().includes(NS.compressFeature)

describe('zlib (§1.11, §3.1.7; XEP-0138)', () => {
  const server = sharedServer({ users: ['romeo', 'juliet'], listener: { zlib: 100_000 } })

  it('is offered after login, before bind, and not again once it is on', async () => {
    const client = await clientOf(server())
    await client.open()
    expect(hasCompression(client)).toBe(false)
    await client.authenticate('SCRAM-SHA-1', 'romeo', PASSWORD)
    await client.open()
    expect(client.features?.getChildElements()[0]?.toString()).toBe(feature.replaceAll("'", '"'))
    await client.compress()
    const before = client.header?.attrs.id
    await client.open()
    expect(client.header?.attrs.id).not.toBe(before)
    expect(hasCompression(client)).toBe(false)
  })

  it('carries a session both ways, and the tree says so', async () => {
    const juliet = await compressedSession(server(), 'juliet')
    await available(juliet)
    const romeo = await session(server(), 'romeo')
    await romeo.send(
      `<message to='${juliet.jid}'><body>${'O, she doth teach the torches. '.repeat(500)}</body></message>`,
    )
    await juliet.receives(`<message from='${romeo.jid}'/>`)
    await juliet.send(`<message to='${romeo.jid}'><body>${'é'.repeat(20_000)}</body></message>`)
    const answer = await romeo.receives(`<message from='${juliet.jid}'/>`)
    expect(answer.getChildText('body')).toBe('é'.repeat(20_000))
    expect(connectionOf(server(), juliet).details).toMatchObject({ isCompressed: true })
    await juliet.close()
  })

  it.each([
    ['no method', request(''), 'setup-failed'],
    ['another method', request('<method>lzw</method>'), 'unsupported-method'],
  ])('is refused for %s, and the client may try again', async (_, xml, condition) => {
    const client = await authenticated(await clientOf(server()), 'romeo')
    await client.send(xml)
    await client.receives(failure(condition))
    await client.compress()
    await client.open()
    await client.bind()
    await client.settled()
  })

  it('is refused before login, and the state is what it was', async () => {
    const client = await clientOf(server())
    await client.open()
    await client.send(zlib)
    await client.receives(failure('setup-failed'))
    await client.authenticate('SCRAM-SHA-1', 'romeo', PASSWORD)
  })

  it('is dropped without an answer where it is on already', async () => {
    const client = await compressedSession(server(), 'romeo')
    await client.send(zlib)
    await client.receivesNothing(compressed)
    await client.receivesNothing(failure('setup-failed'))
  })

  it('may come after bind: the next features are empty, the session lives on and misses nothing', async () => {
    const juliet = await session(server(), 'juliet', { resource: 'late', priority: 1 })
    const romeo = await session(server(), 'romeo')
    await juliet.compress()
    await romeo.send(`<message to='${juliet.jid}'><body>meanwhile</body></message>`)
    await romeo.settled()
    const features = await juliet.open()
    expect(features.children).toEqual([])
    await juliet.receives(`<message from='${romeo.jid}'><body>meanwhile</body></message>`)
    await juliet.receivesNothing('<stream:error/>')
    await juliet.close()
  })

  it('discards what came in clear behind <compress/>', async () => {
    const client = await authenticated(await clientOf(server()), 'romeo')
    await client.send(`${zlib}<iq type='set' id='injected'><bind xmlns='${NS.bind}'/></iq>`)
    await client.receives(compressed)
    expect(client.isClosed).toBe(false)
    await client.receivesNothing().catch(() => undefined)
    expect(server().status().sessions).toBe(server().internals.sessions.count)
    client.drop()
  })

  it('closes the connection without a word when what comes is no zlib stream', async () => {
    const client = await authenticated(await clientOf(server()), 'romeo')
    await client.send(zlib)
    await client.receives(compressed)
    await client.send('garbage that nobody deflated')
    expect(await client.closed()).toEqual({ streamEnded: false })
  })

  it('comes after TLS where both are there', async () => {
    const both = await startedServer({
      users: ['romeo'],
      listener: { zlib: 100_000, tls: { mode: 'starttls', certfile } },
    })
    const client = await clientOf(both)
    await client.open()
    await client.startTls()
    await authenticated(client, 'romeo')
    expect(hasCompression(client)).toBe(true)
    await client.compress()
    await client.open()
    await client.bind()
    await client.settled()
  })
})

describe('without zlib (§3.1.7)', () => {
  const server = sharedServer({ users: ['romeo'] })

  it('<compress/> is dropped, before login, after it and in the session', async () => {
    const client = await clientOf(server())
    await client.open()
    await client.send(zlib)
    await client.authenticate('SCRAM-SHA-1', 'romeo', PASSWORD)
    await client.open()
    expect(hasCompression(client)).toBe(false)
    await client.send(zlib)
    await client.bind()
    await client.send(zlib)
    await client.receivesNothing(compressed)
    await client.receivesNothing(failure('setup-failed'))
  })
})

describe('the limit of zlib (§1.11: bytes that one read may inflate to)', () => {
  const blanks = `<message to='juliet@localhost'><body>${' '.repeat(10_000)}</body></message>`

  it('ends the stream with policy-violation above it', async () => {
    const server = await startedServer({ users: ['romeo', 'juliet'], listener: { zlib: 1024 } })
    const romeo = await compressedSession(server, 'romeo')
    await romeo.send(blanks)
    const error = await romeo.streamError('policy-violation')
    expect(error.getChildText('text')).toBe('child element too big')
  })

  it('is warned of below 16384 (trap 33), and not from there on', async () => {
    const warnings = async (zlib: number) => {
      const events = recordedEvents()
      await startedServer({ listener: { zlib }, events })
      return events.records.filter(({ name, fields }) => name === 'config.warning' && `${fields.text}`.includes('zlib'))
    }
    expect(await warnings(16_383)).toHaveLength(1)
    expect(await warnings(16_384)).toEqual([])
  })

  it('lets the same through below it', async () => {
    const server = await startedServer({ users: ['romeo', 'juliet'], listener: { zlib: 100_000 } })
    const juliet = await session(server, 'juliet', { priority: 1 })
    const romeo = await compressedSession(server, 'romeo')
    await romeo.send(blanks)
    await juliet.receives(`<message from='${romeo.jid}'/>`)
  })

  it('stops a bomb at once: 1 GB in 1 MB inflates to little more than the limit', async () => {
    const server = await startedServer({ users: ['romeo', 'juliet'], listener: { zlib: 100_000 } })
    const juliet = await session(server, 'juliet')
    const romeo = await authenticated(await clientOf(server), 'romeo')
    await romeo.compress()
    // Deflate packs a run of one byte about 1000 times.
    const bomb = deflateSync(Buffer.alloc(64 * 1024 * 1024, ' '), { level: 9 })
    const before = process.memoryUsage().external
    for (let sent = 0; sent < 16 && !romeo.isClosed; sent++) romeo.socket.write(bomb)
    await romeo.streamError('policy-violation')
    expect(process.memoryUsage().external - before).toBeLessThan(16 * 1024 * 1024)
    await juliet.settled()
  })
})
