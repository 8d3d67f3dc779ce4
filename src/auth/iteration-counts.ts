/** Iterations of keys that are derived from a plain password at each login. spec/listeners.md §2.6 */
export const ITERATIONS_ON_THE_FLY = 10_000

/** More different counts than an installation comes to; beyond it none is added. */
const DIFFERENT = 16

/**
 * The iteration counts that accounts of a host were seen with, the one of new accounts first. A name that nobody has shows one of them:
 * else an account from before a change of `auth.scram_iterations` could be told by its count.
 */
export interface IterationCounts {
  readonly seen: readonly number[]
  note(count: number): void
}

export function iterationCounts(ofNewAccounts: number): IterationCounts {
  const seen = [ofNewAccounts]
  return {
    seen,
    note(count) {
      if (seen.length < DIFFERENT && !seen.includes(count)) seen.push(count)
    },
  }
}
