import * as nact from 'nact'
import { describe, expect, it } from 'vitest'
import {
  type Child,
  type Context,
  createRuntime,
  dispatch,
  inspect,
  type Policy,
  spawn,
  spawnActor,
  stopTree,
} from '../../../src/actors/runtime/index.js'
import { bench, gate, Scripted, Supervisor, settled } from './support.js'

const turnOfLoop = () => new Promise<void>(resolve => setImmediate(resolve))

async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await turnOfLoop()
}

/** A host program's system with our root in it. */
function hosted() {
  const system = nact.start()
  const faults: unknown[] = []
  const runtime = createRuntime({
    onFault: event => faults.push(event),
    name: 'meerkat',
    // nact's typings give a reference no members.
    system: system as unknown as { system: { name: string } },
  })
  return { system, runtime, faults }
}

describe("in a host program's nact system", () => {
  it('stands as a direct child, and the host’s actors dispatch to ours', async () => {
    const { system, runtime } = hosted()
    const log: string[] = []
    const ours = spawnActor(runtime.root, init => new Scripted(init, log), { name: 'ours' })
    const theirs = nact.spawnStateless(system, (message: string) => nact.dispatch(ours.ref, message), 'theirs')
    nact.dispatch(theirs, 'hello')
    await turns(3)
    expect(log).toEqual(['hello'])
    expect(String(ours.path)).toBe('/meerkat/ours')
    nact.stop(system)
  })

  it('is drained, bottom up, when the host stops its system', async () => {
    const { system, runtime } = hosted()
    const log: string[] = []
    const { opened, open } = gate()
    const parent = spawnActor(runtime.root, init => new Scripted(init, log), { name: 'parent' })
    class Slow extends Scripted {
      protected override async stopped(reason: string): Promise<void> {
        await opened
        this.log.push(`${this.name} stopped: ${reason}`)
      }
    }
    spawnActor(parent, init => new Slow(init, log), { name: 'child' })
    nact.stop(system)
    expect(log).toEqual([])
    open()
    expect(await runtime.ended).toBe('stopped')
    expect(log).toEqual(['child stopped: stopped', 'parent stopped: stopped'])
  })

  it('leaves the host’s own actors alone when root ends', async () => {
    const { system, runtime } = hosted()
    const log: string[] = []
    const theirs = nact.spawnStateless(system, (message: string) => void log.push(message), 'theirs')
    await stopTree(runtime.root)
    nact.dispatch(theirs, 'still here')
    await turns(2)
    expect(log).toEqual(['still here'])
    nact.stop(system)
  })

  it('refuses a system that has stopped', () => {
    const system = nact.start()
    nact.stop(system)
    const reference = system as unknown as { system: { name: string } }
    expect(() => createRuntime({ onFault: () => undefined, system: reference })).toThrow('has stopped')
  })
})

describe('nact’s own functions on our actors', () => {
  it('stop(ref) stops, with the children first', () => {
    const { runtime } = bench()
    const log: string[] = []
    const parent = spawnActor(runtime.root, init => new Scripted(init, log), { name: 'parent' })
    spawnActor(parent, init => new Scripted(init, log), { name: 'child' })
    nact.stop(parent.ref)
    expect(log).toEqual(['child stopped: stopped', 'parent stopped: stopped'])
  })

  it('query(ref) from a stock actor is answered through the sender or through a reference in the message', async () => {
    const { runtime } = bench()
    type Ask = 'plain' | { replyTo: { system: { name: string } } }
    const ours = spawn(runtime.root, {
      initial: () => 41,
      receive: (state, message: Ask, context: Context<Ask>) => {
        const answer = state + 1
        if (message === 'plain') dispatch(context.sender!, answer)
        else dispatch(message.replyTo, answer)
        return answer
      },
    })
    const answers: number[] = []
    const stock = nact.spawnStateless(runtime.root.ref, async (_message: string) => {
      // nact's typings only know the form with a function.
      const query = nact.query as (ref: unknown, message: unknown, timeout: number) => Promise<number>
      answers.push(await query(ours, 'plain', 1000))
      answers.push(await query(ours, (replyTo: unknown) => ({ replyTo }), 1000))
    })
    nact.dispatch(stock, 'go')
    while (answers.length < 2) await turnOfLoop()
    expect(answers).toEqual([42, 43])
    await stopTree(runtime.root)
  })

  it('query rejects and dispatch is silent when ours is stopping', async () => {
    const { runtime } = bench()
    const { opened, open } = gate()
    class Slow extends Scripted {
      protected override stopped(): Promise<void> {
        return opened
      }
    }
    const actor = spawnActor(runtime.root, init => new Slow(init))
    const done = stopTree(actor)
    nact.dispatch(actor.ref, 'x')
    const query = nact.query as (ref: unknown, message: unknown, timeout: number) => Promise<unknown>
    await expect(query(actor.ref, 'x', 1000)).rejects.toThrow('has stopped')
    open()
    await done
  })
})

describe('a stock nact actor under one of ours', () => {
  const isAlive = (runtime: ReturnType<typeof bench>['runtime'], path: string) => runtime.find(path) !== undefined

  it('is listed, messaged and stopped with the tree, together with its own children', async () => {
    const { runtime } = bench()
    const log: string[] = []
    const parent = spawnActor(runtime.root, init => new Supervisor(init), { name: 'parent' })
    spawnActor(parent, init => new Scripted(init, log), { name: 'ours' })
    const afterStop = (name: string) => ({ afterStop: () => void log.push(`${name} stopped`) })
    const stock = nact.spawn(
      parent.ref,
      (_: unknown, message: string) => void log.push(message),
      'stock',
      afterStop('stock'),
    )
    nact.spawn(stock, () => undefined, 'below', afterStop('below'))
    nact.dispatch(stock, 'hello')
    await turns(2)
    const listed = inspect(runtime, '/root/parent')?.children?.items.map(({ name, kind, childCount }) => [
      name,
      kind,
      childCount,
    ])
    expect(listed).toEqual([
      ['ours', 'Scripted', 0],
      ['stock', 'nact', 1],
    ])
    await stopTree(parent, 'x')
    await turns(2)
    expect(log).toEqual(['hello', 'ours stopped: x', 'below stopped', 'stock stopped'])
  })

  for (const policy of ['stop', 'resume', 'escalate', { restarts: 1, withinMs: 1000 }] as Policy[]) {
    const name = typeof policy === 'string' ? policy : 'restart'
    it(`is supervised by our actor: ${name}`, async () => {
      const { runtime, faults } = bench()
      const seen: unknown[] = []
      class Decides extends Supervisor {
        protected override childFaulted(child: Child): Policy {
          expect([child.name, String(child.path)]).toEqual(['stock', '/root/parent/stock'])
          return policy
        }
      }
      const parent = spawnActor(runtime.root, init => new Decides(init), { name: 'parent' })
      const stock = nact.spawn(
        parent.ref,
        (state: number, message: string) => {
          if (message === 'boom') throw new Error('on purpose')
          seen.push(state)
          return state + 1
        },
        'stock',
        { initialStateFunc: () => 0, onCrash: (_message, _error, context) => context.escalate },
      )
      for (const message of ['one', 'boom', 'two', 'three', 'boom', 'four']) nact.dispatch(stock, message)
      await turns(30)
      const outcome = {
        stop: [[0], false, false],
        resume: [[0, 1, 2, 3], true, false],
        escalate: [[0], false, true],
        // The state starts again, the mailbox is kept, the second fault is one too many.
        restart: [[0, 0, 1], false, true],
      }[name]
      expect([seen, isAlive(runtime, '/root/parent/stock'), parent.isStopping]).toEqual(outcome)
      expect(faults[0]).toMatchObject({ path: '/root/parent/stock', kind: 'nact', action: name })
      await stopTree(runtime.root)
    })
  }

  it('that resets or stops all its peers reaches ours through our own rules', async () => {
    const { runtime, faults } = bench()
    const log: string[] = []
    const spawnStock = (decision: 'resetAll' | 'stopAll') =>
      nact.spawn(
        runtime.root.ref,
        () => {
          throw new Error('on purpose')
        },
        decision,
        { onCrash: (_message, _error, context) => context[decision] },
      )
    const waiting = gate()
    const ours = spawnActor(
      runtime.root,
      init => new Scripted(init, log, message => (message === 'wait' ? waiting.opened : undefined)),
      { name: 'ours', policy: 'resume' },
    )
    ours.tell('wait')
    ours.tell('second')
    nact.dispatch(spawnStock('resetAll'), 'boom')
    await turns(5)
    // A reset is a fault of ours under its own policy; no second handler has started.
    expect(log).toEqual(['wait'])
    expect(faults.map(({ path, action }) => [path, action])).toEqual([['/root/ours', 'resume']])
    nact.dispatch(spawnStock('stopAll'), 'boom')
    await turns(5)
    expect(log).toEqual(['wait', 'ours stopped: stopped'])
    waiting.open()
    await settled(runtime)
    expect(log).toHaveLength(2)
    await stopTree(runtime.root)
  })
})
