import type { AuthConfig } from '../config/auth.js'
import type { Clock } from '../observability/clock.js'
import { BackEndUnavailable, type Method } from './method.js'
import { AuthProgram, LONGEST_QUESTION } from './program.js'
import { rememberedExistence } from './remembered.js'

/** Milliseconds that an answer may take, waiting for its turn included. */
const ANSWER_MS = 10_000
/** Requests that wait for a program that is free. */
const WAITING = 1_000

interface Request {
  readonly text: string
  answered(isRight: boolean): void
  failed(reason: string): void
}

export interface ExternalMethodOptions {
  host: string
  config: AuthConfig['external']
  clock: Clock
  /** Told each time a program ends or does not do what it should. */
  onFailure(reason: string): void
}

/**
 * Method `external`: programs beside the server know the users; `auth:user:host:password` and `isuser:user:host` are asked, one
 * question at a time and program. spec/listeners.md §2.6
 */
export function externalMethod({ host, config, clock, onFailure }: ExternalMethodOptions): Method {
  const queue: Request[] = []
  const programs = Array.from(
    { length: config.instances },
    () => new AuthProgram(config.program ?? '', { clock, onFree: next, onDown: down }),
  )

  function next(): void {
    for (const program of programs) {
      if (!program.isFree) continue
      const request = queue.shift()
      if (request === undefined) return
      program.ask(request.text, request)
    }
  }

  /** Who waits need not wait for a program that is to be started again some time. */
  function down(reason: string): void {
    onFailure(reason)
    if (programs.some(program => program.isUp)) return
    for (const request of queue.splice(0)) request.failed(reason)
  }

  const ask = (text: string): Promise<boolean> =>
    new Promise((resolve, reject) => {
      const unavailable = (reason: string) => reject(new BackEndUnavailable(reason))
      if (Buffer.byteLength(text) > LONGEST_QUESTION) return resolve(false)
      if (!programs.some(program => program.isUp)) return unavailable('no program runs')
      if (queue.length >= WAITING) return unavailable('too many requests wait for a program')
      const cancel = clock.after(ANSWER_MS, () => {
        const place = queue.indexOf(request)
        if (place >= 0) queue.splice(place, 1)
        // What it answers from now on would be taken for the answer to another question.
        else programs.find(program => program.isAsked(request))?.end(`no answer within ${ANSWER_MS} ms`)
        unavailable(`no answer within ${ANSWER_MS} ms`)
      })
      const request: Request = {
        text,
        answered(isRight) {
          cancel()
          resolve(isRight)
        },
        failed(reason) {
          cancel()
          unavailable(reason)
        },
      }
      queue.push(request)
      next()
    })

  return {
    capabilities: ['plain'],
    verify: (user, password) => ask(`auth:${user}:${host}:${password}`),
    exists: rememberedExistence(clock, user => ask(`isuser:${user}:${host}`)),
    start() {
      for (const program of programs) program.start()
    },

    async stop() {
      for (const request of queue.splice(0)) request.failed('the server stops')
      await Promise.all(programs.map(program => program.stop()))
    },
  }
}
