import { describe, expect, it } from 'vitest'
import { SWEEP_MS } from '../../../src/actors/runtime/hibernation.js'
import { Actor, type ActorInit, inspect, spawn, spawnActor } from '../../../src/actors/runtime/index.js'
import { bench, gate } from './support.js'

class Sleeper extends Actor<string> {
  readonly log: string[] = []
  count: number | undefined = 0
  readonly #handle: (message: string) => void | Promise<void>

  constructor(init: ActorInit, handle: (message: string) => void | Promise<void> = () => undefined) {
    super(init)
    this.#handle = handle
  }

  protected override receive(message: string): void | Promise<void> {
    this.log.push(`${message} ${this.count}`)
    if (this.count !== undefined) this.count++
    return this.#handle(message)
  }

  protected override pack(): string | undefined {
    const record = String(this.count)
    this.count = undefined
    this.log.push('pack')
    return record
  }

  protected override unpack(record: string): void {
    this.log.push('unpack')
    this.count = Number(record)
  }

  protected override stopped(): void {
    this.log.push(`stopped ${this.count}`)
  }
}

function sleeper(hibernateAfter: number | undefined, handle?: (message: string) => void | Promise<void>) {
  const the = bench()
  const options = hibernateAfter === undefined ? {} : { hibernateAfter }
  const actor = spawnActor(the.runtime.root, init => new Sleeper(init, handle), options)
  const look = () => {
    const info = inspect(the.runtime, String(actor.path))
    return [info?.state, info?.hibernations]
  }
  return { ...the, actor, look }
}

describe('hibernation (spec/listeners.md §1.8)', () => {
  it('0: is flagged and counted once the drain that handled a stanza has ended, once per drain', async () => {
    const { actor, look, settle, runtime } = sleeper(0)
    let during: unknown
    const lookAtOther = () => {
      during = look()
    }
    const other = spawnActor(runtime.root, init => new Sleeper(init, lookAtOther))
    for (let i = 0; i < 200; i++) actor.tellStanza('s')
    await settle()
    expect(look()).toEqual(['hibernated', 1])
    actor.tellStanza('s')
    other.tell('after it in the same drain')
    await settle()
    expect(during).toEqual(['idle', 1])
    expect(look()).toEqual(['hibernated', 2])
  })

  it('packs after a whole sweep of rest and unpacks before the next handler', async () => {
    const { actor, look, settle, clock } = sleeper(0)
    actor.tell('a')
    await settle()
    clock.advance(SWEEP_MS)
    expect(actor.log).toEqual(['a 0'])
    clock.advance(SWEEP_MS)
    expect(actor.log).toEqual(['a 0', 'pack'])
    expect(actor.count).toBeUndefined()
    actor.tell('b')
    await settle()
    expect(actor.log).toEqual(['a 0', 'pack', 'unpack', 'b 1'])
    expect(look()).toEqual(['hibernated', 2])
  })

  it('does not pack what was awake between two sweeps, and sweeps only while something rests', async () => {
    const { actor, settle, clock } = sleeper(0)
    for (let i = 0; i < 5; i++) {
      actor.tell('x')
      await settle()
      clock.advance(SWEEP_MS - 1)
    }
    expect(actor.log).not.toContain('pack')
    clock.advance(2 * SWEEP_MS)
    expect(actor.log).toContain('pack')
    expect(clock.pending).toBe(0)
  })

  it('N > 0: is flagged N ms after the last message and not before', async () => {
    const { actor, look, settle, clock } = sleeper(200)
    actor.tellStanza('a')
    await settle()
    clock.advance(100)
    expect(look()).toEqual(['idle', 0])
    actor.tellStanza('b')
    await settle()
    clock.advance(150)
    expect(look()).toEqual(['idle', 0])
    clock.advance(150)
    expect(look()).toEqual(['hibernated', 1])
    clock.advance(2 * SWEEP_MS)
    expect(actor.log.at(-1)).toBe('pack')
    actor.tellStanza('c')
    await settle()
    expect(look()).toEqual(['idle', 1])
    expect(actor.log.slice(-2)).toEqual(['unpack', 'c 2'])
  })

  it('N > 0: counts from the end of a promise, even outside any drain', async () => {
    const waiting = gate()
    const { actor, look, settle, clock } = sleeper(200, () => waiting.opened)
    actor.tell('a')
    await settle()
    clock.advance(1000)
    expect(look()).toEqual(['busy', 0])
    waiting.open()
    await settle()
    clock.advance(300)
    expect(look()).toEqual(['hibernated', 1])
  })

  it('never hibernates without the option, nor with stanzas waiting behind a full transport', async () => {
    const never = sleeper(undefined)
    never.actor.tell('a')
    await never.settle()
    never.clock.advance(10_000)
    expect(never.look()).toEqual(['idle', 0])

    const paused = sleeper(0)
    paused.actor.pauseStanzas()
    paused.actor.tellStanza('s')
    paused.actor.tell('a')
    await paused.settle()
    paused.clock.advance(10_000)
    expect(paused.look()).toEqual(['idle', 0])
  })

  it('unpacks before stopped', async () => {
    const { actor, settle, clock } = sleeper(0)
    actor.tell('a')
    await settle()
    clock.advance(2 * SWEEP_MS)
    actor.stop()
    expect(actor.log.slice(-2)).toEqual(['unpack', 'stopped 1'])
  })

  it('keeps its deadlines while packed', async () => {
    const { runtime, clock, settle } = bench()
    const fired: (string | number)[] = []
    class Armed extends Sleeper {
      protected override timedOut(kind: string | number): void {
        fired.push(kind, this.count ?? -1)
      }
    }
    const actor = spawnActor(runtime.root, init => new Armed(init), { hibernateAfter: 0 })
    actor.arm('ping', clock.now() + 5000)
    actor.tell('a')
    await settle()
    clock.advance(4000)
    expect(actor.log).toContain('pack')
    clock.advance(1000)
    await settle()
    expect(fired).toEqual(['ping', 1])
  })

  it('keeps the state of an actor that cannot be packed now', async () => {
    const { runtime, clock, settle } = bench()
    class Unwilling extends Sleeper {
      // As while half a stanza has arrived.
      protected override pack(): undefined {
        return undefined
      }
    }
    const actor = spawnActor(runtime.root, init => new Unwilling(init), { hibernateAfter: 0 })
    actor.tell('a')
    await settle()
    clock.advance(5000)
    actor.tell('b')
    await settle()
    expect(actor.log).toEqual(['a 0', 'b 1'])
  })

  it('treats a throw in pack or unpack as a fault, and never resumes what could not be unpacked', async () => {
    const { runtime, clock, faults, settle } = bench()
    const broken = { initial: () => 1, receive: (state: number, _: string) => state, unpack: () => 1 }
    const packs = {
      ...broken,
      pack(): string {
        throw new Error('pack')
      },
    }
    const unpacks = {
      ...broken,
      pack: () => 'record',
      unpack(): number {
        throw new Error('unpack')
      },
    }
    const a = spawn(runtime.root, packs, { hibernateAfter: 0, policy: 'resume' })
    const b = spawn(runtime.root, unpacks, { hibernateAfter: 0, policy: 'resume' })
    a.tell('x')
    b.tell('x')
    await settle()
    clock.advance(5000)
    expect(a.tell('y')).toBe(true)
    b.tell('y')
    await settle()
    expect(faults.map(({ during, action }) => [during, action])).toEqual([
      ['pack', 'resume'],
      ['unpack', 'stop'],
    ])
    expect(b.tell('z')).toBe(false)
  })

  it('keeps only the record of a behaviour', async () => {
    const { runtime, clock, settle } = bench()
    const seen: unknown[] = []
    const ref = spawn(
      runtime.root,
      {
        initial: () => ({ seen: 0 }),
        receive: (state, _message: string) => {
          seen.push(state)
          return { seen: state.seen + 1 }
        },
        pack: state => JSON.stringify(state),
        unpack: record => JSON.parse(record) as { seen: number },
        inspected: state => ({ seen: state.seen }),
      },
      { name: 'b', hibernateAfter: 0 },
    )
    ref.tell('a')
    await settle()
    expect(inspect(runtime, '/root/b')?.details).toEqual({ seen: 1 })
    clock.advance(5000)
    expect(inspect(runtime, '/root/b')?.details).toEqual({})
    ref.tell('b')
    await settle()
    expect(seen).toEqual([{ seen: 0 }, { seen: 1 }])
  })
})
