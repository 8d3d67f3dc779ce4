import { describe, expect, it } from 'vitest'
import type { Client } from '../support/client.js'
import { ManualClock } from '../support/clock.js'
import { clientOf, drained, sharedServer, startedServer } from '../support/server.js'

const query = (children: string) => `<query xmlns='jabber:iq:register'>${children}</query>`
const account = (name: string, password = 'wherefore') =>
  query(`<username>${name}</username><password>${password}</password>`)

/** Asks before the login, when there is no JID to answer to. */
async function ask(client: Client, type: 'get' | 'set', payload: string) {
  await client.send(`<iq type='${type}' id='r'>${payload}</iq>`)
  return client.receives('<iq id="r"/>')
}
async function opened(server: { port: number }): Promise<Client> {
  const client = await clientOf(server)
  await client.open()
  return client
}
const condition = (answer: Awaited<ReturnType<typeof ask>>) => {
  const error = answer.getChild('error')
  return error
    ?.getChildElements()
    .find(child => child.getNS() === 'urn:ietf:params:xml:ns:xmpp-stanzas')
    ?.getName()
}

describe('registration over the wire (XEP-0077, §3.1.3)', () => {
  const server = sharedServer()

  it('begins with the form, makes an account, and that account logs in on the same stream and talks', async () => {
    const client = await opened(server())
    expect(client.features?.getChild('register', 'http://jabber.org/features/iq-register')).toBeDefined()
    const form = await ask(client, 'get', query(''))
    expect(form.attrs.type).toBe('result')
    expect(form.attrs.from).toBe('localhost')
    const fields = form
      .getChild('query', 'jabber:iq:register')
      ?.getChildElements()
      .map(child => child.getName())
    expect(fields).toEqual(expect.arrayContaining(['username', 'password']))
    expect((await ask(client, 'set', account('mercutio'))).attrs.type).toBe('result')
    await client.login('mercutio', 'wherefore')
    await client.send('<presence/>')
    await client.send("<message to='mercutio@localhost'><body>ask for me tomorrow</body></message>")
    await client.receives('<message><body>ask for me tomorrow</body></message>')
  })

  it('refuses a name that is taken, one that is none, and an incomplete form, and lets the client try again', async () => {
    const client = await opened(server())
    expect((await ask(client, 'set', account('tybalt'))).attrs.type).toBe('result')
    expect(condition(await ask(client, 'set', account('TYBALT')))).toBe('conflict')
    expect(condition(await ask(client, 'set', account('ty balt')))).toBe('jid-malformed')
    expect(condition(await ask(client, 'set', query('<username>x</username>')))).toBe('not-acceptable')
    expect(condition(await ask(client, 'set', query('<remove/>')))).toBe('unexpected-request')
    expect((await ask(client, 'set', account('benvolio'))).attrs.type).toBe('result')
  })

  it('changes the password and removes the account of a session, which ends with it', async () => {
    const client = await opened(server())
    await ask(client, 'set', account('paris'))
    await client.login('paris', 'wherefore')
    expect((await client.ask('set', account('paris', 'therefore'))).attrs.type).toBe('result')
    const again = await opened(server())
    await again.login('paris', 'therefore')
    await again.send(`<iq type='set' id='gone'>${query('<remove/>')}</iq>`)
    await again.receives('<iq type="result" id="gone"/>')
    await client.streamError('not-authorized')
    await again.streamError('not-authorized')
    const third = await opened(server())
    await expect(third.login('paris', 'therefore')).rejects.toThrow('not-authorized')
  })

  it('is refused for addresses that ip_access denies, and is not there without the module', async () => {
    const ip_access = [{ address: '127.0.0.0/8', policy: 'deny' }]
    const closed = await startedServer({ modules: { mod_register: { ip_access } } })
    expect(condition(await ask(await opened(closed), 'set', account('x')))).toBe('forbidden')
    const without = await startedServer({ modules: {} })
    const client = await opened(without)
    expect(client.features?.getChild('register')).toBeUndefined()
    expect(condition(await ask(client, 'set', account('x')))).toBe('service-unavailable')
  })

  it('is limited in time for each address (§2.1 registration_timeout)', async () => {
    const clock = new ManualClock()
    const slow = await startedServer({ clock, config: { general: { hosts: ['localhost'], registration_timeout: 10 } } })
    const client = await opened(slow)
    expect((await ask(client, 'set', account('a'))).attrs.type).toBe('result')
    expect(condition(await ask(client, 'set', account('b')))).toBe('resource-constraint')
    await drained(slow)
    clock.advance(10_000)
    expect((await ask(client, 'set', account('b'))).attrs.type).toBe('result')
  })
})
