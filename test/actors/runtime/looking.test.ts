import { describe, expect, it } from 'vitest'
import {
  Actor,
  type ActorEvent,
  Busiest,
  examine,
  glance,
  search,
  spawnActor,
} from '../../../src/actors/runtime/index.js'
import { bench, Scripted, Supervisor } from './support.js'

class Anything extends Actor<unknown> {
  protected override receive(): void {}
}

const whole = { depth: 10, limit: 100, offset: 0, counts: true }

describe('an observer', () => {
  it('is told what happens to actors, until it does not want to be', async () => {
    const { runtime, settle } = bench()
    const told: [string, string | undefined, object][] = []
    const end = runtime.observe(({ type, path, details }: ActorEvent) => told.push([type, path, details]))
    const top = spawnActor(runtime.root, init => new Supervisor(init), { name: 'top' })
    const policy = { restarts: 3, withinMs: 1000 }
    const actor = spawnActor(top, init => new Scripted(init), { name: 'a', policy, mailboxLimit: 1, hibernateAfter: 0 })
    actor.tell('x')
    await settle()
    runtime.fault('/root/top/a', new Error('bad'))
    await settle()
    const now = runtime.find('/root/top/a') as Scripted
    now.pauseStanzas()
    now.tellStanza('one')
    now.tellStanza('two')
    await settle()
    expect(told).toEqual([
      ['spawned', '/root/top', {}],
      ['spawned', '/root/top/a', {}],
      ['hibernated', '/root/top/a', {}],
      ['faulted', '/root/top/a', { during: 'receive', cause: 'Error: bad', action: 'restart' }],
      ['stopped', '/root/top/a', { reason: 'fault' }],
      ['restarted', '/root/top/a', { restarts: 1 }],
      ['hibernated', '/root/top/a', {}],
      ['overflowed', '/root/top/a', { waiting: 1, limit: 1 }],
      ['stopped', '/root/top/a', { reason: 'queue-limit' }],
    ])
    end()
    top.stop()
    expect(told).toHaveLength(9)
    expect(runtime.observer).toBeUndefined()
  })

  it('that throws harms neither the actors nor the others', () => {
    const { runtime } = bench()
    const told: string[] = []
    runtime.observe(() => {
      throw new Error('bad')
    })
    runtime.observe(({ type }) => told.push(type))
    spawnActor(runtime.root, init => new Supervisor(init), { name: 'a' })
    expect(told).toEqual(['spawned'])
  })
})

describe('startAgain', () => {
  it('starts a successor with what waits, counts no fault, and refuses where nobody restarts', async () => {
    const { runtime, settle } = bench()
    const policy = { restarts: 1, withinMs: 1000 }
    const first = spawnActor(runtime.root, init => new Scripted(init), { name: 'a', policy })
    const plain = spawnActor(runtime.root, init => new Scripted(init), { name: 'b' })
    for (let i = 0; i < 3; i++) {
      expect((runtime.find('/root/a') as Scripted).startAgain()).toBe(true)
      await settle()
    }
    expect(first.startAgain()).toBe(false)
    expect(plain.startAgain()).toBe(false)
    expect(examine(runtime, '/root/a')).toMatchObject({ actor: { faults: 0, restarts: 0, state: 'idle' } })
  })
})

describe('examine', () => {
  it('shows the types of what waits, and of what was handled since it was first asked about', async () => {
    const { runtime, settle, clock } = bench()
    const actor: Actor<unknown> = spawnActor(runtime.root, init => new Anything(init), { name: 'a', mailboxLimit: 5 })
    actor.tell('not seen')
    await settle()
    actor.pauseStanzas()
    actor.tellStanza({ type: 'goOn' }, 2)
    actor.tellStanza({ type: 'what somebody wrote: hunter2' }, 0)
    expect(examine(runtime, '/root/a')).toMatchObject({
      parent: '/root',
      supervision: { policy: 'stop', mayRestart: false, mailboxLimit: 5, hibernateAfterMs: null },
      waiting: { control: [], stanzas: ['goOn', 'Object'] },
      recent: { types: [] },
    })
    actor.resumeStanzas()
    actor.tell('x')
    await settle()
    expect(examine(runtime, '/root/a')?.recent.types.map(({ type }) => type)).toEqual(['string', 'goOn', 'Object'])
    clock.advance(80_000)
    expect(runtime.watches).toBeUndefined()
    expect(examine(runtime, '/root/nobody')).toBeUndefined()
  })
})

describe('glance, search and busiest', () => {
  it('show the same tree', async () => {
    const { runtime, settle } = bench()
    const top = spawnActor(runtime.root, init => new Supervisor(init), { name: 'top' })
    for (let i = 0; i < 2500; i++) spawnActor(top, init => new Scripted(init), { name: `a${i}` })
    const actor = runtime.find('/root/top/a7') as Scripted
    actor.pauseStanzas()
    for (let i = 0; i < 3; i++) actor.tellStanza('x')
    await settle()
    const find = (filter: object, offset = 0) => search(runtime, '/root', filter, { limit: 10, offset })
    expect(await find({ mailbox: 3 })).toMatchObject({ actors: [{ name: 'a7' }], looked: 2502, hasMore: false })
    expect(await find({ kind: 'Scripted' }, 2495)).toMatchObject({ actors: { length: 5 }, hasMore: false })
    expect(await find({ kind: 'Scripted' }, 2489)).toMatchObject({ actors: { length: 10 }, hasMore: true })
    expect(await find({ states: ['busy'] })).toMatchObject({ actors: [] })
    expect(await search(runtime, '/root/nobody', {}, { limit: 1, offset: 0 })).toBeUndefined()
    const shown = glance(runtime, '/root/top', { ...whole, limit: 10_000 })
    expect(shown).toMatchObject({
      name: 'top',
      childCount: 2500,
      below: { states: { idle: 2500 }, mailbox: 3, mailboxMost: 3, faults: 0 },
    })
    expect(shown?.children?.items).toHaveLength(2500)
    expect(shown?.children?.items[7]).toEqual({
      name: 'a7',
      kind: 'Scripted',
      state: 'idle',
      mailbox: 3,
      waitingStanzas: 3,
    })
    const busiest = new Busiest(runtime)
    expect(busiest.look(2)).toEqual([])
    actor.resumeStanzas()
    ;(runtime.find('/root/top/a8') as Scripted).tell('x')
    await settle()
    expect(busiest.look(2).map(({ actor: { name }, messages }) => [name, messages])).toEqual([
      ['a7', 3],
      ['a8', 1],
    ])
    expect(busiest.look(2)).toEqual([])
  })
})
