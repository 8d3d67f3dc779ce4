import { describe, expect, it } from 'vitest'
import { type AnyActor, inspect, spawn, spawnActor } from '../../../src/actors/runtime/index.js'
import { Lane } from '../../../src/actors/runtime/lane.js'
import { bench, gate, Scripted, Supervisor } from './support.js'

describe('the two lanes', () => {
  it('handles control messages before waiting stanzas and keeps the order inside each lane', async () => {
    const { runtime, settle } = bench()
    const actor = spawnActor(runtime.root, init => new Scripted(init))
    actor.tellStanza('s1')
    actor.tell('c1')
    actor.tellStanza('s2')
    actor.tell('c2')
    await settle()
    expect(actor.log).toEqual(['c1', 'c2', 's1', 's2'])
  })

  it('keeps stanzas waiting while paused, goes on with control messages, and accepts more stanzas', async () => {
    const { runtime, settle } = bench()
    const actor = spawnActor(runtime.root, init => new Scripted(init))
    actor.pauseStanzas()
    actor.tellStanza('s1')
    actor.tell('c1')
    await settle()
    expect(actor.tellStanza('s2')).toBe(true)
    await settle()
    expect(actor.log).toEqual(['c1'])
    expect(actor.waitingStanzas).toBe(2)
    actor.resumeStanzas()
    await settle()
    expect(actor.log).toEqual(['c1', 's1', 's2'])
    expect(actor.waitingStanzas).toBe(0)
  })

  it('stops handling stanzas at once when a handler pauses the lane', async () => {
    const { runtime, settle } = bench()
    const actor = spawnActor(
      runtime.root,
      init =>
        new Scripted(init, [], function () {
          this.pauseStanzas()
        }),
    )
    actor.tellStanza('s1')
    actor.tellStanza('s2')
    await settle()
    expect(actor.log).toEqual(['s1'])
  })

  it('keeps the order of a lane that is never empty, far beyond what it keeps in one piece', () => {
    const lane = new Lane([0])
    let next = 1
    for (let expected = 0; expected < 10_000; expected++) {
      lane.push(next++)
      if (expected % 3 === 0) lane.push(next++)
      expect(lane.shift()).toBe(expected)
    }
    expect(lane.size).toBe(next - 10_000)
  })

  it('gives a stopping actor what it did not handle, by lane', async () => {
    const { runtime, settle } = bench()
    const left: unknown[] = []
    const ref = spawn(runtime.root, {
      initial: () => 0,
      receive: (state, _message: string, context) => {
        context.stop()
        return state
      },
      afterStop: (_state, _reason, _context, unhandled) => void left.push(unhandled),
    })
    ref.tell('first')
    ref.tell('second')
    await settle()
    expect(left).toEqual([{ control: ['second'], stanzas: [] }])
  })
})

describe('suspension', () => {
  it('handles nothing until the promise of the handler settles, and lets the others go on', async () => {
    const { runtime, settle } = bench()
    const waiting = gate()
    const actor = spawnActor(
      runtime.root,
      init => new Scripted(init, [], message => (message === 'wait' ? waiting.opened : undefined)),
    )
    const other = spawnActor(runtime.root, init => new Scripted(init))
    actor.tell('wait')
    actor.tell('control')
    actor.tellStanza('stanza')
    other.tell('meanwhile')
    await settle()
    expect(actor.log).toEqual(['wait'])
    expect(other.log).toEqual(['meanwhile'])
    expect(inspect(runtime, String(actor.path))?.state).toBe('busy')
    waiting.open()
    await settle()
    expect(actor.log).toEqual(['wait', 'control', 'stanza'])
  })

  it('treats a rejected promise as a throw', async () => {
    const { runtime, faults, settle } = bench()
    const failure = new Error('rejected')
    const actor = spawnActor(runtime.root, init => new Scripted(init, [], () => Promise.reject(failure)), {
      policy: 'resume',
    })
    actor.tell('a')
    actor.tell('b')
    await settle()
    expect(actor.log).toEqual(['a', 'b'])
    expect(faults.map(({ error, action }) => [error, action])).toEqual([
      [failure, 'resume'],
      [failure, 'resume'],
    ])
  })

  it('stops at once while a promise is open, and only tells of its rejection', async () => {
    const { runtime, faults, settle } = bench()
    const waiting = gate()
    const actor = spawnActor(runtime.root, init => new Scripted(init, [], () => waiting.opened), { name: 'a' })
    actor.tell('wait')
    await settle()
    actor.stop('gone')
    expect(actor.log).toEqual(['wait', 'a stopped: gone'])
    waiting.fail(new Error('late'))
    await settle()
    expect(actor.log).toEqual(['wait', 'a stopped: gone'])
    expect(faults.map(fault => fault.action)).toEqual(['none'])
  })

  it('suspends during an asynchronous start', async () => {
    const { runtime, settle } = bench()
    const waiting = gate()
    class Slow extends Scripted {
      protected override started(): Promise<void> {
        return waiting.opened.then(() => void this.log.push('started'))
      }
    }
    const actor = spawnActor(runtime.root, init => new Slow(init))
    actor.tell('a')
    await settle()
    waiting.open()
    await settle()
    expect(actor.log).toEqual(['started', 'a'])
  })
})

describe('mailboxLimit (spec/listeners.md §1.10)', () => {
  it('accepts as many stanzas as the limit and ends with queue-limit at the next', async () => {
    const { runtime, settle } = bench()
    const actor = spawnActor(runtime.root, init => new Scripted(init), { name: 'a', mailboxLimit: 10 })
    actor.pauseStanzas()
    for (let i = 0; i < 10; i++) expect(actor.tellStanza(`s${i}`)).toBe(true)
    await settle()
    expect(actor.isStopping).toBe(false)
    expect(actor.tellStanza('one more')).toBe(false)
    // The sender's handler does not run the end of somebody else.
    expect(actor.isStopping).toBe(false)
    await settle()
    expect(actor.log).toEqual(['a stopped: queue-limit'])
    expect(actor.tell('x')).toBe(false)
    expect(runtime.counters.overflows).toBe(1)
  })

  it('counts a chunk by the stanzas in it, gives their room back when it is handled, and control messages not at all', async () => {
    const { runtime, settle } = bench()
    const actor = spawnActor(runtime.root, init => new Scripted(init), { mailboxLimit: 10 })
    expect(actor.tellStanza('chunk', 8)).toBe(true)
    for (let i = 0; i < 100; i++) actor.tell('control')
    expect(actor.tellStanza('routed', 2)).toBe(true)
    expect(actor.waitingStanzas).toBe(10)
    await settle()
    expect(actor.waitingStanzas).toBe(0)
    expect(actor.tellStanza('again', 10)).toBe(true)
    expect(actor.isStopping).toBe(false)
  })

  it('ends even an actor whose promise never settles', async () => {
    const { runtime, settle } = bench()
    const actor = spawnActor(runtime.root, init => new Scripted(init, [], () => gate().opened), {
      name: 'a',
      mailboxLimit: 1,
    })
    actor.tell('wait')
    await settle()
    actor.tellStanza('s1')
    actor.tellStanza('s2')
    await settle()
    expect(actor.log).toEqual(['wait', 'a stopped: queue-limit'])
  })

  it('lets the supervisor decide otherwise: the stanza is refused and the actor lives', async () => {
    const { runtime, settle } = bench()
    const told: string[] = []
    class Lenient extends Supervisor {
      protected override childOverflowed(child: AnyActor): void {
        told.push(child.name)
      }
    }
    const parent = spawnActor(runtime.root, init => new Lenient(init))
    const actor = spawnActor(parent, init => new Scripted(init), { name: 'a', mailboxLimit: 1 })
    actor.pauseStanzas()
    actor.tellStanza('s1')
    expect(actor.tellStanza('s2')).toBe(false)
    expect(actor.tellStanza('s3')).toBe(false)
    await settle()
    expect(told).toEqual(['a'])
    actor.resumeStanzas()
    await settle()
    expect(actor.tellStanza('s4')).toBe(true)
    await settle()
    expect(actor.log).toEqual(['s1', 's4'])
  })

  it('stops the child when the decision itself throws', async () => {
    const { runtime, faults, settle } = bench()
    class Broken extends Supervisor {
      protected override childOverflowed(): void {
        throw new Error('broken policy')
      }
    }
    const parent = spawnActor(runtime.root, init => new Broken(init))
    const actor = spawnActor(parent, init => new Scripted(init), { mailboxLimit: 0 })
    actor.tellStanza('s1')
    await settle()
    expect(actor.isStopping).toBe(true)
    expect(faults.map(({ during, action }) => [during, action])).toEqual([['supervise', 'stop']])
  })
})
