import { describe, expect, it } from 'vitest'
import { noLists, PrivacyLists } from '../../src/sessions/privacy-lists.js'
import type { PrivacyChange, PrivacyList } from '../../src/storage/store.js'
import { MemoryStore } from '../support/memory-store.js'
import { jid } from '../support/world.js'

const romeo = jid('romeo@montague.example')
const list = (name: string, length = 1): PrivacyList => ({
  name,
  items: Array.from({ length }, (_, i) => ({ type: 'jid', value: `a${i}@x`, action: 'deny', stanzas: [], order: i })),
})

function setUp(options: { capacity?: number; connected?: string[] } = {}) {
  const store = new MemoryStore()
  const connected = new Set(options.connected)
  const lists = new PrivacyLists(store.privacy, account => connected.has(account), options)
  const change = (wanted: PrivacyChange) => lists.change(romeo, () => ({ change: wanted, committed: after => after }))
  const loads = () => store.log.filter(line => line.startsWith('privacy.load')).length
  return { store, connected, lists, change, loads }
}

describe('the privacy lists of a host', () => {
  it('are read once, also when several ask at the same time, and are the same value for all accounts without any', async () => {
    const { lists, loads } = setUp()
    const [one, two] = await Promise.all([lists.get(romeo), lists.get(romeo)])
    expect([one, two, await lists.get(jid('juliet@montague.example'))]).toEqual([noLists, noLists, noLists])
    expect(one).toBe(noLists)
    expect(lists.get(romeo)).toBe(noLists)
    expect(loads()).toBe(2)
  })

  it('of a connected account are there at once, until it leaves', async () => {
    const { lists, connected } = setUp({ connected: [romeo.text] })
    expect(lists.peek(romeo.text)).toBeUndefined()
    await lists.get(romeo)
    expect(lists.peek(romeo.text)).toBe(noLists)
    connected.clear()
    lists.disconnected(romeo)
    expect(lists.peek(romeo.text)).toBeUndefined()
    expect(lists.get(romeo)).toBe(noLists)
  })

  it('of accounts that are not connected are kept as far as the capacity goes, those of connected ones always', async () => {
    const { lists, change, loads, connected } = setUp({ capacity: 50 })
    await change({ put: [list('l', 40)] })
    await lists.get(jid('other@montague.example'))
    expect(lists.get(romeo)).not.toBeInstanceOf(Promise)
    for (let i = 0; i < 20; i += 1) await lists.get(jid(`a${i}@montague.example`))
    expect(lists.get(romeo)).toBeInstanceOf(Promise)
    connected.add(romeo.text)
    await lists.get(romeo)
    for (let i = 20; i < 80; i += 1) await lists.get(jid(`a${i}@montague.example`))
    const before = loads()
    expect(lists.get(romeo)).not.toBeInstanceOf(Promise)
    expect(loads()).toBe(before)
  })

  it('longer than the whole capacity are read each time', async () => {
    const { lists, change } = setUp({ capacity: 10 })
    await change({ put: [list('l', 40)] })
    const found = await lists.get(romeo)
    expect(found.lists.get('l')?.list.items).toHaveLength(40)
    expect(lists.get(romeo)).toBeInstanceOf(Promise)
  })

  it('are changed one change after the other, each decided on what the one before it left', async () => {
    const { lists, store } = setUp()
    const add = (name: string) =>
      lists.change(romeo, view => ({
        change: { put: [list(name)], defaultName: name },
        committed: after => [view.lists.size, after.lists.size, after.defaultName],
      }))
    expect(await Promise.all([add('a'), add('b'), add('c')])).toEqual([
      [0, 1, 'a'],
      [1, 2, 'b'],
      [2, 3, 'c'],
    ])
    expect((await store.privacy.load('romeo', 'montague.example')).lists).toHaveLength(3)
  })

  it('lose the default with its list, and are none again without lists', async () => {
    const { change } = setUp()
    await change({ put: [list('a'), list('b')], defaultName: 'a' })
    expect((await change({ remove: ['a'] })).defaultName).toBeUndefined()
    expect(await change({ remove: ['b'] })).toBe(noLists)
  })

  it('are read anew after a change that failed, and the next change works', async () => {
    const { lists, change, store } = setUp({ connected: [romeo.text] })
    await change({ put: [list('a')] })
    store.isFailing = true
    await expect(change({ put: [list('b')] })).rejects.toHaveProperty('name', 'StoreUnavailable')
    store.isFailing = false
    expect(lists.peek(romeo.text)).toBeUndefined()
    expect([...(await lists.get(romeo)).lists.keys()]).toEqual(['a'])
    expect((await change({ put: [list('b')] })).lists.size).toBe(2)
  })

  it('of an account that is gone are forgotten', async () => {
    const { lists, change, loads } = setUp({ connected: [romeo.text] })
    await change({ put: [list('a')] })
    const before = loads()
    lists.forget(romeo)
    await lists.get(romeo)
    expect(loads()).toBe(before + 1)
  })
})
