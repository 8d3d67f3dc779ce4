import { describe, expect, it } from 'vitest'
import { type ActorInit, inspect, spawn, spawnActor, stopTree } from '../../../src/actors/runtime/index.js'
import { bench, gate, Scripted } from './support.js'

/** A tree of two levels whose `stopped`s write into one log. */
function family() {
  const the = bench()
  const log: string[] = []
  const make = (parent: Parameters<typeof spawnActor>[0], name: string) =>
    spawnActor(parent, init => new Scripted(init, log), { name })
  const parent = make(the.runtime.root, 'parent')
  const a = make(parent, 'a')
  make(a, 'a1')
  make(a, 'a2')
  make(parent, 'b')
  return { ...the, log, parent, make }
}

/** Stops only when the gate opens. */
class Slow extends Scripted {
  readonly #opened: Promise<void>

  constructor(init: ActorInit, log: string[], opened: Promise<void>) {
    super(init, log)
    this.#opened = opened
  }

  protected override stopped(reason: string): Promise<void> {
    this.log.push(`${this.name} stops: ${reason}`)
    return this.#opened.then(() => void this.log.push(`${this.name} has stopped`))
  }
}

describe('stopTree', () => {
  it('runs every stopped, children before their parent, the last spawned first, with one reason', async () => {
    const { parent, log, runtime } = family()
    const done = stopTree(parent, 'shutdown')
    expect(log.map(line => line.split(' ')[0])).toEqual(['b', 'a2', 'a1', 'a', 'parent'])
    expect(log.every(line => line.endsWith('stopped: shutdown'))).toBe(true)
    await done
    expect(runtime.counters.actors).toBe(1)
    expect(inspect(runtime)?.childCount).toBe(0)
  })

  it('is idempotent: a second call does nothing more and waits for the first', async () => {
    const { runtime } = bench()
    const log: string[] = []
    const { opened, open } = gate()
    const slow = spawnActor(runtime.root, init => new Slow(init, log, opened), { name: 'slow' })
    const first = stopTree(slow, 'one').then(() => log.push('first call'))
    const second = stopTree(slow.ref, 'two').then(() => log.push('second call'))
    slow.stop('three')
    open()
    await Promise.all([first, second])
    await stopTree(slow, 'four')
    await stopTree(slow.ref, 'five')
    expect(log).toEqual(['slow stops: one', 'slow has stopped', 'first call', 'second call'])
  })

  it('waits for asynchronous stops of children before the parent stops', async () => {
    const { runtime } = bench()
    const log: string[] = []
    const { opened, open } = gate()
    const parent = spawnActor(runtime.root, init => new Scripted(init, log), { name: 'parent' })
    spawnActor(parent, init => new Slow(init, log, opened), { name: 'slow' })
    spawnActor(parent, init => new Scripted(init, log), { name: 'quick' })
    const done = stopTree(parent, 'x')
    expect(log).toEqual(['quick stopped: x', 'slow stops: x'])
    expect(parent.tell('too late')).toBe(false)
    open()
    await done
    expect(log.slice(2)).toEqual(['slow has stopped', 'parent stopped: x'])
  })

  it('waits no longer than it was given: tells of the late one and stops the rest', async () => {
    const { runtime, clock, faults } = bench()
    const log: string[] = []
    const parent = spawnActor(runtime.root, init => new Scripted(init, log), { name: 'parent' })
    spawnActor(parent, init => new Slow(init, log, gate().opened), { name: 'slow' })
    const done = stopTree(parent, 'x', 300)
    clock.advance(299)
    expect(log).toEqual(['slow stops: x'])
    clock.advance(1)
    await done
    expect(log).toEqual(['slow stops: x', 'parent stopped: x'])
    expect(faults.map(({ path, during, action }) => [path, during, action])).toEqual([
      ['/root/parent/slow', 'stop', 'none'],
    ])
  })

  it('tells of a stopped that throws or rejects, and goes on', async () => {
    const { runtime, faults } = bench()
    const failure = new Error('cannot release')
    class Throws extends Scripted {
      protected override stopped(): void {
        throw failure
      }
    }
    class Rejects extends Scripted {
      protected override stopped(): Promise<void> {
        return Promise.reject(failure)
      }
    }
    const parent = spawnActor(runtime.root, init => new Throws(init), { name: 'parent' })
    spawnActor(parent, init => new Rejects(init), { name: 'child' })
    await stopTree(parent)
    expect(faults.map(({ path, during, error }) => [path, during, error])).toEqual([
      ['/root/parent/child', 'stop', failure],
      ['/root/parent', 'stop', failure],
    ])
    expect(inspect(runtime)?.childCount).toBe(0)
  })

  it('stops in order where asked: each child when the one spawned after it has stopped', async () => {
    const { runtime } = bench()
    const log: string[] = []
    const gates = [gate(), gate()]
    const { root } = runtime
    spawnActor(root, init => new Slow(init, log, gates[0]!.opened), { name: 'storage' })
    spawnActor(root, init => new Scripted(init, log), { name: 'quick' })
    spawnActor(root, init => new Slow(init, log, gates[1]!.opened), { name: 'modules' })
    const done = stopTree(root, 'x')
    gates[0]?.open()
    await gates[0]?.opened
    expect(log).toEqual(['modules stops: x'])
    gates[1]?.open()
    await done
    expect(log).toEqual([
      'modules stops: x',
      'modules has stopped',
      'quick stopped: x',
      'storage stops: x',
      'storage has stopped',
    ])
    expect(await runtime.ended).toBe('x')
  })

  it('stops ten thousand children one by one without a deep stack', async () => {
    const { runtime } = bench()
    for (let i = 0; i < 10_000; i++) spawnActor(runtime.root, init => new Scripted(init))
    await stopTree(runtime.root)
    expect(runtime.counters.actors).toBe(0)
  })
})

describe('stop', () => {
  it('from inside the own handler takes effect when the handler returns', async () => {
    const { runtime, settle } = bench()
    const actor = spawnActor(
      runtime.root,
      init =>
        new Scripted(init, [], function () {
          this.stop('done')
          this.log.push(`still here, takes more: ${this.tell('x')}`)
        }),
      { name: 'a' },
    )
    actor.tell('first')
    actor.tell('second')
    await settle()
    expect(actor.log).toEqual(['first', 'still here, takes more: false', 'a stopped: done'])
  })

  it('from inside a child of the stopped one lets that handler end first', async () => {
    const { runtime, settle } = bench()
    const log: string[] = []
    const parent = spawnActor(runtime.root, init => new Scripted(init, log), { name: 'parent' })
    const child = spawnActor(
      parent,
      init =>
        new Scripted(init, log, () => {
          parent.stop('x')
          log.push('end of the handler')
        }),
      { name: 'child' },
    )
    child.tell('go')
    await settle()
    expect(log).toEqual(['go', 'end of the handler', 'child stopped: x', 'parent stopped: x'])
  })

  it('and a throw in the same handler stop once', async () => {
    const { runtime, faults, settle } = bench()
    const actor = spawnActor(
      runtime.root,
      init =>
        new Scripted(init, [], function () {
          this.stop('done')
          throw new Error('and on top')
        }),
      { name: 'a' },
    )
    actor.tell('x')
    await settle()
    expect(actor.log).toEqual(['x', 'a stopped: done'])
    expect(faults.map(fault => fault.action)).toEqual(['none'])
  })

  it('refuses children from then on, and frees the name at once', () => {
    const { runtime, log, parent, make } = family()
    parent.stop()
    expect(() => make(parent, 'c')).toThrow('has stopped')
    expect(() => make(parent.ref as never, 'c')).toThrow('has stopped')
    make(runtime.root, 'parent')
    expect(log.filter(line => line.startsWith('parent'))).toHaveLength(1)
  })

  it('leaves a state that never came to be alone', async () => {
    const { runtime, faults, settle } = bench()
    const stopped: unknown[] = []
    const ref = spawn(runtime.root, {
      initial: (): number => {
        throw new Error('no state')
      },
      receive: state => state,
      afterStop: state => void stopped.push(state),
    })
    await settle()
    expect(ref.tell(undefined as never)).toBe(false)
    expect(stopped).toEqual([])
    expect(faults.map(({ during, action }) => [during, action])).toEqual([['start', 'stop']])
  })
})
