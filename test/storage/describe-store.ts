import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { archiveId, boundBefore, microsecondOf } from '../../src/protocols/archive-id.js'
import type {
  ArchiveEntry,
  ArchivePage,
  Credentials,
  MucChange,
  MucLightRoom,
  MucListing,
  MucRoom,
  OfflineMessage,
  PrivacyItem,
  RosterItem,
  ScramKeys,
  Store,
  VcardCriterion,
} from '../../src/storage/store.js'

/*
 * What every implementation of Store has to do. `open` gives a store that is empty and that the suite closes. The tests share
 * one, because opening costs more than most of them; each has hosts of its own in it.
 */

const keys = (name: string): ScramKeys => ({
  salt: Buffer.from(`salt of ${name}`),
  iterations: 4096,
  storedKey: Buffer.from(`stored ${name}`),
  serverKey: Buffer.from(`server ${name}`),
})

/** Of a message that was stored. */
const anId = expect.any(Number)

const credentials = (name = 'romeo'): Credentials => ({ scram: { sha: keys(name), sha256: keys(`${name}256`) } })

const item = (jid: string, change: Partial<RosterItem> = {}): RosterItem => ({
  jid,
  name: '',
  subscription: 'none',
  ask: false,
  approved: false,
  groups: [],
  ...change,
})

/** Names that must be data and nothing else, wherever they stand. */
const awkward = [
  "o'hara",
  '"; DROP TABLE accounts; --',
  '%',
  '_',
  '?1',
  ':name',
  'żółć',
  '🐱',
  '\u05d0',
  'a\\b',
  'NULL',
  '0',
]

export function describeStore(name: string, open: () => Promise<Store>): void {
  describe(`the store, as ${name}`, () => {
    let store: Store
    let tests = 0
    let host = ''
    let other = ''
    beforeAll(async () => {
      store = await open()
    })
    beforeEach(() => {
      tests += 1
      host = `montague${tests}.example`
      other = `capulet${tests}.example`
    })
    afterAll(() => store.close())

    describe('accounts', () => {
      it('keeps an account with its keys, byte for byte', async () => {
        expect(await store.accounts.create('romeo', host, credentials())).toBe(true)
        expect(await store.accounts.exists('romeo', host)).toBe(true)
        expect(await store.accounts.credentials('romeo', host)).toEqual(credentials())
      })

      it('gives keys back as Buffers of their own', async () => {
        const random = Buffer.from(Array.from({ length: 64 }, (_, index) => 255 - index))
        await store.accounts.create('romeo', host, { scram: { sha512: { ...keys('x'), storedKey: random } } })
        const found = await store.accounts.credentials('romeo', host)
        expect(Buffer.isBuffer(found?.scram.sha512?.storedKey)).toBe(true)
        expect(found?.scram.sha512?.storedKey.equals(random)).toBe(true)
      })

      it('keeps a password where one is given, and no password where none is', async () => {
        await store.accounts.create('romeo', host, { ...credentials(), password: 'wherefore' })
        await store.accounts.create('juliet', host, credentials())
        expect(await store.accounts.credentials('romeo', host)).toHaveProperty('password', 'wherefore')
        expect(await store.accounts.credentials('juliet', host)).not.toHaveProperty('password')
      })

      it('keeps an account that has a password and no keys', async () => {
        await store.accounts.create('romeo', host, { scram: {}, password: 'wherefore' })
        expect(await store.accounts.credentials('romeo', host)).toEqual({ scram: {}, password: 'wherefore' })
      })

      it('knows nobody whom nobody made', async () => {
        expect(await store.accounts.exists('romeo', host)).toBe(false)
        expect(await store.accounts.credentials('romeo', host)).toBeUndefined()
        expect(await store.accounts.setCredentials('romeo', host, credentials())).toBe(false)
        expect(await store.accounts.remove('romeo', host)).toBe(false)
        expect(await store.accounts.exists('romeo', host)).toBe(false)
      })

      it('refuses a second account of one name and leaves the first as it was', async () => {
        await store.accounts.create('romeo', host, credentials('first'))
        expect(await store.accounts.create('romeo', host, credentials('second'))).toBe(false)
        expect(await store.accounts.credentials('romeo', host)).toEqual(credentials('first'))
      })

      it('lets one of two creations of a name in the same tick win', async () => {
        const results = await Promise.all([
          store.accounts.create('romeo', host, credentials('first')),
          store.accounts.create('romeo', host, credentials('second')),
        ])
        expect(results).toEqual([true, false])
      })

      it('keeps accounts of one name on two hosts apart', async () => {
        await store.accounts.create('romeo', host, credentials('here'))
        await store.accounts.create('romeo', other, credentials('there'))
        await store.accounts.remove('romeo', host)
        expect(await store.accounts.exists('romeo', host)).toBe(false)
        expect(await store.accounts.credentials('romeo', other)).toEqual(credentials('there'))
      })

      it('replaces all credentials of an account', async () => {
        await store.accounts.create('romeo', host, { ...credentials(), password: 'old' })
        const changed: Credentials = { scram: { sha512: keys('new') } }
        expect(await store.accounts.setCredentials('romeo', host, changed)).toBe(true)
        expect(await store.accounts.credentials('romeo', host)).toEqual(changed)
      })

      it('removes an account with its roster, requests and offline messages, and nobody else’s', async () => {
        for (const user of ['romeo', 'juliet']) {
          await store.accounts.create(user, host, credentials())
          await store.rosters.update(user, host, {
            put: [item('nurse@x')],
            putRequests: [{ jid: 'paris@x', xml: '<p/>' }],
          })
          await store.offline.add(user, host, '<message/>', 1, 10)
        }
        expect(await store.accounts.remove('romeo', host)).toBe(true)
        expect(await store.accounts.exists('romeo', host)).toBe(false)
        expect(await store.accounts.credentials('romeo', host)).toBeUndefined()
        expect(await store.rosters.load('romeo', host)).toEqual({ version: 0, items: [], requests: [] })
        expect(await store.offline.count('romeo', host)).toBe(0)
        expect(await store.accounts.exists('juliet', host)).toBe(true)
        expect((await store.rosters.load('juliet', host)).items).toHaveLength(1)
        expect(await store.offline.count('juliet', host)).toBe(1)
      })

      it('remembers a removal, with whom the roster tied, until it is finished; also when the name is somebody else’s by then', async () => {
        for (const user of ['romeo', 'juliet', 'benvolio']) await store.accounts.create(user, host, credentials())
        await store.rosters.update('romeo', host, {
          put: [
            item('a@x', { subscription: 'both', name: 'A' }),
            item('b@x', { ask: true }),
            item('c@x', { approved: true }),
          ],
          putRequests: [{ jid: 'd@x', xml: '<presence/>' }],
        })
        expect(await store.accounts.unfinishedRemovals(host, { limit: 9 })).toEqual([])
        expect(await store.accounts.remove('nobody', host)).toBe(false)
        for (const user of ['romeo', 'juliet']) await store.accounts.remove(user, host)
        await store.accounts.create('romeo', host, credentials('another'))
        const romeo = {
          user: 'romeo',
          items: [
            { jid: 'a@x', subscription: 'both', ask: false, approved: false },
            { jid: 'b@x', subscription: 'none', ask: true, approved: false },
            { jid: 'c@x', subscription: 'none', ask: false, approved: true },
          ],
          requests: ['d@x'],
        }
        const juliet = { user: 'juliet', items: [], requests: [] }
        const [first, second, ...more] = await store.accounts.unfinishedRemovals(host, { limit: 9 })
        expect([first, { ...second!, items: second!.items.sort((a, b) => (a.jid < b.jid ? -1 : 1)) }, more]).toEqual([
          juliet,
          romeo,
          [],
        ])
        expect(await store.accounts.unfinishedRemovals(host, { limit: 1 })).toEqual([juliet])
        expect(await store.accounts.unfinishedRemovals(host, { after: 'romeo', limit: 1 })).toEqual([])
        expect(await store.accounts.unfinishedRemovals(other, { limit: 9 })).toEqual([])
        await store.accounts.finishRemoval('romeo', host)
        await store.accounts.finishRemoval('nobody', host)
        expect(await store.accounts.unfinishedRemovals(host, { limit: 9 })).toEqual([juliet])
        expect(await store.accounts.exists('romeo', host)).toBe(true)
      })

      it('gives a new account nothing that was left under its name after the old one was removed', async () => {
        await store.accounts.create('romeo', host, credentials())
        await store.accounts.remove('romeo', host)
        // A message and a roster change were on their way when the account went.
        await store.offline.add('romeo', host, '<message>secret</message>', 1, 10)
        await store.rosters.update('romeo', host, {
          put: [item('nurse@x')],
          putRequests: [{ jid: 'paris@x', xml: '<p/>' }],
        })
        await store.accounts.create('romeo', host, credentials())
        expect(await store.offline.count('romeo', host)).toBe(0)
        expect(await store.rosters.load('romeo', host)).toEqual({ version: 0, items: [], requests: [] })
      })

      it('lists localparts in byte order, page by page, and counts them', async () => {
        const users = ['b', 'a', 'ż', 'z', '~', '🐱', '\uffee', '0']
        for (const user of users) await store.accounts.create(user, host, credentials())
        await store.accounts.create('elsewhere', other, credentials())
        const sorted = [...users].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
        const found: string[] = []
        for (;;) {
          const after = found.at(-1)
          const page = await store.accounts.list(host, after === undefined ? { limit: 3 } : { after, limit: 3 })
          expect(page.length).toBeLessThanOrEqual(3)
          if (page.length === 0) break
          found.push(...page)
        }
        expect(found).toEqual(sorted)
        expect(await store.accounts.count(host)).toBe(users.length)
        expect(await store.accounts.count('nowhere.example')).toBe(0)
      })

      it.each(awkward)('treats %j as a name and nothing else', async user => {
        await store.accounts.create('bystander', host, credentials('bystander'))
        expect(await store.accounts.exists(user, host)).toBe(false)
        expect(await store.accounts.create(user, host, credentials(user))).toBe(true)
        expect(await store.accounts.create(user, other, credentials(user))).toBe(true)
        expect(await store.accounts.credentials(user, host)).toEqual(credentials(user))
        expect(await store.accounts.list(host, { limit: 9 })).toContain(user)
        expect(await store.accounts.remove(user, host)).toBe(true)
        expect(await store.accounts.exists(user, other)).toBe(true)
        expect(await store.accounts.credentials('bystander', host)).toEqual(credentials('bystander'))
      })
    })

    describe('rosters', () => {
      it('has version 0 and nothing in a roster that was never changed', async () => {
        expect(await store.rosters.load('romeo', host)).toEqual({ version: 0, items: [], requests: [] })
        expect(await store.rosters.update('romeo', host, {})).toBe(0)
        expect((await store.rosters.load('romeo', host)).version).toBe(0)
      })

      it('keeps every field of an item', async () => {
        const items = [
          item('juliet@x', { name: 'Juliet', subscription: 'both', groups: ['Friends', 'Capulets'] }),
          item('mercutio@x', { name: ' "\' & ', subscription: 'from', ask: true }),
          item('nurse@x', { subscription: 'to', approved: true }),
          item('tybalt@x', { ask: true, approved: true, groups: ['', 'a,b', '["x"]', '🐱'] }),
        ]
        await store.rosters.update('romeo', host, { put: items })
        expect((await store.rosters.load('romeo', host)).items).toEqual(items)
      })

      it('replaces an item as a whole', async () => {
        await store.rosters.update('romeo', host, { put: [item('a@x', { name: 'A', ask: true, groups: ['g'] })] })
        await store.rosters.update('romeo', host, { put: [item('a@x', { subscription: 'to' })] })
        expect((await store.rosters.load('romeo', host)).items).toEqual([item('a@x', { subscription: 'to' })])
      })

      it('grows the version with each change of an item, and loads the one it announced', async () => {
        const first = await store.rosters.update('romeo', host, { put: [item('a@x')] })
        const second = await store.rosters.update('romeo', host, { put: [item('a@x', { name: 'A' })] })
        const third = await store.rosters.update('romeo', host, { remove: ['a@x'] })
        expect(first).toBeGreaterThan(0)
        expect(second).toBeGreaterThan(first)
        expect(third).toBeGreaterThan(second)
        expect((await store.rosters.load('romeo', host)).version).toBe(third)
      })

      it('leaves the version alone when no item changed', async () => {
        const version = await store.rosters.update('romeo', host, { put: [item('a@x', { groups: ['g'] })] })
        expect(await store.rosters.update('romeo', host, { put: [item('a@x', { groups: ['g'] })] })).toBe(version)
        expect(await store.rosters.update('romeo', host, { remove: ['nobody@x'] })).toBe(version)
        expect(await store.rosters.update('romeo', host, { putRequests: [{ jid: 'p@x', xml: '<p/>' }] })).toBe(version)
        expect(await store.rosters.update('romeo', host, { removeRequests: ['p@x'] })).toBe(version)
      })

      it('never repeats a version for an address, even after its account was made anew', async () => {
        const seen: number[] = []
        for (let round = 0; round < 3; round += 1) {
          await store.accounts.create('romeo', host, credentials())
          seen.push(await store.rosters.update('romeo', host, { put: [item(`friend${round}@x`)] }))
          await store.accounts.remove('romeo', host)
        }
        expect(new Set(seen).size).toBe(seen.length)
      })

      it('keeps, replaces and removes subscription requests', async () => {
        const requests = [
          { jid: 'a@x', xml: '<presence type="subscribe"/>' },
          { jid: 'b@x', xml: '<presence type="subscribe"><status>żółć 🐱</status></presence>' },
        ]
        await store.rosters.update('romeo', host, { putRequests: requests })
        expect((await store.rosters.load('romeo', host)).requests).toEqual(requests)
        await store.rosters.update('romeo', host, {
          putRequests: [{ jid: 'a@x', xml: '<new/>' }],
          removeRequests: ['b@x'],
        })
        expect((await store.rosters.load('romeo', host)).requests).toEqual([{ jid: 'a@x', xml: '<new/>' }])
      })

      it('removes before it puts', async () => {
        await store.rosters.update('romeo', host, { put: [item('a@x', { name: 'old' })] })
        await store.rosters.update('romeo', host, { put: [item('a@x', { name: 'new' })], remove: ['a@x'] })
        expect((await store.rosters.load('romeo', host)).items).toEqual([item('a@x', { name: 'new' })])
      })

      it('keeps the longest addresses, which are longer than what an index of some databases holds', async () => {
        const part = () => randomBytes(511).toString('hex')
        const [user, domain] = [part(), part()]
        const jids = Array.from({ length: 2 }, () => `${part()}@${part()}/${part()}`).sort()
        const putRequests = jids.map(jid => ({ jid, xml: '<p/>' }))
        await store.rosters.update(user, domain, { put: jids.map(jid => item(jid)), putRequests })
        expect(await store.rosters.load(user, domain)).toMatchObject({
          items: jids.map(jid => item(jid)),
          requests: putRequests,
        })
        await store.rosters.update(user, domain, { remove: jids.slice(0, 1), removeRequests: jids.slice(0, 1) })
        expect((await store.rosters.load(user, domain)).items).toEqual([item(jids[1]!)])
      })

      it('applies a change as a whole or not at all', async () => {
        const bad = item('z@x', { subscription: 'everything' as 'both' }) // Not a subscription: what the store refuses.
        const put = [item('a@x'), bad]
        await expect(
          store.rosters.update('romeo', host, { put, putRequests: [{ jid: 'p@x', xml: '' }] }),
        ).rejects.toThrow()
        expect(await store.rosters.load('romeo', host)).toEqual({ version: 0, items: [], requests: [] })
      })

      it('loads a roster of 5 000 items', async () => {
        const items = Array.from({ length: 5_000 }, (_, index) =>
          item(`contact${String(index).padStart(5, '0')}@x`, {
            name: `Contact ${index}`,
            subscription: 'both',
            groups: ['All'],
          }),
        )
        await store.rosters.update('romeo', host, { put: items })
        const roster = await store.rosters.load('romeo', host)
        expect(roster.items).toEqual(items)
      })

      it('gives back whatever text it was given', async () => {
        const text = fc.string({ unit: 'grapheme', maxLength: 40 }).filter(value => !value.includes('\0'))
        await fc.assert(
          fc.asyncProperty(text, text, fc.array(text, { maxLength: 4 }), async (jid, name, groups) => {
            await store.accounts.remove('romeo', host)
            await store.rosters.update('romeo', host, {
              put: [item(jid, { name, groups })],
              putRequests: [{ jid, xml: name }],
            })
            const { items, requests } = await store.rosters.load('romeo', host)
            expect(items).toEqual([item(jid, { name, groups })])
            expect(requests).toEqual([{ jid, xml: name }])
          }),
          { numRuns: 60 },
        )
      })
    })

    describe('offline messages', () => {
      it('gives messages back in the order of their arrival, page by page', async () => {
        const sent = Array.from({ length: 25 }, (_, index) => `<message id="${index}">🐱</message>`)
        const results = await Promise.all(sent.map(xml => store.offline.add('romeo', host, xml, 1, Infinity)))
        const found: OfflineMessage[] = []
        for (let after = 0; ; ) {
          const page = await store.offline.page('romeo', host, { after, limit: 10 })
          if (page.length === 0) break
          found.push(...page)
          after = page.at(-1)?.id ?? after
        }
        expect(found).toEqual(sent.map((xml, index) => ({ id: results[index], xml })))
      })

      it('takes no more than the limit for one account, and more again once some are gone', async () => {
        const add = () => store.offline.add('romeo', host, '<message/>', 1, 2)
        expect([await add(), await add(), await add()]).toEqual([anId, anId, 'full'])
        expect(await store.offline.add('juliet', host, '<message/>', 1, 2)).toEqual(anId)
        const [first] = await store.offline.page('romeo', host, { after: 0, limit: 1 })
        await store.offline.remove('romeo', host, [first?.id ?? 0])
        expect([await add(), await add()]).toEqual([anId, 'full'])
        expect(await store.offline.add('romeo', other, '<message/>', 1, 0)).toBe('full')
      })

      it('holds the limit among messages of the same tick', async () => {
        const results = await Promise.all(
          Array.from({ length: 5 }, () => store.offline.add('romeo', host, '<m/>', 1, 3)),
        )
        expect(results).toEqual([anId, anId, anId, 'full', 'full'])
      })

      it('never gives an id twice, so that a late removal takes nothing that came after it', async () => {
        await store.offline.add('romeo', host, '<message id="old"/>', 1, 10)
        const [old] = await store.offline.page('romeo', host, { after: 0, limit: 10 })
        await store.offline.remove('romeo', host, [old?.id ?? 0])
        await store.offline.add('romeo', host, '<message id="new"/>', 1, 10)
        await store.offline.remove('romeo', host, [old?.id ?? 0])
        const left = await store.offline.page('romeo', host, { after: old?.id ?? 0, limit: 10 })
        expect(left.map(message => message.xml)).toEqual(['<message id="new"/>'])
      })

      it('removes messages by their ids, of one account only', async () => {
        const add = (user: string) => store.offline.add(user, host, '<message/>', 1, 10)
        const [first, others, second, third] = [
          await add('romeo'),
          await add('juliet'),
          await add('romeo'),
          await add('romeo'),
        ]
        await store.offline.remove('romeo', host, [Number(first), Number(others), Number(third)])
        expect(await store.offline.page('romeo', host, { after: 0, limit: 10 })).toEqual([
          { id: second, xml: '<message/>' },
        ])
        expect(await store.offline.count('juliet', host)).toBe(1)
      })

      it('keeps a message of a megabyte', async () => {
        const xml = `<message><body>${'żółć'.repeat(250_000)}</body></message>`
        await store.offline.add('romeo', host, xml, 1, 10)
        const [message] = await store.offline.page('romeo', host, { after: 0, limit: 1 })
        expect(message?.xml === xml).toBe(true)
      })
    })

    describe('private XML (XEP-0049)', () => {
      const fragment = (ns: string, name = 'storage', xml = `<${name} xmlns="${ns}"/>`) => ({ ns, name, xml })
      const get = (ns: string, name = 'storage') => store.privateXml.get('romeo', host, ns, name)

      it('keeps a fragment by namespace and name of its root, and replaces it', async () => {
        expect(await get('a')).toBeUndefined()
        expect(await store.privateXml.put('romeo', host, [fragment('a'), fragment('a', 'other')], 10)).toBe(true)
        expect(await store.privateXml.put('romeo', host, [fragment('a', 'storage', '<new>żółć 🐱</new>')], 10)).toBe(
          true,
        )
        expect(await get('a')).toBe('<new>żółć 🐱</new>')
        expect(await get('a', 'other')).toBe('<other xmlns="a"/>')
        expect(await get('b')).toBeUndefined()
        expect(await store.privateXml.get('romeo', other, 'a', 'storage')).toBeUndefined()
      })

      it('lists the fragments page by page, by namespace and name', async () => {
        const kept = awkward.map(ns => ({ ns: `urn:${ns}`, name: 'a', xml: `<a n="${ns.length}"/>` }))
        const more = { ns: kept[0]!.ns, name: 'b', xml: '<b/>' }
        await store.privateXml.put('romeo', host, [...kept, more], 100)
        await store.privateXml.put('juliet', host, [more], 100)
        const listed = []
        for (let after = { ns: '', name: '' }; ; ) {
          const page = await store.privateXml.list('romeo', host, { after, limit: 3 })
          listed.push(...page)
          const last = page.at(-1)
          if (last === undefined) break
          after = last
        }
        const inOrder = [...kept, more].sort((a, b) =>
          Buffer.compare(Buffer.from(`${a.ns} ${a.name}`), Buffer.from(`${b.ns} ${b.name}`)),
        )
        expect(listed).toEqual(inOrder)
      })

      it('takes no more roots than the limit, replacements aside, and then nothing of what came together', async () => {
        expect(await store.privateXml.put('romeo', host, [fragment('a'), fragment('b')], 2)).toBe(true)
        expect(await store.privateXml.put('romeo', host, [fragment('a', 'storage', '<new/>'), fragment('c')], 2)).toBe(
          false,
        )
        expect([await get('a'), await get('c')]).toEqual(['<storage xmlns="a"/>', undefined])
        expect(await store.privateXml.put('romeo', host, [fragment('b', 'storage', '<new/>')], 2)).toBe(true)
        expect(await store.privateXml.put('juliet', host, [fragment('c')], 2)).toBe(true)
      })

      it('is gone with its account', async () => {
        await store.accounts.create('romeo', host, credentials())
        await store.privateXml.put('romeo', host, [fragment('a')], 2)
        await store.accounts.remove('romeo', host)
        expect(await get('a')).toBeUndefined()
      })
    })

    describe('vCards (XEP-0054) and their directory (XEP-0055)', () => {
      const find = async (...criteria: VcardCriterion[]) => {
        const found = await store.vcards.search(host, criteria, 10)
        return found.map(({ user }) => user).sort()
      }
      const exactly = (field: string, value: string) => ({ field, value, isPrefix: false })
      const beginning = (field: string, value: string) => ({ field, value, isPrefix: true })
      const put = (user: string, fields: Record<string, string>) =>
        store.vcards.put(
          user,
          host,
          `<vCard>${user}</vCard>`,
          Object.entries(fields).map(([field, value]) => ({ field, value })),
        )

      it('keeps a vCard and replaces it', async () => {
        expect(await store.vcards.get('romeo', host)).toBeUndefined()
        await put('romeo', { fn: 'Romeo' })
        await store.vcards.put('romeo', host, '<vCard>🐱</vCard>', [])
        expect(await store.vcards.get('romeo', host)).toBe('<vCard>🐱</vCard>')
        expect(await store.vcards.get('romeo', other)).toBeUndefined()
        expect(await find(exactly('fn', 'Romeo'))).toEqual([])
      })

      it('finds accounts by value or beginning, without regard to case, where every criterion is met', async () => {
        await put('romeo', { fn: 'Romeo Montague', last: 'Montague', email: 'romeo@x' })
        await put('benvolio', { fn: 'Benvolio', last: 'MONTAGUE' })
        await put('juliet', { fn: 'Juliet', last: 'Capulet' })
        await put('ola', { last: 'ŻÓŁĆ' })
        await store.vcards.put('romeo', other, '<vCard/>', [{ field: 'last', value: 'Montague' }])
        expect(await find(exactly('last', 'montague'))).toEqual(['benvolio', 'romeo'])
        expect(await find(exactly('last', 'mont'))).toEqual([])
        expect(await find(beginning('last', 'mont'))).toEqual(['benvolio', 'romeo'])
        expect(await find(beginning('last', 'mont'), beginning('fn', 'rom'))).toEqual(['romeo'])
        expect(await find(exactly('last', 'montague'), exactly('last', 'capulet'))).toEqual([])
        expect(await find(beginning('last', 'żó'))).toEqual(['ola'])
        expect(await find(exactly('first', 'montague'))).toEqual([])
        expect(await find()).toEqual([])
      })

      it('gives the fields of what it found, and no more than the limit', async () => {
        for (const user of ['a', 'b', 'c']) await put(user, { last: 'Same', fn: user })
        const found = await store.vcards.search(host, [exactly('last', 'same')], 2)
        expect(found).toHaveLength(2)
        expect(new Map(found[0]?.fields.map(({ field, value }) => [field, value]))).toEqual(
          new Map([
            ['last', 'Same'],
            ['fn', found[0]?.user],
          ]),
        )
      })

      it.each(awkward)('treats %j as text to search for and nothing else', async text => {
        await put('romeo', { fn: text })
        await put('juliet', { fn: 'Juliet' })
        expect(await find(exactly('fn', text))).toEqual(['romeo'])
        expect(await find(beginning('fn', text))).toEqual(['romeo'])
      })

      it('are gone with their account', async () => {
        await store.accounts.create('romeo', host, credentials())
        await put('romeo', { fn: 'Romeo' })
        await store.accounts.remove('romeo', host)
        expect(await store.vcards.get('romeo', host)).toBeUndefined()
        expect(await find(exactly('fn', 'romeo'))).toEqual([])
      })
    })

    describe('last activity (XEP-0012)', () => {
      it('keeps the last, and is gone with its account', async () => {
        await store.accounts.create('romeo', host, credentials())
        expect(await store.lastActivity.get('romeo', host)).toBeUndefined()
        await store.lastActivity.put('romeo', host, { at: 1_700_000_000_000, status: 'Heading Home 🐱' })
        await store.lastActivity.put('juliet', host, { at: 1, status: '' })
        expect(await store.lastActivity.get('romeo', host)).toEqual({
          at: 1_700_000_000_000,
          status: 'Heading Home 🐱',
        })
        await store.lastActivity.put('romeo', host, { at: 1_700_000_000_001, status: '' })
        expect(await store.lastActivity.get('romeo', host)).toEqual({ at: 1_700_000_000_001, status: '' })
        await store.accounts.remove('romeo', host)
        expect(await store.lastActivity.get('romeo', host)).toBeUndefined()
        expect(await store.lastActivity.get('juliet', host)).toEqual({ at: 1, status: '' })
        await store.lastActivity.remove('juliet', host)
        expect(await store.lastActivity.get('juliet', host)).toBeUndefined()
      })
    })

    describe('privacy lists (XEP-0016)', () => {
      const deny = (value: string, change: Partial<PrivacyItem> = {}): PrivacyItem => ({
        type: 'jid',
        value,
        action: 'deny',
        stanzas: [],
        order: 1,
        ...change,
      })
      const load = () => store.privacy.load('romeo', host)

      it('has none where there never was one', async () => {
        expect(await load()).toEqual({ defaultName: undefined, lists: [] })
        await store.privacy.update('romeo', host, {})
        expect(await load()).toEqual({ defaultName: undefined, lists: [] })
      })

      it('keeps lists by name, with every field of their items', async () => {
        const lists = [
          { name: 'Żółć 🐱', items: [deny('a@x', { stanzas: ['message', 'presence-out'], order: 4_294_967_295 })] },
          { name: 'a', items: [deny('', { type: 'fall-through', action: 'allow' })] },
        ]
        await store.privacy.update('romeo', host, { put: lists })
        expect(await load()).toEqual({ defaultName: undefined, lists: [lists[1], lists[0]] })
        expect(await store.privacy.load('romeo', other)).toEqual({ defaultName: undefined, lists: [] })
      })

      it('replaces and removes lists, and keeps the default through it', async () => {
        await store.privacy.update('romeo', host, {
          put: ['a', 'b'].map(name => ({ name, items: [deny(name)] })),
          defaultName: 'a',
        })
        await store.privacy.update('romeo', host, { put: [{ name: 'a', items: [deny('new')] }], remove: ['b'] })
        expect(await load()).toEqual({ defaultName: 'a', lists: [{ name: 'a', items: [deny('new')] }] })
      })

      it('has one default or none', async () => {
        await store.privacy.update('romeo', host, {
          put: ['a', 'b'].map(name => ({ name, items: [] })),
          defaultName: 'a',
        })
        await store.privacy.update('romeo', host, { defaultName: 'b' })
        expect((await load()).defaultName).toBe('b')
        await store.privacy.update('romeo', host, { defaultName: null })
        expect((await load()).defaultName).toBeUndefined()
        await store.privacy.update('romeo', host, { defaultName: 'b' })
        await store.privacy.update('romeo', host, { remove: ['b'] })
        expect(await load()).toEqual({ defaultName: undefined, lists: [{ name: 'a', items: [] }] })
      })

      it('are gone with their account', async () => {
        await store.accounts.create('romeo', host, credentials())
        await store.privacy.update('romeo', host, { put: [{ name: 'a', items: [] }], defaultName: 'a' })
        await store.accounts.remove('romeo', host)
        expect(await load()).toEqual({ defaultName: undefined, lists: [] })
      })
    })

    describe('message archives (XEP-0313)', () => {
      const idOf = (number: number) => archiveId(1_700_000_000_000_000 + number * 700, '0123abcd')
      const entry = (number: number, change: Partial<ArchiveEntry> = {}): ArchiveEntry => ({
        user: 'romeo',
        host,
        id: idOf(number),
        contact: number % 2 === 0 ? 'juliet@capulet.example' : 'nurse@capulet.example',
        resource: number % 4 === 0 ? 'balcony' : '',
        xml: Buffer.from(`<message><body>${number} żółć 🐱</body></message>`),
        ...change,
      })
      /** Numbers 1 to `count` in the archive. */
      const fill = (count: number) =>
        Promise.all(Array.from({ length: count }, (_, index) => store.archive.append(entry(index + 1))))
      const page = async (options: ArchivePage) =>
        (await store.archive.page('romeo', host, options))?.map(
          ({ id }) => (microsecondOf(id) - microsecondOf(idOf(0))) / 700,
        )

      it('gives messages back byte for byte, whatever their size, to nobody else', async () => {
        const large = Buffer.alloc(300_000, 'x')
        await Promise.all([
          store.archive.append(entry(1)),
          store.archive.append(entry(2, { xml: large })),
          store.archive.append(entry(3, { host: other })),
          store.archive.append(entry(4, { user: 'juliet' })),
        ])
        const found = await store.archive.page('romeo', host, { limit: 10 })
        expect(found?.map(({ id }) => id)).toEqual([idOf(1), idOf(2)])
        expect(Buffer.from(found![0]!.xml).toString()).toBe('<message><body>1 żółć 🐱</body></message>')
        expect(Buffer.from(found![1]!.xml).equals(large)).toBe(true)
      })

      it('is read page by page, forwards and backwards, between ids that need not be there', async () => {
        await fill(9)
        expect(await page({ limit: 3 })).toEqual([1, 2, 3])
        expect(await page({ limit: 3, after: idOf(3) })).toEqual([4, 5, 6])
        expect(await page({ limit: 3, isLast: true })).toEqual([7, 8, 9])
        expect(await page({ limit: 3, isLast: true, before: idOf(7) })).toEqual([4, 5, 6])
        const [between, later] = [3.5, 6.5].map(idOf)
        expect(await page({ limit: 9, after: between!, before: later! })).toEqual([4, 5, 6])
        // Messages 1, 2 and 3 came 700, 1 400 and 2 100 microseconds after the bound.
        const since = 1_700_000_000_000
        expect(await page({ limit: 9, after: boundBefore(since + 1), before: boundBefore(since + 2) })).toEqual([2])
        expect(await page({ limit: 9, after: idOf(6), before: idOf(3) })).toEqual([])
        expect(await page({ limit: 0 })).toEqual([])
      })

      it('is filtered by contact and by resource', async () => {
        await fill(9)
        const juliet = { contact: 'juliet@capulet.example' }
        expect(await page({ limit: 9, ...juliet })).toEqual([2, 4, 6, 8])
        expect(await page({ limit: 2, ...juliet, isLast: true })).toEqual([6, 8])
        expect(await page({ limit: 2, ...juliet, after: idOf(2) })).toEqual([4, 6])
        expect(await page({ limit: 9, ...juliet, resource: 'balcony' })).toEqual([4, 8])
        expect(await page({ limit: 9, contact: 'nobody@capulet.example' })).toEqual([])
      })

      it('tells when an id that has to be there is not', async () => {
        await fill(3)
        expect(await page({ limit: 9, after: idOf(1), known: [idOf(1), idOf(3)] })).toEqual([2, 3])
        expect(await page({ limit: 9, known: [idOf(1), idOf(4)] })).toBeUndefined()
        const pick = (...numbers: number[]) => store.archive.pick('romeo', host, numbers.map(idOf), { after: idOf(1) })
        expect((await pick(3, 2, 3, 1))?.map(({ id }) => id)).toEqual([idOf(2), idOf(3)])
        expect(await pick(1, 4)).toBeUndefined()
      })

      it('is counted up to a limit, and tells its ends', async () => {
        expect(await store.archive.ends('romeo', host)).toBeUndefined()
        await fill(9)
        expect(await store.archive.count('romeo', host, {}, 100)).toBe(9)
        expect(await store.archive.count('romeo', host, {}, 5)).toBe(5)
        expect(
          await store.archive.count('romeo', host, { contact: 'juliet@capulet.example', after: idOf(3) }, 100),
        ).toBe(3)
        expect(await store.archive.ends('romeo', host)).toEqual({ first: idOf(1), last: idOf(9) })
      })

      it('loses what is too old, of every owner on the host, a little at a time', async () => {
        await fill(9)
        await store.archive.append(entry(1, { user: 'abraham' }))
        await store.archive.append(entry(9, { user: 'benvolio' }))
        await store.archive.append(entry(1, { host: other }))
        let rounds = 0
        for (let after: string | undefined = ''; after !== undefined; rounds += 1) {
          after = await store.archive.expire(host, { before: idOf(6), after, limit: 2 })
        }
        expect(rounds).toBe(4)
        expect(await page({ limit: 99 })).toEqual([6, 7, 8, 9])
        expect(await store.archive.count('abraham', host, {}, 9)).toBe(0)
        expect(await store.archive.count('benvolio', host, {}, 9)).toBe(1)
        expect(await store.archive.count('romeo', other, {}, 9)).toBe(1)
      })

      describe('of rooms (§6.1.2)', () => {
        const domain = () => `muclight.${host}`
        const said = (number: number, nick: string | undefined, user = 'tea') =>
          entry(number, { user, host: domain(), contact: `${nick ?? user}@x`, resource: '', ...(nick && { nick }) })
        const numbers = async (options: ArchivePage, user = 'tea') =>
          (await store.archive.page(user, domain(), options))?.map(
            ({ id }) => (microsecondOf(id) - microsecondOf(idOf(0))) / 700,
          )
        const fillRooms = () =>
          Promise.all([
            ...[1, 2, 3, 4, 5].map(number => store.archive.append(said(number, number % 2 ? 'witch' : 'ðórr'))),
            store.archive.append(said(6, undefined)),
            store.archive.append(said(7, 'witch', 'heath')),
            store.archive.append(entry(8, { user: 'tea' })),
          ])

        it('are apart from those of accounts and of one another', async () => {
          await fillRooms()
          expect(await numbers({ limit: 9 })).toEqual([1, 2, 3, 4, 5, 6])
          expect(await numbers({ limit: 9 }, 'heath')).toEqual([7])
          expect(await page({ limit: 9 })).toEqual([])
          const [first] = (await store.archive.page('tea', domain(), { limit: 1 })) ?? []
          expect(first?.contact).toBe('witch@x')
        })

        it('are filtered by nick, page by page, and counted', async () => {
          await fillRooms()
          expect(await numbers({ limit: 9, nick: 'witch' })).toEqual([1, 3, 5])
          expect(await numbers({ limit: 2, nick: 'witch', isLast: true })).toEqual([3, 5])
          expect(await numbers({ limit: 2, nick: 'witch', after: idOf(1) })).toEqual([3, 5])
          expect(await numbers({ limit: 9, nick: 'ðórr', before: idOf(4) })).toEqual([2])
          expect(await numbers({ limit: 9, nick: 'nobody' })).toEqual([])
          expect(await numbers({ limit: 9, contact: 'witch@x' })).toEqual([1, 3, 5])
          expect(await store.archive.count('tea', domain(), { nick: 'witch' }, 9)).toBe(3)
          const picked = await store.archive.pick('tea', domain(), [idOf(1), idOf(2)], { nick: 'ðórr' })
          expect(picked?.map(({ id }) => id)).toEqual([idOf(2)])
        })

        it('have another message in the place of one, which keeps its id (XEP-0424 §4)', async () => {
          await fillRooms()
          const xml = Buffer.from('<message><retracted/></message>')
          expect(await store.archive.replace('tea', domain(), idOf(3), xml)).toBe(true)
          expect(await store.archive.replace('tea', domain(), idOf(7), xml)).toBe(false)
          expect(await store.archive.replace('nowhere', domain(), idOf(3), xml)).toBe(false)
          const found = await store.archive.page('tea', domain(), { limit: 9, nick: 'witch' })
          expect(found?.map(({ id }) => id)).toEqual([idOf(1), idOf(3), idOf(5)])
          expect(Buffer.from(found![1]!.xml).equals(xml)).toBe(true)
        })

        it('are forgotten as a whole, and may begin anew', async () => {
          await fillRooms()
          await store.archive.forget('tea', domain())
          expect(await numbers({ limit: 9 })).toEqual([])
          expect(await numbers({ limit: 9, known: [idOf(1)] })).toBeUndefined()
          expect(await numbers({ limit: 9 }, 'heath')).toEqual([7])
          expect(await store.archive.count('tea', host, {}, 9)).toBe(1)
          await store.archive.append(said(9, 'witch'))
          expect(await numbers({ limit: 9 })).toEqual([9])
        })

        it('are gone with their rooms of light group chat, and no new room finds what another left behind (ML-26)', async () => {
          const state: MucLightRoom = { version: 'v', configuration: {}, occupants: [] }
          await fillRooms()
          expect(await store.mucLight.create(domain(), 'tea', state, 9)).toBe('done')
          expect(await numbers({ limit: 9 })).toEqual([])
          await store.archive.append(said(9, 'witch'))
          expect(await store.mucLight.create(domain(), 'tea', state, 9)).toBe('exists')
          expect(await store.mucLight.remove(domain(), 'tea', 'older')).toBe(false)
          expect(await numbers({ limit: 9 })).toEqual([9])
          expect(await store.mucLight.remove(domain(), 'tea', 'v')).toBe(true)
          expect(await numbers({ limit: 9 })).toEqual([])
          expect(await numbers({ limit: 9 }, 'heath')).toEqual([7])
        })
      })

      it('keeps preferences (XEP-0441)', async () => {
        expect(await store.archive.preferences('romeo', host)).toBeUndefined()
        const first = { standard: 'roster', always: ['a@x/ü'], never: ['b@x', 'c@x'] } as const
        await store.archive.setPreferences('romeo', host, {
          ...first,
          always: [...first.always],
          never: [...first.never],
        })
        expect(await store.archive.preferences('romeo', host)).toEqual(first)
        await store.archive.setPreferences('romeo', host, { standard: 'never', always: [], never: [] })
        expect(await store.archive.preferences('romeo', host)).toEqual({ standard: 'never', always: [], never: [] })
      })

      it('is gone with its account', async () => {
        await store.accounts.create('romeo', host, credentials())
        await fill(3)
        await store.archive.setPreferences('romeo', host, { standard: 'never', always: [], never: [] })
        await store.accounts.remove('romeo', host)
        expect(await page({ limit: 9 })).toEqual([])
        expect(await store.archive.preferences('romeo', host)).toBeUndefined()
      })

      it('takes the messages of another server’s archive once, whatever is there already', async () => {
        const from = (time: number) => ({
          id: archiveId(time, '0123abcd'),
          contact: 'a@x',
          resource: 'r',
          xml: Buffer.from(`<message n="${time}"/>`),
        })
        await store.archive.append({ user: 'romeo', host, ...from(20) })
        expect(await store.archive.insert('romeo', host, [from(10), from(20), from(30)])).toBe(2)
        expect(await store.archive.insert('romeo', host, [from(10), from(30)])).toBe(0)
        expect(await store.archive.insert('juliet', host, [from(10)])).toBe(1)
        const page = await store.archive.page('romeo', host, { contact: 'a@x', resource: 'r', limit: 9 })
        expect(page?.map(({ id, xml }) => [id, Buffer.from(xml).toString()])).toEqual(
          [10, 20, 30].map(time => [from(time).id, `<message n="${time}"/>`]),
        )
      })

      it('shows a read what was appended before it, without waiting', async () => {
        const written = store.archive.append(entry(1))
        expect(await page({ limit: 9 })).toEqual([1])
        await written
      })

      it('takes thousands of messages at once', async () => {
        await fill(2_500)
        expect(await store.archive.count('romeo', host, {}, 10_000)).toBe(2_500)
        expect(await page({ limit: 2, after: idOf(2_000) })).toEqual([2_001, 2_002])
      })
    })

    describe('light group chat', () => {
      const occupant = (jid: string, affiliation: 'owner' | 'member' = 'member') => ({ jid, affiliation })
      const state = (version: string, ...jids: string[]): MucLightRoom => ({
        version,
        configuration: { roomname: 'Tea', size: 3, ratio: 0.5 },
        occupants: jids.map(jid => occupant(jid)),
      })
      const sorted = async (room: string): Promise<MucLightRoom | undefined> => {
        const found = await store.mucLight.load(host, room)
        if (found === undefined || found === 'current') return undefined
        return { ...found, occupants: found.occupants.sort((a, b) => (a.jid < b.jid ? -1 : 1)) }
      }

      it('keeps a room, and makes none twice', async () => {
        const made = { ...state('1', 'a@x'), occupants: [occupant('a@x', 'owner'), occupant('b@x')] }
        expect(await store.mucLight.create(host, 'tea', made, Infinity)).toBe('done')
        expect(await store.mucLight.create(host, 'tea', state('2', 'c@x'), Infinity)).toBe('exists')
        expect(await sorted('tea')).toEqual(made)
        expect(await store.mucLight.load(host, 'coffee')).toBeUndefined()
        expect(await store.mucLight.load(other, 'tea')).toBeUndefined()
      })

      it('lets one of two creations of a name in the same tick win', async () => {
        const results = await Promise.all(
          ['1', '2'].map(version => store.mucLight.create(host, 'tea', state(version, 'a@x'), Infinity)),
        )
        expect(results).toEqual(['done', 'exists'])
        expect((await sorted('tea'))?.version).toBe('1')
      })

      it('says no more of a room than that it is as it was, to who knows its version', async () => {
        await store.mucLight.create(host, 'tea', state('1', 'a@x'), Infinity)
        expect(await store.mucLight.load(host, 'tea', '1')).toBe('current')
        expect(await store.mucLight.load(host, 'tea', '0')).toEqual(state('1', 'a@x'))
        expect(await store.mucLight.load(host, 'tea', '')).toEqual(state('1', 'a@x'))
        expect(await store.mucLight.load(host, 'coffee', '1')).toBeUndefined()
      })

      it('changes what is named of a room that has the expected version, and nothing of another', async () => {
        await store.mucLight.create(host, 'tea', state('1', 'a@x', 'b@x'), Infinity)
        const put = [occupant('c@x'), occupant('b@x', 'owner')]
        expect(await store.mucLight.update(host, 'tea', '1', { version: '2', put, remove: ['a@x'] }, Infinity)).toBe(
          'done',
        )
        const after = { ...state('2'), occupants: [occupant('b@x', 'owner'), occupant('c@x')] }
        expect(await sorted('tea')).toEqual(after)
        expect(await store.mucLight.update(host, 'tea', '1', { version: '3', remove: ['b@x'] }, Infinity)).toBe('stale')
        expect(await store.mucLight.update(host, 'coffee', '1', { version: '3', put }, Infinity)).toBe('stale')
        expect(await sorted('tea')).toEqual(after)
        const configuration = { roomname: 'żółć 🐱' }
        expect(await store.mucLight.update(host, 'tea', '2', { version: '3', configuration }, Infinity)).toBe('done')
        expect(await sorted('tea')).toEqual({ ...after, version: '3', configuration })
      })

      it('lets one of two changes of a version win', async () => {
        await store.mucLight.create(host, 'tea', state('1', 'a@x'), Infinity)
        const change = (version: string) => store.mucLight.update(host, 'tea', '1', { version }, Infinity)
        expect(await Promise.all([change('2'), change('3')])).toEqual(['done', 'stale'])
        expect((await sorted('tea'))?.version).toBe('2')
      })

      it('removes a room that has the expected version, and frees its name', async () => {
        await store.mucLight.create(host, 'tea', state('1', 'a@x', 'b@x'), Infinity)
        expect(await store.mucLight.remove(host, 'tea', '0')).toBe(false)
        expect(await store.mucLight.remove(host, 'tea', '1')).toBe(true)
        expect(await store.mucLight.remove(host, 'tea', '1')).toBe(false)
        expect(await store.mucLight.load(host, 'tea')).toBeUndefined()
        expect(await store.mucLight.roomsOf(host, 'a@x', { limit: 9 })).toEqual({ count: 0, index: 0, rooms: [] })
        await store.mucLight.create(host, 'tea', state('2', 'c@x'), Infinity)
        expect(await sorted('tea')).toEqual(state('2', 'c@x'))
      })

      it('lets nobody into more rooms of a service than are allowed, and then writes nothing', async () => {
        await store.mucLight.create(host, 'one', state('1', 'a@x'), 1)
        await store.mucLight.create(other, 'one', state('1', 'b@x'), 1)
        expect(await store.mucLight.create(host, 'two', state('1', 'b@x', 'a@x'), 1)).toBe('full')
        expect(await store.mucLight.load(host, 'two')).toBeUndefined()
        expect(await store.mucLight.create(host, 'two', state('1', 'b@x'), 1)).toBe('done')
        const come = { version: '2', put: [occupant('c@x'), occupant('a@x')] }
        expect(await store.mucLight.update(host, 'two', '1', come, 1)).toBe('full')
        expect(await sorted('two')).toEqual(state('1', 'b@x'))
        // Who is in the room already may change in it.
        const rise = { version: '2', put: [occupant('b@x', 'owner')] }
        expect(await store.mucLight.update(host, 'two', '1', rise, 1)).toBe('done')
        expect(await store.mucLight.update(host, 'two', '2', { ...come, version: '3' }, 2)).toBe('done')
      })

      it('lists the rooms of a user page by page, in byte order', async () => {
        const names = ['b', 'a', 'ż', '🐱', '\uffee', '0', 'z']
        for (const name of names) await store.mucLight.create(host, name, state(name, 'a@x', 'b@x'), Infinity)
        await store.mucLight.create(host, 'alien', state('1', 'b@x'), Infinity)
        await store.mucLight.create(other, 'elsewhere', state('1', 'a@x'), Infinity)
        const all = [...names].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
        const page = async (request: object) => {
          const found = await store.mucLight.roomsOf(host, 'a@x', { limit: 3, ...request })
          return found && { ...found, rooms: found.rooms.map(({ room }) => room) }
        }
        const shown = (start: number, end = start + 3) => ({ count: 7, index: start, rooms: all.slice(start, end) })
        expect(await page({})).toEqual(shown(0))
        expect(await page({ limit: Infinity })).toEqual(shown(0, 7))
        expect(await page({ after: all[1] })).toEqual(shown(2))
        expect(await page({ after: all[5] })).toEqual(shown(6))
        expect(await page({ after: all[6] })).toMatchObject({ count: 7, rooms: [] })
        expect(await page({ before: '' })).toEqual(shown(4))
        expect(await page({ before: all[5] })).toEqual(shown(2))
        expect(await page({ before: all[1] })).toEqual(shown(0, 1))
        expect(await page({ before: all[0] })).toMatchObject({ count: 7, rooms: [] })
        expect(await page({ index: 5 })).toEqual(shown(5))
        expect(await page({ limit: 0 })).toEqual({ count: 7, index: 0, rooms: [] })
        for (const wrong of [{ after: 'alien' }, { before: 'alien' }, { after: 'nothing' }, { index: 7 }]) {
          expect(await page(wrong)).toBeUndefined()
        }
        expect(await store.mucLight.roomsOf(host, 'nobody@x', { limit: 3 })).toEqual({ count: 0, index: 0, rooms: [] })
        const [first] = (await store.mucLight.roomsOf(host, 'a@x', { limit: 1 }))!.rooms
        expect(first).toEqual({ room: '0', version: '0', configuration: state('').configuration })
      })

      it('keeps whom a user blocks, and says who may be added', async () => {
        const blocks = (jid: string) => store.mucLight.blocked(host, jid)
        const block = (kind: 'room' | 'user', jid: string) => ({ kind, jid })
        await store.mucLight.block(
          host,
          'a@x',
          [block('user', 'c@x'), block('room', 'tea@y'), block('user', 'b@x')],
          [],
        )
        await store.mucLight.block(host, 'a@x', [block('user', 'b@x')], [block('user', 'absent@x')])
        expect(await blocks('a@x')).toEqual([block('room', 'tea@y'), block('user', 'b@x'), block('user', 'c@x')])
        await store.mucLight.block(host, 'a@x', [block('user', 'd@x')], [block('user', 'b@x'), block('room', 'c@x')])
        expect(await blocks('a@x')).toEqual([block('room', 'tea@y'), block('user', 'c@x'), block('user', 'd@x')])
        expect(await blocks('b@x')).toEqual([])
        expect(await store.mucLight.blocked(other, 'a@x')).toEqual([])
        await store.mucLight.create(host, 'one', state('1', 'b@x'), Infinity)
        await store.mucLight.create(host, 'two', state('1', 'b@x', 'a@x'), Infinity)
        const standing = (...by: ReturnType<typeof block>[]) =>
          store.mucLight.standing(host, ['b@x', 'a@x', 'nobody@x'], by)
        const found = (isBlocking: boolean) => [
          { rooms: 2, isBlocking: false },
          { rooms: 1, isBlocking },
          { rooms: 0, isBlocking: false },
        ]
        expect(await standing()).toEqual(found(false))
        expect(await standing(block('user', 'b@x'), block('room', 'c@x'))).toEqual(found(false))
        expect(await standing(block('user', 'b@x'), block('room', 'tea@y'))).toEqual(found(true))
      })

      it.each(awkward)('treats %j as a name and nothing else', async name => {
        await store.mucLight.create(host, name, state('1', `${name}@x`), Infinity)
        await store.mucLight.create(host, 'bystander', state('1', 'b@x'), Infinity)
        expect(await store.mucLight.load(host, name)).toEqual(state('1', `${name}@x`))
        expect((await store.mucLight.roomsOf(host, `${name}@x`, { limit: 9 }))?.rooms[0]?.room).toBe(name)
        await store.mucLight.block(host, `${name}@x`, [{ kind: 'user', jid: name }], [])
        expect(await store.mucLight.blocked(host, `${name}@x`)).toEqual([{ kind: 'user', jid: name }])
        expect(await store.mucLight.remove(host, name, '1')).toBe(true)
        expect(await store.mucLight.load(host, 'bystander')).toEqual(state('1', 'b@x'))
      })

      it('keeps addresses as long as they may be', async () => {
        // Random, so that no index gets away with it by compression.
        const long = (bytes: number) => randomBytes(bytes).toString('hex').slice(0, 1023)
        const [service, room] = [long(512), long(512)]
        const jids = [`${long(512)}@${long(512)}`, `${long(512)}@${long(512)}`]
        await store.mucLight.create(service, room, state('1', ...jids), Infinity)
        expect((await store.mucLight.roomsOf(service, jids[1]!, { limit: 1 }))?.rooms[0]?.room).toBe(room)
        await store.mucLight.block(service, jids[0]!, [{ kind: 'user', jid: jids[1]! }], [])
        expect(await store.mucLight.blocked(service, jids[0]!)).toEqual([{ kind: 'user', jid: jids[1] }])
      })
    })

    describe('multi-user chat (XEP-0045)', () => {
      const listing = (change: Partial<MucListing> = {}): MucListing => ({
        name: 'Tea',
        isPublic: true,
        isPersistent: true,
        ...change,
      })
      const state = (...owners: string[]): MucRoom => ({
        configuration: { name: 'Tea', limit: 3, hidden: false, nobody: null },
        history: [],
        affiliations: owners.map(jid => ({ jid, affiliation: 'owner' })),
      })
      const make = (room: string, shown: Partial<MucListing> = {}, service = host) =>
        store.muc.create(service, room, { ...state('a@x'), listing: listing(shown) })
      const load = async (room: string): Promise<MucRoom | undefined> => {
        const found = await store.muc.load(host, room)
        return found && { ...found, affiliations: found.affiliations.sort((a, b) => (a.jid < b.jid ? -1 : 1)) }
      }
      const update = (room: string, change: MucChange) => store.muc.update(host, room, change)

      it('keeps a room, and knows no other', async () => {
        expect(await make('tea')).toBe(true)
        expect(await store.muc.create(host, 'tea', { ...state('b@x'), listing: listing() })).toBe(false)
        expect(await load('tea')).toEqual(state('a@x'))
        expect(await load('coffee')).toBeUndefined()
        expect(await store.muc.load(other, 'tea')).toBeUndefined()
      })

      it('changes what is named and nothing else', async () => {
        await make('tea')
        const subject = { message: "<message><subject>It's 5</subject></message>", at: 17 }
        const history = [{ id: 'a', message: '<message/>' }]
        expect(await update('tea', { subject })).toBe(true)
        expect(await update('tea', { history })).toBe(true)
        expect(await load('tea')).toEqual({ ...state('a@x'), subject, history })
        const configuration = { name: 'Coffee' }
        expect(await update('tea', { configured: { configuration, listing: listing({ name: 'Coffee' }) } })).toBe(true)
        expect(await load('tea')).toEqual({ ...state('a@x'), configuration, subject, history })
        expect(await update('tea', { history: [] })).toBe(true)
        expect(await load('tea')).toEqual({ ...state('a@x'), configuration, subject })
        expect(await update('coffee', { history })).toBe(false)
        expect(await load('coffee')).toBeUndefined()
      })

      it('changes how users stand to a room', async () => {
        await make('tea')
        const put: MucChange['put'] = [
          { jid: 'b@x', affiliation: 'none', nick: 'Bea' },
          { jid: 'c@x', affiliation: 'outcast', reason: 'spam' },
        ]
        expect(await update('tea', { put, remove: ['a@x', 'absent@x'] })).toBe(true)
        expect((await load('tea'))?.affiliations).toEqual(put)
        expect(await update('tea', { put: [{ jid: 'b@x', affiliation: 'member' }], remove: ['c@x'] })).toBe(true)
        expect((await load('tea'))?.affiliations).toEqual([{ jid: 'b@x', affiliation: 'member' }])
      })

      it('tells which rooms somebody has to do with', async () => {
        for (const room of ['c', 'a', 'b']) await make(room)
        await make('elsewhere', {}, other)
        await update('b', { remove: ['a@x'] })
        expect(await store.muc.affiliated(host, 'a@x')).toEqual(['a', 'c'])
        expect(await store.muc.affiliated(host, 'nobody@x')).toEqual([])
      })

      it('forgets a removed room with its archive', async () => {
        const archived = async (room: string) => (await store.archive.page(room, host, { limit: 9 }))?.length
        const say = (room: string, at: number) =>
          store.archive.append({
            user: room,
            host,
            id: archiveId(at, '0'.repeat(8)),
            contact: 'a@x',
            resource: '',
            xml: Buffer.from('<message/>'),
          })
        await make('tea')
        await make('coffee')
        await say('tea', 1)
        await say('coffee', 2)
        expect(await store.muc.remove(host, 'tea')).toBe(true)
        expect(await store.muc.remove(host, 'tea')).toBe(false)
        expect(await archived('tea')).toBe(0)
        expect(await archived('coffee')).toBe(1)
        expect(await load('tea')).toBeUndefined()
        expect(await store.muc.affiliated(host, 'a@x')).toEqual(['coffee'])
        await say('tea', 3)
        expect(await make('tea')).toBe(true)
        expect(await archived('tea')).toBe(0)
      })

      it('removes the rooms that do not outlive their occupants', async () => {
        await make('kept')
        await make('temporary', { isPersistent: false })
        await make('elsewhere', { isPersistent: false }, other)
        await store.muc.removeTemporary(host)
        expect(await load('kept')).toEqual(state('a@x'))
        expect(await load('temporary')).toBeUndefined()
        expect(await store.muc.affiliated(host, 'a@x')).toEqual(['kept'])
        expect(await store.muc.load(other, 'elsewhere')).toEqual(state('a@x'))
      })

      it('pages through the public rooms of a service', async () => {
        for (const room of ['c', 'a', 'e', 'b', 'd']) await make(room, { name: room.toUpperCase() })
        await make('bb', { isPublic: false })
        await make('elsewhere', {}, other)
        const page = async (request: Omit<Parameters<Store['muc']['list']>[1], 'limit'>, limit = 2) => {
          const { count, index, rooms } = await store.muc.list(host, { limit, ...request })
          expect(rooms.map(({ name }) => name)).toEqual(rooms.map(({ room }) => room.toUpperCase()))
          return [count, index, rooms.map(({ room }) => room).join('')]
        }
        expect(await page({})).toEqual([5, 0, 'ab'])
        expect(await page({ after: 'b' })).toEqual([5, 2, 'cd'])
        expect(await page({ after: 'd' })).toEqual([5, 4, 'e'])
        expect(await page({ after: 'e' })).toEqual([5, 0, ''])
        expect(await page({ before: '' })).toEqual([5, 3, 'de'])
        expect(await page({ before: 'c' })).toEqual([5, 0, 'ab'])
        expect(await page({ index: 1 })).toEqual([5, 1, 'bc'])
        expect(await page({ index: 9 })).toEqual([5, 0, ''])
        expect(await page({}, 0)).toEqual([5, 0, ''])
        expect(await page({}, Infinity)).toEqual([5, 0, 'abcde'])
        const hidden = { configuration: {}, listing: listing({ isPublic: false }) }
        await update('a', { configured: hidden })
        expect(await page({})).toEqual([4, 0, 'bc'])
      })

      it.each(awkward)('treats %j as a name and nothing else', async name => {
        await make(name, { name })
        await make('bystander')
        const put = [{ jid: `${name}@x`, affiliation: 'member', nick: name, reason: name } as const]
        expect(await update(name, { put, remove: ['a@x'] })).toBe(true)
        expect((await load(name))?.affiliations).toEqual(put)
        expect(await store.muc.affiliated(host, `${name}@x`)).toEqual([name])
        expect((await store.muc.list(host, { limit: 9 })).rooms).toContainEqual({ room: name, name })
        expect(await store.muc.remove(host, name)).toBe(true)
        expect(await load('bystander')).toEqual(state('a@x'))
      })

      it('keeps addresses as long as they may be', async () => {
        const long = () => randomBytes(512).toString('hex').slice(0, 1023)
        const [service, room, jid] = [long(), long(), `${long()}@${long()}`]
        await store.muc.create(service, room, { ...state(jid), listing: listing() })
        expect(await store.muc.affiliated(service, jid)).toEqual([room])
        expect((await store.muc.list(service, { limit: 1 })).rooms[0]?.room).toBe(room)
      })
    })

    describe('facts about the installation', () => {
      it('keeps the first value of a key', async () => {
        const first = Buffer.from([0, 1, 255])
        expect(await store.meta.putIfAbsent('secret', first)).toEqual(first)
        const second = await store.meta.putIfAbsent('secret', Buffer.from('other'))
        expect(Buffer.isBuffer(second)).toBe(true)
        expect(second).toEqual(first)
        expect(await store.meta.putIfAbsent('another', Buffer.from('other'))).toEqual(Buffer.from('other'))
      })
    })

    it('lets a read see every write that was asked for before it, without waiting for them', async () => {
      const counts: Promise<number>[] = []
      for (let round = 0; round < 50; round += 1) {
        store.offline
          .add('romeo', host, '<message/>', 1, Infinity)
          .catch((error: unknown) => expect(error).toBeUndefined())
        counts.push(store.offline.count('romeo', host))
      }
      expect(await Promise.all(counts)).toEqual(Array.from({ length: 50 }, (_, index) => index + 1))
    })

    it('fails a write that cannot be stored, and none of its neighbours of the same tick', async () => {
      const bad = item('z@x', { subscription: 'everything' as 'both' }) // Not a subscription: what the store refuses.
      const results = await Promise.allSettled([
        store.offline.add('romeo', host, '<m n="1"/>', 1, 10),
        store.rosters.update('romeo', host, { put: [bad] }),
        store.accounts.create('romeo', other, credentials()),
        store.rosters.update('romeo', other, { put: [item('a@x')] }),
      ])
      expect(results.map(result => result.status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'fulfilled'])
      expect(await store.offline.count('romeo', host)).toBe(1)
      expect(await store.accounts.exists('romeo', other)).toBe(true)
      expect((await store.rosters.load('romeo', other)).items).toEqual([item('a@x')])
    })

    it('writes what was asked for before it closes, and rejects what comes after', async () => {
      const another = await open()
      const results = Array.from({ length: 20 }, () => another.offline.add('romeo', host, '<message/>', 1, Infinity))
      const closing = another.close()
      await expect(another.accounts.exists('romeo', host)).rejects.toHaveProperty('name', 'StoreUnavailable')
      expect(await Promise.all(results)).not.toContain('full')
      await closing
      await expect(another.accounts.exists('romeo', host)).rejects.toHaveProperty('name', 'StoreUnavailable')
    })
  })
}
