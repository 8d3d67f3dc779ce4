import type { Clock } from '../observability/clock.js'

/** Calls what is added after a short time that is the same for all: one timer, however many wait. */
export class Gathering {
  /** In the order of their times. */
  private readonly line: { readonly target: { gathered(): void }; readonly at: number }[] = []
  private cancel: (() => void) | undefined = undefined

  /** `ms`: the time, in milliseconds. */
  constructor(
    private readonly clock: Clock,
    private readonly ms: number,
  ) {}

  add(target: { gathered(): void }): void {
    this.line.push({ target, at: this.clock.now() + this.ms })
    if (this.cancel === undefined) this.sleep(this.ms)
  }

  stop(): void {
    this.cancel?.()
    this.line.length = 0
  }

  private sleep(ms: number): void {
    this.cancel = this.clock.after(ms, () => this.wake())
  }

  private wake(): void {
    const now = this.clock.now()
    const due = this.line.findIndex(({ at }) => at > now)
    this.cancel = undefined
    for (const { target } of this.line.splice(0, due === -1 ? this.line.length : due)) target.gathered()
    const [next] = this.line
    if (next !== undefined && this.cancel === undefined) this.sleep(Math.max(1, next.at - now))
  }
}
