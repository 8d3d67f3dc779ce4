/*
 * When to look again: every two seconds, sooner when something changed, not at all while nobody sees the page.
 */

const EVERY = 2000
/** The least time between two rounds, in ms, however much changes. */
const LEAST = 700

export class Rounds {
  #look
  #failed
  #timer
  #isLooking = false
  #isWanted = false
  #lastAt = 0

  constructor(look, { failed }) {
    this.#look = look
    this.#failed = failed
    document.addEventListener('visibilitychange', () => {
      if (!document.hidden) this.soon()
    })
  }

  start() {
    void this.#round()
  }

  /** Looks as soon as may be. */
  soon() {
    if (this.#isLooking) {
      this.#isWanted = true
      return
    }
    this.#next(LEAST - (performance.now() - this.#lastAt))
  }

  #next(ms) {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#round(), Math.max(0, ms))
  }

  async #round() {
    if (document.hidden) return this.#next(EVERY)
    this.#isLooking = true
    this.#isWanted = false
    this.#lastAt = performance.now()
    await this.guarded(this.#look)
    this.#isLooking = false
    this.#next(this.#isWanted ? LEAST - (performance.now() - this.#lastAt) : EVERY)
  }

  /** Does it; a server that does not answer is told of, what else goes wrong is a bug and shows as one. */
  async guarded(work) {
    try {
      return await work()
    } catch (error) {
      if (!(error instanceof TypeError || error instanceof DOMException || error.name === 'Refusal')) throw error
      this.#failed(error)
    }
  }
}
