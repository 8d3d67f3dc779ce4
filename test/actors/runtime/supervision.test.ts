import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, it } from 'vitest'
import {
  type ActorInit,
  type Child,
  type Context,
  inspect,
  type Policy,
  type Ref,
  type Runtime,
  spawn,
  spawnActor,
  stopTree,
} from '../../../src/actors/runtime/index.js'
import { connection, longLived } from '../../../src/actors/supervision.js'
import { bench, gate, Scripted, Supervisor, settled } from './support.js'

const failure = new Error('on purpose')

/** Throws at `boom`; counts otherwise. Announces each incarnation. */
function fragile(log: string[], incarnations: Ref<string>[]) {
  return {
    kind: 'fragile',
    initial: (context: Context<string>) => {
      incarnations.push(context.self)
      return 0
    },
    receive: (state: number, message: string) => {
      if (message === 'boom') throw failure
      log.push(`${message} ${state}`)
      return state + 1
    },
    afterStop: (state: number, reason: string) => void log.push(`${reason} ${state}`),
  }
}

async function crash(runtime: Runtime, ref: Ref<string> | undefined, times = 1) {
  for (let i = 0; i < times; i++) ref?.tell('boom')
  await settled(runtime)
}

describe('what a parent does about a fault', () => {
  it('stop: the child ends with reason fault, its siblings go on', async () => {
    const { runtime, faults, settle } = bench()
    const log: string[] = []
    const a = spawn(runtime.root, fragile(log, []), { name: 'a', policy: connection })
    const b = spawn(runtime.root, fragile(log, []), { name: 'b', policy: connection })
    a.tell('one')
    a.tell('boom')
    a.tell('two')
    b.tell('one')
    await settle()
    expect(log).toEqual(['one 0', 'fault 1', 'one 0'])
    expect([a.tell('x'), b.tell('x')]).toEqual([false, true])
    expect(faults).toEqual([{ path: '/root/a', kind: 'fragile', during: 'receive', error: failure, action: 'stop' }])
  })

  it('resume: drops the message that failed and goes on with the state', async () => {
    const { runtime, settle } = bench()
    const log: string[] = []
    const a = spawn(runtime.root, fragile(log, []), { policy: 'resume' })
    for (const message of ['one', 'boom', 'two']) a.tell(message)
    await settle()
    expect(log).toEqual(['one 0', 'two 1'])
  })

  it('restart: a new incarnation of the same name takes over what waits, not the message that failed', async () => {
    const { runtime, settle } = bench()
    const log: string[] = []
    const incarnations: Ref<string>[] = []
    spawn(runtime.root, fragile(log, incarnations), { name: 'a', policy: longLived })
    for (const message of ['one', 'boom', 'two']) incarnations[0]?.tell(message)
    await settle()
    expect(log).toEqual(['one 0', 'fault 1', 'two 0'])
    expect(incarnations).toHaveLength(2)
    expect([incarnations[0]?.tell('x'), incarnations[1]?.tell('three')]).toEqual([false, true])
    await settle()
    expect(log.at(-1)).toBe('three 1')
    expect(inspect(runtime, '/root/a')).toMatchObject({ restarts: 1, faults: 1, lastFault: 'Error: on purpose' })
  })

  it('restart: hands over waiting stanzas with their weight', async () => {
    const { runtime, settle } = bench()
    const built: Scripted[] = []
    spawnActor(
      runtime.root,
      init => {
        const actor = new Scripted(init, [], message => {
          if (message === 'boom') throw failure
        })
        built.push(actor)
        return actor
      },
      { policy: longLived, mailboxLimit: 10 },
    )
    built[0]?.pauseStanzas()
    built[0]?.tellStanza('chunk', 7)
    built[0]?.tell('boom')
    await settle()
    expect(built[1]?.log).toEqual(['chunk'])
    expect(built[1]?.waitingStanzas).toBe(0)
  })

  it('restart: stops the children of the faulted actor first', async () => {
    const { runtime, settle } = bench()
    const log: string[] = []
    const fragileParent = () =>
      spawnActor(
        runtime.root,
        init => {
          const parent = new Scripted(init, log, () => {
            throw failure
          })
          spawnActor(parent, child => new Scripted(child, log), { name: 'child' })
          return parent
        },
        { name: 'parent', policy: longLived },
      )
    fragileParent().tell('boom')
    await settle()
    expect(log).toEqual(['boom', 'child stopped: fault', 'parent stopped: fault'])
    expect(inspect(runtime, '/root/parent/child')?.state).toBe('idle')
  })

  it('restart: lets stopped know whether a successor follows, which reason fault alone does not say', async () => {
    const { runtime, settle } = bench()
    const log: string[] = []
    class Keeps extends Scripted {
      protected override stopped(reason: string): void {
        log.push(`${this.name} ${reason} ${this.isRestarting}`)
      }
    }
    const parent = spawnActor(
      runtime.root,
      init => {
        const actor = new Keeps(init)
        spawnActor(actor, child => new Keeps(child), { name: 'child', policy: longLived })
        return actor
      },
      { name: 'parent', policy: longLived },
    )
    runtime.fault(String(parent.path), failure)
    await settle()
    runtime.fault('/root', failure)
    await settle()
    expect(log).toEqual(['child fault false', 'parent fault true', 'child fault false', 'parent fault false'])
  })

  it('restart: keeps the place among the siblings, so that they still stop in reverse', async () => {
    const { runtime, settle } = bench()
    for (const name of ['first', 'second']) {
      spawn(runtime.root, fragile([], []), { name, policy: longLived })
    }
    runtime.fault('/root/first', failure)
    await settle()
    expect(inspect(runtime)?.children?.items.map(item => [item.name, item.restarts])).toEqual([
      ['first', 1],
      ['second', 0],
    ])
  })

  it('escalate: stops the child and makes its parent fail', async () => {
    const { runtime, faults, settle } = bench()
    const log: string[] = []
    const top = spawnActor(runtime.root, init => new Supervisor(init), { name: 'top' })
    const middle = spawnActor(top, init => new Supervisor(init), { name: 'middle', policy: 'stop' })
    const a = spawn(middle, fragile(log, []), { name: 'a', policy: 'escalate' })
    const sibling = spawn(middle, fragile(log, []), { name: 'b' })
    a.tell('boom')
    await settle()
    expect(log).toEqual(['fault 0', 'fault 0'])
    expect([middle.isStopping, top.isStopping, sibling.tell('x')]).toEqual([true, false, false])
    expect(faults.map(({ path, during, action }) => [path, during, action])).toEqual([
      ['/root/top/middle/a', 'receive', 'escalate'],
      ['/root/top/middle', 'child', 'stop'],
    ])
  })

  it('what reaches root ends the tree, and says so', async () => {
    const { runtime, settle } = bench()
    const a = spawn(runtime.root, fragile([], []), { policy: 'escalate' })
    a.tell('boom')
    await settle()
    expect(await runtime.ended).toBe('fault')
    expect(runtime.counters.actors).toBe(0)
  })

  it('refuses a restart policy that could never be meant', () => {
    const { runtime } = bench()
    const spawnWith = (policy: Policy) => () => spawn(runtime.root, fragile([], []), { policy })
    expect(spawnWith({ restarts: 0, withinMs: 1000 })).toThrow('restart policy')
    expect(spawnWith({ restarts: 1, withinMs: Number.NaN })).toThrow('restart policy')
  })
})

describe('restart intensity', () => {
  it('allows so many restarts in the window and escalates at the next fault', async () => {
    const { runtime, faults } = bench()
    const parent = spawnActor(runtime.root, init => new Supervisor(init))
    const incarnations: Ref<string>[] = []
    spawn(parent, fragile([], incarnations), { policy: { restarts: 3, withinMs: 1000 } })
    for (let i = 0; i < 4; i++) await crash(runtime, incarnations.at(-1))
    expect(incarnations).toHaveLength(4)
    expect(parent.isStopping).toBe(true)
    expect(faults.map(fault => fault.action)).toEqual(['restart', 'restart', 'restart', 'escalate', 'stop'])
  })

  it('keeps none of the incarnations before', async () => {
    setFlagsFromString('--expose-gc')
    // The flag makes new contexts have it.
    const gc = runInNewContext('gc') as () => void
    const { runtime, settle } = bench()
    const built: WeakRef<Scripted>[] = []
    const create = (init: ActorInit) => {
      const actor = new Scripted(init)
      built.push(new WeakRef(actor))
      return actor
    }
    spawnActor(runtime.root, create, { name: 'a', policy: { restarts: 20, withinMs: 1000 } })
    for (let i = 0; i < 10; i++) {
      runtime.fault('/root/a', failure)
      await settle()
    }
    gc()
    expect(built).toHaveLength(11)
    expect(built.filter(actor => actor.deref() !== undefined)).toHaveLength(1)
  })

  it('forgets restarts that are older than the window', async () => {
    const { runtime, clock } = bench()
    const incarnations: Ref<string>[] = []
    spawn(runtime.root, fragile([], incarnations), { policy: { restarts: 2, withinMs: 1000 } })
    for (let i = 0; i < 20; i++) {
      await crash(runtime, incarnations.at(-1))
      clock.advance(501)
    }
    expect(incarnations).toHaveLength(21)
  })

  it('counts an actor that does not start: from its constructor or from started, without holding up the others', async () => {
    const { runtime, faults, settle } = bench()
    const parent = spawnActor(runtime.root, init => new Supervisor(init))
    let built = 0
    const first = spawnActor(
      parent,
      init => {
        if (++built > 1) throw failure
        return new Scripted(init, [], () => {
          throw failure
        })
      },
      { name: 'a', policy: longLived },
    )
    first.tell('boom')
    await settle()
    expect(built).toBe(6)
    expect(parent.isStopping).toBe(true)
    expect(faults.map(({ during, action }) => `${during} ${action}`)).toEqual([
      'receive restart',
      ...Array<string>(4).fill('restart restart'),
      'restart escalate',
      'child stop',
    ])
  })

  it('throws to the spawner what the first constructor throws, and leaves the name free', () => {
    const { runtime } = bench()
    class Broken extends Scripted {
      readonly never = ((): never => {
        throw failure
      })()
    }
    expect(() => spawnActor(runtime.root, init => new Broken(init), { name: 'a' })).toThrow(failure)
    expect(inspect(runtime)?.childCount).toBe(0)
    expect(runtime.root.ref.tell).toBeTypeOf('function')
    spawnActor(runtime.root, init => new Scripted(init), { name: 'a' })
  })
})

describe('supervisors of our own', () => {
  it('decide by the child and the error', async () => {
    const { runtime, settle } = bench()
    class Choosy extends Supervisor {
      protected override childFaulted(child: Child, error: unknown): Policy {
        return error === failure && child.name === 'kept' ? 'resume' : 'stop'
      }
    }
    const parent = spawnActor(runtime.root, init => new Choosy(init))
    const kept = spawn(parent, fragile([], []), { name: 'kept' })
    const lost = spawn(parent, fragile([], []), { name: 'lost', policy: 'resume' })
    kept.tell('boom')
    lost.tell('boom')
    await settle()
    expect([kept.tell('x'), lost.tell('x')]).toEqual([true, false])
  })

  it('may stop the child, or themselves, while they decide', async () => {
    const { runtime, settle } = bench()
    const log: string[] = []
    class Rash extends Supervisor {
      protected override childFaulted(): Policy {
        this.stop('rash')
        return longLived
      }
    }
    const parent = spawnActor(runtime.root, init => new Rash(init), { name: 'parent' })
    spawn(parent, fragile(log, []), { policy: longLived }).tell('boom')
    await settle()
    expect(log).toEqual(['rash 0'])
    expect(inspect(runtime)?.childCount).toBe(0)
  })

  it('cannot restart a child that was spawned with stop, which keeps no factory: it stops', async () => {
    const { runtime, faults, settle } = bench()
    class Hopeful extends Supervisor {
      protected override childFaulted(): Policy {
        return longLived
      }
    }
    const parent = spawnActor(runtime.root, init => new Hopeful(init))
    spawn(parent, fragile([], [])).tell('boom')
    await settle()
    expect(faults.map(fault => fault.action)).toEqual(['stop'])
  })

  it('lose only a starting child when it fails inside their own handler, and end after that handler when it escalates', async () => {
    const { runtime, settle } = bench()
    const log: string[] = []
    class Stillborn extends Scripted {
      protected override started(): void {
        throw failure
      }
    }
    const parent = spawnActor(
      runtime.root,
      init =>
        new Scripted(init, log, function (message) {
          const policy = message === 'mild' ? 'stop' : 'escalate'
          const child = spawnActor(this, given => new Stillborn(given, log), { name: message, policy })
          log.push(`after ${message}: ${child.isStopping} ${this.isStopping}`)
        }),
      { name: 'parent' },
    )
    parent.tell('mild')
    parent.tell('severe')
    await settle()
    expect(log).toEqual([
      'mild',
      'mild stopped: fault',
      'after mild: true false',
      'severe',
      'severe stopped: fault',
      'after severe: true true',
      'parent stopped: fault',
    ])
  })
})

describe('runtime.fault', () => {
  it('fails the actor at a path as its handler would, also while its promise is open', async () => {
    const { runtime, settle } = bench()
    const waiting = gate()
    const built: Scripted[] = []
    spawnActor(
      runtime.root,
      init => {
        const actor = new Scripted(init, [], message => (message === 'wait' ? waiting.opened : undefined))
        built.push(actor)
        return actor
      },
      { name: 'a', policy: longLived },
    )
    built[0]?.tell('wait')
    built[0]?.tell('next')
    await settle()
    expect(runtime.fault('/root/a', failure)).toBe(true)
    await settle()
    expect(built).toHaveLength(1)
    waiting.open()
    await settle()
    expect(built[1]?.log).toEqual(['next'])
    expect(runtime.fault('/root/nobody', failure)).toBe(false)
    expect(runtime.fault('/elsewhere/a', failure)).toBe(false)
  })

  it('starts the successor after the time of a stop when the old promise never settles', async () => {
    const { runtime, clock, settle } = bench()
    const incarnations: Ref<string>[] = []
    const never = { ...fragile([], incarnations), receive: () => new Promise<number>(() => undefined) }
    spawn(runtime.root, never, { name: 'a', policy: longLived }).tell('wait')
    await settle()
    runtime.fault('/root/a', failure)
    clock.advance(5000)
    await settle()
    expect(incarnations).toHaveLength(2)
  })

  it('frees the name at once when somebody stops what waits to be restarted', async () => {
    const { runtime, settle } = bench()
    const waiting = gate()
    let built = 0
    const create = (init: ActorInit) => {
      built++
      return new Scripted(init, [], () => waiting.opened)
    }
    const first = spawnActor(runtime.root, create, { name: 'a', policy: longLived })
    first.tell('wait')
    await settle()
    runtime.fault('/root/a', failure)
    await settle()
    await stopTree(first)
    const next = spawnActor(runtime.root, init => new Scripted(init), { name: 'a' })
    waiting.open()
    await settle()
    expect([built, runtime.find('/root/a') === next]).toEqual([1, true])
  })

  it('does not bring back what somebody stopped while it was to be restarted', async () => {
    const { runtime, clock, settle } = bench()
    const incarnations: Ref<string>[] = []
    const never = { ...fragile([], incarnations), receive: () => new Promise<number>(() => undefined) }
    const parent = spawnActor(runtime.root, init => new Supervisor(init))
    spawn(parent, never, { policy: longLived }).tell('wait')
    await settle()
    runtime.fault(`${incarnations[0]?.path}`, failure)
    parent.stop()
    clock.advance(60_000)
    await settle()
    expect(incarnations).toHaveLength(1)
    expect(runtime.counters.actors).toBe(1)
  })
})

describe('faults', () => {
  it('never hold the message that was being handled', async () => {
    const { runtime, faults, settle } = bench()
    const secret = 'my secret body'
    spawn(runtime.root, {
      kind: 'x',
      initial: () => 0,
      receive: () => {
        throw failure
      },
    }).tell(secret)
    await settle()
    expect(Object.keys(faults[0] ?? {}).sort()).toEqual(['action', 'during', 'error', 'kind', 'path'])
    expect(JSON.stringify([faults, inspect(runtime)])).not.toContain(secret)
  })

  it('survive a reporter that throws', async () => {
    const { createRuntime } = await import('../../../src/actors/runtime/index.js')
    const warned = new Promise<Error>(resolve => process.once('warning', resolve))
    const runtime = createRuntime({
      onFault: () => {
        throw new TypeError('the sink is broken')
      },
    })
    const log: string[] = []
    const a = spawn(runtime.root, fragile(log, []), { policy: 'resume' })
    a.tell('boom')
    a.tell('one')
    await settled(runtime)
    expect(log).toEqual(['one 0'])
    expect((await warned).message).toContain('TypeError')
  })

  it('keep one short line of the last cause, whatever was thrown', async () => {
    const { runtime, settle } = bench()
    const thrown = [new Error('x'.repeat(5000)), 'text', { toString: () => assertNever() }, null, undefined]
    const a = spawn(
      runtime.root,
      {
        initial: () => 0,
        receive: (_state: number, index: number): number => {
          throw thrown[index]
        },
      },
      { name: 'a', policy: 'resume' },
    )
    for (let i = 0; i < thrown.length; i++) {
      a.tell(i)
      await settle()
      const { faults, lastFault } = inspect(runtime, '/root/a') ?? {}
      expect(faults).toBe(i + 1)
      expect(lastFault?.length).toBeLessThanOrEqual(201)
      expect(lastFault).not.toContain('text')
    }
  })
})

function assertNever(): string {
  throw new Error('nobody may print what was thrown')
}
