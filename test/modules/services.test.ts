import { describe, expect, it } from 'vitest'
import { session, startedServer } from '../support/server.js'
import { world } from '../support/world.js'

const host = 'montague.example'
const romeo = 'romeo@montague.example'
const error = (condition: string, more = '') =>
  `<error><${condition} xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/>${more}</error>`
const iq = (type: string, payload: string, to?: string) =>
  `<iq id="q" type="${type}"${to === undefined ? '' : ` to="${to}"`}>${payload}</iq>`

async function setUp(modules: Record<string, object>) {
  const server = world({ modules: { mod_disco: {}, ...modules } })
  return { server, orchard: await server.connect(`${romeo}/orchard`) }
}

describe('server IP check (XEP-0279)', () => {
  const address = '<address xmlns="urn:xmpp:sic:1"/>'

  it.each([undefined, host, romeo])('tells clients the address they come from (§2), asked of %s', async to => {
    const { orchard } = await setUp({ mod_sic: {} })
    await orchard.sends(iq('get', address, to))
    orchard.receives(
      '<iq id="q" type="result"><address xmlns="urn:xmpp:sic:1"><ip>192.0.2.7</ip><port>49152</port></address></iq>',
    )
  })

  it('tells nobody where somebody else is (§4)', async () => {
    const { server, orchard } = await setUp({ mod_sic: {} })
    await server.connect('juliet@capulet.example/balcony')
    await orchard.sends(iq('get', address, 'juliet@capulet.example'))
    orchard.receives(`<iq id="q" type="error">${error('forbidden')}</iq>`)
  })

  it('says so where the address is not known', async () => {
    const { orchard } = await setUp({ mod_sic: {} })
    orchard.peer = undefined
    await orchard.sends(iq('get', address))
    orchard.receives(`<iq id="q" type="error">${error('service-unavailable')}</iq>`)
  })
})

describe('ad-hoc commands (XEP-0050)', () => {
  const commands = 'http://jabber.org/protocol/commands'
  const command = (attributes: string) => `<command xmlns="${commands}" ${attributes}/>`
  const items = (node: string) => `<query xmlns="http://jabber.org/protocol/disco#items"${node}/>`
  const info = (node: string) => `<query xmlns="http://jabber.org/protocol/disco#info"${node}/>`

  it.each([true, false])('are named in service discovery with report_commands_node = %s (§2.1)', async isReported => {
    const { orchard } = await setUp({ mod_adhoc: { report_commands_node: isReported } })
    await orchard.sends(iq('get', items(''), host))
    expect(orchard.take().join().includes(`node="${commands}"`)).toBe(isReported)
    await orchard.sends(iq('get', items(` node="${commands}"`), host))
    expect(orchard.take().join()).toContain(`<item jid="${host}" node="ping" name="Ping"/>`)
  })

  it('say what they are (§2.2, §2.3)', async () => {
    const { orchard } = await setUp({ mod_adhoc: {} })
    await orchard.sends(iq('get', info(''), host))
    expect(orchard.take().join()).toContain(`<feature var="${commands}"/>`)
    await orchard.sends(iq('get', info(` node="${commands}"`), host))
    expect(orchard.take().join()).toContain('category="automation" type="command-list"')
    await orchard.sends(iq('get', info(' node="ping"'), host))
    expect(orchard.take().join()).toContain('category="automation" type="command-node" name="Ping"')
  })

  it.each(['node="ping"', 'node="ping" action="execute"'])('answer ping with Pong (§2.4): %s', async attributes => {
    const { orchard } = await setUp({ mod_adhoc: {} })
    await orchard.sends(iq('set', command(attributes), host))
    orchard.receives(
      `<iq id="q" type="result"><command xmlns="${commands}" node="ping" status="completed"><note type="info">Pong</note></command></iq>`,
    )
  })

  it.each([
    ['a command that is not there', 'node="x"', 'item-not-found', ''],
    ['an action that nobody knows', 'node="ping" action="jump"', 'bad-request', 'malformed-action'],
    ['an action that is not for it', 'node="ping" action="prev"', 'bad-request', 'bad-action'],
    ['a session that is not open', 'node="ping" action="cancel" sessionid="7"', 'bad-request', 'bad-sessionid'],
  ])('refuse %s (§4.4)', async (_, attributes, condition, specific) => {
    const { orchard } = await setUp({ mod_adhoc: {} })
    await orchard.sends(iq('set', command(attributes), host))
    const more = specific === '' ? '' : `<${specific} xmlns="${commands}"/>`
    orchard.receives(`<iq id="q" type="error">${error(condition, more)}</iq>`)
  })
})

describe('external services (XEP-0215)', () => {
  const ns = 'urn:xmpp:extdisco:2'
  const stun = { type: 'stun', host: 'stun.example', port: 3478, transport: 'udp' }
  const turn = { type: 'turn', host: 'turn.example', username: 'u', password: 'p' }
  const modules = { mod_extdisco: { service: [stun, turn] } }
  const stunElement = '<service type="stun" host="stun.example" port="3478" transport="udp"/>'
  const turnElement = '<service type="turn" host="turn.example" username="u" password="p"/>'

  it('are listed, all or those of a type (§3.1, §3.2)', async () => {
    const { orchard } = await setUp(modules)
    await orchard.sends(iq('get', `<services xmlns="${ns}"/>`, host))
    orchard.receives(`<iq id="q" type="result"><services xmlns="${ns}">${stunElement}${turnElement}</services></iq>`)
    await orchard.sends(iq('get', `<services xmlns="${ns}" type="turn"/>`, host))
    const [answer] = orchard.take()
    expect(answer).toContain('turn.example')
    expect(answer).not.toContain('stun.example')
  })

  it('give credentials to who asks for those of one (§3.3)', async () => {
    const { orchard } = await setUp(modules)
    const ask = (attributes: string) =>
      iq('get', `<credentials xmlns="${ns}"><service ${attributes}/></credentials>`, host)
    await orchard.sends(ask('type="turn" host="turn.example"'))
    orchard.receives(`<iq id="q" type="result"><credentials xmlns="${ns}">${turnElement}</credentials></iq>`)
    for (const [attributes, condition] of [
      ['type="stun" host="stun.example"', 'item-not-found'],
      ['type="turn" host="other.example"', 'item-not-found'],
      ['type="turn" host="turn.example" port="1"', 'item-not-found'],
      ['type="turn"', 'bad-request'],
    ] as const) {
      await orchard.sends(ask(attributes))
      orchard.receives(`<iq id="q" type="error">${error(condition)}</iq>`)
    }
  })

  it('over a socket are those of the configuration', async () => {
    const server = await startedServer({ users: ['romeo'], modules })
    const client = await session(server, 'romeo')
    const answer = await client.ask('get', `<services xmlns="${ns}"/>`, { to: 'localhost' })
    expect(answer.getChild('services', ns)?.getChildElements()).toHaveLength(2)
  })
})
