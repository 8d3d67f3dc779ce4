/** Where progress is shown, if it is a terminal. */
export interface ProgressOutput {
  readonly isTTY?: boolean
  readonly columns?: number
  write(text: string): unknown
}

/** Milliseconds between two pictures. */
const paceMs = 100
const barWidth = 30

/** Shows how far long work is, on a terminal only; there is nothing left of it when it ends. */
export class Progress {
  #shownAt = Number.NEGATIVE_INFINITY
  #isShown = false

  constructor(
    private readonly output: ProgressOutput,
    private readonly label: string,
    private readonly now: () => number = () => performance.now(),
  ) {}

  update(done: number, total: number): void {
    if (this.output.isTTY !== true || this.now() - this.#shownAt < paceMs) return
    this.#shownAt = this.now()
    this.#isShown = true
    this.output.write(`\r${this.#line(done, total)}\u001b[K`)
  }

  end(): void {
    if (this.#isShown) this.output.write('\r\u001b[K')
    this.#isShown = false
  }

  #line(done: number, total: number): string {
    const part = total <= 0 ? 1 : Math.min(1, done / total)
    const filled = Math.round(part * barWidth)
    const bar = '#'.repeat(filled).padEnd(barWidth, '.')
    const line = `${this.label} [${bar}] ${String(Math.floor(part * 100)).padStart(3)} %  ${done} of ${total}`
    return line.slice(0, (this.output.columns ?? 80) - 1)
  }
}
