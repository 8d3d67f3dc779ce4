import fc from 'fast-check'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Credentials, PrivacyItem, RosterItem, ScramKeys, Store, VcardCriterion } from '../../src/storage/store.js'

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
        expect(new Set(results)).toEqual(new Set(['stored']))
        const found: string[] = []
        for (let after = 0; ; ) {
          const page = await store.offline.page('romeo', host, { after, limit: 10 })
          if (page.length === 0) break
          found.push(...page.map(message => message.xml))
          after = page.at(-1)?.id ?? after
        }
        expect(found).toEqual(sent)
      })

      it('takes no more than the limit for one account, and more again once some are gone', async () => {
        const add = () => store.offline.add('romeo', host, '<message/>', 1, 2)
        expect([await add(), await add(), await add()]).toEqual(['stored', 'stored', 'full'])
        expect(await store.offline.add('juliet', host, '<message/>', 1, 2)).toBe('stored')
        const [first] = await store.offline.page('romeo', host, { after: 0, limit: 1 })
        await store.offline.remove('romeo', host, first?.id ?? 0)
        expect([await add(), await add()]).toEqual(['stored', 'full'])
        expect(await store.offline.add('romeo', other, '<message/>', 1, 0)).toBe('full')
      })

      it('holds the limit among messages of the same tick', async () => {
        const results = await Promise.all(
          Array.from({ length: 5 }, () => store.offline.add('romeo', host, '<m/>', 1, 3)),
        )
        expect(results).toEqual(['stored', 'stored', 'stored', 'full', 'full'])
      })

      it('never gives an id twice, so that a late removal takes nothing that came after it', async () => {
        await store.offline.add('romeo', host, '<message id="old"/>', 1, 10)
        const [old] = await store.offline.page('romeo', host, { after: 0, limit: 10 })
        await store.offline.remove('romeo', host, old?.id ?? 0)
        await store.offline.add('romeo', host, '<message id="new"/>', 1, 10)
        await store.offline.remove('romeo', host, old?.id ?? 0)
        const left = await store.offline.page('romeo', host, { after: old?.id ?? 0, limit: 10 })
        expect(left.map(message => message.xml)).toEqual(['<message id="new"/>'])
      })

      it('removes up to an id, of one account only', async () => {
        for (const user of ['romeo', 'juliet', 'romeo', 'romeo'])
          await store.offline.add(user, host, '<message/>', 1, 10)
        const page = await store.offline.page('romeo', host, { after: 0, limit: 10 })
        await store.offline.remove('romeo', host, page[1]?.id ?? 0)
        expect(await store.offline.page('romeo', host, { after: 0, limit: 10 })).toEqual([page[2]])
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
      expect(new Set(await Promise.all(results))).toEqual(new Set(['stored']))
      await closing
      await expect(another.accounts.exists('romeo', host)).rejects.toHaveProperty('name', 'StoreUnavailable')
    })
  })
}
