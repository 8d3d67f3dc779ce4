import { afterEach, beforeAll, describe, expect, it, type TestContext } from 'vitest'
import { type Client, connect, dropClients } from '../support/client.js'
import { type Account, domain, type Meerkat, register } from '../support/meerkat.js'
import {
  type Encryption,
  goSendXmpp,
  type Peer,
  type Program,
  slixmpp,
  slixmppResuming,
  startMeerkat,
  xmppClient,
} from './support.js'

const bodies = [
  'Wherefore art thou?',
  'a < b & c > d; "quoted" \'too\' &amp; ]]>',
  'ἀλλ’ ἐγώ – Ромео, 朱丽叶 and 🐿️🌹',
  // ASCII: @xmpp/client decodes chunk by chunk, and breaks a character that two TLS records share.
  `${'ten kilobytes '.repeat(720)}end`,
]
const encryptions: Encryption[] = ['starttls', 'direct']

let server: Meerkat<Encryption>
const peers: Peer[] = []

beforeAll(async () => {
  server = await startMeerkat()
  return async () => {
    expect(await server.stop(), 'how meerkat exited after SIGTERM').toBe(0)
  }
})

afterEach(async () => {
  dropClients()
  for (const peer of peers.splice(0)) await peer.stop()
})

describe.each([xmppClient, slixmpp, goSendXmpp])('$name', program => {
  it.for(encryptions)(
    'logs in over TLS (%s), is seen online and exchanges messages both ways',
    async (encryption, { skip }) => {
      need(program, skip)
      const { romeo, juliet } = await contacts()
      const peer = logIn(program, romeo, encryption)
      await Promise.race([isOnline(juliet, romeo), peer.ended])
      for (const body of bodies) {
        await juliet.send(message(romeo, body))
        await peer.receives(body)
        await peer.send(juliet.bareJid, body)
        expect((await juliet.receives('<message><body/></message>')).getChildText('body')).toBe(body)
      }
    },
  )
})

describe('two programs', () => {
  it('talk with each other: @xmpp/client over STARTTLS, slixmpp over direct TLS', async ({ skip }) => {
    need(xmppClient, skip)
    need(slixmpp, skip)
    const [romeo, mercutio] = [await account('romeo'), await account('mercutio')]
    const one = logIn(xmppClient, romeo, 'starttls')
    const other = logIn(slixmpp, mercutio, 'direct')
    // Whoever sends is online; what comes before the other one is waits for it. RFC 6121 §8.5.2.2.1
    for (const body of bodies) await one.send(`${mercutio.user}@${domain}`, body)
    for (const body of bodies) await other.receives(body)
    for (const body of bodies) await other.send(`${romeo.user}@${domain}`, body)
    for (const body of bodies) await one.receives(body)
  })
})

describe('stream management', () => {
  it.for(encryptions)(
    'lets slixmpp cut its socket and go on with its session over TLS (%s): nothing is lost, nobody notices',
    async (encryption, { skip }) => {
      need(slixmppResuming, skip)
      const { romeo, juliet } = await contacts()
      const peer = logIn(slixmppResuming, romeo, encryption)
      await Promise.race([isOnline(juliet, romeo), peer.ended])
      await peer.send(juliet.bareJid, 'here')
      const { from } = (await juliet.receives('<message><body>here</body></message>')).attrs
      for (let i = 0; i < 3; i++) {
        await peer.send(juliet.bareJid, 'cut yourself')
        await juliet.send(`<message to="${from}" type="chat"><body>away ${i}</body></message>`)
        await juliet.receives(`<message from="${from}"><body>resumed</body></message>`)
        await peer.receives(`away ${i}`)
      }
      await juliet.receivesNothing(`<presence type="unavailable" from="${from}"/>`)
    },
  )
})

describe('the command', () => {
  it('adds an account to the running server, and @xmpp/client logs in with it', async ({ skip }) => {
    need(xmppClient, skip)
    const rosaline = { user: 'rosaline', password: 'pa ss & wörd' }
    await server.command(['user', 'add', `rosaline@${domain}`, '--password-stdin'], `${rosaline.password}\n`)
    const peer = logIn(xmppClient, rosaline, 'starttls')
    await peer.send(`rosaline@${domain}`, 'to myself')
    await peer.receives('to myself')
  })
})

/** In CI every peer is there, or the run fails. */
function need(program: Program, skip: TestContext['skip']): void {
  const missing = program.missing()
  if (missing === undefined) return
  if (process.env.CI === 'true') throw new Error(missing)
  skip(missing)
}

/** Logs a peer in that ends with the test. */
function logIn(program: Program, account: Account, encryption: Encryption): Peer {
  const peer = program.logIn({ account, server, encryption })
  peers.push(peer)
  return peer
}

let accounts = 0

/** A fresh account, so that no test meets the roster or the messages of another. */
async function account(name: string): Promise<Account> {
  accounts += 1
  const made = { user: `${name}-${accounts}`, password: `pw-${accounts}` }
  const client = await rawClient('direct')
  await client.open()
  await register(client, made)
  await client.close()
  return made
}

function rawClient(encryption: Encryption): Promise<Client> {
  return connect({ port: server.ports[encryption], tls: encryption, ca: server.ca, domain })
}

async function rawLogin({ user, password }: Account): Promise<Client> {
  return (await rawClient('starttls')).login(user, password)
}

/** Romeo's account, and juliet online in the raw, who may see his presence. RFC 6121 §3.1 */
async function contacts(): Promise<{ romeo: Account; juliet: Client }> {
  const [romeo, capulet] = [await account('romeo'), await account('juliet')]
  const juliet = await rawLogin(capulet)
  const him = await rawLogin(romeo)
  await him.send('<presence/>')
  await juliet.send('<presence/>')
  await juliet.send(`<presence type="subscribe" to="${him.bareJid}"/>`)
  await him.receives(`<presence type="subscribe" from="${juliet.bareJid}"/>`)
  await him.send(`<presence type="subscribed" to="${juliet.bareJid}"/>`)
  await juliet.receives(`<presence from="${him.jid}"/>`)
  await him.close()
  await juliet.receives(`<presence type="unavailable" from="${him.jid}"/>`)
  return { romeo, juliet }
}

/** Waits until the account has a resource that juliet sees. */
async function isOnline(juliet: Client, account: Account): Promise<void> {
  for (;;) {
    const { attrs } = await juliet.receives('<presence/>', { within: 30_000 })
    if (attrs.type === undefined && attrs.from?.startsWith(`${account.user}@${domain}/`)) return
  }
}

function message(to: Account, body: string): string {
  const text = body.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
  return `<message to="${to.user}@${domain}" type="chat"><body>${text}</body></message>`
}
