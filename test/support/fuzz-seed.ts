import fc from 'fast-check'

/*
 * Whoever changes something learns from a failing test about that change, not about an input that nobody had thought of: the seed is the same
 * in every run. `FUZZ_SEED=random npm test` goes looking for such inputs; a failure prints the number that repeats it.
 */

const { FUZZ_SEED = '1' } = process.env
if (FUZZ_SEED !== 'random') fc.configureGlobal({ ...fc.readConfigureGlobal(), seed: Number(FUZZ_SEED) })
