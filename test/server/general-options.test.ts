import { describe, expect, it } from 'vitest'
import { ManualClock } from '../support/clock.js'
import {
  clientOf,
  drained,
  PASSWORD,
  RawConnection,
  recordedEvents,
  session,
  startedServer,
} from '../support/server.js'

/*
 * `[general]` (§2.1), option by option: what differs with two values. `loglevel`, `log_format`, `data_dir` and `shutdown_timeout` are
 * seen from outside the process: test/cli/main.test.ts, test/server/lifecycle.test.ts. `registration_timeout`: registration.test.ts.
 */

describe('general (§2.1)', () => {
  it('hosts: each is served with accounts of its own, names prepared; the first is the name for strangers', async () => {
    const server = await startedServer({ config: { general: { hosts: ['Verona.example', 'mantua.example'] } } })
    await server.addUser('romeo', PASSWORD)
    await server.internals.authenticator.create('romeo', 'mantua.example', 'other')
    const verona = await clientOf(server, { domain: 'VERONA.example' })
    await verona.login('romeo', PASSWORD)
    expect(verona.bareJid).toBe('romeo@verona.example')
    const mantua = await clientOf(server, { domain: 'mantua.example' })
    await mantua.login('romeo', 'other')
    await mantua.send(`<message to='${verona.jid}'><body>hence from Verona art thou banished</body></message>`)
    await verona.receives(`<message from='${mantua.jid}'/>`)
    const raw = await RawConnection.open(server.port)
    await raw.send("<stream:stream xmlns:stream='http://etherx.jabber.org/streams' to='padua.example' version='1.0'>")
    expect(await raw.closed()).toContain(" from='verona.example'")
  })

  it.each(['en', 'de'])('language: %s stands in stream headers and in the texts of stream errors', async language => {
    const server = await startedServer({
      users: ['romeo'],
      listener: { max_stanza_size: 500 },
      config: { general: { language } },
    })
    const romeo = await session(server, 'romeo')
    expect(romeo.header?.attrs['xml:lang']).toBe(language)
    await romeo.send(`<message to='romeo@localhost'><body>${'x'.repeat(500)}</body></message>`)
    const error = await romeo.streamError('policy-violation')
    expect(error.getChild('text')?.attrs['xml:lang']).toBe(language)
  })

  it('replaced_wait_timeout: so long may a replaced session live on before a warning', async () => {
    const clock = new ManualClock()
    const events = recordedEvents()
    const server = await startedServer({
      users: ['romeo'],
      config: { general: { replaced_wait_timeout: 5_000 } },
      clock,
      events,
    })
    const lingering = () => events.records.filter(({ name }) => name === 'session.lingering').length
    await session(server, 'romeo', { resource: 'r' })
    // A session that does not end, as one might that hangs.
    const old = server.internals.sessions.byFull('romeo@localhost/r') as unknown as { tell(): boolean } // a connection actor
    old.tell = () => true
    await session(server, 'romeo', { resource: 'r' })
    await drained(server)
    clock.advance(4_900)
    await drained(server)
    expect(lingering()).toBe(0)
    clock.advance(300)
    await drained(server)
    expect(lingering()).toBe(1)
  })

  it.each(['Cowboy', 'Meerkat'])('http_server_name: %s is what http listeners call themselves', async name => {
    const handlers = { meerkat_health: [{ host: '_', path: '/' }] }
    const server = await startedServer({
      config: {
        general: { http_server_name: name },
        listen: { http: [{ port: 0, ip_address: '127.0.0.1', handlers }] },
      },
    })
    const port = server.addresses.find(({ protocol }) => protocol === 'http')?.port
    const response = await fetch(`http://127.0.0.1:${port}/healthz`)
    expect(response.headers.get('server')).toBe(name)
  })

  it('max_fsm_queue: counts where the listener has none of its own, and the listener wins where it has', async () => {
    const survives = async (general: number, own?: number) => {
      const server = await startedServer({
        users: ['romeo'],
        config: { general: { max_fsm_queue: general } },
        listener: own === undefined ? {} : { max_fsm_queue: own },
      })
      const romeo = await session(server, 'romeo')
      const held = server.internals.sessions.byFull(romeo.jid!) as unknown as { pauseStanzas(): void } // a connection actor
      held.pauseStanzas()
      for (let i = 0; i < 11; i++)
        server.route(`<message from='localhost' to='${romeo.jid}'><body>${i}</body></message>`)
      await drained(server)
      return server.status().sessions === 1
    }
    expect(await survives(10)).toBe(false)
    expect(await survives(11)).toBe(true)
    expect(await survives(10, 11)).toBe(true)
    expect(await survives(11, 10)).toBe(false)
  })
})

describe('stream limits (XEP-0478)', () => {
  it('are told: those before login, then those of max_stanza_size', async () => {
    const server = await startedServer({ users: ['romeo'], listener: { max_stanza_size: 70_000 } })
    const client = await clientOf(server)
    const told = () => client.features?.getChild('limits', 'urn:xmpp:stream-limits:0')?.getChildText('max-bytes')
    await client.open()
    expect(told()).toBe('10000')
    await client.authenticate('SCRAM-SHA-1', 'romeo', PASSWORD)
    await client.open()
    expect(told()).toBe('70000')
  })
})

describe('mod_sic (XEP-0279)', () => {
  it('tells a client the address that its connection comes from', async () => {
    const server = await startedServer({ users: ['romeo'] })
    const romeo = await session(server, 'romeo')
    const answer = await romeo.ask('get', "<address xmlns='urn:xmpp:sic:1'/>", { to: romeo.bareJid })
    expect(answer.getChild('address')?.getChildText('ip')).toBe('127.0.0.1')
  })
})
