import { StanzaError } from '../protocols/errors.js'

/*
 * Whose an entry is: hooks, answers, routes and lists note which module registers with them. So a module that is started again stands
 * where it stood, and what its handlers throw is told of it.
 */

/** A module of one host, as those see it with whom it registers. */
export interface Part {
  /** Its entries stand before those of parts with a higher place, and before those of nobody. */
  readonly place: number
  /** One of its handlers threw something that is nobody's expected answer. Whoever is told of bugs is told too. */
  failed(error: unknown): void
}

/** An entry of a list that is kept in the order of the parts. */
export interface OfPart {
  readonly part: Part | undefined
}

let current: Part | undefined

/** Runs what registers, at once, for a part: what is registered meanwhile is of it. */
export function registering<Result>(part: Part, work: () => Result): Result {
  const before = current
  current = part
  try {
    return work()
  } finally {
    current = before
  }
}

/** Whose an entry is that is made now; undefined: nobody's. */
export const registrant = (): Part | undefined => current

export const placeOf = (part: Part | undefined): number => part?.place ?? Number.POSITIVE_INFINITY

/** The list with one entry more, behind those of its own part. */
export function withEntry<Entry extends OfPart>(entries: readonly Entry[], entry: Entry): readonly Entry[] {
  const place = placeOf(entry.part)
  const next = entries.findIndex(({ part }) => placeOf(part) > place)
  return next === -1 ? [...entries, entry] : [...entries.slice(0, next), entry, ...entries.slice(next)]
}

/** Which part a bug is of, until somebody has told it. */
const culprits = new WeakMap<object, Part>()

/** Notes of which part an error is; returns the error. */
export function blamed(error: unknown, part: Part | undefined): unknown {
  const isBug = typeof error === 'object' && error !== null && !(error instanceof StanzaError)
  if (part !== undefined && isBug && !culprits.has(error)) culprits.set(error, part)
  return error
}

/** Tells the part whose handler threw this, if it was one's. */
export function accuse(error: unknown): void {
  if (typeof error !== 'object' || error === null) return
  const part = culprits.get(error)
  culprits.delete(error)
  part?.failed(error)
}
