import { performance } from 'node:perf_hooks'
import { Histogram } from './histogram.js'

/** Milliseconds between two looks. */
const PERIOD = 20

/**
 * How much later than they should timers run, in microseconds: what anything that comes in has to wait for what is being done. It is about the
 * process, so that the clock is the process's own.
 */
export class LoopDelay {
  readonly histogram = new Histogram()

  /** Begins to measure; the function returned ends it. */
  start(): () => void {
    let due = performance.now() + PERIOD
    const look = () => {
      const now = performance.now()
      this.histogram.add(Math.max(0, Math.round((now - due) * 1000)))
      due = now + PERIOD
      timer = setTimeout(look, PERIOD)
      timer.unref()
    }
    let timer = setTimeout(look, PERIOD)
    timer.unref()
    return () => clearTimeout(timer)
  }
}
