import { setImmediate as turnOfLoop } from 'node:timers/promises'
import {
  Actor,
  type ActorInit,
  createRuntime,
  type FaultEvent,
  type Runtime,
} from '../../../src/actors/runtime/index.js'
import { ManualClock } from '../../support/clock.js'

export interface Bench {
  readonly runtime: Runtime
  readonly clock: ManualClock
  readonly faults: FaultEvent[]
  /** Waits until every drain that is due has ended. */
  settle(): Promise<void>
}

/** A runtime on a clock that stands still, with its faults collected. */
export function bench(): Bench {
  const clock = new ManualClock()
  const faults: FaultEvent[] = []
  const runtime = createRuntime({ clock, onFault: event => faults.push(event) })
  return { runtime, clock, faults, settle: () => settled(runtime) }
}

export async function settled(runtime: Runtime): Promise<void> {
  do await turnOfLoop()
  while (!runtime.isIdle)
}

/** A promise and the way to settle it. */
export function gate(): { opened: Promise<void>; open: () => void; fail: (error: unknown) => void } {
  let open: () => void = () => undefined
  let fail: (error: unknown) => void = () => undefined
  const opened = new Promise<void>((resolve, reject) => {
    open = resolve
    fail = reject
  })
  return { opened, open, fail }
}

type Handler = (this: Scripted, message: string) => void | Promise<void>

/** Writes down what happens to it; its handler is the test's. */
export class Scripted extends Actor<string> {
  readonly log: string[]
  readonly #handle: Handler

  constructor(init: ActorInit, log: string[] = [], handle: Handler = () => undefined) {
    super(init)
    this.log = log
    this.#handle = handle
  }

  protected override receive(message: string): void | Promise<void> {
    this.log.push(message)
    return this.#handle.call(this, message)
  }

  protected override timedOut(kind: string | number): void {
    this.log.push(`timed out ${kind}`)
  }

  protected override stopped(reason: string): void | Promise<void> {
    this.log.push(`${this.name} stopped: ${reason}`)
  }
}

/** Only has children. */
export class Supervisor extends Actor<never> {
  protected override receive(): void {}
}
