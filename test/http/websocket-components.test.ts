import { once } from 'node:events'
import { describe, expect, it, onTestFinished } from 'vitest'
import WebSocket from 'ws'
import { httpPort } from '../support/bosh.js'
import { ManualClock } from '../support/clock.js'
import { COMPONENT_NS, componentHeader, digest, SECRET } from '../support/component.js'
import { actorsOfKind, drained, eventually, type Setup, session, startedServer } from '../support/server.js'
import { webSocketSession } from '../support/websocket.js'
import { enter, knock, WebSocketComponent } from '../support/websocket-component.js'

/*
 * Components over WebSocket: one XML stream, cut into messages. spec/websockets.md §6
 */

const withService = (service: object = {}, more: Partial<Setup> & { handler?: object } = {}): Setup => {
  const { handler, ...setup } = more
  const mod_websockets = [{ host: '_', path: '/ws-xmpp', service: { password: SECRET, ...service }, ...handler }]
  const http = [{ port: 0, ip_address: '127.0.0.1', transport: { num_acceptors: 2 }, handlers: { mod_websockets } }]
  return { users: ['romeo', 'juliet'], ...setup, config: { ...setup.config, listen: { http } } }
}
const ping = `<ping xmlns='urn:xmpp:ping'/>`

describe('components over WebSocket', () => {
  it('W-26: the right digest lets in, each element in a message of its own', async () => {
    const server = await startedServer(withService())
    const bot = await enter(server, 'bot.localhost')
    expect(bot.messages[0]).toMatch(
      new RegExp(`^<\\?xml version='1.0'\\?><stream:stream [^>]*xmlns='${COMPONENT_NS}'[^>]* from='bot.localhost'>$`),
    )
    expect(bot.messages[1]).toBe('<handshake/>')
    const romeo = await session(server, 'romeo', { priority: 0 })
    await romeo.send(`<message to='bot.localhost' id='one' xmlns='jabber:client'><body>x</body></message>`)
    await romeo.send(`<message to='bot.localhost' id='two'><body>y</body></message>`)
    await bot.until(/id=.two/)
    expect(bot.messages).toHaveLength(4)
    for (const message of bot.messages.slice(2)) expect(message).toMatch(/^<message [^>]*>.*<\/message>$/)
    expect(bot.text).not.toContain('jabber:client')
    bot.send(`<message from='bot.localhost' to='${romeo.jid}'><body>`)
    bot.send(`in two messages</body></message>`)
    await romeo.receives(`<message from='bot.localhost'><body>in two messages</body></message>`)
  })

  it('W-26: a wrong digest is not-authorized', async () => {
    const server = await startedServer(withService())
    const bot = await knock(server, 'bot.localhost', '', id => digest(id, 'guess'))
    expect(await bot.closed()).toContain(`<stream:error><not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>`)
    expect(bot.text).toMatch(/<\/stream:error><\/stream:stream>$/)
    expect(bot.code).toBe(1000)
  })

  it('W-28: where a name is taken conflict_behaviour decides who ends', async () => {
    for (const [conflict_behaviour, ends] of [
      ['disconnect', 'newcomer'],
      ['kick_old', 'old'],
    ]) {
      const server = await startedServer(withService({ conflict_behaviour }))
      const old = await enter(server, 'bot.localhost')
      const newcomer = await knock(server, 'bot.localhost')
      const [loser, winner] = ends === 'old' ? [old, newcomer] : [newcomer, old]
      expect(await loser.closed()).toContain('<conflict ')
      await winner.until('<handshake/>')
      expect(winner.isClosed).toBe(false)
    }
  })

  it("W-29: is_subdomain='true' registers a name below every host", async () => {
    const server = await startedServer(
      withService({}, { config: { general: { hosts: ['localhost', 'verona.example'] } } }),
    )
    const bot = await enter(server, 'bot', `is_subdomain='true'`)
    const romeo = await session(server, 'romeo')
    for (const host of ['localhost', 'verona.example']) {
      await romeo.send(`<message to='bot.${host}' id='to-${host}'/>`)
      await bot.until(`to-${host}`)
    }
  })

  it('W-30: check_from refuses senders of other domains, or lets them pass', async () => {
    const server = await startedServer(withService())
    const bot = await enter(server, 'bot.localhost')
    bot.send(`<message from='else.example' to='romeo@localhost' id='f'/>`)
    expect(await bot.until(/<\/message>/)).toContain('<bad-request')
    const free = await startedServer(withService({ check_from: false }))
    const romeo = await session(free, 'romeo', { priority: 0 })
    const other = await enter(free, 'bot.localhost')
    other.send(`<message from='else.example' to='${romeo.jid}'/>`)
    await romeo.receives(`<message from='else.example'/>`)
  })

  it('W-31: access decides who may send to it', async () => {
    const config = {
      acl: { juliet: [{ user: 'juliet', server: 'localhost' }] },
      access: {
        bots: [
          { acl: 'juliet', value: 'deny' },
          { acl: 'all', value: 'allow' },
        ],
      },
    }
    const server = await startedServer(withService({ access: 'bots' }, { config }))
    const bot = await enter(server, 'bot.localhost')
    const [romeo, juliet] = [await session(server, 'romeo'), await session(server, 'juliet')]
    await juliet.send(`<message to='bot.localhost' id='denied'/>`)
    await juliet.receives(
      `<message type='error' id='denied'><error><not-allowed xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>`,
    )
    await romeo.send(`<message to='bot.localhost' id='allowed'/>`)
    await bot.until('allowed')
    expect(bot.text).not.toContain('denied')
  })

  it.each(['terminate', 'close'] as const)('W-32: its routes go when its WebSocket ends by %s', async ends => {
    const server = await startedServer(withService())
    const bot = await enter(server, 'bot.localhost')
    bot.socket[ends]()
    await eventually(() => actorsOfKind(server, 'ComponentConnection').length === 0)
    const romeo = await session(server, 'romeo')
    expect((await romeo.ask('get', ping, { to: 'bot.localhost' })).attrs.type).toBe('error')
  })

  it('W-33: clients and components come in by the same path', async () => {
    const server = await startedServer(withService())
    const bot = await enter(server, 'bot.localhost')
    const romeo = await webSocketSession(httpPort(server), 'romeo', { priority: 0 })
    romeo.send(`<message to='bot.localhost' id='hello'/>`)
    await bot.until('hello')
    bot.send(`<message from='bot.localhost' to='${romeo.jid}' id='back'/>`)
    await romeo.receives('<message id="back"/>')
    expect(actorsOfKind(server, 'ComponentConnection')).toHaveLength(1)
    expect(actorsOfKind(server, 'Connection')).toHaveLength(1)
  })

  it('W-20: max_stanza_size holds for components too', async () => {
    const server = await startedServer(withService({}, { handler: { max_stanza_size: 500 } }))
    const bot = await enter(server, 'bot.localhost')
    bot.send(`<message from='bot.localhost' to='romeo@localhost'><body>${'x'.repeat(600)}</body></message>`)
    expect(await bot.closed()).toContain('<policy-violation ')
  })

  it('W-25: shaper_rule slows a component', async () => {
    const clock = new ManualClock()
    const config = { shaper: { slow: { max_rate: 10_000 } } }
    const server = await startedServer(withService({ shaper_rule: 'slow' }, { clock, config }))
    const bot = await enter(server, 'bot.localhost')
    const romeo = await session(server, 'romeo', { priority: 0 })
    const message = (id: number) =>
      `<message from='bot.localhost' to='${romeo.jid}' id='${id}'><body>${'x'.repeat(1_000)}</body></message>`
    for (let id = 1; id <= 50; id++) bot.send(message(id))
    await romeo.receives('<message id="1"/>')
    await eventually(() => actorsOfKind(server, 'ComponentConnection')[0]?.details.isShaped)
    await romeo.receivesNothing('<message id="50"/>')
    for (let second = 0; second < 10; second++) {
      clock.advance(1_000)
      await drained(server)
      await romeo.settled()
    }
    await romeo.receives('<message id="50"/>')
  })

  it('what comes right behind the header is not lost, and the old connection is gone', async () => {
    const server = await startedServer(withService())
    const socket = new WebSocket(`ws://127.0.0.1:${httpPort(server)}/ws-xmpp`, ['xmpp'])
    onTestFinished(() => socket.terminate())
    const bot = new WebSocketComponent(socket)
    await once(socket, 'open')
    bot.send(componentHeader('bot.localhost'))
    bot.send('<handshake>wrong</handshake>')
    expect(await bot.closed()).toContain('<not-authorized ')
    await eventually(() => actorsOfKind(server, 'Connection').length === 0)
    await eventually(() => actorsOfKind(server, 'ComponentConnection').length === 0)
  })
})
