import type { Clock } from '../../observability/clock.js'

/** Milliseconds between two looks at the wheel: a deadline is never early and at most about this late. */
export const STEP_MS = 100
const SLOTS = 512

/** Which of an actor's deadlines; symbols are the runtime's own. */
export type DeadlineKind = string | number | symbol

/** Who has deadlines. */
export interface DeadlineTarget {
  /** The first of its deadlines; kept here so that nothing is looked up. */
  deadlines: Deadline | undefined
  /** May arm and clear; a throw is told. An actor only queues a message here. */
  deadlineExpired(deadline: Deadline): void
}

/** One deadline of one target; made at the first `arm` of its kind and used again by the next. */
export class Deadline {
  readonly target: DeadlineTarget
  readonly kind: DeadlineKind
  /** The next of the same target. */
  sibling: Deadline | undefined
  /** True from expiry until it is delivered, cleared or armed again. */
  hasExpired = false
  /** The step at which it expires. */
  due = 0
  /** The step at which its slot is looked at next; 0 when it is in no slot. Not after `due`. */
  visit = 0
  previous: Deadline | undefined
  next: Deadline | undefined

  constructor(target: DeadlineTarget, kind: DeadlineKind) {
    this.target = target
    this.kind = kind
    this.sibling = target.deadlines
    target.deadlines = this
  }
}

/**
 * A wheel of slots, one looked at each step; its timer exists only while something is armed. Arming later than before
 * writes a number and the entry moves when its old slot comes up; everything else is one unlink and one link.
 */
export class Deadlines {
  readonly #clock: Clock
  readonly #faulted: (error: unknown) => void
  readonly #origin: number
  readonly #slots: (Deadline | undefined)[] = new Array<Deadline | undefined>(SLOTS).fill(undefined)
  /** The last step that was looked at. */
  #step = 0
  #armed = 0
  /** The rest of the slot that is looked at. */
  #walking: Deadline | undefined
  #isInTurn = false
  #cancel: (() => void) | undefined

  /** `faulted` must not throw. */
  constructor(clock: Clock, faulted: (error: unknown) => void) {
    this.#clock = clock
    this.#faulted = faulted
    this.#origin = clock.now()
  }

  /** How many are armed. */
  get size(): number {
    return this.#armed
  }

  /** True while the wheel turns. */
  get isTurning(): boolean {
    return this.#cancel !== undefined
  }

  /** Sets the target's deadline of this kind to `atMs` of the clock's `now()`; the past means the next step. */
  arm(target: DeadlineTarget, kind: DeadlineKind, atMs: number): void {
    if (this.#cancel === undefined) this.#start()
    const deadline = find(target, kind) ?? new Deadline(target, kind)
    deadline.hasExpired = false
    const due = Math.max(this.#step + 1, Math.ceil((atMs - this.#origin) / STEP_MS))
    deadline.due = due
    if (deadline.visit !== 0) {
      if (due >= deadline.visit) return
      this.#unlink(deadline)
    }
    this.#link(deadline)
  }

  /** After this the target is not told of that deadline, even if it has expired and waits in the mailbox. */
  clear(target: DeadlineTarget, kind: DeadlineKind): void {
    const deadline = find(target, kind)
    if (deadline !== undefined) this.#disarm(deadline)
    this.#stopWhenEmpty()
  }

  /** Forgets everything about a target. */
  drop(target: DeadlineTarget): void {
    if (target.deadlines === undefined) return
    for (let deadline: Deadline | undefined = target.deadlines; deadline; deadline = deadline.sibling) {
      this.#disarm(deadline)
    }
    target.deadlines = undefined
    this.#stopWhenEmpty()
  }

  /** Forgets the entries of a target that are not armed. */
  trim(target: DeadlineTarget): void {
    let kept: Deadline | undefined
    for (let deadline = target.deadlines; deadline !== undefined; ) {
      const { sibling } = deadline
      if (deadline.visit !== 0 || deadline.hasExpired) {
        deadline.sibling = kept
        kept = deadline
      }
      deadline = sibling
    }
    target.deadlines = kept
  }

  #disarm(deadline: Deadline): void {
    deadline.hasExpired = false
    if (deadline.visit !== 0) this.#unlink(deadline)
  }

  #link(deadline: Deadline): void {
    // The first step after the present one that looks at the slot of `due`: `due` itself, or whole rounds before it.
    const rounds = Math.floor((deadline.due - this.#step - 1) / SLOTS)
    deadline.visit = deadline.due - rounds * SLOTS
    const slot = deadline.due % SLOTS
    const first = this.#slots[slot]
    deadline.previous = undefined
    deadline.next = first
    if (first !== undefined) first.previous = deadline
    this.#slots[slot] = deadline
    this.#armed++
  }

  #unlink(deadline: Deadline): void {
    if (deadline.previous !== undefined) deadline.previous.next = deadline.next
    else if (this.#walking === deadline) this.#walking = deadline.next
    else this.#slots[deadline.visit % SLOTS] = deadline.next
    if (deadline.next !== undefined) deadline.next.previous = deadline.previous
    deadline.previous = undefined
    deadline.next = undefined
    deadline.visit = 0
    this.#armed--
  }

  #start(): void {
    this.#step = this.#now()
    this.#sleep()
  }

  #now(): number {
    return Math.floor((this.#clock.now() - this.#origin) / STEP_MS)
  }

  #sleep(): void {
    const wake = this.#origin + (this.#step + 1) * STEP_MS
    this.#cancel = this.#clock.after(Math.max(0, Math.ceil(wake - this.#clock.now())), this.#turn)
  }

  #stopWhenEmpty(): void {
    // In the middle of a turn, its end decides.
    if (this.#armed > 0 || this.#isInTurn || this.#cancel === undefined) return
    this.#cancel()
    this.#cancel = undefined
  }

  #turn = (): void => {
    const now = this.#now()
    this.#isInTurn = true
    // After a long stall one look at every slot is enough.
    if (now - this.#step > SLOTS) this.#step = now - SLOTS
    while (this.#step < now) {
      this.#step++
      this.#look(this.#step % SLOTS, now)
    }
    this.#isInTurn = false
    this.#cancel = undefined
    if (this.#armed > 0) this.#sleep()
  }

  #look(slot: number, now: number): void {
    // Taken off the slot first: whoever is told may arm and clear whatever it likes.
    this.#walking = this.#slots[slot]
    this.#slots[slot] = undefined
    for (let deadline = this.#walking; deadline !== undefined; deadline = this.#walking) {
      this.#unlink(deadline)
      if (deadline.due <= now) this.#expire(deadline)
      else this.#link(deadline)
    }
  }

  #expire(deadline: Deadline): void {
    deadline.hasExpired = true
    try {
      deadline.target.deadlineExpired(deadline)
    } catch (error) {
      this.#faulted(error)
    }
  }
}

function find(target: DeadlineTarget, kind: DeadlineKind): Deadline | undefined {
  let deadline = target.deadlines
  while (deadline !== undefined && deadline.kind !== kind) deadline = deadline.sibling
  return deadline
}
