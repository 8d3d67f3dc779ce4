import { describe, expect, it } from 'vitest'
import { ManualClock } from '../support/clock.js'
import { drained, session, startedServer } from '../support/server.js'
import { type Client, world } from '../support/world.js'

const romeo = 'romeo@montague.example'
const asked = `<iq type="get" from="montague.example" to="${romeo}/orchard"><ping xmlns="urn:xmpp:ping"/></iq>`

async function setUp(options: object = {}) {
  const server = world({
    modules: { mod_ping: { send_pings: true, ping_interval: 60, ping_req_timeout: 10, ...options } },
  })
  return { server, orchard: await server.connect(`${romeo}/orchard`) }
}

const idOf = (xml: string | undefined) => /id="([^"]+)"/.exec(xml ?? '')?.[1]

/** Takes the ping and answers it. */
async function pong(client: Client) {
  const [ping] = client.take()
  await client.sends(`<iq type="result" id="${idOf(ping)}" to="montague.example"/>`)
}

describe('pings from the server (XEP-0199 §4.1)', () => {
  it('go to a client that was silent for ping_interval, counted from the last that it sent', async () => {
    const { server, orchard } = await setUp()
    server.clock.advance(59_999)
    await orchard.sends('<presence/>')
    orchard.take()
    server.clock.advance(59_999)
    orchard.receives()
    server.clock.advance(1)
    orchard.receives(asked)
  })

  it('go on, interval by interval, while they are answered', async () => {
    const { server, orchard } = await setUp({ timeout_action: 'kill' })
    for (let i = 0; i < 3; i += 1) {
      server.clock.advance(60_000)
      await pong(orchard)
    }
    server.clock.advance(59_999)
    orchard.receives()
    expect(orchard.ended).toBeUndefined()
  })

  it('that are not answered in ping_req_timeout end the stream with timeout_action = "kill"', async () => {
    const { server, orchard } = await setUp({ timeout_action: 'kill' })
    server.clock.advance(69_999)
    expect(orchard.ended).toBeUndefined()
    server.clock.advance(1)
    expect(orchard.ended?.condition).toBe('connection-timeout')
  })

  it('take any stanza, and an error too, for an answer', async () => {
    const { server, orchard } = await setUp({ timeout_action: 'kill' })
    server.clock.advance(65_000)
    await orchard.sends(
      `<iq type="error" id="${idOf(orchard.take()[0])}" to="montague.example"><error type="cancel"/></iq>`,
    )
    server.clock.advance(59_999)
    expect(orchard.ended).toBeUndefined()
    orchard.receives()
  })

  it('that are not answered are sent again with timeout_action = "none"', async () => {
    const { server, orchard } = await setUp()
    server.clock.advance(60_000)
    orchard.receives(asked)
    server.clock.advance(70_000)
    orchard.receives(asked)
    expect(orchard.ended).toBeUndefined()
  })

  it('ask each session when it is due, with one timer for all', async () => {
    const { server, orchard } = await setUp()
    const others: Client[] = []
    for (let i = 0; i < 20; i += 1) {
      server.clock.advance(1000)
      others.push(await server.connect(`${romeo}/other${i}`))
    }
    expect(server.clock.pending).toBe(1)
    server.clock.advance(40_000)
    expect([orchard, ...others].map(client => client.take().length)).toEqual([1, ...others.map(() => 0)])
    server.clock.advance(1000)
    expect(others.map(client => client.take().length)).toEqual([1, ...others.slice(1).map(() => 0)])
  })

  it('leave no timer behind', async () => {
    const { server, orchard } = await setUp()
    await orchard.leaves()
    server.clock.advance(60_000)
    orchard.receives()
    expect(server.clock.pending).toBe(0)
    await server.connect(`${romeo}/again`)
    expect(server.clock.pending).toBe(1)
    server.running.stop()
    expect(server.clock.pending).toBe(0)
  })

  it('are not sent without send_pings', async () => {
    const { server, orchard } = await setUp({ send_pings: false })
    server.clock.advance(1_000_000)
    orchard.receives()
  })
})

describe('pings from the server, over a socket (XEP-0199 §4.1)', () => {
  it('end the connection of a client that does not answer', async () => {
    const clock = new ManualClock()
    const modules = { mod_ping: { send_pings: true, timeout_action: 'kill' } }
    const server = await startedServer({ users: ['romeo'], modules, clock })
    const client = await session(server, 'romeo')
    await client.settled()
    clock.advance(60_000)
    await client.receives('<iq type="get" from="localhost"><ping xmlns="urn:xmpp:ping"/></iq>')
    await drained(server)
    clock.advance(32_000)
    await client.streamError('connection-timeout')
  })
})
