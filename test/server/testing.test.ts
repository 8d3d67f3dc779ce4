import { afterEach, describe, expect, it, vi } from 'vitest'
import { startTestServer, type TestServer } from '../../src/testing.js'
import { connect, dropClients } from '../support/client.js'
import { ManualClock } from '../support/clock.js'

const running: TestServer[] = []
afterEach(async () => {
  dropClients()
  for (const server of running.splice(0)) await server.stop()
})

async function served(options: Parameters<typeof startTestServer>[0] = {}) {
  const server = await startTestServer(options)
  running.push(server)
  await server.addUser('romeo', 'secret')
  return server
}

describe('meerkat-xmpp/testing', () => {
  it('captures what clients send from then on, in its order', async () => {
    const server = await served()
    const romeo = await connect({ port: server.port })
    await romeo.login('romeo', 'secret')
    const captured = server.capture()
    await romeo.send("<message to='a@localhost' id='m1'/><message to='b@localhost' id='m2'/>")
    await romeo.settled()
    const ids = captured.filter(xml => xml.startsWith('<message')).map(xml => /id=["'](m\d)/.exec(xml)?.[1])
    expect(ids).toEqual(['m1', 'm2'])
    expect(captured[0]).toContain(`from="${romeo.jid}"`)
  })

  it('makes an actor fail: a connection ends with its error, a listener is made again', async () => {
    const server = await served()
    const romeo = await connect({ port: server.port })
    await romeo.login('romeo', 'secret')
    const listener = server.tree('/root/listeners')?.children?.items[0]?.path ?? ''
    const connections = () =>
      server.tree(listener, { depth: 2 })?.children?.items.flatMap(({ children }) => children?.items ?? []) ?? []
    server.fail(connections()[0]!.path)
    await romeo.streamError('internal-server-error')

    server.fail(listener)
    await vi.waitFor(() => expect(server.tree(listener)).toMatchObject({ restarts: 1, state: 'idle' }), 10_000)
    expect(() => server.fail('/root/nobody')).toThrow('no actor is at /root/nobody')
  })

  it('runs on the clock that it is given', async () => {
    const clock = new ManualClock()
    const server = await served({ clock })
    clock.advance(5_000)
    expect(server.status().uptimeMs).toBe(5_000)
  })
})
