import { describe, expect, it } from 'vitest'
import { spawnActor } from '../../../src/actors/runtime/index.js'
import { DRAIN_BUDGET, TURN_BUDGET } from '../../../src/actors/runtime/run-queue.js'
import { bench, Scripted } from './support.js'

const turnOfLoop = () => new Promise<void>(resolve => setImmediate(resolve))

describe('the run queue', () => {
  it('lets an actor handle 128 messages and then sends it to the back of the queue', async () => {
    const { runtime, settle } = bench()
    const log: string[] = []
    const a = spawnActor(runtime.root, init => new Scripted(init, log))
    const b = spawnActor(runtime.root, init => new Scripted(init, log))
    for (let i = 0; i < 300; i++) {
      a.tell('a')
      b.tell('b')
    }
    await settle()
    const runs = log.join('').match(/a+|b+/g)
    expect(runs?.map(run => [run[0], run.length])).toEqual([
      ['a', TURN_BUDGET],
      ['b', TURN_BUDGET],
      ['a', TURN_BUDGET],
      ['b', TURN_BUDGET],
      ['a', 44],
      ['b', 44],
    ])
  })

  it('handles what actors tell one another in the same drain and flushes once at its end', async () => {
    const { runtime } = bench()
    const log: string[] = []
    const flushable = { flush: () => void log.push('flush') }
    const last = spawnActor(
      runtime.root,
      init =>
        new Scripted(init, log, () => {
          runtime.flushLater(flushable)
        }),
    )
    const first = spawnActor(
      runtime.root,
      init =>
        new Scripted(init, log, () => {
          runtime.flushLater(flushable)
          last.tell('second')
        }),
    )
    first.tell('first')
    const other = turnOfLoop().then(() => log.push('next turn of the loop'))
    await other
    expect(log).toEqual(['first', 'second', 'flush', 'next turn of the loop'])
    expect(runtime.counters.drains).toBe(1)
  })

  it('flushes in a drain of its own what was registered outside one, and what a flush registers in the next', async () => {
    const { runtime, settle } = bench()
    let flushes = 0
    const again = {
      flush() {
        if (++flushes === 1) runtime.flushLater(again)
      },
    }
    runtime.flushLater(again)
    runtime.flushLater(again)
    await turnOfLoop()
    expect(flushes).toBe(1)
    await settle()
    expect(flushes).toBe(2)
    expect(runtime.isIdle).toBe(true)
  })

  it('tells of a throwing flush and flushes the others', async () => {
    const { runtime, faults, settle } = bench()
    let flushed = 0
    const failure = new Error('broken pipe')
    runtime.flushLater({
      flush() {
        throw failure
      },
    })
    runtime.flushLater({ flush: () => flushed++ })
    await settle()
    expect(flushed).toBe(1)
    expect(faults).toEqual([{ path: undefined, kind: 'runtime', during: 'flush', error: failure, action: 'none' }])
  })

  it('goes on with the others when one actor faults', async () => {
    const { runtime, settle } = bench()
    const log: string[] = []
    const faulty = spawnActor(
      runtime.root,
      init =>
        new Scripted(init, [], () => {
          throw new Error('on purpose')
        }),
    )
    const good = spawnActor(runtime.root, init => new Scripted(init, log))
    faulty.tell('x')
    good.tell('handled')
    await settle()
    expect(log).toEqual(['handled'])
  })

  it('ends a drain after 4 096 messages, so that an endless exchange does not hold up sockets and timers', async () => {
    const { runtime } = bench()
    let isOver = false
    const echo = spawnActor(
      runtime.root,
      init =>
        new Scripted(init, [], function () {
          if (!isOver) this.tell('again')
        }),
    )
    echo.tell('start')
    await turnOfLoop()
    isOver = true
    expect(runtime.counters.messages).toBe(DRAIN_BUDGET)
  })

  it('keeps the process alive no longer than there is work', async () => {
    const { runtime, settle } = bench()
    const actor = spawnActor(runtime.root, init => new Scripted(init))
    actor.tell('x')
    expect(runtime.isIdle).toBe(false)
    await settle()
    expect(runtime.isIdle).toBe(true)
  })
})
