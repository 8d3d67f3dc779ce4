/*
 * LIMITS.md §1.3 lists what nact 7.6.2 does badly, each reproduced there. One test for each shows that ours does not; the
 * title bears the number.
 */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import * as nact from 'nact'
import { describe, expect, it, vi } from 'vitest'
import {
  Actor,
  actorName,
  createRuntime,
  inspect,
  type Policy,
  type Ref,
  spawn,
  spawnActor,
  stopTree,
} from '../../../src/actors/runtime/index.js'
import { bench, gate, Scripted, Supervisor, settled } from './support.js'

const boom = () => {
  throw new Error('on purpose')
}

/** Resolves to the process-wide failures that happen while `run` does. */
async function processFailures(run: () => Promise<void>): Promise<unknown[]> {
  const failures: unknown[] = []
  const note = (error: unknown): void => void failures.push(error)
  process.on('unhandledRejection', note)
  process.on('uncaughtException', note)
  try {
    await run()
    for (let i = 0; i < 5; i++) await new Promise<void>(resolve => setImmediate(resolve))
  } finally {
    process.off('unhandledRejection', note)
    process.off('uncaughtException', note)
  }
  return failures
}

describe('the defects of nact (LIMITS §1.3) that ours does not have', () => {
  it('1: stopping a parent stops its children first, with their stopped, mailbox and deadlines', async () => {
    const { runtime, clock, settle } = bench()
    const log: string[] = []
    const parent = spawnActor(runtime.root, init => new Scripted(init, log), { name: 'parent' })
    const child = spawnActor(parent, init => new Scripted(init, log), { name: 'child' })
    child.arm('x', clock.now() + 100)
    child.tell('waiting')
    nact.stop(parent.ref)
    clock.advance(1000)
    await settle()
    expect(log).toEqual(['child stopped: stopped', 'parent stopped: stopped'])
    expect(child.tell('x')).toBe(false)
  })

  it('2: a decision about a child is about the child, not about its supervisor', async () => {
    for (const policy of ['stop', 'resume', { restarts: 1, withinMs: 1000 }] as Policy[]) {
      const { runtime, settle } = bench()
      const log: string[] = []
      const parent = spawnActor(runtime.root, init => new Scripted(init, log), { name: 'parent' })
      const child = spawnActor(parent, init => new Scripted(init, [], boom), { policy })
      child.tell('boom')
      await settle()
      parent.tell('alive')
      await settle()
      expect(log).toEqual(['alive'])
      expect(inspect(runtime, '/root/parent')?.restarts).toBe(0)
    }
  })

  it('3: a child whose parent decides resume goes on with its mailbox', async () => {
    const { runtime, settle } = bench()
    const parent = spawnActor(runtime.root, init => new Supervisor(init))
    const child = spawnActor(
      parent,
      init => new Scripted(init, [], message => (message === 'boom' ? boom() : undefined)),
      { policy: 'resume' },
    )
    for (const message of ['boom', 'one', 'boom', 'two']) child.tell(message)
    await settle()
    expect(child.log).toEqual(['boom', 'one', 'boom', 'two'])
    expect(inspect(runtime, String(child.path))).toMatchObject({ state: 'idle', mailbox: 0 })
  })

  it('4: neither resume nor a restart runs two handlers of one actor at the same time', async () => {
    const { runtime, settle } = bench()
    let running = 0
    let most = 0
    const waiting = gate()
    const built: Scripted[] = []
    const policies: Policy[] = ['resume', { restarts: 1, withinMs: 1000 }]
    for (const [index, policy] of policies.entries()) {
      spawnActor(
        runtime.root,
        init => {
          const actor = new Scripted(init, [], async () => {
            most = Math.max(most, ++running)
            await waiting.opened
            running--
          })
          built.push(actor)
          return actor
        },
        { name: `a${index}`, policy },
      )
      running = 0
      built.at(-1)?.tell('one')
      built.at(-1)?.tell('two')
      await settle()
      runtime.fault(`/root/a${index}`, new Error('while it waits'))
      built.at(-1)?.tell('three')
      await settle()
    }
    expect(most).toBe(1)
    expect(built.map(actor => actor.log)).toEqual([['one'], ['one', 'a1 stopped: fault']])
    waiting.open()
    await settle()
    expect(built.map(actor => actor.log)).toEqual([['one', 'two', 'three'], ['one', 'a1 stopped: fault'], ['two']])
  })

  it('5: an initial state that always throws is tried as often as the policy allows, and the others go on', async () => {
    const { runtime, faults, settle } = bench()
    const parent = spawnActor(runtime.root, init => new Supervisor(init), { name: 'parent' })
    const other = spawnActor(runtime.root, init => new Scripted(init))
    let tries = 0
    spawn(
      parent,
      {
        initial: (): number => {
          tries++
          return boom()
        },
        receive: (state: number) => state,
      },
      { policy: { restarts: 4, withinMs: 60_000 } },
    )
    other.tell('handled')
    await settle()
    expect(tries).toBe(5)
    expect(other.log).toEqual(['handled'])
    expect(faults.map(fault => fault.action)).toEqual(['restart', 'restart', 'restart', 'restart', 'escalate', 'stop'])
  })

  it('6: a throwing policy, a fault after the stop and a throwing stopped never reach the process', async () => {
    const { runtime, faults, settle } = bench()
    class Broken extends Supervisor {
      protected override childFaulted(): Policy {
        return boom()
      }
    }
    class Unreleasable extends Scripted {
      protected override stopped(): void {
        boom()
      }
    }
    const failures = await processFailures(async () => {
      const parent = spawnActor(runtime.root, init => new Broken(init), { name: 'parent' })
      const child = spawnActor(parent, init => new Unreleasable(init, [], boom), { name: 'child', policy: 'resume' })
      child.tell('boom')
      await settle()
      expect(child.isStopping).toBe(true)
      child.failWith(new Error('after the stop'))
      expect(parent.isStopping).toBe(false)
    })
    expect(failures).toEqual([])
    expect(faults.map(({ path, during, action }) => [path, during, action])).toEqual([
      ['/root/parent', 'supervise', 'none'],
      ['/root/parent/child', 'receive', 'stop'],
      ['/root/parent/child', 'stop', 'none'],
      ['/root/parent/child', 'receive', 'none'],
    ])
  })

  it('7: a stop loses no message unseen, and stopped runs once even if the open promise rejects afterwards', async () => {
    const { runtime, settle } = bench()
    const left: string[] = []
    const waiting = gate()
    class Counts extends Scripted {
      protected override stopped(reason: string): void {
        this.log.push(`stopped: ${reason}`)
        const { control, stanzas } = this.unhandled()
        left.push(...control, ...stanzas)
      }
    }
    const scheduled = spawnActor(runtime.root, init => new Counts(init))
    scheduled.tell('scheduled')
    scheduled.tellStanza('stanza')
    scheduled.stop()
    const busy = spawnActor(runtime.root, init => new Counts(init, [], () => waiting.opened))
    busy.tell('in hand')
    await settle()
    busy.tell('queued')
    busy.stop()
    waiting.fail(new Error('late'))
    await settle()
    expect(left).toEqual(['scheduled', 'stanza', 'queued'])
    expect(busy.log).toEqual(['in hand', 'stopped: stopped'])
  })

  it('8: telling the stopped says so, and a stale reference never reaches the next of the name', async () => {
    const { runtime, settle } = bench()
    const make = () => spawnActor(runtime.root, init => new Scripted(init), { name: 'same' })
    const first = make()
    const stale = first.ref
    first.stop()
    const second = make()
    expect([first.tell('x'), first.tellStanza('x'), stale.tell('x'), second.ref.tell('y')]).toEqual([
      false,
      false,
      false,
      true,
    ])
    await settle()
    expect(second.log).toEqual(['y'])
    await stopTree(stale)
    expect(second.isStopping).toBe(false)
  })

  it('9: a name is what it says, and faults are told without a logging engine that nact does not export', () => {
    const faults: unknown[] = []
    const runtime = createRuntime({ name: 'meerkat', onFault: event => faults.push(event) })
    expect(inspect(runtime)).toMatchObject({ name: 'meerkat', path: '/meerkat' })
    runtime.fault('/meerkat', new Error('on purpose'))
    expect(faults).toHaveLength(1)
  })

  it('10: the policy given is the policy, and nothing is printed', async () => {
    const printed = (['log', 'warn', 'error', 'info', 'debug'] as const).map(name => vi.spyOn(console, name))
    const { runtime, faults, settle } = bench()
    const parent = spawnActor(runtime.root, init => new Supervisor(init), { name: 'parent' })
    const behaviour = { initial: () => 0, receive: (_: number, _message: string): number => boom() }
    for (const policy of ['resume', 'stop', 'escalate'] as const) spawn(parent, behaviour, { policy }).tell('secret')
    await settle()
    runtime.fault('/root', new Error('up to the system'))
    expect(faults.map(fault => fault.action)).toEqual(['resume', 'stop', 'escalate', 'stop', 'stop'])
    for (const spy of printed) {
      expect(spy).not.toHaveBeenCalled()
      spy.mockRestore()
    }
  })

  it('11: rest costs no timer per actor, and an actor that is messaged is never ended for resting', async () => {
    const { runtime, clock, settle } = bench()
    const actors = Array.from({ length: 1000 }, () =>
      spawnActor(runtime.root, init => new Scripted(init), { hibernateAfter: 500, policy: 'resume' }),
    )
    for (let round = 0; round < 20; round++) {
      for (const actor of actors) actor.tell('x')
      runtime.fault(String(actors[0]?.path), new Error('resumed while idle'))
      await settle()
      // The wheel, and the sweeper.
      expect(clock.pending).toBeLessThanOrEqual(2)
      clock.advance(400)
    }
    expect(actors.every(actor => actor.log.length === 20 && !actor.isStopping)).toBe(true)
    expect(inspect(runtime, '', { limit: 1 })?.children?.items[0]?.hibernations).toBe(0)
  })

  it('12: any text can be made a name, bad names are refused in words, and made-up names do not collide', () => {
    const { runtime } = bench()
    const texts = ['juliet@example.org/bälcony', 'juliet$40example.org', 'a:b', 'a b', '💘', 'plain-1.x_y']
    const names = texts.map(actorName)
    expect(new Set(names).size).toBe(texts.length)
    expect([names[0], names.at(-1)]).toEqual(['juliet$40example.org$2fb$c3$a4lcony', 'plain-1.x_y'])
    for (const name of names) spawnActor(runtime.root, init => new Supervisor(init), { name })
    const spawnAs = (name: string) => () => spawnActor(runtime.root, init => new Supervisor(init), { name })
    expect(spawnAs('juliet@example.org')).toThrow(/'juliet@example.org' may hold only .* actorName/)
    expect(spawnAs('')).toThrow('may hold only')
    expect(spawnAs('plain-1.x_y')).toThrow("/root already has a child 'plain-1.x_y'")
    expect(() => actorName('')).toThrow('empty')
    for (let i = 0; i < 20_000; i++) spawnActor(runtime.root, init => new Supervisor(init))
    expect(inspect(runtime, '', { limit: 0 })?.childCount).toBe(20_000 + texts.length)
  })

  it('13: a burst leaves no large mailbox behind', async () => {
    setFlagsFromString('--expose-gc')
    // The flag makes new contexts have it.
    const gc = runInNewContext('gc') as () => void
    const { runtime, settle } = bench()
    const actors = Array.from({ length: 200 }, () => spawnActor(runtime.root, init => new Silent(init)))
    const heap = () => {
      gc()
      return process.memoryUsage().heapUsed
    }
    await settle()
    const before = heap()
    for (const actor of actors) {
      for (let i = 0; i < 2500; i++) {
        actor.tell('x')
        actor.tellStanza('x')
      }
    }
    const during = heap()
    await settle()
    const after = heap()
    expect(during - before).toBeGreaterThan(200 * 16_384)
    expect(after - before).toBeLessThan(200 * 2048)
  })

  it('14: state outlives rest as a record of the actor’s own, and no replay runs its handler again', async () => {
    const { runtime, clock, settle } = bench()
    const handled: string[] = []
    const ref = spawn(
      runtime.root,
      {
        initial: () => [] as string[],
        receive: (state, message: string) => {
          handled.push(message)
          return [...state, message]
        },
        pack: state => state.join(),
        unpack: record => record.split(','),
      },
      { hibernateAfter: 0 },
    )
    for (const message of ['a', 'b', 'c']) {
      ref.tell(message)
      await settle()
      clock.advance(5000)
    }
    expect(handled).toEqual(['a', 'b', 'c'])
  })

  it('15: references are typed by what they receive (tsc checks this file)', async () => {
    const { runtime, settle } = bench()
    const numbers: Ref<number> = spawn(runtime.root, { initial: () => 0, receive: (s, m: number) => s + m })
    const either: Ref<number | string> = spawn(runtime.root, {
      initial: () => 0,
      receive: (state, _message: number | string) => state,
    })
    // @ts-expect-error a reference for numbers does not serve for strings
    const strings: Ref<string> = numbers
    // @ts-expect-error nor for more than numbers
    const more: Ref<number | string> = numbers
    // Whoever takes both serves those who send one.
    const less: Ref<number> = either
    // @ts-expect-error a wrong message
    numbers.tell('one')
    // @ts-expect-error not a reference
    await stopTree({})
    // @ts-expect-error look-alikes are not references either: this lacks a path
    const fake: Ref<number> = { name: 'x', tell: () => true }
    expect([strings, more, less, fake].length).toBe(4)
    await settle()
    await settled(runtime)
  })
})

class Silent extends Actor<string> {
  protected override receive(): void {}
}
