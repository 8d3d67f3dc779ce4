import { describe, expect, it } from 'vitest'
import { AskError, ask, type Ref, spawn, spawnActor } from '../../../src/actors/runtime/index.js'
import { longLived } from '../../../src/actors/supervision.js'
import { bench, Supervisor } from './support.js'

type Question = { reply: (answer: number) => void } | 'boom' | 'stop'

function oracle(answers: boolean) {
  const the = bench()
  const ref = spawn<number, Question>(
    the.runtime.root,
    {
      initial: () => 0,
      receive: (state, message, context) => {
        if (message === 'boom') throw new Error('boom')
        if (message === 'stop') context.stop()
        else if (answers) message.reply(state + 1)
        return state + 1
      },
    },
    { name: 'oracle', policy: longLived },
  )
  const question = (timeoutMs = 1000) => ask(ref, (reply: (answer: number) => void): Question => ({ reply }), timeoutMs)
  return { ...the, ref, question }
}

describe('ask', () => {
  it('resolves with the answer and leaves no timer behind', async () => {
    const { question, clock } = oracle(true)
    expect(await Promise.all([question(), question()])).toEqual([1, 2])
    expect(clock.pending).toBe(0)
  })

  it('rejects after the time given', async () => {
    const { question, clock, settle } = oracle(false)
    const answer = question(500)
    const failed = expect(answer).rejects.toMatchObject({ name: 'AskError', reason: 'timeout' })
    await settle()
    clock.advance(500)
    await failed
  })

  it('rejects when the actor stops, and when it is restarted', async () => {
    for (const end of ['stop', 'boom'] as const) {
      const { question, ref, clock } = oracle(false)
      const answer = question()
      ref.tell(end)
      await expect(answer).rejects.toMatchObject({ reason: 'stopped' })
      expect(clock.pending).toBe(0)
    }
  })

  it('rejects at once when the actor is gone', async () => {
    const { question, ref, settle } = oracle(true)
    ref.tell('stop')
    await settle()
    await expect(question()).rejects.toBeInstanceOf(AskError)
  })

  it('rejects when the message cannot be made, and asks nothing', async () => {
    const { ref, runtime, clock, settle } = oracle(true)
    const failure = new Error('no message')
    const answer = ask(
      ref,
      () => {
        throw failure
      },
      1000,
    )
    await expect(answer).rejects.toBe(failure)
    await settle()
    expect([runtime.counters.messages, clock.pending]).toEqual([0, 0])
  })

  it('takes the actor itself as well as its reference', async () => {
    const { runtime } = bench()
    class Echo extends Supervisor {}
    const actor = spawnActor(runtime.root, init => new Echo(init))
    actor.stop()
    const gone: Ref<never> = actor.ref
    await expect(ask(actor, () => undefined as never, 1)).rejects.toThrow('stopped')
    await expect(ask(gone, () => undefined as never, 1)).rejects.toThrow('stopped')
  })
})
