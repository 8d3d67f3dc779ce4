import { describe, expect, it } from 'vitest'
import { Rosters, type RosterView } from '../../src/sessions/rosters.js'
import { type RosterItem, StoreUnavailable } from '../../src/storage/store.js'
import { MemoryStore } from '../support/memory-store.js'
import { jid } from '../support/world.js'

const romeo = jid('romeo@montague.example')
const contact = (
  text: string,
  subscription: RosterItem['subscription'] = 'none',
  groups: string[] = [],
): RosterItem => ({
  jid: text,
  name: '',
  subscription,
  ask: false,
  approved: false,
  groups,
})

function setUp(capacity?: number) {
  const store = new MemoryStore()
  const rosters = new Rosters(store.rosters, capacity === undefined ? {} : { capacity })
  const put = (...items: RosterItem[]) =>
    rosters.change(romeo, () => ({ change: { put: items }, committed: r => r.version }))
  const loads = () => store.log.filter(line => line.startsWith('rosters.load')).length
  return { store, rosters, put, loads }
}

describe('reading a roster', () => {
  it('asks the store once, then answers at once', async () => {
    const { rosters, loads } = setUp()
    const [first, second] = [rosters.get(romeo), rosters.get(romeo)]
    expect(first).toBeInstanceOf(Promise)
    const view = await first
    expect(await second).toBe(view)
    expect(rosters.get(romeo)).toBe(view)
    expect(loads()).toBe(1)
  })

  it('says who sees the user and whom the user sees', async () => {
    const { rosters, put } = setUp()
    await put(
      contact('a@x.example', 'to'),
      contact('b@x.example', 'from'),
      contact('c@x.example', 'both'),
      contact('d@x.example'),
    )
    const view = await rosters.get(romeo)
    expect(view.subscribers.map(String)).toEqual(['b@x.example', 'c@x.example'])
    expect(view.subscriptions.map(String)).toEqual(['a@x.example', 'c@x.example'])
    await put(contact('a@x.example', 'both'))
    expect(view.subscribers.map(String)).toContain('a@x.example')
  })

  it('remembers no more items than it may, and reads again what it forgot', async () => {
    const { rosters, put, loads } = setUp(10)
    await put(...Array.from({ length: 6 }, (_, i) => contact(`c${i}@x.example`)))
    await rosters.get(romeo)
    const before = loads()
    await rosters.change(jid('juliet@capulet.example'), () => ({
      change: { put: Array.from({ length: 6 }, (_, i) => contact(`c${i}@x.example`)) },
      committed: () => undefined,
    }))
    expect(rosters.get(romeo)).toBeInstanceOf(Promise)
    expect((await rosters.get(romeo)).items.size).toBe(6)
    expect(loads()).toBeGreaterThan(before)
  })

  it('rejects with StoreUnavailable and works again when the store does', async () => {
    const { rosters, store } = setUp()
    store.isFailing = true
    await expect(rosters.get(romeo)).rejects.toThrow(StoreUnavailable)
    store.isFailing = false
    expect((await rosters.get(romeo)).version).toBe(0)
  })
})

describe('changing a roster', () => {
  it('loses none of many changes made at the same time', async () => {
    const { rosters, store } = setUp()
    const add = (n: number) =>
      rosters.change(romeo, view => {
        const groups = view.items.get('a@x.example')?.groups ?? []
        return { change: { put: [contact('a@x.example', 'none', [...groups, `g${n}`])] }, committed: () => n }
      })
    expect(await Promise.all(Array.from({ length: 20 }, (_, n) => add(n)))).toEqual(
      Array.from({ length: 20 }, (_, n) => n),
    )
    const [stored] = (await store.rosters.load('romeo', 'montague.example')).items
    expect(stored!.groups).toEqual(Array.from({ length: 20 }, (_, n) => `g${n}`))
    expect((await rosters.get(romeo)).items.get('a@x.example')).toEqual(stored)
  })

  it('is told after commit, before the next change is decided', async () => {
    const { rosters, store } = setUp()
    let open = () => {}
    store.gate = new Promise(resolve => {
      open = resolve
    })
    const order: string[] = []
    const change = (name: string) =>
      rosters.change(romeo, view => {
        order.push(`${name} decided at ${view.version}`)
        return {
          change: { put: [contact(`${name}@x.example`)] },
          committed: after => void order.push(`${name} committed as ${after.version}`),
        }
      })
    const both = Promise.all([change('a'), change('b')])
    await Promise.resolve()
    expect(order).toEqual([])
    open()
    await both
    expect(order).toEqual(['a decided at 0', 'a committed as 1', 'b decided at 1', 'b committed as 2'])
  })

  it('does not write when there is nothing to change, nor when the decision throws', async () => {
    const { rosters, store } = setUp()
    expect(await rosters.change(romeo, () => ({ committed: view => view.version }))).toBe(0)
    await expect(
      rosters.change(romeo, () => {
        throw new Error('no')
      }),
    ).rejects.toThrow('no')
    expect(store.log.filter(line => line.startsWith('rosters.update'))).toEqual([])
    expect(await rosters.change(romeo, () => ({ committed: view => view.version }))).toBe(0)
  })

  it('that the store refuses leaves the roster as the store has it, and the next one works', async () => {
    const { rosters, store, put } = setUp()
    await put(contact('a@x.example'))
    store.isFailing = true
    await expect(put(contact('b@x.example'))).rejects.toThrow(StoreUnavailable)
    store.isFailing = false
    expect([...(await rosters.get(romeo)).items.keys()]).toEqual(['a@x.example'])
    expect(await put(contact('c@x.example'))).toBe(2)
  })

  it('that was written though its answer was lost is seen by the next reader', async () => {
    const { rosters, store, put } = setUp()
    await put(contact('a@x.example'))
    const update = store.rosters.update
    store.rosters.update = async (...change) => {
      await update(...change)
      throw new StoreUnavailable('lost')
    }
    await expect(put(contact('b@x.example'))).rejects.toThrow('lost')
    expect([...(await rosters.get(romeo)).items.keys()]).toEqual(['a@x.example', 'b@x.example'])
  })

  it('is seen by a reader who asks while the change waits and the cache holds nothing', async () => {
    const { rosters, store, put } = setUp(1) // nothing but an empty roster fits
    await put(contact('b@x.example'))
    let open = () => {}
    const change = rosters.change(romeo, () => {
      store.gate = new Promise(resolve => {
        open = resolve
      })
      return { change: { put: [contact('a@x.example')] }, committed: () => undefined }
    })
    await new Promise(resolve => setImmediate(resolve))
    const reader = rosters.get(romeo)
    // A second copy, read before the change is written, would never learn of it.
    expect(reader).not.toBeInstanceOf(Promise)
    open()
    await change
    expect([...(await reader).items.keys()]).toEqual(['b@x.example', 'a@x.example'])
  })

  it('forgets an account that was removed', async () => {
    const { rosters, store, put } = setUp()
    await put(contact('a@x.example'))
    await store.accounts.remove('romeo', 'montague.example')
    rosters.forget(romeo)
    const view: RosterView = await rosters.get(romeo)
    expect(view.items.size).toBe(0)
  })
})
