import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { caps } from '../../src/modules/caps.js'
import { modules, startModules } from '../../src/modules/index.js'
import { defineModule } from '../../src/modules/module.js'
import { zone } from '../../src/modules/time.js'
import { capsText } from '../../src/protocols/disco.js'
import { type Client, type World, world } from '../support/world.js'

const romeo = 'romeo@montague.example'
const juliet = 'juliet@capulet.example'
const error = (condition: string) => `<error><${condition} xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error>`
const info = (attributes = '') => `<query xmlns="http://jabber.org/protocol/disco#info" ${attributes}/>`
const items = (attributes = '') => `<query xmlns="http://jabber.org/protocol/disco#items" ${attributes}/>`
const ask = (to: string, payload: string) => `<iq id="q" type="get" to="${to}">${payload}</iq>`

async function running(options: Record<string, unknown>): Promise<{ server: World; orchard: Client }> {
  const server = world({ modules: options })
  return { server, orchard: await server.connect(`${romeo}/orchard`) }
}

describe('service discovery (XEP-0030)', () => {
  it('of the host names what it is and every feature of its modules, each once', async () => {
    const { orchard } = await running({ mod_disco: {}, mod_ping: {}, mod_offline: {} })
    await orchard.sends(ask('montague.example', info()))
    const [reply] = orchard.take()
    expect(reply).toContain('<identity category="server" type="im" name="Meerkat"/>')
    const features = [...reply!.matchAll(/feature var="([^"]+)"/g)].map(match => match[1])
    expect(features.sort()).toEqual([
      'http://jabber.org/protocol/disco#info',
      'http://jabber.org/protocol/disco#items',
      'msgoffline',
      'urn:xmpp:ping',
    ])
  })

  it('of the host bears the contact addresses of server_info (XEP-0157)', async () => {
    const { orchard } = await running({
      mod_disco: {
        server_info: [
          {
            module: 'all',
            name: 'abuse-addresses',
            urls: ['mailto:abuse@montague.example', 'xmpp:abuse@montague.example'],
          },
          { module: ['mod_disco', 'mod_muc'], name: 'admin-addresses', urls: ['xmpp:admin@montague.example'] },
          { module: ['mod_muc'], name: 'support-addresses', urls: ['xmpp:rooms@montague.example'] },
        ],
      },
    })
    await orchard.sends(ask('montague.example', info()))
    const [reply] = orchard.take()
    expect(reply).toContain('<value>http://jabber.org/network/serverinfo</value>')
    expect(reply).toContain(
      '<field var="abuse-addresses" type="list-multi"><value>mailto:abuse@montague.example</value><value>xmpp:abuse@montague.example</value></field>',
    )
    expect(reply).toContain('admin-addresses')
    expect(reply).not.toContain('support-addresses')
  })

  it('of a node that there is not is item-not-found', async () => {
    const { orchard } = await running({ mod_disco: {} })
    for (const payload of [info('node="x"'), items('node="x"')]) {
      await orchard.sends(ask('montague.example', payload))
      orchard.receives(`<iq id="q" type="error">${error('item-not-found')}</iq>`)
    }
  })

  it('of an account is for itself and those who see its presence; to others it is no different from none (§8)', async () => {
    const { server, orchard } = await running({ mod_disco: {} })
    const tomb = await (await server.connect(`${romeo}/tomb`)).arrives()
    const balcony = await server.connect(`${juliet}/balcony`)
    await orchard.sends(ask(romeo, info()))
    orchard.receives(
      `<iq id="q" type="result" from="${romeo}"><query xmlns="http://jabber.org/protocol/disco#info"><identity category="account" type="registered"/></query></iq>`,
    )
    await orchard.sends(ask(romeo, items()))
    orchard.receives(
      `<iq id="q" type="result"><query xmlns="http://jabber.org/protocol/disco#items"><item jid="${tomb.jid.text}"/></query></iq>`,
    )
    for (const payload of [info(), items()]) {
      for (const to of [romeo, 'nobody@montague.example']) {
        await balcony.sends(ask(to, payload))
        balcony.receives(`<iq id="q" type="error" from="${to}">${error('service-unavailable')}</iq>`)
      }
    }
    await server.roster(romeo, { jid: juliet, subscription: 'from' })
    await balcony.sends(ask(romeo, info()))
    balcony.receives('<iq id="q" type="result"/>')
    await server.roster(romeo, { jid: juliet, subscription: 'to' })
    await balcony.sends(ask(romeo, info()))
    balcony.receives(`<iq id="q" type="error">${error('service-unavailable')}</iq>`)
  })

  it.each([
    [true, ['rooms.montague.example', 'spy.montague.example', 'extra.example']],
    [false, ['rooms.montague.example', 'extra.example']],
  ])(
    'lists services and components under the host; hidden ones to users when users_can_see_hidden_services is %s (spec §3.3.7)',
    async (shows, seen) => {
      const { server, orchard } = await running({
        mod_disco: { users_can_see_hidden_services: shows, extra_domains: ['extra.example'] },
      })
      const route = { kind: 'component', node: 'here', deliver: () => {} } as const
      server.routing.routes.add('rooms.montague.example', { ...route, kind: 'service' })
      server.routing.routes.add('spy.montague.example', { ...route, isHidden: true })
      server.routing.routes.add('rooms.capulet.example', route)
      await orchard.sends(ask('montague.example', items()))
      const listed = (xml: string) => [...xml.matchAll(/item jid="([^"]+)"/g)].map(match => match[1])
      expect(listed(orchard.take()[0]!)).toEqual(seen)
      // components and servers always see everything
      const answers: string[] = []
      server.routing.routes.add('echo.example', { ...route, deliver: reply => void answers.push(reply.toString()) })
      await server.arrives(`<iq id="q" type="get" from="echo.example" to="montague.example">${items()}</iq>`)
      expect(listed(answers[0]!)).toContain('spy.montague.example')
    },
  )

  it('refuses what is no domain in extra_domains', () => {
    const disco = modules.find(({ name }) => name === 'mod_disco')!
    expect(disco.config.safeParse({ extra_domains: ['a@b.example'] }).success).toBe(false)
    expect(disco.config.safeParse({ extra_domains: ['irc.example'] }).success).toBe(true)
  })
})

describe('entity capabilities of the server (XEP-0115)', () => {
  it('hash to the verification string of §5.2 and §5.3', () => {
    const hash = (text: string) => createHash('sha1').update(text).digest('base64')
    const disco = 'http://jabber.org/protocol/disco#'
    const features = [
      'http://jabber.org/protocol/caps',
      `${disco}info`,
      `${disco}items`,
      'http://jabber.org/protocol/muc',
    ]
    const identities = [{ category: 'client', type: 'pc', name: 'Exodus 0.9.1' }]
    expect(hash(capsText({ identities, features: features.toReversed(), forms: [] }))).toBe(
      'QgayPKawpkPSDYmwT/WM94uAlu0=',
    )
  })

  it('stand in the stream features and name a node that discovery answers', async () => {
    const { server, orchard } = await running({ mod_disco: {}, mod_caps: {}, mod_time: {} })
    const features = server.running.streamFeatures('montague.example', { isAuthenticated: false })
    const [, node, ver] =
      /^<c xmlns="http:\/\/jabber.org\/protocol\/caps" hash="sha-1" node="([^"]+)" ver="([^"]+)"\/>$/.exec(features)!
    await orchard.sends(ask('montague.example', info(`node="${node}#${ver}"`)))
    orchard.receives(
      `<iq id="q" type="result"><query xmlns="http://jabber.org/protocol/disco#info" node="${node}#${ver}"><feature var="urn:xmpp:time"/></query></iq>`,
    )
  })

  it('has no cache yet, and says so', () => {
    const found = caps.unsupported!(caps.config.parse({ cache_size: 5, cache_life_time: 'infinity' }))
    expect(found.map(({ path, code }) => [path[0], code])).toEqual([
      ['cache_size', 'not_supported_yet'],
      ['cache_life_time', 'not_supported_yet'],
    ])
    expect(caps.unsupported!(caps.config.parse({}))).toEqual([])
  })
})

describe('ping, version and time', () => {
  it('answers pings to the host and to the account (XEP-0199)', async () => {
    const { server, orchard } = await running({ mod_ping: {} })
    for (const to of ['montague.example', romeo]) {
      await orchard.sends(ask(to, '<ping xmlns="urn:xmpp:ping"/>'))
      orchard.receives(`<iq id="q" type="result" from="${to}" to="${romeo}/orchard"/>`)
    }
    const ping = modules.find(({ name }) => name === 'mod_ping')!
    const options = {
      send_pings: true,
      ping_interval: 5,
      timeout_action: 'kill',
      ping_req_timeout: 3,
      iqdisc: { type: 'parallel' },
    }
    expect(ping.unsupported!(ping.config.parse(options)).map(({ path, code }) => `${path.join('.')} ${code}`)).toEqual([
      'iqdisc.type not_supported',
    ])
    expect(server.bugs).toEqual([])
  })

  it('tells the software, and the operating system only when os_info is on (XEP-0092)', async () => {
    const plain = await running({ mod_version: {} })
    await plain.orchard.sends(ask('montague.example', '<query xmlns="jabber:iq:version"/>'))
    const [reply] = plain.orchard.take()
    expect(reply).toContain('<name>Meerkat</name><version>0.0.0</version></query>')
    const open = await running({ mod_version: { os_info: true } })
    await open.orchard.sends(ask('montague.example', '<query xmlns="jabber:iq:version"/>'))
    expect(open.orchard.take()[0]).toMatch(/<os>\w+ .+<\/os>/)
  })

  it('tells the time (XEP-0202)', async () => {
    const { server, orchard } = await running({ mod_time: {} })
    server.clock.advance(250)
    await orchard.sends(ask('montague.example', '<time xmlns="urn:xmpp:time"/>'))
    expect(orchard.take()[0]).toMatch(/<tzo>[+-]\d\d:\d\d<\/tzo><utc>2024-01-01T00:00:00.250Z<\/utc>/)
    expect([0, 330, -210].map(zone)).toEqual(['+00:00', '+05:30', '-03:30'])
  })
})

describe('modules', () => {
  it('are accepted with no options, refuse unknown ones, and describe every one they have', () => {
    for (const { name, config } of modules) {
      expect(config.safeParse({}).success, name).toBe(true)
      expect(config.safeParse({ nonsense: 1 }).success, name).toBe(false)
      const schema = z.toJSONSchema(config, { io: 'input', unrepresentable: 'any' })
      expect(schema.description, name).toBeTruthy()
      for (const [option, value] of Object.entries(schema.properties ?? {})) {
        expect((value as { description?: string }).description, `${name}.${option}`).toBeTruthy()
      }
    }
  })

  it('are shipped as spec §2.8 lists them', () => {
    const shipped = modules.filter(module => module.shipped !== false).map(({ name }) => name)
    expect(shipped.sort()).toEqual([
      'mod_adhoc',
      'mod_blocking',
      'mod_bosh',
      'mod_carboncopy',
      'mod_commands',
      'mod_disco',
      'mod_last',
      'mod_muc_commands',
      'mod_muc_light_commands',
      'mod_offline',
      'mod_privacy',
      'mod_private',
      'mod_register',
      'mod_roster',
      'mod_sic',
      'mod_stream_management',
      'mod_vcard',
    ])
    for (const module of modules) if (module.shipped !== false) module.config.parse(module.shipped)
  })

  it('leave nothing behind when they stop', async () => {
    const all = Object.fromEntries(modules.map(({ name }) => [name, {}]))
    const { server, orchard } = await running({ ...all, mod_roster: { versioning: true } })
    const hooks = server.routing.hooksOf('montague.example')
    server.running.stop()
    expect(server.running.streamFeatures('montague.example', { isAuthenticated: true })).toBe('')
    const { sent, received, delivered, shown, onBehalf, undeliverable } = hooks
    for (const hook of [sent, received, delivered, shown, onBehalf, undeliverable]) expect(hook.isEmpty).toBe(true)
    expect(server.routing.rosterVersioning.size).toBe(0)
    expect(server.routing.sessions.streamManagement.size + server.routing.sessions.heldStanzas.size).toBe(0)
    await orchard.sends(ask('montague.example', info()))
    orchard.receives(`<iq id="q" type="error">${error('service-unavailable')}</iq>`)
    // and they can start again
    startModules(
      server.services,
      new Map([['montague.example', { mod_ping: modules.find(m => m.name === 'mod_ping')!.config.parse({}) }]]),
    )
    await orchard.sends(ask('montague.example', '<ping xmlns="urn:xmpp:ping"/>'))
    orchard.receives('<iq id="q" type="result"/>')
  })

  it('run per host with that host’s options', async () => {
    const server = world()
    const version = modules.find(({ name }) => name === 'mod_version')!
    startModules(
      server.services,
      new Map([
        ['montague.example', { mod_version: version.config.parse({ os_info: true }) }],
        ['capulet.example', {}],
      ]),
    )
    const orchard = await server.connect(`${romeo}/orchard`)
    await orchard.sends(ask('montague.example', '<query xmlns="jabber:iq:version"/>'))
    expect(orchard.take()[0]).toContain('<os>')
    await orchard.sends(ask('capulet.example', '<query xmlns="jabber:iq:version"/>'))
    orchard.receives(`<iq id="q" type="error">${error('service-unavailable')}</iq>`)
  })

  it('that fail to start undo what they and those before them began', () => {
    const undone: string[] = []
    const config = z.strictObject({})
    const define = (name: string, fails: boolean) =>
      defineModule({
        name,
        implements: [],
        features: [],
        shipped: false,
        config,
        start(server) {
          server.onStop(() => undone.push(name))
          if (fails) throw new Error('no')
        },
      })
    const server = world()
    const hosts = new Map([['montague.example', { good: {}, bad: {} }]])
    expect(() => startModules(server.services, hosts, [define('good', false), define('bad', true)])).toThrow('no')
    expect(undone).toEqual(['bad', 'good'])
  })
})
