import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { bucketOf, Histogram, HistogramMinute, leastOf } from '../../src/observability/metrics/histogram.js'
import {
  countReceived,
  countSent,
  createHostCounters,
  hostCounters,
  hostSums,
} from '../../src/observability/metrics/host-counters.js'
import { LastMinute } from '../../src/observability/metrics/minute.js'
import { type Metric, Metrics } from '../../src/observability/metrics/registry.js'
import { ManualClock } from '../support/clock.js'

describe('the last minute of a number', () => {
  const watched = () => {
    const clock = new ManualClock(5_000)
    const minute = new LastMinute(clock)
    const number = { value: 7 }
    const growth = minute.watch(() => number.value)
    return { clock, number, growth, stop: minute.start() }
  }

  it('Q-9: has what happened for a minute, and then no more', () => {
    const { clock, number, growth } = watched()
    number.value += 3
    expect(growth()).toBe(3)
    clock.advance(59_000)
    expect(growth()).toBe(3)
    number.value += 1
    clock.advance(1_000)
    expect(growth()).toBe(1)
    clock.advance(60_000)
    expect(growth()).toBe(0)
    expect(number.value).toBe(11)
  })

  it('Q-9: shows for every event how many there were in the minute before, whenever they come', () => {
    const steps = fc.array(fc.tuple(fc.integer({ min: 0, max: 20_000 }), fc.integer({ min: 0, max: 3 })), {
      maxLength: 60,
    })
    fc.assert(
      fc.property(steps, given => {
        const { clock, number, growth, stop } = watched()
        const events: number[] = []
        for (const [wait, count] of given) {
          clock.advance(wait)
          number.value += count
          for (let i = 0; i < count; i++) events.push(clock.now())
          const within = (ms: number) => events.filter(at => at > clock.now() - ms).length
          expect(growth()).toBeGreaterThanOrEqual(within(59_000))
          expect(growth()).toBeLessThanOrEqual(within(60_000))
        }
        stop()
      }),
      { numRuns: 50 },
    )
  })

  it('goes on from what was seen last when nobody looked for longer than a minute', () => {
    const { clock, number, growth, stop } = watched()
    stop()
    clock.advance(200_000)
    number.value += 2
    expect(growth()).toBe(2)
  })

  it('looks no more once it is stopped', () => {
    const { clock, stop } = watched()
    expect(clock.pending).toBe(1)
    stop()
    expect(clock.pending).toBe(0)
  })
})

describe('a histogram', () => {
  it('tells values apart to within an eighth', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 31 - 1 }), value => {
        const bucket = bucketOf(value)
        expect(leastOf(bucket)).toBeLessThanOrEqual(value)
        expect(leastOf(bucket + 1)).toBeGreaterThan(value)
        expect(leastOf(bucket + 1) - leastOf(bucket)).toBeLessThanOrEqual(Math.max(1, value / 8))
      }),
    )
  })

  it('shows n, mean, least, greatest and quantiles of the last 60 seconds (spec/metrics-api.md §2)', () => {
    const clock = new ManualClock()
    const histogram = new Histogram()
    histogram.add(1_000_000)
    const minute = new HistogramMinute(histogram, clock)
    const stop = minute.start()
    for (let value = 1; value <= 1000; value++) histogram.add(value)
    const spread = minute.read()
    expect(spread).toMatchObject({ n: 1000, mean: 500.5, min: 1 })
    for (const [part, exact] of [
      [50, 500],
      [75, 750],
      [90, 900],
      [95, 950],
      [99, 990],
      [999, 999],
    ] as const) {
      expect(Math.abs(spread[part] - exact)).toBeLessThanOrEqual(exact / 8)
    }
    expect(spread.median).toBe(spread[50])
    expect(spread.max).toBeGreaterThanOrEqual(1000)
    expect(spread.max).toBeLessThan(1125)
    clock.advance(60_000)
    expect(minute.read()).toEqual({
      n: 0,
      mean: 0,
      min: 0,
      max: 0,
      median: 0,
      50: 0,
      75: 0,
      90: 0,
      95: 0,
      99: 0,
      999: 0,
    })
    expect(histogram.count).toBe(1001)
    stop()
    expect(clock.pending).toBe(0)
  })

  it('counts exactly below powers of two', () => {
    const histogram = new Histogram()
    for (const value of [0, 63, 64, 255, 256, 5_000_000]) histogram.add(value)
    expect([64, 256, 1024, 2 ** 23].map(bound => histogram.below(bound))).toEqual([2, 4, 5, 6])
    expect(histogram.sum).toBe(5_000_638)
  })
})

describe('what is counted for a host', () => {
  it('Q-11: counts by the kind of the stanza, and an error once more', () => {
    const counters = createHostCounters()
    for (const kind of ['message', 'presence', 'iq'] as const) {
      countSent(counters, kind)
      countReceived(counters, kind, false)
      countReceived(counters, kind, true)
    }
    const counted = Object.entries(counters).filter(([, count]) => count > 0)
    expect(Object.fromEntries(counted)).toEqual({
      xmppMessageSent: 1,
      xmppPresenceSent: 1,
      xmppIqSent: 1,
      xmppMessageReceived: 2,
      xmppPresenceReceived: 2,
      xmppIqReceived: 2,
      xmppErrorMessage: 1,
      xmppErrorPresence: 1,
      xmppErrorIq: 1,
    })
  })

  it('has no name twice', () => {
    const names = [...hostCounters, ...Object.keys(hostSums)]
    expect(new Set(names).size).toBe(names.length)
  })
})

describe('all metrics together', () => {
  const spiral =
    (count: number): Metric =>
    () => ({ one: 1, count })
  const tables = () =>
    new Metrics(
      new Map([
        [
          'a.example',
          new Map<string, Metric>([
            ['modUp', spiral(2)],
            ['sessions', () => ({ value: 1, ms_since_reset: 9 })],
            ['a.b', spiral(5)],
          ]),
        ],
        [
          'b.example',
          new Map<string, Metric>([
            ['modUp', spiral(3)],
            ['sessions', () => ({ value: 4, ms_since_reset: 9 })],
            ['a.b', spiral(6)],
          ]),
        ],
      ]),
      new Map<string, Metric>([
        ['nodeUpTime', () => ({ value: 12 })],
        ['erlang.memory', () => ({ total: 1 })],
      ]),
    )

  it('Q-8: sums one, count and value over the hosts, and nothing else', () => {
    const metrics = tables()
    expect(metrics.all()).toEqual({ modUp: { one: 2, count: 5 }, sessions: { value: 5 }, 'a.b': { one: 2, count: 11 } })
    expect(metrics.oneOfAll('modUp')).toEqual({ one: 2, count: 5 })
    expect(metrics.host('b.example')).toMatchObject({ modUp: { count: 3 }, sessions: { ms_since_reset: 9 } })
  })

  it('Q-1, Q-10: lists what has one part; what has several is shown among others and never singly', () => {
    const metrics = tables()
    expect(metrics.index()).toEqual({
      hosts: ['a.example', 'b.example'],
      metrics: ['modUp', 'sessions'],
      global: ['nodeUpTime'],
    })
    expect(metrics.global()).toHaveProperty(['erlang.memory'])
    expect(metrics.host('a.example')).toHaveProperty(['a.b'])
    expect(metrics.oneOfGlobal('erlang.memory')).toBeUndefined()
    expect(metrics.oneOfHost('a.example', 'a.b')).toBeUndefined()
    expect(metrics.oneOfAll('a.b')).toBeUndefined()
  })

  it('Q-4: knows names by case, and no name that JavaScript gives to every object', () => {
    const metrics = tables()
    for (const name of ['modup', 'MODUP', 'constructor', '__proto__', 'toString', '']) {
      expect(metrics.oneOfAll(name)).toBeUndefined()
      expect(metrics.oneOfHost('a.example', name)).toBeUndefined()
      expect(metrics.oneOfHost(name, 'modUp')).toBeUndefined()
      expect(metrics.oneOfGlobal(name)).toBeUndefined()
      expect(metrics.host(name)).toBeUndefined()
    }
  })

  it('Q-13: all_metrics_are_global moves the sums among the global ones', () => {
    const metrics = tables().allGlobal()
    expect(metrics.index()).toEqual({
      hosts: ['a.example', 'b.example'],
      metrics: [],
      global: ['modUp', 'sessions', 'nodeUpTime'],
    })
    expect(metrics.oneOfGlobal('modUp')).toEqual({ one: 2, count: 5 })
    expect(metrics.host('a.example')).toEqual({})
    expect(metrics.oneOfHost('a.example', 'modUp')).toBeUndefined()
    expect(metrics.all()).toEqual({})
  })
})
