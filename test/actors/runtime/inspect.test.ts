import { describe, expect, it } from 'vitest'
import { inspect, spawn, spawnActor } from '../../../src/actors/runtime/index.js'
import { bench, Scripted, Supervisor } from './support.js'

describe('inspect', () => {
  it('shows an actor and its counters as plain JSON', async () => {
    const { runtime, clock, settle } = bench()
    clock.advance(1500)
    class Counted extends Scripted {
      override inspected() {
        return { jid: 'juliet@example.org', bytes: 12, isSecure: true }
      }
    }
    const actor = spawnActor(runtime.root, init => new Counted(init), { name: 'a' })
    actor.tell('one')
    actor.tell('two')
    await settle()
    actor.pauseStanzas()
    actor.tellStanza('chunk', 5)
    const info = inspect(runtime, '/root/a')
    expect(info).toEqual({
      name: 'a',
      path: '/root/a',
      kind: 'Counted',
      state: 'idle',
      messages: 2,
      turns: 1,
      mailbox: 1,
      mailboxPeak: 2,
      waitingStanzas: 5,
      faults: 0,
      restarts: 0,
      hibernations: 0,
      startedAt: clock.wall(),
      details: { jid: 'juliet@example.org', bytes: 12, isSecure: true },
      childCount: 0,
      children: { total: 0, offset: 0, items: [] },
    })
    expect(JSON.parse(JSON.stringify(info))).toEqual(info)
  })

  it('tells the states apart', async () => {
    const { runtime, settle } = bench()
    const options = { name: 'a', hibernateAfter: 0 }
    const actor = spawnActor(runtime.root, init => new Scripted(init, [], () => new Promise(() => undefined)), options)
    const state = () => inspect(runtime, '/root/a')?.state
    const states = [state()]
    actor.tell('x')
    states.push(state())
    await settle()
    states.push(state())
    expect(states).toEqual(['idle', 'runnable', 'busy'])
  })

  it('pages through children in their order, with the total', () => {
    const { runtime } = bench()
    for (let i = 0; i < 25; i++) spawnActor(runtime.root, init => new Supervisor(init), { name: `c${i}` })
    const names = (offset: number) => {
      const page = inspect(runtime, '', { limit: 10, offset })?.children
      expect(page).toMatchObject({ total: 25, offset })
      return page?.items.map(item => item.name)
    }
    expect(names(0)).toEqual(Array.from({ length: 10 }, (_, i) => `c${i}`))
    expect(names(20)).toEqual(['c20', 'c21', 'c22', 'c23', 'c24'])
    expect(names(30)).toEqual([])
  })

  it('goes as deep as asked and counts children below', () => {
    const { runtime } = bench()
    const a = spawnActor(runtime.root, init => new Supervisor(init), { name: 'a' })
    const b = spawnActor(a, init => new Supervisor(init), { name: 'b' })
    spawnActor(b, init => new Supervisor(init), { name: 'c' })
    expect(inspect(runtime, '/root', { depth: 0 })?.children).toBeUndefined()
    const deep = inspect(runtime, 'root/a', { depth: 1 })?.children?.items[0]
    expect([deep?.path, deep?.childCount, deep?.children]).toEqual(['/root/a/b', 1, undefined])
    expect(inspect(runtime, '/root', { depth: 9 })?.children?.items[0]?.children?.items[0]?.children?.total).toBe(1)
  })

  it('answers undefined for a path where nobody is', () => {
    const { runtime } = bench()
    expect(inspect(runtime, '/root/nobody')).toBeUndefined()
    expect(inspect(runtime, '/other')).toBeUndefined()
  })

  it('lists 5 000 actors at most in one answer, whatever depth and limit say', () => {
    const { runtime } = bench()
    for (let i = 0; i < 6000; i++) spawnActor(runtime.root, init => new Supervisor(init))
    const page = inspect(runtime, '', { limit: 1_000_000, depth: 3 })?.children
    expect([page?.items.length, page?.total]).toEqual([4999, 6000])
  })

  it('shows the error instead when the details throw', () => {
    const { runtime } = bench()
    spawn(
      runtime.root,
      {
        kind: 'x',
        initial: () => 0,
        receive: state => state,
        inspected: () => {
          throw new Error('not now')
        },
      },
      { name: 'a' },
    )
    expect(inspect(runtime, '/root/a')?.details).toEqual({ error: 'Error: not now' })
  })
})
