import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Deadline, Deadlines, type DeadlineTarget, STEP_MS } from '../../../src/actors/runtime/deadlines.js'
import { spawn, spawnActor } from '../../../src/actors/runtime/index.js'
import { ManualClock } from '../../support/clock.js'
import { bench, gate, Scripted } from './support.js'

class Target implements DeadlineTarget {
  deadlines: Deadline | undefined = undefined
  readonly expiries: [kind: Deadline['kind'], at: number][] = []
  readonly #clock: ManualClock

  constructor(clock: ManualClock) {
    this.#clock = clock
  }

  deadlineExpired(deadline: Deadline): void {
    this.expiries.push([deadline.kind, this.#clock.now()])
  }
}

function fail(error: unknown): never {
  throw error
}

function wheel() {
  const clock = new ManualClock(12_345)
  return { clock, deadlines: new Deadlines(clock, fail), target: new Target(clock) }
}

describe('the wheel of deadlines', () => {
  it('expires each deadline once, never early and at most one step late', () => {
    const { clock, deadlines, target } = wheel()
    deadlines.arm(target, 'a', clock.now() + 250)
    clock.advance(249)
    expect(target.expiries).toEqual([])
    clock.advance(STEP_MS)
    expect(target.expiries.map(([kind]) => kind)).toEqual(['a'])
    clock.advance(200_000)
    expect(target.expiries).toHaveLength(1)
  })

  it('expires at the next step what was armed for the past', () => {
    const { clock, deadlines, target } = wheel()
    deadlines.arm(target, 'a', clock.now() - 1000)
    expect(target.expiries).toEqual([])
    clock.advance(STEP_MS)
    expect(target.expiries).toHaveLength(1)
  })

  it('keeps kinds apart and takes the last time armed of each, later or earlier', () => {
    const { clock, deadlines, target } = wheel()
    const start = clock.now()
    deadlines.arm(target, 'later', start + 100)
    deadlines.arm(target, 'earlier', start + 90_000)
    deadlines.arm(target, 7, start + 200)
    deadlines.arm(target, 'later', start + 60_000)
    deadlines.arm(target, 'earlier', start + 300)
    clock.advance(100_000)
    expect(target.expiries).toEqual([
      [7, start + 200],
      ['earlier', start + 300],
      ['later', start + 60_000],
    ])
  })

  it('makes nothing at a re-arm: the same entry serves for good', () => {
    const { clock, deadlines, target } = wheel()
    deadlines.arm(target, 'a', clock.now() + 100)
    const entry = target.deadlines
    for (let i = 0; i < 1000; i++) deadlines.arm(target, 'a', clock.now() + 200 + i * 7)
    deadlines.clear(target, 'a')
    deadlines.arm(target, 'a', clock.now() + 100)
    expect(target.deadlines).toBe(entry)
    expect(entry?.sibling).toBeUndefined()
    expect(deadlines.size).toBe(1)
  })

  it('turns only while something is armed', () => {
    const { clock, deadlines, target } = wheel()
    expect(clock.pending).toBe(0)
    deadlines.arm(target, 'a', clock.now() + 1000)
    deadlines.arm(target, 'b', clock.now() + 2000)
    expect(clock.pending).toBe(1)
    deadlines.clear(target, 'b')
    expect(deadlines.isTurning).toBe(true)
    clock.advance(1000)
    expect([deadlines.isTurning, clock.pending]).toEqual([false, 0])
    deadlines.arm(target, 'b', clock.now() + 300)
    deadlines.drop(target)
    expect([deadlines.isTurning, clock.pending, deadlines.size]).toEqual([false, 0, 0])
    clock.advance(10_000)
    expect(target.expiries).toHaveLength(1)
  })

  it('catches up after a stall longer than the whole wheel', () => {
    let now = 0
    let action = (): void => undefined
    const clock = {
      now: () => now,
      wall: () => now,
      after: (_ms: number, next: () => void) => {
        action = next
        return () => undefined
      },
    }
    const deadlines = new Deadlines(clock, fail)
    const target = new Target(new ManualClock())
    deadlines.arm(target, 'a', 1000)
    deadlines.arm(target, 'b', 400_000)
    now = 200_000
    action()
    expect(target.expiries.map(([kind]) => kind)).toEqual(['a'])
    now = 400_000
    action()
    expect(target.expiries.map(([kind]) => kind)).toEqual(['a', 'b'])
  })

  it('lets those it tells arm, clear and drop others of the same step, and throw', () => {
    const clock = new ManualClock()
    const told: unknown[] = []
    const deadlines = new Deadlines(clock, error => told.push(error))
    const expired: number[] = []
    const targets = Array.from({ length: 6 }, (_, index): DeadlineTarget => {
      const target: DeadlineTarget = {
        deadlines: undefined,
        deadlineExpired() {
          expired.push(index)
          // The neighbours on both sides, whichever is told first.
          for (const other of [targets[index - 1], targets[index + 1]]) if (other !== undefined) deadlines.drop(other)
          deadlines.arm(target, 'again', clock.now() + 51_200)
          if (index === 5) throw 'on purpose'
        },
      }
      return target
    })
    for (const target of targets) deadlines.arm(target, 'a', 1000)
    clock.advance(1000)
    // Told from the last armed: 5, 3 and 1; each dropped its neighbours, who were no longer armed or never will be.
    expect(expired).toEqual([5, 3, 1])
    expect(told).toEqual(['on purpose'])
    expect([deadlines.size, deadlines.isTurning, clock.pending]).toEqual([3, true, 1])
    clock.advance(51_200)
    expect(expired.slice(3).toSorted()).toEqual([1, 3, 5])
  })

  it('agrees with a list of due times for any sequence of arming, clearing and waiting', () => {
    const step = fc.oneof(
      fc.record({ op: fc.constant('arm' as const), kind: fc.nat(3), ms: fc.integer({ min: -500, max: 120_000 }) }),
      fc.record({ op: fc.constant('clear' as const), kind: fc.nat(3) }),
      fc.record({ op: fc.constant('wait' as const), ms: fc.integer({ min: 0, max: 70_000 }) }),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), steps => {
        const { clock, deadlines, target } = wheel()
        const due = new Map<number, number>()
        for (const each of steps) {
          if (each.op === 'arm') {
            deadlines.arm(target, each.kind, clock.now() + each.ms)
            due.set(each.kind, Math.max(clock.now(), clock.now() + each.ms))
          } else if (each.op === 'clear') {
            deadlines.clear(target, each.kind)
            due.delete(each.kind)
          } else {
            const before = target.expiries.length
            clock.advance(each.ms)
            for (const [kind, at] of target.expiries.slice(before)) {
              const wanted = due.get(Number(kind))
              expect(wanted).toBeDefined()
              expect(at).toBeGreaterThanOrEqual(wanted!)
              expect(at).toBeLessThanOrEqual(wanted! + STEP_MS)
              due.delete(Number(kind))
            }
            for (const wanted of due.values()) expect(wanted + STEP_MS).toBeGreaterThan(clock.now())
          }
          expect(deadlines.size).toBe(due.size)
        }
      }),
      { numRuns: 200 },
    )
  })
})

describe("an actor's deadlines", () => {
  it('calls timedOut through the control lane, before waiting stanzas', async () => {
    const { runtime, clock, settle } = bench()
    const actor = spawnActor(runtime.root, init => new Scripted(init))
    actor.arm('handshake', clock.now() + 100)
    actor.tellStanza('stanza')
    clock.advance(100)
    await settle()
    expect(actor.log).toEqual(['timed out handshake', 'stanza'])
  })

  it('does not call timedOut for what was disarmed or armed again after it expired', async () => {
    const { runtime, clock, settle } = bench()
    const waiting = gate()
    const actor = spawnActor(
      runtime.root,
      init => new Scripted(init, [], message => (message === 'wait' ? waiting.opened : undefined)),
    )
    actor.tell('wait')
    await settle()
    actor.arm('a', clock.now() + 100)
    actor.arm('b', clock.now() + 100)
    actor.arm('c', clock.now() + 100)
    clock.advance(100)
    actor.disarm('a')
    actor.arm('b', clock.now() + 100)
    waiting.open()
    await settle()
    expect(actor.log).toEqual(['wait', 'timed out c'])
    clock.advance(100)
    await settle()
    expect(actor.log).toEqual(['wait', 'timed out c', 'timed out b'])
  })

  it('vanish when it stops', async () => {
    const { runtime, clock, settle } = bench()
    const actor = spawnActor(runtime.root, init => new Scripted(init), { name: 'a' })
    actor.arm('x', clock.now() + 100)
    actor.stop()
    actor.arm('y', clock.now() + 100)
    expect(clock.pending).toBe(0)
    clock.advance(1000)
    await settle()
    expect(actor.log).toEqual(['a stopped: stopped'])
  })

  it('reach a behaviour as timedOut with its state; one without it fails', async () => {
    const { runtime, clock, faults, settle } = bench()
    const seen: unknown[] = []
    const receive = (state: number, _message: string, context: { arm(kind: string, at: number): void }) => {
      context.arm('ping', clock.now() + 100)
      return state + 1
    }
    const timedOut = (state: number, kind: string | number) => {
      seen.push([state, kind])
      return state
    }
    spawn(runtime.root, { initial: () => 5, receive, timedOut }).tell('x')
    spawn(runtime.root, { initial: () => 5, receive }).tell('x')
    await settle()
    clock.advance(100)
    await settle()
    expect(seen).toEqual([[6, 'ping']])
    expect(faults.map(fault => fault.action)).toEqual(['stop'])
  })
})
