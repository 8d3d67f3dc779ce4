import { describe, expect, it } from 'vitest'
import { serviceListener } from '../../src/config/listen-xmpp.js'
import type { TestServer } from '../../src/testing.js'
import { componentHeader, componentOf, SECRET, servicePort, settled } from '../support/component.js'
import { describeOptions, keysOf, listenerRows, type Row } from '../support/option-table.js'
import { actorsOfKind, drained, RawConnection, session, startedServer } from '../support/server.js'
import { isWithoutSs, ss } from '../support/ss.js'

/*
 * Every option of a service listener makes a difference: see test/support/option-table.ts.
 */

const NAME = 'echo.localhost'
const connection = (server: TestServer) => actorsOfKind(server, 'ComponentConnection')[0]
/** Whether a component of this name is let in. */
const enters = (server: TestServer, name = NAME) =>
  componentOf(servicePort(server), name).then(
    () => 'in',
    () => 'refused',
  )

const rows: readonly Row[] = [
  ...(await listenerRows('service')),
  {
    option: 'proxy_protocol',
    values: [false, true],
    async see(server) {
      const raw = await RawConnection.open(servicePort(server))
      await raw.send(`PROXY TCP4 192.0.2.7 127.0.0.1 4000 8888\r\n${componentHeader(NAME)}`)
      return (await raw.until(/<stream:(stream[^>]* id='|error)/)).includes(`from='${NAME}'`)
    },
  },
  {
    option: 'hibernate_after',
    values: [0, 60_000],
    async see(server) {
      await settled(await componentOf(servicePort(server), NAME))
      await drained(server)
      return connection(server)?.state
    },
  },
  {
    option: 'max_stanza_size',
    values: [500, 5_000],
    async see(server) {
      const component = await componentOf(servicePort(server), NAME)
      await component.send(`<message from='${NAME}' to='romeo@localhost'><body>${'x'.repeat(1_000)}</body></message>`)
      return settled(component).then(
        () => 'taken',
        () => 'ended',
      )
    },
  },
  {
    option: 'state_timeout',
    values: [1_000, 100_000],
    async see(server, clock) {
      const raw = await RawConnection.open(servicePort(server))
      await raw.send(componentHeader(NAME))
      await raw.until('id=')
      await drained(server)
      clock.advance(2_000)
      await drained(server)
      return server.status().counters.streamErrors
    },
  },
  { option: 'password', values: [SECRET, 'another'], see: server => enters(server) },
  { option: 'access', values: ['all', 'none'], see: server => enters(server) },
  {
    option: 'shaper_rule',
    values: ['none', 'slow'],
    config: { shaper: { slow: { max_rate: 5_000 } } },
    async see(server) {
      await componentOf(servicePort(server), NAME)
      return connection(server)?.details.rate
    },
  },
  {
    option: 'check_from',
    values: [true, false],
    async see(server) {
      const romeo = await session(server, 'romeo', { priority: 0 })
      const component = await componentOf(servicePort(server), NAME)
      await component.send(`<message from='elsewhere.example' to='romeo@localhost' id='m'/>`)
      await component.send(`<message from='${NAME}' to='romeo@localhost' id='last'/>`)
      return (await romeo.receives(`<message/>`)).attrs.id
    },
  },
  {
    option: 'hidden_components',
    values: [false, true],
    async see(server) {
      const romeo = await session(server, 'romeo')
      await componentOf(servicePort(server), NAME)
      const items = `<query xmlns='http://jabber.org/protocol/disco#items'/>`
      return String(await romeo.ask('get', items, { to: 'localhost' })).includes(NAME)
    },
  },
  {
    option: 'conflict_behaviour',
    values: ['disconnect', 'kick_old'],
    async see(server) {
      const old = await componentOf(servicePort(server), NAME)
      const isNewIn = await enters(server)
      if (isNewIn === 'in') await old.streamError('conflict')
      return isNewIn
    },
  },
  {
    option: 'max_fsm_queue',
    values: [3, 5_000],
    async see(server) {
      const romeo = await session(server, 'romeo')
      const component = await componentOf(servicePort(server), NAME)
      // However they are split on their way, more come at once than the one value lets wait.
      await romeo.send(`<message to='${NAME}' type='error'/>`.repeat(500))
      await romeo.settled()
      return settled(component).then(
        () => 'in',
        () => 'ended',
      )
    },
  },
]

describe('each option of [[listen.service]] makes a difference (§6 item 5)', () => {
  describeOptions({
    path: 'listen.service',
    keys: keysOf(serviceListener),
    rows,
    elsewhere: ['backlog'],
    defaults: { port: 0, ip_address: '127.0.0.1', num_acceptors: 2, password: SECRET },
    configOf: listener => ({
      listen: { c2s: [{ port: 0, ip_address: '127.0.0.1', num_acceptors: 2 }], service: [listener] },
    }),
  })

  it('listen.service.backlog', async ({ skip }) => {
    if (isWithoutSs) skip(isWithoutSs)
    const service = [7, 9].map(backlog => ({
      port: 0,
      ip_address: '127.0.0.1',
      num_acceptors: 2,
      password: SECRET,
      backlog,
    }))
    const server = await startedServer({ config: { listen: { c2s: [], service } } })
    const lengths = server.addresses.map(({ port }) => ss('-lt', `sport = :${port}`).trim().split(/\s+/)[2])
    expect(lengths).toEqual(['7', '9'])
  })
})
