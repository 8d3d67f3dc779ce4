import { describe, expect, it } from 'vitest'
import type { Client } from '../support/client.js'
import { ManualClock } from '../support/clock.js'
import {
  actorsOfKind,
  available,
  clientOf,
  connectionOf,
  drained,
  eventually,
  PASSWORD,
  RawConnection,
  type Setup,
  session,
  startedServer,
} from '../support/server.js'

/** A server whose time stands still until the test moves it. */
async function timed(setup: Setup = {}) {
  const clock = new ManualClock()
  const server = await startedServer({ users: ['romeo'], ...setup, clock })
  /** Moves the clock and lets the server do what became due. */
  const pass = async (ms: number) => {
    await drained(server)
    clock.advance(ms)
    await drained(server)
  }
  const accepted = (count: number) => eventually(() => actorsOfKind(server, 'Connection').length === count)
  return { server, pass, accepted }
}

const streamsNs = 'urn:ietf:params:xml:ns:xmpp-streams'
const timeout = new RegExp(`<stream:error><connection-timeout xmlns='${streamsNs}'/></stream:error></stream:stream>$`)
const scramStart = `<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-1'>${Buffer.from('n,,n=romeo,r=x').toString('base64')}</auth>`

describe('the time limit of each state before the session (§3.1.3: connection-timeout and the trailer)', () => {
  it('is 60 s for the first header, which is answered with ours before the error', async () => {
    const { server, pass, accepted } = await timed()
    const raw = await RawConnection.open(server.port)
    await accepted(1)
    await pass(59_900)
    expect(raw.text).toBe('')
    await pass(300)
    const text = await raw.closed()
    expect(text).toMatch(/^<\?xml version='1.0'\?><stream:stream /)
    expect(text).toMatch(timeout)
  })

  it('is not moved by white space nor by a header that drips', async () => {
    const { server, pass, accepted } = await timed()
    const raw = await RawConnection.open(server.port)
    await accepted(1)
    for (const piece of [' ', '<stream:str', 'eam to="localhost"', ' ']) {
      await raw.send(piece)
      await pass(14_000)
    }
    expect(raw.text).toBe('')
    await pass(4_500)
    expect(await raw.closed()).toMatch(timeout)
  })

  it.each<[string, (client: Client) => Promise<unknown>]>([
    ['after the features', client => client.open()],
    [
      'in the middle of SASL',
      async client => {
        await client.open()
        await client.send(scramStart)
        await client.receives('<challenge xmlns="urn:ietf:params:xml:ns:xmpp-sasl"/>')
      },
    ],
    [
      'after SASL, before the new header',
      async client => {
        await client.open()
        await client.authenticate('PLAIN', 'romeo', PASSWORD)
      },
    ],
    [
      'before bind',
      async client => {
        await client.open()
        await client.authenticate('PLAIN', 'romeo', PASSWORD)
        await client.open()
      },
    ],
  ])('counts %s, from the last event on', async (_, goOn) => {
    const { server, pass, accepted } = await timed()
    const client = await clientOf(server)
    await accepted(1)
    await pass(30_000)
    await goOn(client)
    await pass(59_900)
    expect(client.isClosed).toBe(false)
    await pass(300)
    await client.streamError('connection-timeout')
    expect(await client.closed()).toEqual({ streamEnded: true })
  })

  it('is what state_timeout says', async () => {
    const { server, pass, accepted } = await timed({ listener: { state_timeout: 5_000 } })
    const client = await clientOf(server)
    await accepted(1)
    await client.open()
    await pass(4_900)
    await client.send(scramStart)
    await client.receives('<challenge xmlns="urn:ietf:params:xml:ns:xmpp-sasl"/>')
    await pass(4_900)
    expect(client.isClosed).toBe(false)
    await pass(300)
    await client.streamError('connection-timeout')
  })

  it('is over with the session, which may stay silent for days', async () => {
    const { server, pass } = await timed()
    const client = await session(server, 'romeo')
    await pass(3 * 24 * 3_600_000)
    await client.settled()
  })
})

describe('the time limit of everything before the session together (§3.1.3)', () => {
  it('is 120 s, however busy the client is', async () => {
    const { server, pass, accepted } = await timed()
    const client = await clientOf(server)
    await accepted(1)
    await client.open()
    const busy = async () => {
      await client.send("<iq type='get' id='r'><query xmlns='jabber:iq:register'/></iq>")
      await client.receives('<iq id="r"/>')
    }
    for (let passed = 0; passed < 110_000; passed += 10_000) {
      await busy()
      await pass(10_000)
    }
    await busy()
    await pass(9_900)
    expect(client.isClosed).toBe(false)
    await pass(300)
    await client.streamError('connection-timeout')
  })

  it('is not made longer by a longer state_timeout', async () => {
    const { server, pass, accepted } = await timed({ listener: { state_timeout: 1_000_000 } })
    const raw = await RawConnection.open(server.port)
    await accepted(1)
    await pass(119_900)
    expect(raw.text).toBe('')
    await pass(300)
    expect(await raw.closed()).toMatch(timeout)
  })
})

describe('a peer that does not close its side (§3: 30 s)', () => {
  it('is cut off after that time, and not before', async () => {
    const { server, pass } = await timed()
    const raw = await RawConnection.open(server.port, { allowHalfOpen: true })
    await raw.send('malformed')
    await raw.until('</stream:stream>')
    const isCutOff = () => raw.send('still here')
    await pass(29_000)
    expect(await isCutOff()).toBe(true)
    expect(raw.isClosed).toBe(false)
    await pass(2_000)
    // The kernel tells on the next write, or the one after that.
    await eventually(() => {
      void raw.send('still here')
      return raw.isClosed
    })
  })
})

describe('the write watchdog (§1.3: 15 s)', () => {
  it('drops a client that reads nothing any more, and its messages go where they would go without it', async () => {
    const { server, pass } = await timed({ users: ['romeo', 'juliet'] })
    const juliet = await session(server, 'juliet', { resource: 'stuck', priority: 1 })
    const romeo = await session(server, 'romeo')
    juliet.pause()
    const body = 'x'.repeat(100_000)
    for (let sent = 0; !connectionOf(server, juliet).details.isBlocked; sent++) {
      expect(sent).toBeLessThan(200)
      await romeo.send(`<message to='juliet@localhost' type='chat'><body>${body}</body></message>`)
      await romeo.settled()
    }
    await romeo.send("<message to='juliet@localhost' type='chat'><body>the last one</body></message>")
    await romeo.settled()
    await pass(14_500)
    expect(server.internals.sessions.byFull('juliet@localhost/stuck')).toBeDefined()
    await pass(1_000)
    await eventually(() => server.internals.sessions.byFull('juliet@localhost/stuck') === undefined)
    const again = await session(server, 'juliet', { resource: 'again' })
    await again.send('<presence/>')
    await again.receives('<message><body>the last one</body></message>')
  })

  it('leaves alone who reads slowly', async () => {
    const { server, pass } = await timed({ users: ['romeo', 'juliet'] })
    const juliet = await session(server, 'juliet', { resource: 'slow', priority: 1 })
    const romeo = await session(server, 'romeo')
    const body = 'x'.repeat(500_000)
    for (let i = 0; i < 4; i++) {
      juliet.pause()
      for (let j = 0; j < 6; j++) await romeo.send(`<message to='${juliet.jid}'><body>${i}${j}${body}</body></message>`)
      await romeo.settled()
      await pass(10_000)
      juliet.resume()
      for (let j = 0; j < 6; j++) await juliet.receives(`<message><body>${i}${j}${body}</body></message>`)
      await juliet.settled()
    }
    await available(juliet, 2)
  })
})
