import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { TokenBucket } from '../../src/transports/token-bucket.js'

describe('the token bucket of a shaper (§2.4)', () => {
  it('pauses 4000 ms after 5000 bytes at 1000 bytes a second', () => {
    expect(new TokenBucket(1000, 0).take(5000, 0)).toBe(4000)
  })

  it('allows a full second at once, and grows back what time gives', () => {
    const bucket = new TokenBucket(1000, 0)
    expect(bucket.take(1000, 0)).toBe(0)
    expect(bucket.take(250, 250)).toBe(0)
    expect(bucket.take(1000, 10_250)).toBe(0)
    expect(bucket.take(1, 10_250)).toBe(1)
  })

  it('grows nothing during its own pause', () => {
    const bucket = new TokenBucket(1000, 0)
    expect(bucket.take(2000, 0)).toBe(1000)
    expect(bucket.take(500, 1000)).toBe(500)
  })

  it('lets through no more than the rate, whatever comes when, beyond the first second and the last piece', () => {
    const pieces = fc.array(fc.record({ bytes: fc.integer({ min: 1, max: 20_000 }), rest: fc.nat(3000) }), {
      minLength: 1,
    })
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 50_000 }), pieces, (rate, all) => {
        const bucket = new TokenBucket(rate, 0)
        let now = 0
        let sent = 0
        for (const { bytes, rest } of all) {
          now += rest
          sent += bytes
          now += bucket.take(bytes, now)
          // Each step rounds to a byte and to a millisecond.
          expect(sent).toBeLessThanOrEqual(rate + (rate * now) / 1000 + all.length * (1 + rate / 1000))
        }
      }),
    )
  })
})
