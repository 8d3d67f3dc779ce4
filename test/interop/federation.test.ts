import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import type { TestServer } from '../../src/testing.js'
import { ensureDevelopmentCertificate } from '../../src/tls/certificates.js'
import { type Client, connect, dropClients } from '../support/client.js'
import { nameServer, type Zone } from '../support/dns.js'
import { register } from '../support/meerkat.js'
import { freePort } from '../support/programs.js'
import { actorsOfKind, recordedEvents, startedServer } from '../support/server.js'
import { ejabberd, type Kind, type OtherServer, prosody, type Trust } from './federation-servers.js'

/*
 * Other people's servers, each with a domain of its own, found by SRV records of a name server of ours. RFC 6120, XEP-0220, XEP-0178
 */

const OURS = 'meerkat.example'
const THEIRS = 'peer.example'
const romeo = { user: 'romeo', password: 'r0m30' }
const juliet = { user: 'juliet', password: 'r0m30' }
const WAIT = { within: 20_000 }

let folder = ''
const file = (name: string) => join(folder, `${name}.pem`)

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'meerkat-federation-'))
  for (const domain of [OURS, THEIRS]) await ensureDevelopmentCertificate(file(domain), [domain], file('ca'))
  await ensureDevelopmentCertificate(file('stranger'), ['stranger.example'], file('other-ca'))
  publicCertificate(OURS)
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))
afterEach(() => dropClients())

/** As public authorities make them, with a DNS name only: ejabberd 23.01 fails over the xmppAddr of one that it trusts. */
function publicCertificate(domain: string): void {
  const at = (name: string) => join(folder, name)
  const openssl = (...args: string[]) => execFileSync('openssl', args, { stdio: 'ignore' })
  writeFileSync(at('extensions'), `subjectAltName=DNS:${domain}\n`)
  openssl(
    'req',
    '-new',
    '-nodes',
    '-subj',
    `/CN=${domain}`,
    '-newkey',
    'rsa:2048',
    '-keyout',
    at('key'),
    '-out',
    at('request'),
  )
  const authority = ['-CA', file('ca'), '-CAkey', file('ca').replace(/pem$/, 'key'), '-CAcreateserial']
  openssl(
    'x509',
    '-req',
    '-days',
    '2',
    '-in',
    at('request'),
    ...authority,
    '-extfile',
    at('extensions'),
    '-out',
    at('cert'),
  )
  writeFileSync(file(`${domain}-public`), readFileSync(at('cert'), 'utf8') + readFileSync(at('key'), 'utf8'))
}

interface Two {
  server: TestServer
  here: Client
  there: Client
  mechanisms(): unknown[]
  isEncrypted(): unknown
  /** Ends the other server at once; what starts it again, with its users. */
  restart(): Promise<{ start(): Promise<Client> }>
}

/** Our server and another, and a client on each. */
async function two(kind: Kind, trust: Trust, more: { certfile?: string; bidi?: boolean } = {}): Promise<Two> {
  const { certfile = file(`${OURS}-public`), bidi = false } = more
  const ports = { ours: await freePort(), s2s: await freePort(), c2s: await freePort() }
  const zone: Zone = {
    services: {
      // ejabberd asks the machine for the addresses of the names that records have.
      [`_xmpp-server._tcp.${OURS}`]: [{ name: 'localhost', port: ports.ours }],
      [`_xmpp-server._tcp.${THEIRS}`]: [{ name: `xmpp.${THEIRS}`, port: ports.s2s }],
    },
    hosts: { [`xmpp.${THEIRS}`]: ['127.0.0.1'] },
  }
  const names = await nameServer(zone)
  const cacertfile = trust === 'external' ? file('ca') : file('other-ca')
  const events = recordedEvents()
  const server = await startedServer({
    users: [romeo.user],
    events,
    modules: { mod_ping: {}, mod_roster: {}, mod_disco: {} },
    config: {
      general: { hosts: [OURS] },
      listen: { s2s: [{ port: ports.ours, ip_address: '127.0.0.1', num_acceptors: 2, tls: { cacertfile } }] },
      s2s: {
        dns: { servers: [names.address] },
        ...(trust === 'clear' ? {} : { use_starttls: 'required', certfile }),
      },
    },
  })
  const setting = {
    domain: THEIRS,
    c2sPort: ports.c2s,
    s2sPort: ports.s2s,
    trust,
    bidi,
    certfile: file(THEIRS),
    cacertfile,
    ours: { domain: OURS, port: ports.ours },
    dnsPort: Number(names.address.split(':')[1]),
  }
  let other: OtherServer = await kind.start(setting)
  onTestFinished(async ({ task }) => {
    await other.stop()
    if (task.result?.state === 'fail')
      console.log(
        other.output.text.slice(-20_000),
        JSON.stringify(names.questions),
        JSON.stringify(events.records.slice(-60)),
      )
  })
  const logIn = async (): Promise<Client> => {
    const newcomer = await connect({ port: ports.c2s, domain: THEIRS })
    await newcomer.open()
    await register(newcomer, juliet)
    newcomer.drop()
    return online(await connect({ port: ports.c2s, domain: THEIRS }), juliet)
  }
  return {
    server,
    here: await online(await connect({ port: server.port, domain: OURS }), romeo),
    there: await logIn(),
    mechanisms: () =>
      events.records.filter(({ name }) => name === 'server.connected').map(({ fields }) => fields.mechanism),
    isEncrypted: () => actorsOfKind(server, 'OutgoingConnection')[0]?.details.isEncrypted,
    async restart() {
      await other.stop()
      return {
        async start() {
          other = await kind.start(setting)
          return logIn()
        },
      }
    },
  }
}

async function online(client: Client, { user, password }: typeof romeo): Promise<Client> {
  await client.login(user, password)
  await client.ask('get', `<query xmlns='jabber:iq:roster'/>`)
  await client.send('<presence/>')
  await client.receives(`<presence from='${client.jid}'/>`)
  return client
}

const message = (to: string, id: string) => `<message to='${to}' type='chat' id='${id}'><body>${id}</body></message>`

for (const kind of [prosody, ejabberd]) {
  const missing = kind.missing()
  if (missing !== undefined) {
    // In CI every peer is there, or the run fails.
    if (process.env.CI === 'true') throw new Error(missing)
    it.skip(`${kind.name}: ${missing}`, () => {})
    continue
  }
  describe(`federation with ${kind.name}`, () => {
    it.each<[Trust, boolean, string]>([
      ['clear', false, 'dialback'],
      ['dialback', true, 'dialback'],
      ['external', true, 'EXTERNAL'],
    ])('by %s: messages, a subscription, IQs and errors, both ways (§3.2)', async (trust, encrypted, mechanism) => {
      const { here, there, mechanisms, isEncrypted } = await two(kind, trust)
      await here.send(message(there.jid ?? '', 'out'))
      await there.receives(`<message from='${here.jid}' id='out'><body>out</body></message>`, WAIT)
      await there.send(message(here.jid ?? '', 'in'))
      await here.receives(`<message from='${there.jid}' id='in'><body>in</body></message>`, WAIT)
      expect(mechanisms()).toEqual([mechanism])
      expect(isEncrypted()).toBe(encrypted)

      await here.send(`<presence to='${there.bareJid}' type='subscribe'/>`)
      await there.receives(`<presence from='${here.bareJid}' type='subscribe'/>`, WAIT)
      await there.send(`<presence to='${here.bareJid}' type='subscribed'/>`)
      await here.receives(`<presence from='${there.bareJid}' type='subscribed'/>`, WAIT)
      await here.receives(`<presence from='${there.jid}'/>`, WAIT)
      await there.send(`<presence to='${here.bareJid}' type='subscribe'/>`)
      await here.receives(`<presence from='${there.bareJid}' type='subscribe'/>`, WAIT)
      await here.send(`<presence to='${there.bareJid}' type='subscribed'/>`)
      await there.receives(`<presence from='${here.bareJid}' type='subscribed'/>`, WAIT)
      await there.receives(`<presence from='${here.jid}'/>`, WAIT)

      const ping = `<ping xmlns='urn:xmpp:ping'/>`
      expect((await here.ask('get', ping, { to: THEIRS, ...WAIT })).attrs.type).toBe('result')
      expect((await there.ask('get', ping, { to: OURS, ...WAIT })).attrs.type).toBe('result')

      await here.send(message(`nobody@${THEIRS}`, 'nobody'))
      await here.receives(`<message type='error' id='nobody' from='nobody@${THEIRS}'/>`, WAIT)
      await there.send(message(`nobody@${OURS}`, 'nobody'))
      await there.receives(`<message type='error' id='nobody' from='nobody@${OURS}'/>`, WAIT)

      there.drop()
      await here.receives(`<presence from='${there.jid}' type='unavailable'/>`, WAIT)
    })

    it('goes by dialback after all when the other ends while it looks at our certificate', async () => {
      const { here, there, isEncrypted } = await two(kind, 'external', { certfile: file(OURS) })
      await here.send(message(there.jid ?? '', 'out'))
      await there.receives(`<message id='out'/>`, WAIT)
      expect(isEncrypted()).toBe(true)
    })

    it('finds the other again after it was killed, and each message arrives or comes back', async () => {
      const { here, there, restart } = await two(kind, 'clear')
      await here.send(message(there.jid ?? '', 'before'))
      await there.receives(`<message id='before'/>`, WAIT)
      const gone = await restart()
      await here.send(message(there.jid ?? '', 'during'))
      await here.receives(`<message type='error' id='during'/>`, WAIT)
      const back = await gone.start()
      // It asks us about its key, and so ends our waiting.
      await back.send(message(here.jid ?? '', 'again'))
      await here.receives(`<message id='again'/>`, WAIT)
      await here.send(message(back.jid ?? '', 'after'))
      await back.receives(`<message id='after'/>`, WAIT)
    })
  })
}

if (prosody.missing() === undefined) {
  describe('federation with Prosody over one connection (XEP-0288)', () => {
    /** Those that stanzas went over. */
    const used = (server: TestServer) =>
      ['OutgoingConnection', 'ServerConnection'].flatMap(kind =>
        actorsOfKind(server, kind).flatMap(({ details }) =>
          details.stanzasIn === 0 && details.stanzasOut === 0 ? [] : [[kind, details.isBidi]],
        ),
      )
    const all = (server: TestServer) =>
      actorsOfKind(server, 'OutgoingConnection').length + actorsOfKind(server, 'ServerConnection').length

    it.each<[Trust, string]>([
      ['dialback', 'ours'],
      ['dialback', 'theirs'],
      ['external', 'ours'],
      ['external', 'theirs'],
    ])('by %s, where the connection is %s', async (trust, opener) => {
      const { server, here, there } = await two(prosody, trust, { bidi: true })
      const [first, second] = opener === 'ours' ? [here, there] : [there, here]
      for (const id of ['m1', 'm2', 'm3']) {
        await first.send(message(second.jid ?? '', id))
        await second.receives(`<message id='${id}' from='${first.jid}'/>`, WAIT)
        await second.send(message(first.jid ?? '', `${id}-back`))
        await first.receives(`<message id='${id}-back' from='${second.jid}'/>`, WAIT)
      }
      const carrying = opener === 'ours' ? 'OutgoingConnection' : 'ServerConnection'
      // The one that a key is asked about on is another, and the other server may have shown its own key there first.
      expect(used(server)).toEqual([[trust === 'external' ? carrying : expect.any(String), true]])
      if (trust === 'external') expect(all(server)).toBe(1)
    })

    it('goes on over a connection of our own when theirs is gone, and each message arrives or comes back', async () => {
      const { server, here, there, restart } = await two(prosody, 'external', { bidi: true })
      await there.send(message(here.jid ?? '', 'before'))
      await here.receives(`<message id='before'/>`, WAIT)
      await here.send(message(there.jid ?? '', 'back'))
      await there.receives(`<message id='back'/>`, WAIT)
      const gone = await restart()
      await here.send(message(there.jid ?? '', 'during'))
      await here.receives(`<message type='error' id='during'/>`, WAIT)
      const back = await gone.start()
      await back.send(message(here.jid ?? '', 'again'))
      await here.receives(`<message id='again'/>`, WAIT)
      await here.send(message(back.jid ?? '', 'after'))
      await back.receives(`<message id='after'/>`, WAIT)
      expect(used(server)).toEqual([['ServerConnection', true]])
    })
  })
}
