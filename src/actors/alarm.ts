import type { Alarm } from '../transports/transport.js'
import type { Deadline, Deadlines, DeadlineTarget } from './runtime/deadlines.js'

/** The deadlines of something that is no actor: a transport outlives the connection while it says goodbye. */
export class TransportAlarm implements Alarm, DeadlineTarget {
  deadlines: Deadline | undefined = undefined

  constructor(
    private readonly wheel: Deadlines,
    private readonly target: { timedOut(kind: number): void },
  ) {}

  arm(kind: number, at: number): void {
    this.wheel.arm(this, kind, at)
  }

  drop(): void {
    this.wheel.drop(this)
  }

  deadlineExpired(deadline: Deadline): void {
    deadline.hasExpired = false
    if (typeof deadline.kind === 'number') this.target.timedOut(deadline.kind)
  }
}
