import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Acknowledgements, COUNTER_LIMIT } from '../../../src/protocols/stream/acknowledgements.js'

const kept = (askEvery = Number.POSITIVE_INFINITY) => new Acknowledgements<string>(true, askEvery)
const items = (books: Acknowledgements<string>) => books.unacknowledged.map(({ item }) => item)

describe('the books of a managed stream (XEP-0198 §4)', () => {
  it('begin at zero and hold nothing', () => {
    const books = kept()
    expect(books).toMatchObject({ handled: 0, sent: 0, outstanding: 0, bytes: 0 })
    expect(books.unacknowledged).toEqual([])
    expect(books.acknowledge(0)).toBe(true)
  })

  it('keep what is sent, with its size and time, until it is acknowledged', () => {
    const books = kept()
    books.send('a', 10, 1)
    books.send('b', 20, 2)
    books.send('c', 30, 3)
    expect(books).toMatchObject({ sent: 3, outstanding: 3, bytes: 60 })
    expect(books.acknowledge(2)).toBe(true)
    expect(books.unacknowledged).toEqual([{ item: 'c', size: 30, at: 3 }])
    expect(books).toMatchObject({ sent: 3, outstanding: 1, bytes: 30 })
    expect(books.acknowledge(2)).toBe(true)
    expect(books.acknowledge(3)).toBe(true)
    expect(books).toMatchObject({ outstanding: 0, bytes: 0 })
  })

  it('refuse more than was sent and less than was said before, and stay as they were', () => {
    const books = kept()
    books.send('a', 1, 0)
    books.send('b', 1, 0)
    books.acknowledge(1)
    for (const h of [3, 0, COUNTER_LIMIT - 1]) {
      expect(books.allows(h)).toBe(false)
      expect(books.acknowledge(h)).toBe(false)
    }
    expect(items(books)).toEqual(['b'])
    expect(books.acknowledge(2)).toBe(true)
  })

  it('ask for an acknowledgement behind every so many stanzas', () => {
    const books = kept(3)
    expect(Array.from({ length: 7 }, () => books.send('x', 1, 0))).toEqual([
      false,
      false,
      true,
      false,
      false,
      true,
      false,
    ])
    const silent = kept()
    expect(Array.from({ length: 7 }, () => silent.send('x', 1, 0))).not.toContain(true)
  })

  it('count and keep nothing where nothing is to be kept', () => {
    const books = new Acknowledgements<string>(false, 1)
    books.send('a', 10, 0)
    books.send('b', 10, 0)
    expect(books).toMatchObject({ sent: 2, outstanding: 2, bytes: 0 })
    expect(books.unacknowledged).toEqual([])
    expect(books.acknowledge(3)).toBe(false)
    expect(books.acknowledge(2)).toBe(true)
  })

  it('start again from zero behind 2^32 - 1', () => {
    const books = kept()
    books.handled = COUNTER_LIMIT - 1
    books.countHandled()
    expect(books.handled).toBe(0)
    books.sent = COUNTER_LIMIT - 2
    expect(books.acknowledge(COUNTER_LIMIT - 2)).toBe(true)
    for (const item of ['a', 'b', 'c', 'd']) books.send(item, 1, 0)
    expect(books).toMatchObject({ sent: 2, outstanding: 4 })
    expect(books.acknowledge(3)).toBe(false)
    expect(books.acknowledge(COUNTER_LIMIT - 1)).toBe(true)
    expect(items(books)).toEqual(['b', 'c', 'd'])
    expect(books.acknowledge(1)).toBe(true)
    expect(items(books)).toEqual(['d'])
  })
})

/** One end of a stream that is cut and resumed. */
class End {
  readonly books = new Acknowledgements<number>(true, 2)
  readonly received: number[] = []
  private next = 0
  peer!: End
  /** On its way here; cut, it is lost. */
  wire: ({ type: 'stanza'; item: number } | { type: 'request' } | { type: 'acknowledgement'; h: number })[] = []

  /** The counters begin shortly before they turn over. */
  constructor(start: number) {
    this.books.sent = start
    this.books.acknowledge(start)
    this.books.handled = start
  }

  send(isConnected: boolean): void {
    const item = this.next++
    const isDue = this.books.send(item, 1, 0)
    if (!isConnected) return
    this.peer.wire.push({ type: 'stanza', item })
    if (isDue) this.peer.wire.push({ type: 'request' })
  }

  take(): void {
    const one = this.wire.shift()
    switch (one?.type) {
      case 'stanza':
        this.received.push(one.item)
        this.books.countHandled()
        break
      case 'request':
        this.peer.wire.push({ type: 'acknowledgement', h: this.books.handled })
        break
      case 'acknowledgement':
        expect(this.books.acknowledge(one.h)).toBe(true)
    }
  }

  /** What it does with the other's `h` in `<resume/>` or `<resumed/>`. */
  resume(): void {
    expect(this.books.acknowledge(this.peer.books.handled)).toBe(true)
    for (const { item } of this.books.unacknowledged) this.peer.wire.push({ type: 'stanza', item })
  }
}

describe('two ends of a stream that is cut at any time and resumed (XEP-0198 §5)', () => {
  const step = fc.constantFrom('a sends', 'b sends', 'a takes', 'b takes', 'cut', 'resume')

  it('lose nothing, get nothing twice and keep the order', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), fc.constantFrom(0, COUNTER_LIMIT - 5), (steps, start) => {
        const a = new End(start)
        const b = new End(start)
        a.peer = b
        b.peer = a
        let isConnected = true
        const sent = { a: 0, b: 0 }
        const resume = () => {
          if (isConnected) return
          isConnected = true
          a.resume()
          b.resume()
        }
        for (const one of [...steps, 'resume'] as const) {
          if (one === 'a sends') a.send(isConnected)
          if (one === 'b sends') b.send(isConnected)
          if (one === 'a sends') sent.a++
          if (one === 'b sends') sent.b++
          if (one === 'a takes') a.take()
          if (one === 'b takes') b.take()
          if (one === 'resume') resume()
          if (one === 'cut') {
            isConnected = false
            a.wire = []
            b.wire = []
          }
        }
        while (a.wire.length + b.wire.length > 0) {
          a.take()
          b.take()
        }
        expect(b.received).toEqual(Array.from({ length: sent.a }, (_, i) => i))
        expect(a.received).toEqual(Array.from({ length: sent.b }, (_, i) => i))
      }),
      { numRuns: 500 },
    )
  })
})
