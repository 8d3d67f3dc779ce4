import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import * as bosh from '../../src/protocols/bosh.js'

/*
 * The machine alone: what arrives in which order, and what is answered to whom. The ids of requests are numbers of our own.
 */

const terms: bosh.Terms = {
  wait: 60_000,
  inactivity: 30_000,
  maxPause: 120,
  acknowledges: false,
  isAcknowledged: false,
}

/** A session whose effects a test looks at. */
class Session {
  state: bosh.State
  now = 0
  effects: bosh.Effect[] = []
  #lastId = 0

  constructor(changed: Partial<bosh.Terms> = {}, rid = 100, create: Partial<bosh.Request> = {}) {
    this.state = bosh.initial({ ...terms, ...changed }, rid)
    this.arrives(rid, { kind: 'create', ...create })
  }

  /** Opened: its creation is answered. */
  static opened(changed: Partial<bosh.Terms> = {}, create: Partial<bosh.Request> = {}): Session {
    const session = new Session(changed, 100, create)
    session.gives('output')
    session.gives('gathered')
    session.effects = []
    return session
  }

  /** Gives the request an id, which is told. */
  arrives(rid: number, request: Partial<bosh.Request> = {}): number {
    const id = ++this.#lastId
    this.step({ type: 'arrived', request: { id, rid, kind: 'stanzas', ...request }, now: this.now })
    return id
  }

  gives(type: 'output' | 'gathered' | 'timedOut'): void {
    this.step({ type, now: this.now })
  }

  step(event: bosh.Event): void {
    const { state, effects } = bosh.transition(this.state, event)
    this.state = state
    this.effects.push(...effects)
  }

  /** Lets time pass, as the wheel does. */
  waits(ms: number): void {
    const end = this.now + ms
    for (let due = bosh.dueAt(this.state); due !== undefined && due <= end; due = bosh.dueAt(this.state)) {
      this.now = Math.max(this.now, due)
      this.gives('timedOut')
    }
    this.now = end
  }

  /** Effects since the last look, of one type. */
  took<T extends bosh.Effect['type']>(type: T): Extract<bosh.Effect, { type: T }>[] {
    const isWanted = (effect: bosh.Effect): effect is Extract<bosh.Effect, { type: T }> => effect.type === type
    const found = this.effects.filter(isWanted)
    this.effects = this.effects.filter(effect => effect.type !== type)
    return found
  }

  get answered(): number[] {
    return this.took('answer').map(({ id }) => id)
  }

  get delivered(): number[] {
    return this.took('deliver').map(({ id }) => id)
  }

  /** Ended with this condition for everybody who asked. */
  endedWith(condition: string): number[] {
    const answers = this.took('answer')
    expect(answers.map(({ end }) => end?.condition)).toEqual(answers.map(() => condition))
    expect(this.took('vanish')).toHaveLength(1)
    expect(this.state.phase).toBe('gone')
    return answers.map(({ id }) => id)
  }
}

const sha1 = (text: string) => createHash('sha1').update(text).digest('hex')

describe('the machine of BOSH', () => {
  it('B-5: the creation is answered when its features have had time to come', () => {
    const session = new Session()
    session.gives('output')
    expect(session.took('answer')).toEqual([])
    session.gives('gathered')
    expect(session.took('answer')).toMatchObject([{ id: 1, takesOutput: true, tellsTerms: true }])
  })

  it('B-5: a creation that nothing comes for waits for it', () => {
    const session = new Session()
    session.gives('gathered')
    expect(session.took('answer')).toEqual([])
    session.gives('output')
    expect(session.took('answer')).toMatchObject([{ tellsTerms: true }])
  })

  it('B-11: what comes out of order is handled in order', () => {
    const session = Session.opened()
    const later = session.arrives(102)
    expect(session.delivered).toEqual([])
    const earlier = session.arrives(101)
    expect(session.delivered).toEqual([earlier, later])
    expect(session.answered).toEqual([earlier])
  })

  it('B-12: a gap that is too large ends everything', () => {
    const session = Session.opened()
    const held = session.arrives(101)
    const far = session.arrives(1101)
    expect(session.endedWith('item-not-found')).toEqual([held, far])
    expect(session.took('lose')).toHaveLength(1)
  })

  it('B-13: two answers can be asked for again, the third-last cannot', () => {
    const session = Session.opened()
    for (const rid of [101, 102, 103]) session.arrives(rid)
    expect(session.answered).toEqual([2, 3])
    session.arrives(101)
    session.arrives(102)
    expect(session.took('repeat').map(({ rid }) => rid)).toEqual([101, 102])
    session.arrives(100)
    session.endedWith('item-not-found')
  })

  it('B-14: a repeated request is not delivered again, answered or not', () => {
    const session = Session.opened()
    const first = session.arrives(101)
    const again = session.arrives(101)
    expect(session.delivered).toEqual([first])
    expect(session.took('answer')).toMatchObject([{ id: first, rid: undefined, takesOutput: false }])
    session.gives('output')
    expect(session.answered).toEqual([again])
  })

  it('B-15: nothing goes out on a request whose predecessor is missing', () => {
    const session = Session.opened()
    session.arrives(102)
    session.gives('output')
    expect(session.answered).toEqual([])
    const missing = session.arrives(101)
    expect(session.took('answer')).toMatchObject([{ id: missing, takesOutput: true }])
  })

  it('B-15: a request whose predecessor never comes ends the session after its wait', () => {
    const session = Session.opened()
    const early = session.arrives(102)
    session.waits(60_000)
    expect(session.endedWith('item-not-found')).toEqual([early])
  })

  it('B-16: a second request sets the first free', () => {
    const session = Session.opened()
    const first = session.arrives(101)
    session.arrives(102)
    expect(session.answered).toEqual([first])
    expect(session.state.held).toHaveLength(1)
  })

  it('B-18: a request is held for `wait`, each from its own arrival', () => {
    const session = Session.opened({ wait: 10_000 })
    const one = session.arrives(101)
    session.waits(9_999)
    expect(session.answered).toEqual([])
    session.waits(1)
    expect(session.answered).toEqual([one])
  })

  it('B-18: a request that overtook a restart is due before it, and both are answered then', () => {
    const session = Session.opened({ wait: 5_000 })
    const next = session.arrives(102)
    session.waits(1_000)
    const restart = session.arrives(101, { kind: 'restart' })
    expect(session.answered).toEqual([])
    session.waits(4_000)
    expect(session.answered).toEqual([restart, next])
  })

  it('B-22: silence begins with the last answer, and ends the session', () => {
    const session = Session.opened({ wait: 60_000, inactivity: 2_000 })
    session.arrives(101)
    session.waits(59_000)
    expect(session.state.phase).toBe('open')
    session.waits(1_000 + 1_999)
    expect(session.state.phase).toBe('open')
    session.waits(1)
    expect(session.state.phase).toBe('gone')
    expect(session.took('lose')).toEqual([{ type: 'lose', reason: 'inactivity' }])
  })

  it('B-23: a held request that is replaced is no silence', () => {
    const session = Session.opened({ wait: 10_000, inactivity: 2_000 })
    session.arrives(101)
    session.arrives(102)
    session.waits(4_000)
    expect(session.state.phase).toBe('open')
  })

  it('B-24: a pause answers everything and lasts once', () => {
    const session = Session.opened({ inactivity: 2_000 })
    const held = session.arrives(101)
    const pause = session.arrives(102, { kind: 'pause', pause: 10 })
    expect(session.answered).toEqual([held, pause])
    session.waits(9_999)
    expect(session.state.phase).toBe('open')
    session.arrives(103)
    session.gives('output')
    session.waits(2_000)
    expect(session.state.phase).toBe('gone')
  })

  it('B-24: a request that overtook the pause before it ends the pause, and is held', () => {
    const session = Session.opened({ inactivity: 2_000, wait: 5_000 })
    const next = session.arrives(102)
    const pause = session.arrives(101, { kind: 'pause', pause: 10 })
    expect(session.answered).toEqual([pause])
    session.waits(4_999)
    expect(session.answered).toEqual([])
    session.waits(1)
    expect(session.answered).toEqual([next])
    session.waits(1_999)
    expect(session.state.phase).toBe('open')
    session.waits(1)
    expect(session.state.phase).toBe('gone')
  })

  it('B-25: a pause that is too long ends the session', () => {
    const session = Session.opened()
    const held = session.arrives(101)
    const pause = session.arrives(102, { kind: 'pause', pause: 121 })
    expect(session.endedWith('policy-violation')).toEqual([held, pause])
  })

  it('B-27: the terminating request is answered by the end of the stream, without a condition', () => {
    const session = Session.opened()
    const held = session.arrives(101)
    const last = session.arrives(102, { kind: 'terminate' })
    expect(session.answered).toEqual([held])
    session.gives('output')
    expect(session.answered).toEqual([])
    session.step({ type: 'ended', condition: undefined, now: 0 })
    expect(session.took('answer')).toMatchObject([{ id: last, takesOutput: true, end: { condition: undefined } }])
    expect(session.state.phase).toBe('gone')
  })

  it('B-28: an end that nobody waits for is told to the next request, for a while', () => {
    const session = Session.opened()
    session.step({ type: 'ended', condition: 'remote-stream-error', now: 0 })
    const next = session.arrives(101)
    expect(session.took('answer')).toMatchObject([{ id: next, takesOutput: true }])
    expect(session.state.phase).toBe('gone')

    const lonely = Session.opened({ inactivity: undefined })
    lonely.step({ type: 'ended', condition: 'remote-stream-error', now: 0 })
    lonely.waits(60_000)
    expect(lonely.state.phase).toBe('gone')
    expect(lonely.took('lose')).toEqual([])
  })

  it('B-30: an answer acknowledges what came after its request', () => {
    const session = new Session({ acknowledges: true })
    session.gives('output')
    session.gives('gathered')
    expect(session.took('answer')).toMatchObject([{ ack: 100 }])
    session.arrives(101)
    session.arrives(102)
    session.gives('output')
    expect(session.took('answer').map(({ ack }) => ack)).toEqual([102, undefined])
  })

  it('B-31: answers are kept until they are acknowledged', () => {
    const session = Session.opened({ isAcknowledged: true })
    for (const rid of [101, 102, 103, 104]) session.arrives(rid, { ack: 100 })
    session.effects = []
    session.arrives(101)
    expect(session.took('repeat')).toMatchObject([{ rid: 101 }])
    session.arrives(105, { ack: 102 })
    expect(session.took('forget').map(({ rid }) => rid)).toEqual([101, 102])
    session.arrives(103)
    expect(session.took('repeat')).toMatchObject([{ rid: 103 }])
    session.effects = []
    session.arrives(102)
    session.endedWith('item-not-found')
  })

  it('B-32: a stale acknowledgement is reported at once, the oldest one first', () => {
    const session = Session.opened({ isAcknowledged: true })
    session.arrives(101, { ack: 100 })
    session.gives('output')
    session.arrives(102, { ack: 101 })
    session.gives('output')
    session.effects = []
    session.now = 25
    const stale = session.arrives(103, { ack: 101 })
    expect(session.took('answer')).toMatchObject([{ id: stale, report: { rid: 102, time: 25 } }])
  })

  it('XEP-0124 §15: every request needs the key before the last one', () => {
    const session = Session.opened({}, { newKey: sha1(sha1('seed')) })
    session.arrives(101, { key: sha1('seed') })
    session.arrives(102, { key: 'seed', newKey: sha1('other') })
    session.arrives(103, { key: 'other' })
    expect(session.state.phase).toBe('open')
    session.effects = []
    session.arrives(104)
    session.endedWith('item-not-found')
  })

  it('XEP-0124 §15: a repeated request needs its own key', () => {
    const session = Session.opened({}, { newKey: sha1('seed') })
    session.arrives(101, { key: 'seed' })
    session.arrives(101, { key: 'forged' })
    session.endedWith('item-not-found')
  })

  it('handles the largest rid that can be counted', () => {
    const session = new Session({}, Number.MAX_SAFE_INTEGER - 1)
    session.arrives(Number.MAX_SAFE_INTEGER)
    expect(session.delivered).toHaveLength(2)
    expect(session.state.phase).toBe('open')
  })
})

describe('the machine of BOSH, whatever comes', () => {
  const request = fc.record({
    type: fc.constant('arrived' as const),
    offset: fc.integer({ min: -3, max: 3 }),
    kind: fc.constantFrom('stanzas', 'stanzas', 'stanzas', 'pause', 'restart', 'terminate'),
    ack: fc.option(fc.integer({ min: -4, max: 1 }), { nil: undefined }),
  })
  const other = fc.record({ type: fc.constantFrom('output', 'gathered', 'ended', 'pass') })
  const events = fc.array(fc.oneof({ weight: 3, arbitrary: request }, other), { maxLength: 60 })

  it('B-11, B-14, B-15: delivers each rid once and in order, answers each request once, and holds no more than it may', () => {
    fc.assert(
      fc.property(events, fc.boolean(), (happening, isAcknowledged) => {
        const session = new Session({ isAcknowledged, inactivity: 2_000, wait: 5_000 })
        const rids = new Map([[1, 100]])
        for (const event of happening) {
          if (session.state.phase === 'gone') break
          if (event.type === 'arrived' && 'kind' in event) {
            const rid = session.state.last + event.offset
            const { last } = session.state
            const ack = event.ack === undefined ? undefined : Math.max(0, last + event.ack)
            const kind = event.kind as bosh.Request['kind'] // a literal of the list above
            const id = session.arrives(rid, { kind, ack, pause: kind === 'pause' ? 1 : undefined })
            rids.set(id, rid)
          } else if (event.type === 'ended') session.step({ type: 'ended', condition: undefined, now: session.now })
          else if (event.type === 'pass') session.waits(1_500)
          else session.gives(event.type as 'output' | 'gathered')
          expect(session.state.held.length).toBeLessThanOrEqual(bosh.REQUESTS)
        }
        const delivered = session.delivered.map(id => rids.get(id))
        expect(delivered).toEqual(delivered.map((_, index) => 100 + index))
        const told = [...session.took('answer'), ...session.took('repeat')].map(({ id }) => id)
        expect(new Set(told).size).toBe(told.length)
        // Left alone, it comes to an end, and nobody is left without an answer.
        session.effects = []
        session.waits(600_000)
        expect(session.state.phase).toBe('gone')
        const late = [...session.took('answer'), ...session.took('repeat')].map(({ id }) => id)
        expect([...told, ...late].sort((a, b) => a - b)).toEqual([...rids.keys()].sort((a, b) => a - b))
      }),
      { numRuns: 1_000 },
    )
  })
})
