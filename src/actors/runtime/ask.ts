import { type Actor, AnyActor } from './actor.js'
import { type Ref, Reference } from './ref.js'

/** Why a question got no answer. */
export class AskError extends Error {
  /** It took longer than it was given, or the actor ended or restarted first. */
  readonly reason: 'timeout' | 'stopped'

  constructor(path: string, reason: 'timeout' | 'stopped') {
    super(reason === 'timeout' ? `${path} did not answer in time` : `${path} stopped before it answered`)
    this.name = 'AskError'
    this.reason = reason
  }
}

/** The open questions of a runtime, by the actor that was asked. */
export class Asks {
  readonly #open = new Map<AnyActor, Set<() => void>>()

  add(actor: AnyActor, fail: () => void): void {
    const questions = this.#open.get(actor)
    if (questions === undefined) this.#open.set(actor, new Set([fail]))
    else questions.add(fail)
  }

  remove(actor: AnyActor, fail: () => void): void {
    const questions = this.#open.get(actor)
    if (questions?.delete(fail) && questions.size === 0) this.#open.delete(actor)
  }

  stopped(actor: AnyActor): void {
    if (this.#open.size === 0) return
    const questions = this.#open.get(actor)
    this.#open.delete(actor)
    if (questions !== undefined) for (const fail of questions) fail()
  }
}

/**
 * Tells an actor a message that holds the way to answer, and waits. Rejects with an `AskError` after `timeoutMs` and when
 * this incarnation stops. A timer, a promise and a closure each: not for stanzas.
 */
export function ask<M, R>(
  target: Ref<M> | Actor<M>,
  makeMessage: (reply: (answer: R) => void) => M,
  timeoutMs: number,
): Promise<R> {
  const actor = target instanceof Reference ? target.actor : target
  if (!(actor instanceof AnyActor) || actor.isStopping) return Promise.reject(new AskError(`${target.path}`, 'stopped'))
  const { clock, asks } = actor.runtime
  return new Promise<R>((resolve, reject) => {
    const settle = (): void => {
      cancel()
      asks.remove(actor, stopped)
    }
    const stopped = (): void => {
      settle()
      reject(new AskError(`${actor.path}`, 'stopped'))
    }
    const cancel = clock.after(timeoutMs, () => {
      settle()
      reject(new AskError(`${actor.path}`, 'timeout'))
    })
    asks.add(actor, stopped)
    try {
      actor.addControl(
        makeMessage(answer => {
          settle()
          resolve(answer)
        }),
      )
    } catch (error) {
      settle()
      reject(error)
    }
  })
}
