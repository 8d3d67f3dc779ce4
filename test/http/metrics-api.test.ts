import { afterEach, describe, expect, it } from 'vitest'
import { hostCounters, hostSums } from '../../src/observability/metrics/host-counters.js'
import type { TestServer } from '../../src/testing.js'
import { http, httpPort } from '../support/bosh.js'
import type { Client } from '../support/client.js'
import { ManualClock } from '../support/clock.js'
import { request, userOf } from '../support/rest.js'
import { clientOf, PASSWORD, recordedEvents, session, sharedServer, startedServer } from '../support/server.js'
import { parseXml } from '../support/xml.js'

/*
 * `mongoose_api` of a running server, with clients of XMPP on its other side. spec/metrics-api.md
 */

type Values = Record<string, number>
interface Many {
  metrics: Record<string, Values>
}

const apiOn = (path: string, handlers = ['mongoose_api_metrics', 'mongoose_api_users'], host = 'localhost') => ({
  port: 0,
  ip_address: '127.0.0.1',
  transport: { num_acceptors: 2 },
  handlers: { mongoose_api: [{ host, path, handlers }] },
})

/** Two hosts, no store for messages that nobody takes. */
const setup = (general: object = {}) => ({
  users: ['romeo', 'juliet'],
  config: {
    general: { hosts: ['localhost', 'b.example'], registration_timeout: 'infinity', ...general },
    listen: { http: [apiOn('/api')] },
  },
  modules: { mod_roster: {}, mod_ping: {}, mod_disco: {} },
})

const ask = (server: TestServer, path: string, headers: Record<string, string> = {}, method = 'GET') =>
  http(httpPort(server), undefined, { method, path, headers })

async function json<T>(server: TestServer, path: string): Promise<T> {
  const { status, text } = await ask(server, path)
  if (status !== 200) throw new Error(`${path}: ${status}`)
  return JSON.parse(text) as T // what the API answers is what is tested
}

const many = async (server: TestServer, path: string) => (await json<Many>(server, path)).metrics
const one = async (server: TestServer, path: string) => (await json<{ metric: Values }>(server, path)).metric
const ofHost = (server: TestServer, host = 'localhost') => many(server, `/api/metrics/host/${host}`)

/** How much the metrics of a host have grown meanwhile; those that have not are left out. */
async function growth(server: TestServer, work: () => Promise<unknown>, host = 'localhost'): Promise<Values> {
  const before = await ofHost(server, host)
  await work()
  const after = await ofHost(server, host)
  const grown = Object.entries(after).map(
    ([name, { count = 0 }]) => [name, count - (before[name]?.count ?? 0)] as const,
  )
  return Object.fromEntries(grown.filter(([name, by]) => by !== 0 && isOurs(name)))
}

/** Hooks beside, which count how often they are passed. */
const isOurs = (name: string) => /^(xmpp|mod|session[A-Z])/.test(name)

const presence = async (client: Client) => {
  await client.send('<presence/>')
  await client.receives(`<presence from="${client.jid}"/>`)
}

describe('mongoose_api_metrics', () => {
  const server = sharedServer(setup())

  it('Q-1: lists hosts in the order of the configuration, and names of metrics; a slash at the end means nothing', async () => {
    const index = await json<Record<string, string[]>>(server(), '/api/metrics')
    expect(index).toEqual(await json(server(), '/api/metrics/'))
    expect(index.hosts).toEqual(['localhost', 'b.example'])
    expect(index.metrics).toEqual(expect.arrayContaining([...hostCounters, ...Object.keys(hostSums), 'sessionCount']))
    // One for each hook, in snake case. §3
    expect(index.metrics).toEqual(expect.arrayContaining(['sent', 'session_opened', 'account_removed']))
    expect(index.global).toEqual([
      'totalSessionCount',
      'uniqueSessionCount',
      'nodeSessionCount',
      'nodeUpTime',
      'clusterSize',
      'tcpPortsUsed',
      'processQueueLengths',
    ])
  })

  it('Q-2: every answer but the index has one key', async () => {
    expect(Object.keys(await json(server(), '/api/metrics'))).toHaveLength(3)
    for (const path of ['all', 'host/localhost', 'global']) {
      expect(Object.keys(await json(server(), `/api/metrics/${path}`))).toEqual(['metrics'])
    }
    for (const path of ['all/xmppIqSent', 'host/localhost/sessionCount', 'global/nodeUpTime']) {
      expect(Object.keys(await json(server(), `/api/metrics/${path}`))).toEqual(['metric'])
    }
  })

  it('§2: a spiral has one and count, a counter value and ms_since_reset, a gauge value, a histogram its quantiles', async () => {
    expect(Object.keys(await one(server(), '/api/metrics/host/localhost/modMamLookups'))).toEqual(['one', 'count'])
    expect(Object.keys(await one(server(), '/api/metrics/host/localhost/sessionCount'))).toEqual([
      'value',
      'ms_since_reset',
    ])
    expect(Object.keys(await one(server(), '/api/metrics/all/sessionCount'))).toEqual(['value'])
    expect(await one(server(), '/api/metrics/global/clusterSize')).toEqual({ value: 1 })
    const histogram = (await many(server(), '/api/metrics/global'))['data.xmpp.sent.xml_stanza_size']
    expect(Object.keys(histogram ?? {}).sort()).toEqual(
      ['n', 'mean', 'min', 'max', 'median', '50', '75', '90', '95', '99', '999'].sort(),
    )
  })

  const singles = ['all', 'host/localhost', 'global']
  const paths = ['', '/all', '/all/xmppIqSent', '/host/localhost', '/host/x/y', '/global', '/global/x'].map(
    path => `/api/metrics${path}`,
  )

  it.each(paths)('Q-3: %s answers OPTIONS with 200 and other methods with 405, with the same allow', async path => {
    const options = await ask(server(), path, {}, 'OPTIONS')
    expect(options).toMatchObject({ status: 200, text: '' })
    for (const method of ['POST', 'PUT', 'DELETE', 'PATCH']) {
      const refused = await ask(server(), path, {}, method)
      expect(refused).toMatchObject({ status: 405, text: '' })
      expect(refused.headers.allow).toBe(options.headers.allow)
    }
    expect(options.headers.allow).toBe('OPTIONS, HEAD, GET')
  })

  it.each(singles)('Q-4: an unknown name below %s gets 404 and an empty body', async path => {
    for (const name of ['nobody', 'xmppiqsent', 'XMPPIQSENT', 'constructor', 'erlang.memory', '%00', '%F0%9F%A6%A6']) {
      expect(await ask(server(), `/api/metrics/${path}/${name}`)).toMatchObject({ status: 404, text: '' })
    }
  })

  it.each([
    '/api/metrics/foo',
    '/api/metrics/host',
    '/api/metrics/host/nobody.example',
    '/api/metrics/host/localhost/a/b',
    '/metrics',
  ])('Q-4, §4: %s gets 404 and an empty body', async path => {
    expect(await ask(server(), path)).toMatchObject({ status: 404, text: '' })
  })

  it('§6: host names in the path may be in upper case', async () => {
    expect((await ask(server(), '/api/metrics/host/LocalHost')).status).toBe(200)
    expect((await ask(server(), '/api/metrics/host/B.EXAMPLE/xmppIqSent')).status).toBe(200)
  })

  it.each([{}, { accept: '*/*' }, { accept: 'application/json' }, { accept: 'text/html, application/*;q=0.5' }])(
    'Q-5: JSON without a charset for %j',
    async headers => {
      const answer = await ask(server(), '/api/metrics/all', headers as Record<string, string>)
      expect(answer).toMatchObject({ status: 200, headers: { 'content-type': 'application/json' } })
    },
  )

  it('Q-5: XML for who accepts that: scalars as attributes, lists as elements, the root named after the key', async () => {
    const romeo = await session(server(), 'romeo')
    await romeo.ask('get', '<query xmlns="jabber:iq:roster"/>')
    const xml = async (path: string) => {
      const answer = await ask(server(), path, { accept: 'application/xml' })
      expect(answer).toMatchObject({ status: 200, headers: { 'content-type': 'application/xml' } })
      return parseXml(answer.text, '')
    }
    const { count, one: within } = await one(server(), '/api/metrics/host/localhost/xmppIqSent')
    const metrics = await xml('/api/metrics/host/localhost')
    expect(metrics.getName()).toBe('metrics')
    expect(metrics.getChild('xmppIqSent')?.attrs).toMatchObject({ count: `${count}`, one: `${within}` })
    expect(count).toBeGreaterThan(0)
    const metric = await xml('/api/metrics/host/localhost/xmppIqSent')
    expect(metric.getName()).toBe('metric')
    expect(metric.attrs).toMatchObject({ count: `${count}` })
    const index = await xml('/api/metrics')
    expect(index.getName()).toBe('list')
    expect(index.getChildElements().map(child => child.getName())).toEqual(['hosts', 'metrics', 'global'])
    expect(
      index
        .getChild('hosts')
        ?.getChildElements()
        .map(child => child.toString()),
    ).toEqual(['<localhost/>', '<b.example/>'])
    // 50 is no name in XML.
    const global = await xml('/api/metrics/global')
    expect(global.getChild('data.xmpp.sent.xml_stanza_size')?.attrs).toHaveProperty('_x0035_0')
  })

  it('Q-6: HEAD is GET without the body', async () => {
    const head = await ask(server(), '/api/metrics/all', {}, 'HEAD')
    expect(head).toMatchObject({ status: 200, text: '', headers: { 'content-type': 'application/json' } })
    expect((await ask(server(), '/api/metrics/all/nobody', {}, 'HEAD')).status).toBe(404)
  })

  it('Q-7: answers 404 to another Host than that of the handler', async () => {
    expect((await ask(server(), '/api/metrics', { host: '127.0.0.1:5288' })).status).toBe(404)
    expect((await ask(server(), '/api/metrics', { host: 'LOCALHOST:5288' })).status).toBe(200)
  })

  it('Q-10: metrics of several parts stand among the others, not in the index, and are not fetched singly', async () => {
    const index = await json<{ global: string[] }>(server(), '/api/metrics')
    const global = await many(server(), '/api/metrics/global')
    const several = Object.keys(global).filter(name => name.includes('.'))
    expect(several.sort()).toEqual(
      [
        'data.dist',
        ...['received', 'sent'].flatMap(direction =>
          ['compressed_size', 'encrypted_size', 'xml_stanza_size'].map(size => `data.xmpp.${direction}.${size}`),
        ),
        'erlang.memory',
        'erlang.system_info',
      ].sort(),
    )
    for (const name of several) {
      expect(index.global).not.toContain(name)
      expect((await ask(server(), `/api/metrics/global/${name}`)).status).toBe(404)
    }
    expect(global['erlang.memory']?.total).toBeGreaterThan(1_000_000)
    expect(global['erlang.system_info']?.process_count).toBeGreaterThan(5)
  })

  it('§4: a body on GET and credentials of any kind are ignored', async () => {
    for (const authorization of ['Basic !', 'Bearer x', 'nonsense']) {
      expect((await ask(server(), '/api/metrics', { authorization })).status).toBe(200)
    }
    const answer = await http(httpPort(server()), '{', { method: 'GET', path: '/api/metrics' })
    expect(answer.status).toBe(200)
  })

  it('§4: a type that is not there gets 406, a header that is none and a bad escape 400', async () => {
    expect((await ask(server(), '/api/metrics', { accept: 'text/html' })).status).toBe(406)
    expect((await ask(server(), '/api/metrics', { accept: 'nonsense' })).status).toBe(400)
    expect((await ask(server(), '/api/metrics/all/%zz')).status).toBe(400)
  })
})

describe('what is counted', () => {
  it('Q-11: a login with initial presence, and a logout', async () => {
    const server = await startedServer(setup())
    let romeo: Client | undefined
    const login = await growth(server, async () => {
      romeo = await session(server, 'romeo')
      await presence(romeo)
    })
    expect(login).toEqual({
      sessionSuccessfulLogins: 1,
      xmppPresenceSent: 1,
      xmppPresenceReceived: 1,
      xmppStanzaSent: 1,
      xmppStanzaReceived: 1,
      xmppStanzaCount: 1,
    })
    expect(await one(server, '/api/metrics/host/localhost/sessionCount')).toMatchObject({ value: 1 })
    expect(await growth(server, async () => romeo?.close())).toMatchObject({ sessionLogouts: 1 })
    expect(await one(server, '/api/metrics/host/localhost/sessionCount')).toMatchObject({ value: 0 })
  })

  it('Q-11: a chat counts as sent and as received', async () => {
    const server = await startedServer(setup())
    const [romeo, juliet] = [await session(server, 'romeo'), await session(server, 'juliet', { priority: 0 })]
    const chat = await growth(server, async () => {
      await romeo.send('<message to="juliet@localhost" type="chat"><body>Hi</body></message>')
      await juliet.receives('<message><body>Hi</body></message>')
    })
    expect(chat).toEqual({
      xmppMessageSent: 1,
      xmppMessageReceived: 1,
      xmppStanzaSent: 1,
      xmppStanzaReceived: 1,
      xmppStanzaCount: 1,
    })
  })

  it('Q-11: a request for the roster, a change of it and the push', async () => {
    const server = await startedServer(setup())
    const romeo = await session(server, 'romeo')
    expect(await growth(server, () => romeo.ask('get', '<query xmlns="jabber:iq:roster"/>'))).toMatchObject({
      xmppIqSent: 1,
      xmppIqReceived: 1,
      modRosterGets: 1,
    })
    const set = await growth(server, async () => {
      await romeo.ask('set', '<query xmlns="jabber:iq:roster"><item jid="juliet@localhost"/></query>')
      await romeo.receives('<iq type="set"><query xmlns="jabber:iq:roster"/></iq>')
    })
    expect(set).toMatchObject({ xmppIqSent: 1, xmppIqReceived: 2, modRosterSets: 1, modRosterPush: 1 })
  })

  it('Q-11: a message for nobody counts as an error for its sender', async () => {
    const server = await startedServer(setup())
    const romeo = await session(server, 'romeo')
    const message = async () => {
      await romeo.send('<message to="nobody@localhost" type="chat"><body>Hi</body></message>')
      await romeo.receives('<message type="error"/>')
    }
    expect(await growth(server, message)).toEqual({
      xmppMessageSent: 1,
      xmppMessageReceived: 1,
      xmppMessageBounced: 1,
      xmppErrorTotal: 1,
      xmppErrorMessage: 1,
      xmppStanzaSent: 1,
      xmppStanzaReceived: 1,
      xmppStanzaCount: 1,
    })
  })

  it('§6: what comes by REST counts as what clients send', async () => {
    const own = setup()
    const [listener] = own.config.listen.http
    const messages = [{ host: '_', path: '/messages/[:with]' }]
    const both = { ...listener, handlers: { ...listener?.handlers, mongoose_client_api_messages: messages } }
    const modules = { ...own.modules, mod_mam_meta: { pm: {} } }
    const server = await startedServer({ ...own, modules, config: { ...own.config, listen: { http: [both] } } })
    const juliet = await session(server, 'juliet', { priority: 0 })
    const sent = await growth(server, async () => {
      const asRomeo = userOf(server, 'romeo@localhost')
      expect((await asRomeo('POST /messages', { to: 'juliet@localhost', body: 'Hi' })).status).toBe(200)
      await juliet.receives('<message><body>Hi</body></message>')
    })
    expect(sent).toEqual({
      xmppMessageSent: 1,
      xmppMessageReceived: 1,
      xmppStanzaSent: 1,
      xmppStanzaReceived: 1,
      xmppStanzaCount: 1,
      modMamArchived: 2,
      modMamFlushed: 2,
    })
    const account = '/api/users/host/localhost/username/benvolio'
    const registered = await growth(server, () => request(server, `PUT ${account}`, { user: { password: 'x' } }))
    expect(registered).toEqual({ modRegisterCount: 1 })
    expect(await growth(server, () => request(server, `DELETE ${account}`))).toEqual({
      modUnregisterCount: 1,
      modMamArchiveRemoved: 1,
    })
  })

  it('counts what modules do: subscriptions, privacy lists, clients that nobody looks at', async () => {
    const server = await startedServer({ ...setup(), modules: { ...setup().modules, mod_privacy: {}, mod_csi: {} } })
    const romeo = await session(server, 'romeo', { priority: 0 })
    const juliet = await session(server, 'juliet', { priority: 0 })
    const subscribed = await growth(server, async () => {
      await romeo.send('<presence to="juliet@localhost" type="subscribe"/>')
      await juliet.receives('<presence type="subscribe"/>')
      await juliet.send('<presence to="romeo@localhost" type="subscribed"/>')
      await romeo.receives(`<presence from="${juliet.jid}"/>`)
    })
    expect(subscribed).toMatchObject({ modPresenceSubscriptions: 1 })
    expect(subscribed).not.toHaveProperty('modPresenceUnsubscriptions')
    const list =
      '<list name="x"><item type="jid" value="juliet@localhost" action="deny" order="1"><message/></item></list>'
    const changed = await growth(server, async () => {
      const query = (content: string) => `<query xmlns="jabber:iq:privacy">${content}</query>`
      for (const content of [list, '<active name="x"/>', '<default name="x"/>']) await romeo.ask('set', query(content))
      await romeo.ask('get', query(''))
    })
    expect(changed).toMatchObject({
      modPrivacySets: 3,
      modPrivacySetsActive: 1,
      modPrivacySetsDefault: 1,
      modPrivacyGets: 1,
      modPrivacyPush: 1,
    })
    const denied = await growth(server, async () => {
      await juliet.send(`<message to="${romeo.jid}"><body>Hi</body></message>`)
      await juliet.receives('<message type="error"/>')
    })
    expect(denied).toMatchObject({ modPrivacyStanzaDenied: 1, modPrivacyStanzaAll: 1, xmppErrorMessage: 1 })
    const looked = await growth(server, async () => {
      for (const state of ['inactive', 'inactive', 'active']) await romeo.send(`<${state} xmlns="urn:xmpp:csi:0"/>`)
      await romeo.settled()
    })
    expect(looked).toMatchObject({ modCSIInactive: 2, modCSIActive: 1 })
  })

  it('counts logins that failed, and anonymous ones, for their host', async () => {
    const server = await startedServer(setup())
    const failed = await growth(server, async () => {
      const client = await clientOf(server)
      await client.open()
      await expect(client.authenticate('SCRAM-SHA-1', 'romeo', 'wrong')).rejects.toThrow('refused')
    })
    expect(failed).toEqual({ sessionAuthFails: 1 })
    const guests = await startedServer({ config: { ...setup().config, auth: { methods: ['anonymous'] } } })
    const anonymous = await growth(guests, async () => {
      const guest = await clientOf(guests)
      await guest.login('', '', { mechanism: 'ANONYMOUS' })
    })
    expect(anonymous).toEqual({ sessionAuthAnonymous: 1, sessionSuccessfulLogins: 1 })
  })

  it('Q-8: is summed over hosts, one and count', async () => {
    const server = await startedServer(setup())
    await server.internals.authenticator.create('tybalt', 'b.example', PASSWORD)
    const clients = [await session(server, 'romeo'), await session(server, 'tybalt', { domain: 'b.example' })]
    for (const client of clients) await presence(client)
    expect(await one(server, '/api/metrics/all/xmppPresenceSent')).toEqual({ one: 2, count: 2 })
    expect((await many(server, '/api/metrics/all')).xmppPresenceSent).toEqual({ one: 2, count: 2 })
    expect((await many(server, '/api/metrics/all')).sessionCount).toEqual({ value: 2 })
    for (const host of ['localhost', 'b.example']) {
      expect(await one(server, `/api/metrics/host/${host}/xmppPresenceSent`)).toEqual({ one: 1, count: 1 })
    }
  })

  it('Q-9: one is 0 after a minute without events, and count stays', async () => {
    const clock = new ManualClock()
    const server = await startedServer({ ...setup(), clock })
    clock.advance(90_000)
    await presence(await session(server, 'romeo'))
    const path = '/api/metrics/host/localhost/xmppPresenceSent'
    expect(await one(server, path)).toEqual({ one: 1, count: 1 })
    clock.advance(59_000)
    expect(await one(server, path)).toEqual({ one: 1, count: 1 })
    clock.advance(1_000)
    expect(await one(server, path)).toEqual({ one: 0, count: 1 })
    expect((await many(server, '/api/metrics/all')).xmppPresenceSent).toEqual({ one: 0, count: 1 })
  })

  it('Q-12: sessions by resources and by accounts, and how long the node is up', async () => {
    const clock = new ManualClock()
    const server = await startedServer({ ...setup(), clock })
    await session(server, 'romeo', { resource: 'garden' })
    await session(server, 'romeo', { resource: 'street' })
    await session(server, 'juliet')
    const global = (name: string) => one(server, `/api/metrics/global/${name}`)
    expect(await global('totalSessionCount')).toEqual({ value: 3 })
    expect(await global('uniqueSessionCount')).toEqual({ value: 2 })
    expect(await global('nodeSessionCount')).toEqual({ value: 3 })
    expect(await global('clusterSize')).toEqual({ value: 1 })
    expect((await global('tcpPortsUsed')).value).toBeGreaterThanOrEqual(5)
    expect(await global('processQueueLengths')).toEqual({ regular: 0, fsm: 0, total: 0 })
    const before = (await global('nodeUpTime')).value ?? Number.NaN
    clock.advance(7_000)
    expect((await global('nodeUpTime')).value).toBe(before + 7)
  })

  it('shows the sizes of stanzas in the last minute', async () => {
    const clock = new ManualClock()
    const server = await startedServer({ ...setup(), clock })
    const [romeo, juliet] = [await session(server, 'romeo'), await session(server, 'juliet', { priority: 0 })]
    clock.advance(60_000)
    const body = 'x'.repeat(10_000)
    await romeo.send(`<message to="juliet@localhost"><body>${body}</body></message>`)
    await juliet.receives(`<message><body>${body}</body></message>`)
    const global = await many(server, '/api/metrics/global')
    const sent = global['data.xmpp.sent.xml_stanza_size']
    expect(sent?.n).toBe(1)
    expect(sent?.mean).toBeGreaterThan(10_000)
    expect(sent?.mean).toBeLessThan(10_300)
    expect(global['data.xmpp.received.xml_stanza_size']).toMatchObject({ n: 1 })
    expect(global['data.xmpp.received.compressed_size']).toMatchObject({ n: 0, mean: 0 })
    clock.advance(60_000)
    expect((await many(server, '/api/metrics/global'))['data.xmpp.sent.xml_stanza_size']).toMatchObject({ n: 0 })
  })

  it('shows the sizes of what is compressed', async () => {
    const server = await startedServer({ ...setup(), listener: { zlib: 100_000 } })
    const romeo = await clientOf(server)
    await romeo.open()
    await romeo.authenticate('SCRAM-SHA-1', 'romeo', PASSWORD)
    await romeo.open()
    await romeo.compress()
    await romeo.open()
    await romeo.bind()
    const global = await many(server, '/api/metrics/global')
    expect(global['data.xmpp.received.compressed_size']?.n).toBeGreaterThan(0)
    expect(global['data.xmpp.sent.compressed_size']?.n).toBeGreaterThan(0)
  })

  it('Q-13: all_metrics_are_global moves those of the hosts among the global ones', async () => {
    const server = await startedServer(setup({ all_metrics_are_global: true }))
    const index = await json<Record<string, string[]>>(server, '/api/metrics')
    expect(index).toMatchObject({ hosts: ['localhost', 'b.example'], metrics: [] })
    expect(index.global).toEqual(expect.arrayContaining(['xmppPresenceSent', 'sessionCount', 'nodeUpTime']))
    await presence(await session(server, 'romeo'))
    expect(await one(server, '/api/metrics/global/xmppPresenceSent')).toEqual({ one: 1, count: 1 })
    expect(await ofHost(server)).toEqual({})
    expect((await ask(server, '/api/metrics/host/localhost/xmppPresenceSent')).status).toBe(404)
    expect((await ask(server, '/api/metrics/all/xmppPresenceSent')).status).toBe(404)
  })
})

describe('mongoose_api_users (§5)', () => {
  const server = sharedServer(setup())
  const put = (path: string, body: string, type = 'application/json') =>
    http(httpPort(server()), body, { method: 'PUT', path, headers: { 'content-type': type } })
  const password = (text: string) => JSON.stringify({ user: { password: text } })
  const account = '/api/users/host/localhost/username/mercutio'
  afterEach(async () => void (await ask(server(), account, {}, 'DELETE')))

  it('§5: lists the accounts of a host', async () => {
    expect(await json(server(), '/api/users/host/localhost')).toEqual({
      count: 2,
      users: ['juliet', 'romeo'].map(username => ({ user: { username, host: 'localhost' } })),
    })
    expect(await json(server(), '/api/users/host/B.EXAMPLE')).toEqual({ count: 0, users: [] })
    expect(await ask(server(), '/api/users/host/nobody.example')).toMatchObject({ status: 404, text: '' })
    const xml = parseXml((await ask(server(), '/api/users/host/localhost', { accept: 'application/xml' })).text, '')
    expect(xml.toString()).toBe(
      '<list count="2"><users><user username="juliet" host="localhost"/><user username="romeo" host="localhost"/></users></list>',
    )
  })

  it('§5: PUT makes an account that can log in, and changes its password', async () => {
    expect(await put(account, password('queen'))).toMatchObject({ status: 204, text: '' })
    const login = async (word: string) => (await clientOf(server())).login('mercutio', word)
    await login('queen')
    expect((await put(account, password('mab'))).status).toBe(204)
    await login('mab')
    await expect(login('queen')).rejects.toThrow('refused')
  })

  it('§5: DELETE removes it and ends its sessions; what is not there gets 404', async () => {
    await put(account, password('queen'))
    const client = await clientOf(server())
    await client.login('mercutio', 'queen')
    expect(await ask(server(), account, {}, 'DELETE')).toMatchObject({ status: 204, text: '' })
    await client.closed()
    expect((await ask(server(), account, {}, 'DELETE')).status).toBe(404)
    expect((await ask(server(), '/api/users/host/nobody.example/username/x', {}, 'DELETE')).status).toBe(404)
  })

  it.each([
    ['{', 400],
    ['', 400],
    ['{}', 422],
    ['[]', 422],
    ['{"user":{}}', 422],
    ['{"user":{"password":1}}', 422],
    ['{"user":{"password":""}}', 422],
    [password('\u0000'), 422],
  ])('§5: PUT of %j gets %d', async (body, status) => {
    expect(await put(account, body)).toMatchObject({ status, text: '' })
    expect((await json<{ count: number }>(server(), '/api/users/host/localhost')).count).toBe(2)
  })

  it('§5: PUT with a name that is none, for a host that is not served or in another type is refused', async () => {
    expect((await put('/api/users/host/localhost/username/a%40b', password('x'))).status).toBe(422)
    expect((await put('/api/users/host/nobody.example/username/a', password('x'))).status).toBe(422)
    expect((await put(account, password('x'), 'text/plain')).status).toBe(415)
  })
})

describe('where it is mounted', () => {
  it('handlers says which APIs there are', async () => {
    const statuses = async (handlers: string[]) => {
      const server = await startedServer({ config: { listen: { http: [apiOn('/', handlers)] } } })
      return [(await ask(server, '/metrics')).status, (await ask(server, '/users/host/localhost')).status]
    }
    expect(await statuses([])).toEqual([404, 404])
    expect(await statuses(['mongoose_api_metrics'])).toEqual([200, 404])
    expect(await statuses(['mongoose_api_users', 'mongoose_api_users'])).toEqual([404, 200])
  })

  it('§5: warns where accounts are open to others than this machine', async () => {
    const warnings = async (address: string, handlers: string[]) => {
      const events = recordedEvents()
      const listener = { ...apiOn('/', handlers), ip_address: address }
      await startedServer({ events, config: { listen: { http: [listener] } } })
      return events.records.filter(
        ({ name, fields }) => name === 'config.warning' && `${fields.text}`.includes('users'),
      )
    }
    expect(await warnings('0.0.0.0', ['mongoose_api_users'])).toHaveLength(1)
    expect(await warnings('127.0.0.1', ['mongoose_api_users'])).toEqual([])
    expect(await warnings('0.0.0.0', ['mongoose_api_metrics'])).toEqual([])
  })

  it('a name that is none is an error of the configuration', async () => {
    await expect(startedServer({ config: { listen: { http: [apiOn('/', ['mongoose_api_other'])] } } })).rejects.toThrow(
      /handlers/,
    )
  })

  it('shows nobody the last minute where metrics are not mounted: nothing looks at the clock for it', async () => {
    const pending = async (handlers: string[]) => {
      const clock = new ManualClock()
      await startedServer({ clock, modules: {}, config: { listen: { http: [apiOn('/', handlers)] } } })
      return clock.pending
    }
    expect(await pending(['mongoose_api_metrics'])).toBeGreaterThan(await pending(['mongoose_api_users']))
  })
})
