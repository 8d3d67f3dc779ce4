/*
 * A session of BOSH as a machine: which request is answered when and with what, what is repeated, and when it is all over.
 * XEP-0124; spec/bosh.md §5 to §11
 */

import { createHash } from 'node:crypto'

/** Requests that a client may have open at a time. */
export const REQUESTS = 2
/** Answers that are kept for a client that does not acknowledge them. B-13 */
const KEPT = 2
/** How long what ended waits to be told where sessions never end by themselves, in milliseconds. */
const LINGER_MS = 60_000

/** What the two agreed on at the creation of the session. */
export interface Terms {
  /** Milliseconds that a request is held. */
  readonly wait: number
  /** Milliseconds without a held request; undefined = for ever. */
  readonly inactivity: number | undefined
  /** Seconds. */
  readonly maxPause: number
  /** The server acknowledges requests. B-30 */
  readonly acknowledges: boolean
  /** The client acknowledges answers. B-31 */
  readonly isAcknowledged: boolean
}

export interface Request {
  /** The transport's, which may get the same `rid` twice. */
  readonly id: number
  readonly rid: number
  readonly kind: 'create' | 'stanzas' | 'restart' | 'pause' | 'terminate'
  /** Seconds, of a pause. */
  readonly pause?: number | undefined
  readonly ack?: number | undefined
  readonly key?: string | undefined
  readonly newKey?: string | undefined
}

interface Held {
  readonly request: Request
  readonly dueAt: number
}

interface Sent {
  readonly rid: number
  readonly at: number
  readonly key: string | undefined
}

export interface State {
  readonly terms: Terms
  /** `terminating`: the client has ended its stream; `over`: the stream has ended, and nobody could be told yet. */
  readonly phase: 'open' | 'terminating' | 'over' | 'gone'
  /** The highest `rid` that was handled in order. */
  readonly last: number
  /** Handled and not answered yet, the lowest first. */
  readonly held: readonly Held[]
  /** Came before its predecessor did. */
  readonly deferred: Held | undefined
  /** What was answered and may be asked for again, the oldest first. */
  readonly sent: readonly Sent[]
  /** What goes out first after a start of the stream waits to go together. B-5 */
  readonly isGathering: boolean
  /** The next answer tells the terms of the session. */
  readonly isOpening: boolean
  readonly hasOutput: boolean
  /** The oldest answer that the client seems to miss. B-32 */
  readonly missed: Sent | undefined
  /** What the SHA-1 of the next key must be. XEP-0124 §15 */
  readonly key: string | undefined
  /** Seconds that the client asked for. */
  readonly pause: number | undefined
  /** When the last held request was answered. */
  readonly silentSince: number | undefined
  /** Why it is over. */
  readonly condition: string | undefined
}

export type Event =
  | { type: 'arrived'; request: Request; now: number }
  /** Something waits to be sent. */
  | { type: 'output'; now: number }
  /** The time for gathering is over. */
  | { type: 'gathered'; now: number }
  /** Some request may have been held long enough, or the client silent for too long. */
  | { type: 'timedOut'; now: number }
  /** What the client asks is against the rules. */
  | { type: 'broken'; condition: string; id?: number; now: number }
  /** The server's side of the stream has ended. */
  | { type: 'ended'; condition: string | undefined; now: number }

/** A `<body/>` for the request `id`. */
export interface Answer {
  readonly type: 'answer'
  readonly id: number
  /** To be kept under; undefined = never asked for again. */
  readonly rid: number | undefined
  /** With everything that waits to be sent. */
  readonly takesOutput: boolean
  readonly tellsTerms: boolean
  readonly ack: number | undefined
  /** `time` in milliseconds. */
  readonly report: { readonly rid: number; readonly time: number } | undefined
  readonly end: { readonly condition: string | undefined } | undefined
}

export type Effect =
  | Answer
  /** The answer that was given to `rid` before, byte by byte. */
  | { type: 'repeat'; id: number; rid: number }
  /** What the request holds goes to the stream. */
  | { type: 'deliver'; id: number }
  /** The answer to `rid` is not asked for again. */
  | { type: 'forget'; rid: number }
  /** The client is lost for the stream. */
  | { type: 'lose'; reason: string }
  /** Nobody may ask for the session any more. */
  | { type: 'vanish' }

type Draft = { -readonly [Key in keyof State]: State[Key] }

export interface Step {
  readonly state: State
  readonly effects: readonly Effect[]
}

/** The session before its first request, which must be the one that creates it. */
export function initial(terms: Terms, rid: number): State {
  return {
    terms,
    phase: 'open',
    last: rid - 1,
    held: [],
    deferred: undefined,
    sent: [],
    isGathering: false,
    isOpening: false,
    hasOutput: false,
    missed: undefined,
    key: undefined,
    pause: undefined,
    silentSince: undefined,
    condition: undefined,
  }
}

export function transition(state: State, event: Event): Step {
  const session = new Session(state, event.now)
  if (state.phase !== 'gone') session.take(event)
  return { state: session.state, effects: session.effects }
}

/** When `timedOut` is due; undefined = never. */
export function dueAt({ held, deferred, silentSince, pause, phase, terms }: State): number | undefined {
  if (phase === 'gone') return undefined
  if (silentSince === undefined) {
    let first = deferred?.dueAt
    for (const one of held) if (first === undefined || one.dueAt < first) first = one.dueAt
    return first
  }
  if (phase === 'over') return silentSince + Math.min(terms.inactivity ?? LINGER_MS, LINGER_MS)
  if (pause !== undefined) return silentSince + pause * 1000
  return terms.inactivity === undefined ? undefined : silentSince + terms.inactivity
}

/** One transition: the state as it becomes, and what is to be done. */
class Session {
  readonly effects: Effect[] = []
  /** A copy: the one that was given stays as it is. */
  readonly state: Draft

  constructor(
    state: State,
    private readonly now: number,
  ) {
    this.state = { ...state }
  }

  take(event: Event): void {
    switch (event.type) {
      case 'arrived':
        this.arrived(event.request)
        break
      case 'output':
        this.set({ hasOutput: true })
        break
      case 'gathered':
        this.set({ isGathering: false })
        break
      case 'timedOut':
        this.timedOut()
        break
      case 'broken':
        this.breakOff(event.condition, event.id)
        break
      case 'ended':
        this.ended(event.condition)
        break
    }
    this.settle()
  }

  private set(change: Partial<State>): void {
    Object.assign(this.state, change)
  }

  // ---- requests. spec/bosh.md §5

  private arrived(request: Request): void {
    const { sent, held, deferred, last, phase } = this.state
    this.set({ silentSince: undefined })
    // B-24: any other request ends a pause.
    if (request.kind !== 'pause') this.set({ pause: undefined })
    const before = sent.find(({ rid }) => rid === request.rid)
    const twin = [...held, deferred].find(one => one?.request.rid === request.rid)
    if (before !== undefined) this.repeat(before, request)
    else if (phase === 'over') this.tellEnd(request)
    else if (twin !== undefined) this.replace(twin, request)
    else if (request.rid === last + 1) this.handleFrom(request)
    else if (request.rid === last + REQUESTS) this.set({ deferred: this.hold(request) })
    else this.breakOff('item-not-found', request.id)
  }

  /** B-14: nothing of it is handled again. */
  private repeat(before: Sent, request: Request): void {
    if (before.key === request.key) this.effects.push({ type: 'repeat', id: request.id, rid: request.rid })
    else this.breakOff('item-not-found', request.id)
  }

  /** Repeated while it is held: the newer one waits on. */
  private replace(twin: Held, request: Request): void {
    if (twin.request.key !== request.key) {
      this.breakOff('item-not-found', request.id)
      return
    }
    this.answer(twin.request.id, undefined, {})
    const newer = this.hold({ ...request, kind: twin.request.kind })
    if (twin === this.state.deferred) this.set({ deferred: newer })
    else this.set({ held: this.state.held.map(one => (one === twin ? newer : one)) })
  }

  private hold(request: Request): Held {
    return { request, dueAt: this.now + this.state.terms.wait }
  }

  /** Handles it, and what came too early and is next now. */
  private handleFrom(request: Request): void {
    this.handle(this.hold(request))
    const { deferred, last } = this.state
    if (deferred === undefined || deferred.request.rid !== last + 1) return
    this.set({ deferred: undefined })
    this.settle()
    // It is here already: there is no silence, and it ends a pause before it as if it came now.
    this.set({ silentSince: undefined })
    if (deferred.request.kind !== 'pause') this.set({ pause: undefined })
    this.handle(deferred)
  }

  private handle(one: Held): void {
    const { request } = one
    if (!this.unlock(request)) {
      this.breakOff('item-not-found', request.id)
      return
    }
    this.acknowledged(request.ack)
    this.set({ last: request.rid })
    this.effects.push({ type: 'deliver', id: request.id })
    switch (request.kind) {
      case 'create':
      case 'restart':
        this.release(0)
        this.set({ held: [one], isGathering: true, isOpening: true })
        break
      case 'terminate':
        this.release(0)
        this.set({ held: [one], phase: 'terminating' })
        break
      case 'pause':
        this.paused(one)
        break
      case 'stanzas':
        this.set({ held: [...this.state.held, one] })
    }
  }

  /** True when the key, where there must be one, is the right one; the next one follows from it. XEP-0124 §15 */
  private unlock({ kind, key, newKey }: Request): boolean {
    const expected = this.state.key
    if (expected === undefined) {
      if (kind === 'create') this.set({ key: newKey })
      return true
    }
    if (key === undefined || createHash('sha1').update(key).digest('hex') !== expected) return false
    this.set({ key: newKey ?? key })
    return true
  }

  /** B-24, B-25 */
  private paused(one: Held): void {
    const { pause = 0, id } = one.request
    if (pause > this.state.terms.maxPause) {
      this.breakOff('policy-violation', id)
      return
    }
    this.set({ held: [...this.state.held, one], pause })
    this.release(0)
  }

  /** B-31, B-32 */
  private acknowledged(ack: number | undefined): void {
    const { terms, sent, missed } = this.state
    if (!terms.isAcknowledged) return
    // Who says nothing has got everything. XEP-0124 §9.2
    if (ack === undefined) {
      this.keep(sent.slice(-KEPT))
      return
    }
    const newest = sent.at(-1)
    if (newest !== undefined && ack < newest.rid) {
      const lost = sent.find(({ rid }) => rid === ack + 1)
      if (lost !== undefined && (missed === undefined || lost.rid < missed.rid)) this.set({ missed: lost })
    }
    this.keep(sent.filter(({ rid }) => rid > ack))
  }

  private keep(kept: readonly Sent[]): void {
    for (const one of this.state.sent) if (!kept.includes(one)) this.effects.push({ type: 'forget', rid: one.rid })
    this.set({ sent: kept })
  }

  // ---- answers. spec/bosh.md §6

  /** Answers what need not be held any longer. B-16, B-17 */
  private settle(): void {
    if (this.state.phase === 'gone') return
    const { isGathering, phase } = this.state
    this.release(isGathering || phase === 'terminating' ? REQUESTS : 1)
    const { held, hasOutput, missed } = this.state
    const mayAnswer = !this.state.isGathering && this.state.phase === 'open' && held.length > 0
    if (mayAnswer && (hasOutput || missed !== undefined)) this.release(held.length - 1)
    if (this.state.held.length > 0 || this.state.deferred !== undefined) return
    // B-22
    if (this.state.silentSince === undefined) this.set({ silentSince: this.now })
  }

  /** Answers the oldest ones until no more than `most` are held. B-15 */
  private release(most: number): void {
    for (;;) {
      const [first, ...rest] = this.state.held
      if (first === undefined || this.state.held.length <= most) return
      this.set({ held: rest })
      const { id, rid, key } = first.request
      const { last, missed, sent, terms, isOpening } = this.state
      const report =
        missed !== undefined && sent.includes(missed)
          ? { rid: missed.rid, time: Math.round(this.now - missed.at) }
          : undefined
      const ack = terms.acknowledges && (isOpening || last !== rid) ? last : undefined
      this.answer(id, rid, { takesOutput: true, tellsTerms: isOpening, ack, report })
      this.set({ isGathering: false, isOpening: false, hasOutput: false, missed: undefined })
      const all = [...sent, { rid, at: this.now, key }]
      this.keep(terms.isAcknowledged ? all : all.slice(-KEPT))
    }
  }

  private answer(id: number, rid: number | undefined, more: Partial<Answer>): void {
    const nothing = { takesOutput: false, tellsTerms: false, ack: undefined, report: undefined, end: undefined }
    this.effects.push({ ...nothing, ...more, type: 'answer', id, rid })
  }

  // ---- deadlines and ends. spec/bosh.md §8, §9

  private timedOut(): void {
    const { silentSince, phase } = this.state
    if (silentSince !== undefined) {
      const due = dueAt(this.state)
      if (due === undefined || due > this.now) return
      if (phase !== 'over') this.effects.push({ type: 'lose', reason: 'inactivity' })
      this.vanish()
      return
    }
    // B-18
    const isDue = (one: Held | undefined) => one !== undefined && one.dueAt <= this.now
    // A request that came before its predecessor is due before it too, and is answered behind it.
    while (this.state.held.some(isDue)) this.release(this.state.held.length - 1)
    // What should have come before it is not going to.
    if (isDue(this.state.deferred)) this.breakOff('item-not-found')
  }

  /** B-12: every open request is told, and the stream ends. */
  private breakOff(condition: string, id?: number): void {
    this.endAll({ condition }, false, id)
    if (this.state.phase !== 'over') this.effects.push({ type: 'lose', reason: condition })
    this.vanish()
  }

  /** B-27, B-28 */
  private ended(condition: string | undefined): void {
    const { held, deferred, phase } = this.state
    if (held.length > 0 || deferred !== undefined) {
      this.endAll({ condition }, true)
      this.vanish()
    } else if (phase === 'terminating') this.vanish()
    else this.set({ phase: 'over', condition, silentSince: this.state.silentSince ?? this.now })
  }

  private tellEnd({ id }: Request): void {
    this.endAll({ condition: this.state.condition }, true, id)
    this.vanish()
  }

  /** The first of all open requests gets what waits to be sent. */
  private endAll(end: Answer['end'], takesOutput: boolean, id?: number): void {
    const { held, deferred } = this.state
    const open = [...held, ...(deferred === undefined ? [] : [deferred])].map(({ request }) => request.id)
    if (id !== undefined && !open.includes(id)) open.push(id)
    for (const [index, one] of open.entries()) {
      this.answer(one, undefined, { end, takesOutput: takesOutput && index === 0 })
    }
    this.set({ held: [], deferred: undefined })
  }

  private vanish(): void {
    if (this.state.phase === 'gone') return
    this.effects.push({ type: 'vanish' })
    this.set({ phase: 'gone', sent: [] })
  }
}
