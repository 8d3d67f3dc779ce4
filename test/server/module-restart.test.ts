import { describe, expect, it } from 'vitest'
import { defineModule, type Module, type ModuleServer, StanzaError } from '../../src/index.js'
import { modules as shipped } from '../../src/modules/index.js'
import type { Resident, ResidentActor } from '../../src/routing/residence.js'
import type { TestServer } from '../../src/testing.js'
import type { Client } from '../support/client.js'
import { ask, debugListener } from '../support/debug-client.js'
import {
  clientOf,
  connectionOf,
  eventually,
  recordedEvents,
  type Setup,
  session,
  startedServer,
} from '../support/server.js'

/*
 * Modules that are started again, or stopped, while the server runs. DESIGN §2, §7
 */

const discoInfo = 'http://jabber.org/protocol/disco#info'
const discoItems = 'http://jabber.org/protocol/disco#items'
const users = ['romeo', 'juliet']

const own = (start: (server: ModuleServer) => void, name = 'mod_own'): Module => defineModule({ name, start })

async function withOwn(ownModules: readonly Module[], modules: Record<string, object> = {}, setup: Setup = {}) {
  const names = Object.fromEntries(ownModules.map(({ name }) => [name, {}]))
  const events = recordedEvents()
  const server = await startedServer({
    ...setup,
    users,
    events,
    ownModules,
    modules: { mod_ping: {}, mod_disco: {}, ...modules, ...names },
  })
  return { server, events, of: (name: string) => events.records.filter(record => record.name === name) }
}

const pathOf = (name: string, host = 'localhost') => `/root/modules/${name}-${host}`
const at = (server: TestServer, name: string) => server.tree(pathOf(name), { depth: 0 })

/** What the server says of itself, in its order. */
async function described(server: TestServer, client: Client): Promise<string[]> {
  const other = await clientOf(server)
  const before = await other.open()
  await other.login('juliet', 'r0m30', { resource: 'looking' })
  const answers = [String(before), String(other.features)]
  await other.close()
  for (const [ns, to] of [
    [discoInfo, 'localhost'],
    [discoItems, 'localhost'],
    [discoInfo, 'romeo@localhost'],
    [discoInfo, 'conference.localhost'],
    [discoInfo, 'muclight.localhost'],
  ] as const) {
    const answer = await client.ask('get', `<query xmlns='${ns}'/>`, { to })
    answers.push(String(answer.getChild('query')))
  }
  return answers
}

const treeOf = (server: TestServer) => {
  const names: string[] = []
  for (const { path, kind, childCount } of server.tree('/root/modules', { depth: 1 })?.children?.items ?? []) {
    names.push(`${path} ${kind} ${childCount}`)
  }
  return names
}

/** Without what is a client's own: stream ids. */
const plain = (texts: readonly string[]) => texts.map(text => text.replace(/ id="[^"]*"/g, ''))

describe('a module that is started again', () => {
  it('leaves everything as it was, each of the shipped ones, while a client talks', async () => {
    const modules = Object.fromEntries(shipped.map(({ name }) => [name, {}]))
    const server = await startedServer({ users, modules: { ...modules, mod_mam_meta: { pm: {}, muc: {} } } })
    const romeo = await session(server, 'romeo', { priority: 0 })
    const juliet = await session(server, 'juliet', { priority: 0 })
    const before = [plain(await described(server, romeo)), treeOf(server)]
    for (const { name } of shipped) {
      await romeo.send(`<message to='${juliet.jid}' type='chat'><body>before ${name}</body></message>`)
      await server.restartModule(name)
      await romeo.send(`<message to='${juliet.jid}' type='chat'><body>after ${name}</body></message>`)
      await juliet.receives(`<message type='chat'><body>before ${name}</body></message>`)
      await juliet.receives(`<message type='chat'><body>after ${name}</body></message>`)
      expect([plain(await described(server, romeo)), treeOf(server)]).toEqual(before)
    }
    for (const { name } of shipped) expect(at(server, name)).toMatchObject({ kind: 'module', faults: 0, restarts: 0 })
  }, 60_000)

  it('stands where it stood among the hooks and the features', async () => {
    const seen: string[] = []
    const noting = (name: string) =>
      own(server => {
        server.onStop(server.hooks.sent.observe({ kinds: ['message'] }, () => void seen.push(name)))
        server.onStop(server.hooks.sessionOpened.observe(() => void seen.push(`${name} opened`)))
        server.offerStreamFeature(() => `<${name} xmlns='urn:example:own'/>`)
      }, name)
    const { server } = await withOwn([noting('first'), noting('second'), noting('third')])
    server.onStanza(() => void seen.push('program'))
    const order = async () => {
      seen.length = 0
      const client = await session(server, 'romeo')
      await client.send("<message to='nobody@example.org' type='headline'/>")
      await client.settled()
      const features = client.features?.getChildElements().filter(({ attrs }) => attrs.xmlns === 'urn:example:own')
      return [seen.filter(name => name !== 'program').join(' '), seen.at(-1), features?.map(({ name }) => name)]
    }
    const before = await order()
    expect(before[0]).toBe('first opened second opened third opened first second third')
    for (const name of ['first', 'third', 'second']) {
      await server.restartModule(name)
      expect(await order()).toEqual(before)
    }
  })

  it('keeps what clients were promised: carbons go on, active privacy lists too, and who asked for the block list is told', async () => {
    const modules = { mod_carboncopy: {}, mod_privacy: {}, mod_blocking: {} }
    const { server } = await withOwn([], modules)
    const [romeo, phone, juliet] = [
      await session(server, 'romeo', { priority: 0, resource: 'desk' }),
      await session(server, 'romeo', { priority: -1, resource: 'phone' }),
      await session(server, 'juliet', { priority: 0 }),
    ]
    await phone.ask('set', "<enable xmlns='urn:xmpp:carbons:2'/>")
    await phone.ask('get', "<blocklist xmlns='urn:xmpp:blocking'/>")
    const list =
      "<query xmlns='jabber:iq:privacy'><list name='l'><item type='jid' value='example.org' action='deny' order='1'/></list></query>"
    await romeo.ask('set', list)
    await romeo.ask('set', "<query xmlns='jabber:iq:privacy'><active name='l'/></query>")
    for (const name of Object.keys(modules)) await server.restartModule(name)
    await juliet.send(`<message to='${romeo.jid}' type='chat' id='c1'><body>psst</body></message>`)
    await romeo.receives("<message id='c1'/>")
    await phone.receives("<message><received xmlns='urn:xmpp:carbons:2'/></message>")
    const lists = await romeo.ask('get', "<query xmlns='jabber:iq:privacy'/>")
    expect(String(lists)).toContain('<active name="l"/>')
    await romeo.ask('set', "<block xmlns='urn:xmpp:blocking'><item jid='tybalt@localhost'/></block>")
    await phone.receives("<iq type='set'><block xmlns='urn:xmpp:blocking'><item jid='tybalt@localhost'/></block></iq>")
  })

  it('does not hand over again what a session holds: mod_offline (XEP-0198 §5)', async () => {
    const { server } = await withOwn([], { mod_offline: {}, mod_stream_management: {} })
    const juliet = await session(server, 'juliet')
    const romeo = await session(server, 'romeo', { priority: 0 })
    await romeo.send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
    await romeo.receives("<enabled xmlns='urn:xmpp:sm:3'/>")
    romeo.drop()
    await eventually(() => connectionOf(server, romeo).details.isDetached === true)
    await juliet.send("<message to='romeo@localhost' type='chat' id='held'><body>held</body></message>")
    const waiting = () => server.internals.store.offline.count('romeo', 'localhost')
    while ((await waiting()) === 0) await juliet.settled()
    await server.restartModule('mod_offline')
    await server.restartModule('mod_stream_management')
    const other = await session(server, 'romeo', { priority: 5 })
    // Whatever is handed over is asked for at once.
    for (let i = 0; i < 5; i++) await other.receivesNothing("<message id='held'/>")
    expect(await waiting()).toBe(1)
  })

  it('rejects where there is none, or none on that host', async () => {
    const { server } = await withOwn([])
    await expect(server.restartModule('mod_nothing')).rejects.toThrow('no module mod_nothing runs')
    await expect(server.restartModule('mod_vcard')).rejects.toThrow('no module mod_vcard runs')
    await expect(server.restartModule('mod_ping', 'elsewhere.example')).rejects.toThrow('for elsewhere.example')
    await server.restartModule('mod_ping', 'localhost')
    await server.stop()
    await expect(server.restartModule('mod_ping')).rejects.toThrow('runs')
  })

  it('runs once, however many ask for it at one time', async () => {
    let starts = 0
    const { server, of } = await withOwn([own(() => void starts++)])
    await Promise.all([server.restartModule('mod_own'), server.restartModule('mod_own')])
    expect([starts, of('module.restarted').map(({ fields }) => fields)]).toEqual([
      2,
      [{ module: 'mod_own', host: 'localhost' }],
    ])
  })

  it('waits for the promises of what it undoes', async () => {
    const log: string[] = []
    const { server } = await withOwn([
      own(({ onStop }) => {
        log.push('start')
        onStop(async () => {
          await new Promise(resolve => setImmediate(resolve))
          log.push('undone')
        })
      }),
    ])
    await server.restartModule('mod_own')
    expect(log).toEqual(['start', 'undone', 'start'])
  })

  it('undoes at once what it registers too late', async () => {
    const servers: ModuleServer[] = []
    const { server } = await withOwn([own(given => void servers.push(given))])
    await server.restartModule('mod_own')
    let undone = 0
    servers[0]!.onStop(() => void undone++)
    servers[0]!.onIq('host', 'get', 'urn:example:late', 'query', () => undefined)
    servers[1]!.onStop(() => void undone--)
    expect(undone).toBe(1)
    const romeo = await session(server, 'romeo')
    const answer = await romeo.ask('get', "<query xmlns='urn:example:late'/>", { to: 'localhost' })
    expect(answer.attrs.type).toBe('error')
  })

  it('that cannot start again is tried 5 times more, and then the server goes on without it', async () => {
    let starts = 0
    const failing = own(server => {
      server.onIq('host', 'get', 'urn:example:own', 'query', () => undefined)
      if (++starts > 1) throw new Error('not again')
    })
    const { server, of } = await withOwn([failing])
    const romeo = await session(server, 'romeo')
    const error: unknown = await server.restartModule('mod_own').catch((caught: unknown) => caught)
    expect(error).toMatchObject({
      message: 'mod_own does not run for localhost',
      cause: { cause: { message: 'not again' } },
    })
    expect(starts).toBe(7)
    expect(at(server, 'mod_own')).toBeUndefined()
    expect(of('module.failed').map(({ fields }) => fields)).toEqual([{ module: 'mod_own', host: 'localhost' }])
    const answer = await romeo.ask('get', "<query xmlns='urn:example:own'/>", { to: 'localhost' })
    expect(answer.attrs.type).toBe('error')
    await romeo.settled()
    await expect(server.restartModule('mod_own')).rejects.toThrow('does not run')
  })

  it('that throws at the start of the server still ends that', async () => {
    const failing = own(() => {
      throw new Error('not at all')
    })
    await expect(withOwn([failing])).rejects.toMatchObject({ name: 'StartupError', problem: 'module' })
  })
})

describe('what a handler of a module throws', () => {
  const boom = () => {
    throw new Error('on purpose')
  }
  const later = () => Promise.reject(new Error('on purpose, later'))
  const query = "<query xmlns='urn:example:own'/>"

  it('is a fault of its actor, and the module goes on', async () => {
    const faulty = own(server => {
      server.onIq('host', 'get', 'urn:example:own', 'query', boom)
      server.onIq('host', 'set', 'urn:example:own', 'query', later)
      server.onStop(server.hooks.sent.observe({ kinds: ['message'], namespaces: ['urn:example:sync'] }, boom))
      server.onStop(server.hooks.sent.observe({ kinds: ['message'], namespaces: ['urn:example:async'] }, later))
      server.onStop(server.hooks.received.observe({ namespaces: ['urn:example:received'] }, boom))
      server.onStop(server.hooks.becameAvailable.observe(later))
      server.offerStreamFeature(boom)
      const { routes } = server.routing
      server.onStop(routes.add('own.localhost', { kind: 'service', node: 'local', deliver: boom })!)
      server.onStop(routes.add('later.localhost', { kind: 'service', node: 'local', deliver: later })!)
    })
    const { server, of } = await withOwn([faulty])
    const romeo = await session(server, 'romeo', { mechanism: 'PLAIN' })
    const faults = () => at(server, 'mod_own')?.faults ?? 0
    // The features, before and after the login.
    expect(faults()).toBe(2)
    for (const type of ['get', 'set'] as const) {
      const answer = await romeo.ask(type, query, { to: 'localhost' })
      expect(String(answer)).toContain('internal-server-error')
    }
    expect(faults()).toBe(4)
    const error = "<error><internal-server-error xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
    for (const [id, to, ns] of [
      ['s', 'juliet@localhost', 'sync'],
      ['a', 'juliet@localhost', 'async'],
      ['o', 'own.localhost', 'x'],
      ['l', 'later.localhost', 'x'],
    ]) {
      await romeo.send(`<message to='${to}' id='${id}'><x xmlns='urn:example:${ns}'/></message>`)
      await romeo.receives(`<message type='error' id='${id}'>${error}</message>`)
    }
    expect(faults()).toBe(8)
    await romeo.send(`<message to='${romeo.jid}'><x xmlns='urn:example:received'/></message>`)
    await romeo.send('<presence/>')
    await romeo.settled()
    await eventually(() => faults() === 10)
    expect(at(server, 'mod_own')).toMatchObject({
      restarts: 0,
      state: 'idle',
      lastFault: expect.stringContaining('on purpose'),
    })
    const told = of('actor.faulted').map(({ fields }) => fields.path)
    expect(told).toEqual(Array.from({ length: 10 }, () => pathOf('mod_own')))
    expect(of('server.bug')).toHaveLength(10)
    expect((await romeo.ask('get', query, { to: 'localhost' })).attrs.type).toBe('error')
  })

  it('is none where it refuses', async () => {
    const refusing = own(server =>
      server.onIq('host', 'get', 'urn:example:own', 'query', () => {
        throw new StanzaError('forbidden')
      }),
    )
    const { server, events } = await withOwn([refusing])
    const romeo = await session(server, 'romeo')
    expect(String(await romeo.ask('get', query, { to: 'localhost' }))).toContain('forbidden')
    expect(at(server, 'mod_own')?.faults).toBe(0)
    expect(events.records.some(({ name }) => name === 'server.bug')).toBe(false)
  })

  it('while it is undone, keeps nothing else from being undone', async () => {
    const undone: string[] = []
    const { server } = await withOwn([
      own(({ onStop }) => {
        onStop(() => undone.push('first'))
        onStop(boom)
        onStop(later)
      }),
    ])
    await server.restartModule('mod_own')
    expect(undone).toEqual(['first'])
    expect(at(server, 'mod_own')?.faults).toBe(2)
  })
})

describe('what a module keeps alive', () => {
  const resident = (): Resident => ({
    take() {
      throw new Error('on purpose')
    },
    woken() {},
    pack: () => undefined,
    unpack() {},
    ended() {},
  })
  /** Each message for `bot.localhost` is a failure of its only resident. */
  const bot = (isVital: boolean) =>
    own(server => {
      const residence = server.openResidence('bots', { mailboxLimit: 10, hibernateAfter: undefined, isVital })
      let actor: ResidentActor | undefined
      residence.move('bot', current => {
        actor = current
        return resident()
      })
      const release = server.routing.routes.add('bot.localhost', {
        kind: 'service',
        node: 'local',
        deliver(stanza) {
          if (actor?.deliver(stanza) !== true) throw new StanzaError('service-unavailable')
        },
      })
      server.onStop(release!)
    })

  /** Sends one at a time, until the server does what is waited for. */
  async function provoke(client: Client, until: () => boolean): Promise<number> {
    let sent = 0
    await eventually(() => {
      if (until()) return true
      sent += 1
      void client.send("<message to='bot.localhost'/>")
      return false
    })
    return sent
  }

  it('stands below its actor', async () => {
    const { server } = await withOwn([bot(true)])
    expect(server.tree(`${pathOf('mod_own')}/bots/bot`)).toMatchObject({ kind: 'resident' })
  })

  it('ends alone when it fails too often and is not vital', async () => {
    const { server, of } = await withOwn([bot(false)])
    const romeo = await session(server, 'romeo')
    await provoke(romeo, () => server.tree(`${pathOf('mod_own')}/bots/bot`) === undefined)
    expect(at(server, 'mod_own')).toMatchObject({ restarts: 0, state: 'idle' })
    expect(of('module.restarted')).toEqual([])
  })

  it('has its module started again when it fails too often and is vital, and stopped beyond that; others live on', async () => {
    const { server, of } = await withOwn([bot(true)])
    const romeo = await session(server, 'romeo')
    await provoke(romeo, () => at(server, 'mod_own')?.restarts === 1)
    await eventually(() => server.tree(`${pathOf('mod_own')}/bots/bot`) !== undefined)
    expect(of('module.restarted')).toHaveLength(1)
    await provoke(romeo, () => at(server, 'mod_own') === undefined)
    expect([of('module.restarted').length, of('module.failed').length]).toEqual([5, 1])
    await romeo.settled()
    const items = await romeo.ask('get', `<query xmlns='${discoItems}'/>`, { to: 'localhost' })
    expect(String(items)).not.toContain('bot.localhost')
    expect(server.status().state).toBe('running')
    await server.restartModule('mod_ping')
  })
})

describe('rooms, after mod_muc was started again (XEP-0045 §7.14, status 332)', () => {
  const room = 'tea@conference.localhost'
  const enter = `<presence to='${room}/N'><x xmlns='http://jabber.org/protocol/muc'/></presence>`

  it('have told their occupants, are entered again, and those that last are as they were', async () => {
    const { server } = await withOwn([], { mod_muc: { default_room: { persistent: true } } })
    const romeo = await session(server, 'romeo', { priority: 0 })
    const juliet = await session(server, 'juliet', { priority: 0 })
    await romeo.send(enter.replace('/N', '/romeo'))
    await romeo.receives(`<presence from='${room}/romeo'/>`)
    const instant =
      "<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'/></query>"
    await romeo.ask('set', instant, { to: room })
    await juliet.send(enter.replace('/N', '/juliet'))
    await juliet.receives(`<presence from='${room}/juliet'/>`)
    await romeo.send(`<message to='${room}' type='groupchat'><subject>Tea</subject></message>`)
    await juliet.receives(`<message type='groupchat'><subject>Tea</subject></message>`)

    await server.restartModule('mod_muc')
    for (const [client, nick] of [
      [romeo, 'romeo'],
      [juliet, 'juliet'],
    ] as const) {
      const user = "<x xmlns='http://jabber.org/protocol/muc#user'><status code='332'/></x>"
      await client.receives(`<presence type='unavailable' from='${room}/${nick}'>${user}</presence>`)
    }
    await juliet.send(enter.replace('/N', '/juliet'))
    await juliet.receives(`<presence from='${room}/juliet'/>`)
    await juliet.receives(`<message type='groupchat'><subject>Tea</subject></message>`)
    await romeo.send(enter.replace('/N', '/romeo'))
    const owner = "<x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='owner'/></x>"
    await romeo.receives(`<presence from='${room}/romeo'>${owner}</presence>`)
    await romeo.send(`<message to='${room}' type='groupchat' id='again'><body>again</body></message>`)
    await juliet.receives("<message type='groupchat'><body>again</body></message>")
  })
})

describe('by the debug endpoint', () => {
  it('a module is started again, and stopped', async () => {
    const { server, of } = await withOwn([own(() => {})], {}, { config: { listen: debugListener } })
    const path = pathOf('mod_own')
    expect((await ask(server, 'actors/restart', { path })).status).toBe(200)
    await eventually(() => of('module.restarted').length === 1)
    const { json } = await ask(server, `actors/detail?path=${path}`)
    expect(json.actor).toMatchObject({ kind: 'module', details: { module: 'mod_own', host: 'localhost' } })
    expect((await ask(server, 'actors/stop', { path })).status).toBe(200)
    await eventually(() => of('module.stopped').length === 1)
    expect(server.tree(path)).toBeUndefined()
    await expect(server.restartModule('mod_own')).rejects.toThrow('does not run')
    expect((await ask(server, 'actors/stop', { path: '/root/modules' })).status).toBe(409)
  })
})
