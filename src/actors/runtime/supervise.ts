/** Restart a faulted actor as a new incarnation of the same name; more than `restarts` within `withinMs` escalates, or what `beyond` says. */
export interface Restart {
  /** At least 1. */
  readonly restarts: number
  /** Above 0. */
  readonly withinMs: number
  /** What is done about one fault too many; absent: it escalates. */
  readonly beyond?: 'stop'
}

/** What a parent does about a child's fault. `escalate` stops the child and makes its parent fail. */
export type Policy = 'stop' | 'resume' | 'escalate' | Restart

/** What was done about a fault; `none` when the actor was already stopping or the fault was not an actor's. */
export type FaultAction = 'stop' | 'resume' | 'escalate' | 'restart' | 'none'

/** What the actor (or the runtime) was doing when it failed. */
export type FaultMoment =
  | 'receive'
  | 'start'
  | 'stop'
  | 'pack'
  | 'unpack'
  | 'supervise'
  | 'child'
  | 'restart'
  | 'deadline'
  | 'flush'
  | 'turn'

/** One fault, told once for each actor it reached. Holds what was thrown, never the message being handled. */
export interface FaultEvent {
  /** As `/root/listeners`; undefined for a deadline, a flush or a turn that no actor owns. */
  readonly path: string | undefined
  /** The actor's class, a behaviour's `kind`, `nact`, or `runtime` for a fault of no actor. */
  readonly kind: string
  /** What it was doing. */
  readonly during: FaultMoment
  /** What was thrown. */
  readonly error: unknown
  /** What its supervisor did. */
  readonly action: FaultAction
}

/** What is remembered of an actor's faults; shared by its incarnations, made at the first fault. */
export interface FaultRecord {
  faults: number
  restarts: number
  lastFault: string
  /** When it was restarted, within the policy's window (ms of the clock). */
  restartedAt: number[]
}

/** Nothing happened yet. */
export function newRecord(): FaultRecord {
  return { faults: 0, restarts: 0, lastFault: '', restartedAt: [] }
}

const longestCause = 200

/** One line about what was thrown. */
export function causeOf(error: unknown): string {
  let text: string
  try {
    text = error instanceof Error ? `${error.name}: ${error.message}` : `thrown ${typeof error}`
  } catch {
    // An error whose own getters throw says nothing useful.
    text = 'unprintable error'
  }
  return text.length > longestCause ? `${text.slice(0, longestCause)}…` : text
}

/** Counts one restart; false when the policy allows no more of them. */
export function mayRestart(record: FaultRecord, policy: Restart, now: number): boolean {
  record.restartedAt = record.restartedAt.filter(at => now - at < policy.withinMs)
  if (record.restartedAt.length >= policy.restarts) return false
  record.restartedAt.push(now)
  return true
}

/** Throws when a policy cannot be meant. */
export function checkPolicy(policy: Policy): void {
  if (policy === 'stop' || policy === 'resume' || policy === 'escalate') return
  const { restarts, withinMs } = policy
  if (!(Number.isInteger(restarts) && restarts > 0 && withinMs > 0)) {
    throw new Error('a restart policy needs restarts and withinMs above 0')
  }
}
