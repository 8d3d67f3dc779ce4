import { describe, expect, it, vi } from 'vitest'
import { startRemovals } from '../../src/composition/removals.js'
import { removeAccount } from '../../src/routing/session-lifecycle.js'
import { type RosterItem, StoreUnavailable } from '../../src/storage/store.js'
import { temporaryFolder } from '../storage/folder.js'
import { startInFolder } from '../support/server.js'
import { jid, settled, world } from '../support/world.js'

/*
 * An account is removed in one transaction here, and after that from the rooms and the rosters of others.
 */

const service = 'muclight.localhost'
const modules = { mod_muc_light: {}, mod_roster: {} }
const both = (contact: string): RosterItem => ({
  jid: contact,
  name: '',
  subscription: 'both',
  ask: false,
  approved: false,
  groups: [],
})

describe('an account that was removed while the process died', () => {
  it('is in no room and in nobody’s roster after the next start, and nobody else loses anything', async () => {
    const folder = temporaryFolder()
    const first = await startInFolder(folder, { config: { modules } })
    const { store } = first.internals
    for (const user of ['romeo', 'juliet', 'benvolio']) await store.accounts.create(user, 'localhost', { scram: {} })
    await store.rosters.update('juliet', 'localhost', { put: [both('romeo@localhost')] })
    await store.rosters.update('romeo', 'localhost', { put: [both('juliet@localhost'), both('benvolio@localhost')] })
    const occupants = ['romeo', 'juliet', 'benvolio'].map((user, at) => ({
      jid: `${user}@localhost`,
      affiliation: at === 0 ? ('owner' as const) : ('member' as const),
    }))
    await store.mucLight.create(service, 'balcony', { version: '1', configuration: {}, occupants }, Infinity)
    await store.mucLight.block(service, 'juliet@localhost', [{ kind: 'user', jid: 'paris@localhost' }], [])
    // All that is done of a removal before the process dies.
    await store.accounts.remove('juliet', 'localhost')
    await first.stop()

    const second = await startInFolder(folder, { config: { modules } })
    const { store: later } = second.internals
    const room = await later.mucLight.load(service, 'balcony')
    const left = typeof room === 'object' ? room.occupants.map(({ jid }) => jid).sort() : room
    expect(left).toEqual(['benvolio@localhost', 'romeo@localhost'])
    expect(await later.mucLight.blocked(service, 'juliet@localhost')).toEqual([])
    const { items } = await later.rosters.load('romeo', 'localhost')
    expect(items.map(({ jid, subscription }) => [jid, subscription])).toEqual([
      ['benvolio@localhost', 'both'],
      ['juliet@localhost', 'none'],
    ])
    expect(await later.accounts.unfinishedRemovals('localhost', { limit: 9 })).toEqual([])
    await second.stop()
  })
})

describe('a removal that the store interrupts', () => {
  const romeo = 'romeo@montague.example'

  async function setUp(failures = 1) {
    const server = world({ modules: { mod_roster: {} } })
    await server.register(romeo)
    const undos: (() => void | Promise<void>)[] = []
    const seen: string[] = []
    let left = failures
    server.routing.hooksOf('montague.example').accountRemoved.observe(async account => {
      seen.push(account.text)
      left -= 1
      if (left >= 0) throw new StoreUnavailable('down')
    })
    const bugs: unknown[] = []
    const base = {
      clock: server.clock,
      later: (undo: () => void | Promise<void>) => void undos.push(undo),
      onBug: (error: unknown) => void bugs.push(error),
    }
    await startRemovals(base, server.store, server.routing)
    const remove = () =>
      removeAccount(server.routing, jid(romeo), () => server.store.accounts.remove('romeo', 'montague.example'))
    const unfinished = async () =>
      (await server.store.accounts.unfinishedRemovals('montague.example', { limit: 9 })).length
    return { server, seen, bugs, remove, unfinished, stop: () => Promise.all(undos.map(undo => undo())) }
  }

  it('is finished a little later, once', async () => {
    const { server, seen, bugs, remove, unfinished, stop } = await setUp()
    await expect(remove()).rejects.toThrow('down')
    expect(await unfinished()).toBe(1)
    // At the first look it could still be under way.
    server.clock.advance(60_000)
    await vi.waitFor(() => expect(server.clock.pending).toBeGreaterThan(0))
    expect(seen).toEqual([romeo])
    server.clock.advance(60_000)
    await vi.waitFor(async () => expect(await unfinished()).toBe(0))
    expect(seen).toEqual([romeo, romeo])
    await vi.waitFor(() => expect(server.clock.pending).toBeGreaterThan(0))
    server.clock.advance(60_000)
    await settled()
    expect(seen).toEqual([romeo, romeo])
    expect(bugs).toEqual([])
    await stop()
  })

  it('is looked for again after the store was down', async () => {
    const { server, seen, remove, unfinished, stop } = await setUp()
    await expect(remove()).rejects.toThrow('down')
    server.store.isFailing = true
    server.clock.advance(60_000)
    await vi.waitFor(() => expect(server.clock.pending).toBeGreaterThan(0))
    server.store.isFailing = false
    for (let looks = 0; looks < 2; looks++) {
      server.clock.advance(60_000)
      await vi.waitFor(() => expect(server.clock.pending).toBeGreaterThan(0))
    }
    await vi.waitFor(async () => expect(await unfinished()).toBe(0))
    expect(seen).toEqual([romeo, romeo])
    await stop()
    expect(server.clock.pending).toBe(0)
  })

  it('leaves nothing to be finished when nothing goes wrong', async () => {
    const { seen, remove, unfinished, stop } = await setUp(0)
    expect(await remove()).toBe(true)
    expect(seen).toEqual([romeo])
    expect(await unfinished()).toBe(0)
    await stop()
  })
})
