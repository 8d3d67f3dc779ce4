import { describe, expect, it } from 'vitest'
import { vcard } from '../../src/modules/vcard.js'
import { session, startedServer } from '../support/server.js'
import { world } from '../support/world.js'

const romeo = 'romeo@montague.example'
const juliet = 'juliet@montague.example'
const directory = 'vjud.montague.example'
const error = (condition: string) => `<error><${condition} xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error>`
const iq = (type: string, payload: string, to?: string) =>
  `<iq id="q" type="${type}"${to === undefined ? '' : ` to="${to}"`}>${payload}</iq>`
const card = (content = '') => `<vCard xmlns="vcard-temp">${content}</vCard>`
const search = (content = '') => `<query xmlns="jabber:iq:search">${content}</query>`

async function setUp(options: object = {}) {
  const server = world({ modules: { mod_vcard: options, mod_disco: {} } })
  return {
    server,
    orchard: await server.connect(`${romeo}/orchard`),
    balcony: await server.connect(`${juliet}/balcony`),
  }
}

const capulet = card(
  '<FN>Juliet Capulet</FN><N><FAMILY>Capulet</FAMILY><GIVEN>Juliet</GIVEN></N><NICKNAME>JuliC</NICKNAME>' +
    '<EMAIL><USERID>juliet@shakespeare.example</USERID></EMAIL>',
)

describe('vcard-temp (XEP-0054)', () => {
  it('keeps a vCard for everybody to read (§3.1 to §3.3)', async () => {
    const { orchard, balcony } = await setUp()
    await balcony.sends(iq('set', capulet))
    balcony.receives('<iq id="q" type="result"/>')
    await balcony.sends(iq('get', card()))
    balcony.receives(`<iq id="q" type="result">${capulet}</iq>`)
    await orchard.sends(iq('get', card(), juliet))
    orchard.receives(`<iq id="q" type="result" from="${juliet}">${capulet}</iq>`)
  })

  it('answers item-not-found to the owner of none, and to others what it answers for no account (§3.3)', async () => {
    const { orchard, balcony } = await setUp()
    await balcony.sends(iq('get', card()))
    balcony.receives(`<iq id="q" type="error">${error('item-not-found')}</iq>`)
    for (const to of [juliet, 'nobody@montague.example']) {
      await orchard.sends(iq('get', card(), to))
      orchard.receives(`<iq id="q" type="error">${error('service-unavailable')}</iq>`)
    }
  })

  it('lets nobody change the vCard of another (§3.2)', async () => {
    const { orchard } = await setUp()
    await orchard.sends(iq('set', card('<FN>x</FN>'), juliet))
    orchard.receives(`<iq id="q" type="error">${error('forbidden')}</iq>`)
  })

  it('has a vCard of the server', async () => {
    const { orchard } = await setUp()
    await orchard.sends(iq('get', card(), 'montague.example'))
    orchard.receives(`<iq id="q" type="result">${card('<FN>Meerkat</FN>')}</iq>`)
  })

  it('lets the hash of an avatar through in presence (XEP-0153 §3.2)', async () => {
    const { orchard, balcony } = await setUp()
    await balcony.arrives()
    const update = '<x xmlns="vcard-temp:x:update"><photo>sha1</photo></x>'
    await orchard.sends(`<presence to="${juliet}">${update}</presence>`)
    balcony.receives(`<presence from="${romeo}/orchard">${update}</presence>`)
  })
})

describe('the user directory (XEP-0055)', () => {
  it('is named by the service discovery of its host, and says what it is', async () => {
    const { orchard } = await setUp()
    await orchard.sends(iq('get', '<query xmlns="http://jabber.org/protocol/disco#items"/>', 'montague.example'))
    expect(orchard.take().join()).toContain(`<item jid="${directory}" name="User directory"/>`)
    await orchard.sends(iq('get', '<query xmlns="http://jabber.org/protocol/disco#info"/>', directory))
    orchard.receives(
      `<iq id="q" type="result" from="${directory}"><query xmlns="http://jabber.org/protocol/disco#info">` +
        '<identity category="directory" type="user"/><feature var="jabber:iq:search"/><feature var="vcard-temp"/></query></iq>',
    )
  })

  it('says which fields it searches, also as a form (§2.1, §3)', async () => {
    const { orchard } = await setUp()
    await orchard.sends(iq('get', search(), directory))
    const field = '<field type="text-single" var="last" label="Family Name"/>'
    orchard.receives(
      `<iq id="q" type="result">${search(`<first/><last/><nick/><email/><x xmlns="jabber:x:data" type="form">${field}</x>`)}</iq>`,
    )
  })

  it('finds people by the fields of their vCards (§2.1)', async () => {
    const { orchard, balcony } = await setUp()
    await balcony.sends(iq('set', capulet))
    await orchard.sends(iq('set', search('<last>CAPULET</last><first>jul*</first>'), directory))
    orchard.receives(
      `<iq id="q" type="result">${search(
        `<item jid="${juliet}"><first>Juliet</first><last>Capulet</last><nick>JuliC</nick><email>juliet@shakespeare.example</email></item>`,
      )}</iq>`,
    )
    await orchard.sends(iq('set', search('<last>Capulet</last><first>Tybalt</first>'), directory))
    expect(orchard.take().join()).toContain('<query xmlns="jabber:iq:search"/>')
  })

  it('answers a form with a form (§3)', async () => {
    const { orchard, balcony } = await setUp()
    await balcony.sends(iq('set', capulet))
    const submitted = '<field var="fn"><value>juliet c*</value></field>'
    await orchard.sends(iq('set', search(`<x xmlns="jabber:x:data" type="submit">${submitted}</x>`), directory))
    const item = `<item><field var="jid"><value>${juliet}</value></field><field var="fn"><value>Juliet Capulet</value></field></item>`
    orchard.receives(
      `<iq id="q" type="result">${search(
        `<x xmlns="jabber:x:data" type="result"><reported><field var="jid"/></reported>${item}</x>`,
      )}</iq>`,
    )
  })

  it('gives no more than `matches`, and nothing to who asks for nothing', async () => {
    const { orchard, server } = await setUp({ matches: 2 })
    for (const name of ['a', 'b', 'c']) {
      const client = await server.connect(`${name}@montague.example/x`)
      await client.sends(iq('set', card('<N><FAMILY>Same</FAMILY></N>')))
    }
    await orchard.sends(iq('set', search('<last>same</last>'), directory))
    expect(
      orchard
        .take()
        .join()
        .match(/<item /g),
    ).toHaveLength(2)
    await orchard.sends(iq('set', search('<last/>'), directory))
    expect(orchard.take().join()).not.toContain('<item')
  })

  it('is not there with search = false, and has the name that `host` gives it', async () => {
    const off = await setUp({ search: false })
    await off.orchard.sends(iq('get', search(), directory))
    off.orchard.receives(`<iq id="q" type="error">${error('remote-server-not-found')}</iq>`)
    const renamed = await setUp({ host: 'people.@HOST@' })
    await renamed.orchard.sends(iq('get', search(), 'people.montague.example'))
    renamed.orchard.receives('<iq id="q" type="result"/>')
  })

  it('takes no messages, and is deaf to presence', async () => {
    const { orchard } = await setUp()
    await orchard.sends(`<message id="m" to="${directory}"><body>x</body></message>`)
    orchard.receives(`<message id="m" type="error">${error('service-unavailable')}</message>`)
    await orchard.sends(`<presence to="${directory}"/>`)
    orchard.receives()
  })

  it('leaves with its module', async () => {
    const { server, orchard } = await setUp()
    server.running.stop()
    await orchard.sends(iq('get', search(), directory))
    orchard.receives(`<iq id="q" type="error">${error('remote-server-not-found')}</iq>`)
  })
})

describe('[modules.mod_vcard] (§2.8)', () => {
  it.each([
    { host: 'people.@HOST@', search: false, matches: 0 },
    { matches: 'infinity', backend: 'rdbms' },
  ])('takes %j', options => {
    expect(vcard.unsupported!(vcard.config.parse(options))).toEqual([])
  })

  it.each([{ host: 'a b' }, { matches: -1 }, { backend: 'redis' }, { unknown: 1 }])('refuses %j', options => {
    expect(vcard.config.safeParse(options).success).toBe(false)
  })

  it('says which stores there are not', () => {
    const options = { backend: 'ldap', ldap_base: 'ou=Users', ldap_search_operator: 'or', riak: { bucket_type: 'x' } }
    const found = vcard.unsupported!(vcard.config.parse(options)).map(({ path, code }) => `${path.join('.')} ${code}`)
    const paths = ['backend', 'riak', 'ldap_base', 'ldap_search_operator']
    expect(found.sort()).toEqual(paths.map(path => `${path} not_supported`).sort())
  })
})

describe('vCards over a socket', () => {
  it('are stored, read by others and found in the directory (XEP-0054, XEP-0055)', async () => {
    const server = await startedServer({ users: ['romeo', 'juliet'] })
    const owner = await session(server, 'juliet')
    const other = await session(server, 'romeo')
    const photo = `<PHOTO><TYPE>image/png</TYPE><BINVAL>${'QUJD'.repeat(2000)}</BINVAL></PHOTO>`
    await owner.ask('set', card(`<N><FAMILY>Capulet</FAMILY></N>${photo}`))
    const read = await other.ask('get', card(), { to: 'juliet@localhost' })
    expect(read.getChild('vCard', 'vcard-temp')?.getChild('PHOTO')?.getChildText('BINVAL')).toBe('QUJD'.repeat(2000))
    const found = await other.ask('set', search('<last>cap*</last>'), { to: 'vjud.localhost' })
    expect(found.getChild('query', 'jabber:iq:search')?.getChild('item')?.attrs.jid).toBe('juliet@localhost')
  })
})
