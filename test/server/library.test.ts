import { afterEach, describe, expect, it } from 'vitest'
import { ConfigError, type Server, StartupError, startServer } from '../../src/index.js'
import { startTestServer } from '../../src/testing.js'
import { connect, dropClients } from '../support/client.js'

const running: Server[] = []
afterEach(async () => {
  dropClients()
  for (const server of running.splice(0)) await server.stop()
})

async function started<S extends Server>(starting: Promise<S>): Promise<S> {
  const server = await starting
  running.push(server)
  return server
}

const listener = { port: 0, ip_address: '127.0.0.1', num_acceptors: 1 }

describe('the library (DESIGN §8)', () => {
  it('starts a server from an object and tells where it listens', async () => {
    const object = { general: { hosts: ['capulet.example'] }, listen: { c2s: [listener] } }
    const server = await started(startServer(object, { inMemory: true }))
    expect(server.addresses).toEqual([
      { name: 'c2s-127.0.0.1-0-0', protocol: 'c2s', address: '127.0.0.1', port: expect.any(Number) },
    ])
    const client = await connect({ port: server.addresses[0]!.port, domain: 'capulet.example' })
    await client.open()
    expect(server.status()).toMatchObject({ state: 'running', hosts: ['capulet.example'], connections: 1 })
  })

  it('rejects with everything that is wrong with the configuration', async () => {
    const wrong = { general: { hosts: [] }, listen: { c2s: [{ port: 70_000 }] } }
    const error = await startServer(wrong, { inMemory: true }).catch((caught: unknown) => caught)
    expect(error).toBeInstanceOf(ConfigError)
    expect((error as ConfigError).problems.map(({ path }) => path)).toEqual(['general.hosts', 'listen.c2s[0].port'])
  })

  it('rejects with StartupError for a port that is taken, and leaves nothing behind', async () => {
    const first = await started(startTestServer())
    const taken = { ...listener, port: first.port }
    const object = { general: { hosts: ['localhost'] }, listen: { c2s: [listener, taken] } }
    const error = await startServer(object, { inMemory: true }).catch((caught: unknown) => caught)
    expect(error).toBeInstanceOf(StartupError)
    expect(String(error)).toContain(`127.0.0.1:${first.port}`)
  })

  it('puts stanzas of the program on their way and shows those of clients', async () => {
    const server = await started(startTestServer())
    await server.addUser('juliet', 'secret')
    const juliet = await connect({ port: server.port })
    await juliet.login('juliet', 'secret')
    const seen: string[] = []
    const end = server.onStanza(xml => seen.push(xml))

    server.route(`<message from='program.example' to='${juliet.jid}' id='p1'><body>hello</body></message>`)
    await juliet.receives("<message from='program.example' id='p1'><body>hello</body></message>")
    await juliet.send("<message to='localhost' type='headline' id='m1'/>")
    await juliet.settled()
    expect(seen.find(xml => xml.includes('m1'))).toContain(`from="${juliet.jid}"`)

    end()
    const before = seen.length
    await juliet.settled()
    expect(seen).toHaveLength(before)
  })

  it('refuses to route what is no stanza or has no addresses', async () => {
    const server = await started(startTestServer())
    expect(() => server.route('<message')).toThrow()
    expect(() => server.route("<message to='juliet@localhost'/>")).toThrow('from and to')
  })

  it('shows the actor tree, and undefined where nobody is', async () => {
    const server = await started(startTestServer())
    expect(server.tree('/root/listeners', { depth: 2 })?.children?.items[0]).toMatchObject({
      name: 'c2s-127.0.0.1-0-0',
      childCount: 3,
    })
    expect(server.tree('/root/nobody')).toBeUndefined()
  })

  it('stops once, however often it is asked to', async () => {
    const server = await startTestServer()
    const [first, second] = [server.stop(), server.stop()]
    await Promise.all([first, second])
    expect(server.status().state).toBe('draining')
    await expect(connect({ port: server.port, within: 2_000 })).rejects.toThrow()
  })
})
