import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeAll, describe, expect, it, type TestContext, vi } from 'vitest'
import { type Account, domain, type Meerkat } from '../support/meerkat.js'
import {
  type Asker,
  askWithSlixmpp,
  askWithXmppClient,
  type Encryption,
  slixmpp,
  startMeerkat,
  xmppClient,
} from './support.js'

/*
 * What each module is for, as the users of other people's clients do it. An account logs in once or twice; what it does goes through the
 * plugin of slixmpp for it.
 */

const modules = `
[modules.mod_roster]
[modules.mod_privacy]
[modules.mod_blocking]
[modules.mod_stream_management]
[modules.mod_amp]
[modules.mod_mam_meta]
[modules.mod_carboncopy]
[modules.mod_register]
[modules.mod_csi]
[modules.mod_disco]
[modules.mod_ping]
[modules.mod_version]
[modules.mod_time]
[modules.mod_private]
[modules.mod_vcard]
[modules.mod_last]
[modules.mod_sic]
[modules.mod_adhoc]
[modules.mod_offline]
[modules.mod_extdisco]
  service = [{ type = "stun", host = "stun.example.com", port = 3478, transport = "udp" }]
`
/** Messages of the archive that is paged through. The full size is 100 000. */
const ARCHIVED = Number(process.env.ARCHIVED_MESSAGES ?? 2_000)
/** Messages in one document that is imported. */
const PER_DOCUMENT = 2_000

let server: Meerkat<Encryption>
const askers: Asker[] = []

beforeAll(async () => {
  server = await startMeerkat({ more: modules, auth: '  scram_iterations = 4096' })
  return async () => {
    expect(await server.stop(), 'how meerkat exited after SIGTERM').toBe(0)
  }
})

afterEach(async () => {
  for (const asker of askers.splice(0)) await asker.stop()
})

const of = ({ user }: Account) => `${user}@${domain}`

describe('slixmpp and the archive (XEP-0313, XEP-0059)', () => {
  it(`pages through ${ARCHIVED} messages, in order and each once, and finds the last ones`, {
    timeout: 120_000 + ARCHIVED * 20,
  }, async ({ skip }) => {
    need(skip)
    const romeo = await account('romeo')
    await archive(romeo, ARCHIVED)
    const client = await logIn(romeo)
    const found = await client.ask('page', { max: 50 }, 60_000 + ARCHIVED * 20)
    expect(found).toEqual({ count: ARCHIVED, first: bodyOf(0), last: bodyOf(ARCHIVED - 1), isOrdered: true })
    const last = Array.from({ length: 10 }, (_, at) => bodyOf(ARCHIVED - 1 - at))
    expect(await client.ask('last_page', { max: 10 })).toEqual(last)
    expect(await client.ask('metadata')).toEqual([expect.any(String), expect.any(String)])
  })

  it('finds what was sent and received just now', async ({ skip }) => {
    need(skip)
    const [romeo, juliet] = [await account('romeo'), await account('juliet')]
    const [his, hers] = [await logIn(romeo), await logIn(juliet)]
    await his.ask('send', { to: of(juliet), body: 'a' })
    await hers.event({ event: 'message', body: 'a' })
    await hers.ask('send', { to: of(romeo), body: 'b' })
    await his.event({ event: 'message', body: 'b' })
    for (const client of [his, hers]) {
      expect(await client.ask('page', { max: 1 })).toEqual({ count: 2, first: 'a', last: 'b', isOrdered: true })
    }
  })
})

describe('slixmpp and two resources', () => {
  it('gets carbons of both sides, with the ids of the archive (XEP-0280, XEP-0313 §3.5)', async ({ skip }) => {
    need(skip)
    const [romeo, juliet] = [await account('romeo'), await account('juliet')]
    const [phone, desk, hers] = [await logIn(romeo, 'phone'), await logIn(romeo, 'desk'), await logIn(juliet)]
    await phone.ask('carbons', { enable: true })
    await desk.ask('send', { to: of(juliet), body: 'sent' })
    await phone.event({ event: 'carbon', direction: 'sent', body: 'sent', ids: [expect.any(String)] })
    expect(await hers.event({ event: 'message', body: 'sent' })).toMatchObject({ ids: [expect.any(String)] })
    await hers.ask('send', { to: desk.jid, body: 'received' })
    await phone.event({ event: 'carbon', direction: 'received', body: 'received', ids: [expect.any(String)] })
    await phone.ask('carbons', { enable: false })
    await hers.ask('send', { to: desk.jid, body: 'not copied' })
    await desk.event({ event: 'message', body: 'not copied' })
    await hers.ask('send', { to: phone.jid, body: 'end' })
    await phone.event({ event: 'message', body: 'end' })
    expect(phone.told({ event: 'carbon', body: 'not copied' })).toBe(false)
  })

  it('finds on one what the other keeps: bookmarks (XEP-0048, XEP-0049), vCard and avatar (XEP-0054, XEP-0153)', async ({
    skip,
  }) => {
    need(skip)
    const romeo = await account('romeo')
    const [phone, desk] = [await logIn(romeo, 'phone'), await logIn(romeo, 'desk')]
    await phone.ask('set_bookmark', { jid: 'orchard@rooms.example', name: 'The Orchard & more' })
    expect(await desk.ask('bookmarks')).toEqual([['orchard@rooms.example', 'The Orchard & more', 'romeo']])
    await phone.ask('set_vcard', { name: 'Romeo Montague' })
    expect(await desk.ask('vcard', { jid: of(romeo) })).toEqual(['Romeo Montague', null])
    const picture = Buffer.from('no real picture').toString('base64')
    await phone.ask('set_avatar', { picture })
    await desk.event({ event: 'avatar', from: phone.jid, hash: expect.stringMatching(/^[0-9a-f]{40}$/) })
    expect(await desk.ask('vcard', { jid: of(romeo) })).toEqual(['Romeo Montague', picture])
  })

  it('blocks, is not reached, sees whom, and unblocks, on both (XEP-0191)', async ({ skip }) => {
    need(skip)
    const [romeo, juliet] = [await account('romeo'), await account('juliet')]
    const [phone, desk, hers] = [await logIn(romeo, 'phone'), await logIn(romeo, 'desk'), await logIn(juliet)]
    await phone.ask('block', { jid: of(juliet) })
    expect(await desk.ask('blocked')).toEqual([of(juliet)])
    await hers.ask('send', { to: of(romeo), body: 'blocked' })
    await hers.event({ event: 'message', type: 'error', condition: 'service-unavailable' })
    await desk.ask('unblock', { jid: of(juliet) })
    expect(await phone.ask('blocked')).toEqual([])
    await hers.ask('send', { to: of(romeo), body: 'heard' })
    for (const client of [phone, desk]) await client.event({ event: 'message', body: 'heard' })
    expect(phone.told({ event: 'message', body: 'blocked' })).toBe(false)
  })

  it('is given messages and no presence while it is inactive, and the presence after that (XEP-0352)', async ({
    skip,
  }) => {
    need(skip)
    const romeo = await account('romeo')
    const [phone, desk] = [await logIn(romeo, 'phone'), await logIn(romeo, 'desk')]
    await phone.ask('inactive', { inactive: true })
    await desk.ask('send', { to: phone.jid, body: 'now' })
    await phone.event({ event: 'message', body: 'now' })
    await phone.ask('inactive', { inactive: false })
    await desk.ask('send', { to: phone.jid, body: 'later' })
    await phone.event({ event: 'message', body: 'later' })
  })
})

describe('slixmpp', () => {
  it('is given what waited, with the time it came (XEP-0160, XEP-0203), and hears since when somebody is away (XEP-0012)', async ({
    skip,
  }) => {
    need(skip)
    const [romeo, juliet] = [await account('romeo'), await account('juliet')]
    const [his, hers] = [await logIn(romeo), await logIn(juliet)]
    await subscribe(his, hers)
    expect(await his.ask('last_activity', { jid: domain })).toEqual([expect.any(Number), expect.any(String)])
    await hers.ask('presence', { type: 'unavailable', status: 'asleep' })
    await hers.stop()
    askers.splice(askers.indexOf(hers), 1)
    await his.ask('send', { to: of(juliet), body: 'for later' })
    // Her program has ended; that the server has seen it too is soon so.
    const seen = () => his.ask('last_activity', { jid: of(juliet) }) as Promise<[number, string]>
    await vi.waitFor(async () => expect((await seen())[1]).toBe('asleep'), 10_000)
    expect((await seen())[0]).toBeLessThan(60)
    const back = await logIn(juliet)
    await back.event({ event: 'message', body: 'for later', delayed: true })
  })

  it('asks for ping, version, time, its address and commands (XEP-0199, 0092, 0202, 0279, 0050)', async ({ skip }) => {
    need(skip)
    const client = await logIn(await account('romeo'))
    expect(await client.ask('ping', { jid: domain })).toBe(true)
    expect(await client.ask('version', { jid: domain })).toBe('Meerkat')
    const time = (await client.ask('time', { jid: domain })) as string
    expect(time).toMatch(/Z$/)
    expect(Math.abs(Date.parse(time) - Date.now())).toBeLessThan(60_000)
    expect(await client.ask('address')).toBe('127.0.0.1')
    expect(await client.ask('commands', { jid: domain })).toEqual([['ping', 'Ping']])
    expect(await client.ask('command', { jid: domain, node: 'ping' })).toEqual(['completed', ['Pong']])
  })

  it('says what is to become of its messages (XEP-0079)', async ({ skip }) => {
    need(skip)
    const [romeo, juliet] = [await account('romeo'), await account('juliet')]
    const [his, hers] = [await logIn(romeo), await logIn(juliet)]
    await subscribe(his, hers)
    const rules = (...list: string[][]) => ({ to: of(juliet), rules: list })
    const direct = await his.ask('send', { body: 'direct', ...rules(['notify', 'deliver', 'direct']) })
    await his.event({ event: 'amp', status: 'notify', of: direct })
    await hers.event({ event: 'message', body: 'direct' })
    const late = await his.ask('send', { body: 'late', ...rules(['alert', 'expire-at', '2020-01-01T00:00:00Z']) })
    await his.event({ event: 'amp', status: 'alert', of: late })
    const elsewhere = await his.ask('send', { body: 'x', ...rules(['error', 'match-resource', 'other']) })
    await his.event({ event: 'amp', status: 'error', of: elsewhere })
    await his.ask('send', { to: of(juliet), body: 'end' })
    await hers.event({ event: 'message', body: 'end' })
    expect(hers.told({ event: 'message', body: 'late' })).toBe(false)
  })

  it('changes its password and takes its account back (XEP-0077)', async ({ skip }) => {
    need(skip)
    const romeo = await account('romeo')
    const first = await logIn(romeo)
    await first.ask('password', { password: 'new & better' })
    const second = await logIn({ ...romeo, password: 'new & better' }, 'second')
    await second.ask('cancel').catch(() => undefined)
    const accounts = await server.command(['user', 'list'])
    expect(accounts.split('\n')).not.toContain(of(romeo))
  })
})

describe('@xmpp/client', () => {
  it('asks for services outside XMPP, and for version, time and ping (XEP-0215, 0092, 0202, 0199)', async ({
    skip,
  }) => {
    need(skip, xmppClient)
    const romeo = await account('romeo')
    const client = await kept(askWithXmppClient({ account: romeo, server, encryption: 'starttls' }))
    const get = (name: string, ns: string) => client.ask('', { to: domain, name, ns })
    const stun = { name: 'service', type: 'stun', host: 'stun.example.com', port: '3478', transport: 'udp' }
    expect(await get('services', 'urn:xmpp:extdisco:2')).toEqual([stun])
    expect(await get('query', 'jabber:iq:version')).toEqual([{ name: 'name' }, { name: 'version' }])
    expect(await get('time', 'urn:xmpp:time')).toEqual([{ name: 'tzo' }, { name: 'utc' }])
    expect(await get('ping', 'urn:xmpp:ping')).toEqual([])
    await expect(get('query', 'urn:no:such')).rejects.toThrow('service-unavailable')
  })
})

/** In CI every peer is there, or the run fails. */
function need(skip: TestContext['skip'], program = slixmpp): void {
  const missing = program.missing()
  if (missing === undefined) return
  if (process.env.CI === 'true') throw new Error(missing)
  skip(missing)
}

async function kept(asker: Asker): Promise<Asker> {
  askers.push(asker)
  await asker.isOnline()
  return asker
}

const logIn = (account: Account, resource = 'one') =>
  kept(askWithSlixmpp({ account, server, encryption: 'starttls' }, resource))

let accounts = 0

/** A fresh account, so that no test meets the roster or the messages of another. */
async function account(name: string): Promise<Account> {
  accounts += 1
  const made = { user: `${name}-${accounts}`, password: `pw-${accounts}` }
  await server.command(['user', 'add', of(made), '--password-stdin'], `${made.password}\n`)
  return made
}

/** Each sees the other's presence. slixmpp agrees to requests by itself, and asks in turn. */
async function subscribe(one: Asker, other: Asker): Promise<void> {
  await one.ask('presence', { type: 'subscribe', to: other.jid.split('/')[0] })
  await other.ask('presence', { type: 'subscribe', to: one.jid.split('/')[0] })
  for (let tries = 0; tries < 100; tries++) {
    const seen = await one.ask('last_activity', { jid: other.jid.split('/')[0] }).catch(() => undefined)
    if (seen !== undefined) return
    await one.ask('ping', { jid: domain })
  }
  throw new Error('no subscription after 100 questions')
}

const bodyOf = (number: number) => String(number).padStart(7, '0')

/** Puts messages into an account's archive: as documents of XEP-0227 that are imported. */
async function archive(owner: Account, count: number): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'meerkat-archive-'))
  try {
    for (let from = 0; from < count; from += PER_DOCUMENT) {
      const file = join(folder, `${from}.xml`)
      writeFileSync(file, documentOf(owner, from, Math.min(count, from + PER_DOCUMENT)))
      await server.command(['user', 'import', file])
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function documentOf(owner: Account, from: number, to: number): string {
  const results = Array.from({ length: to - from }, (_, at) => {
    const stamp = new Date(1_600_000_000_000 + (from + at) * 1_000).toISOString()
    const message = `<message xmlns="jabber:client" type="chat" from="juliet@x.example/r" to="${of(owner)}"><body>${bodyOf(from + at)}</body></message>`
    return (
      `<result xmlns="urn:xmpp:mam:2" id="${from + at}"><forwarded xmlns="urn:xmpp:forward:0">` +
      `<delay xmlns="urn:xmpp:delay" stamp="${stamp}"/>${message}</forwarded></result>`
    )
  })
  return (
    `<server-data xmlns="urn:xmpp:pie:0"><host jid="${domain}"><user name="${owner.user}">` +
    `<archive xmlns="urn:xmpp:pie:0#mam">${results.join('\n')}</archive></user></host></server-data>`
  )
}
