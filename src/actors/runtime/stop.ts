import type { Clock } from '../../observability/clock.js'
import type { NactActor } from './nact.js'

/** Begins to stop one and calls `done` when it has stopped, perhaps before it returns. */
type StopOne = (actor: NactActor, done: () => void) => void

/** Stops all at once. */
export function together(actors: readonly NactActor[], stopOne: StopOne, done: () => void): void {
  let pending = 1
  const oneDone = (): void => {
    if (--pending === 0) done()
  }
  for (const actor of actors) {
    pending++
    stopOne(actor, oneDone)
  }
  oneDone()
}

/** Stops each when the one before it has stopped. A loop where possible: thousands may stop without waiting. */
export function oneByOne(actors: readonly NactActor[], stopOne: StopOne, done: () => void): void {
  const from = (start: number): void => {
    for (let i = start; i < actors.length; i++) {
      let isDone = false
      let isLeft = false
      stopOne(actors[i]!, () => {
        isDone = true
        if (isLeft) from(i + 1)
      })
      if (!isDone) {
        isLeft = true
        return
      }
    }
    done()
  }
  from(0)
}

/** Stops a stock nact actor bottom-up: its own `stop` would leave its children running (LIMITS §1.3, 1). */
export function stopStock(actor: NactActor): void {
  for (const child of [...actor.children.values()]) stopStock(child)
  actor.stop()
}

/** Calls `done` once: when the promise settles or the clock reaches `dueAt`. `failed` is told of a rejection and of lateness. */
export function bounded(
  clock: Clock,
  promise: PromiseLike<unknown>,
  dueAt: number,
  failed: (error: unknown) => void,
  done: () => void,
): void {
  let isOver = false
  const end = (): void => {
    if (isOver) return
    isOver = true
    cancel()
    done()
  }
  const cancel = clock.after(Math.max(0, dueAt - clock.now()), () => {
    if (isOver) return
    failed(new Error('its stopped() took longer than the stop may take'))
    end()
  })
  Promise.resolve(promise).then(end, error => {
    failed(error)
    end()
  })
}
