import { describe, expect, it } from 'vitest'
import { Feed, type FeedEvent } from '../../src/observability/feed.js'
import { ManualClock } from '../support/clock.js'

const event = (name: string): FeedEvent => ({ event: name, data: {} })
const names = (batch: readonly FeedEvent[] | undefined) => batch?.map(({ event: name }) => name)
const leftOut = (counts: object, total: number) => ({ event: 'left-out', data: { ...counts, total } })
const settle = () => new Promise(resolve => setImmediate(resolve))

describe('a feed', () => {
  it('gathers what comes, the rare before the common, and tells nothing twice', async () => {
    const clock = new ManualClock()
    const feed = new Feed(clock)
    const batches = feed.batches()
    feed.offer('a', () => event('a'))
    feed.offer('b', () => event('b'), true)
    const first = batches.next()
    await settle()
    feed.offer('a', () => event('c'))
    clock.advance(250)
    expect(names((await first).value as FeedEvent[])).toEqual(['b', 'a', 'c'])
    const second = batches.next()
    clock.advance(15_000)
    expect((await second).value).toEqual([])
  })

  it('counts what is above the rate, and what finds no room, without making it', async () => {
    const clock = new ManualClock()
    const feed = new Feed(clock, { rate: 3, room: 2, leftOut })
    let made = 0
    const offer = () => feed.offer('a', () => event(`a${++made}`))
    expect([offer(), offer(), offer()]).toEqual([true, true, false])
    expect(made).toBe(2)
    const batches = feed.batches()
    const first = batches.next()
    clock.advance(250)
    const batch = (await first).value as FeedEvent[]
    expect(names(batch)).toEqual(['a1', 'a2', 'left-out'])
    expect(batch[2]?.data).toEqual({ a: 1, total: 1 })
    // Of this second one more may come.
    expect([offer(), offer()]).toEqual([true, false])
    clock.advance(1000)
    expect(offer()).toBe(true)
  })

  it('never lets a flood hide what is rare', async () => {
    const feed = new Feed(new ManualClock(), { rate: 1, room: 5 })
    for (let i = 0; i < 1000; i++) feed.offer('common', () => event('common'))
    expect(feed.offer('fault', () => event('fault'), true)).toBe(true)
  })

  it('ends with what waits and the last words, from either side, once', async () => {
    const clock = new ManualClock()
    const feed = new Feed(clock)
    let closed = 0
    feed.closed(() => closed++)
    feed.offer('a', () => event('a'))
    feed.close(event('last'))
    feed.close(event('again'))
    expect(feed.offer('a', () => event('late'))).toBe(false)
    const all: string[] = []
    for await (const batch of feed.batches()) all.push(...(names(batch) ?? []))
    expect(all).toEqual(['a', 'last'])
    expect(closed).toBe(1)

    const other = new Feed(clock)
    other.closed(() => closed++)
    other.offer('a', () => event('a'))
    const batches = other.batches()
    const next = batches.next()
    await settle()
    clock.advance(250)
    expect(names((await next).value as FeedEvent[])).toEqual(['a'])
    await batches.return(undefined)
    expect(closed).toBe(2)
    expect(clock.pending).toBe(0)
  })
})
