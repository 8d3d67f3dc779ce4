import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Jid, prepareDomain, prepareLocal, prepareResource } from '../../src/protocols/jid.js'

const interesting = fc.constantFrom(
  ...'aZ09@/.-_ "&\'<>:[]\\%\u00df\u03a3\u03c2\u0130\u0345\u0301\u00b7\u0375\u200c\u200d\u05d0\u0627\u0660\u06f0\u30fb\u3002\uff0e\uff21\uff76\uff9e\u1e9e\u212a\u2163\u265a\u0958\u0958',
  'xn--',
  '\u{1f600}',
  '\ud800',
)
const anyText = fc.oneof(
  fc.array(interesting, { maxLength: 12 }).map(a => a.join('')),
  fc.string({ unit: 'binary', maxLength: 12 }),
  fc
    .tuple(fc.string({ unit: 'grapheme', maxLength: 6 }), fc.array(interesting, { maxLength: 6 }))
    .map(([a, b]) => `${a}@${b.join('')}/${a}`),
)

describe('for any text', () => {
  it('preparation is idempotent and never throws', () => {
    fc.assert(
      fc.property(anyText, text => {
        for (const prepare of [prepareLocal, prepareDomain, prepareResource]) {
          const once = prepare(text)
          if (once === undefined) continue
          expect(prepare(once)).toBe(once)
          expect(Buffer.byteLength(once)).toBeGreaterThan(0)
          expect(Buffer.byteLength(once)).toBeLessThanOrEqual(1023)
          expect(Buffer.from(once).toString()).toBe(once)
        }
      }),
      { numRuns: 3000 },
    )
  })

  it('parsing the text of a parsed JID gives the same JID', () => {
    fc.assert(
      fc.property(anyText, text => {
        const jid = Jid.parse(text)
        if (jid === undefined) return
        const again = Jid.parse(jid.text)
        expect([again?.local, again?.domain, again?.resource]).toEqual([jid.local, jid.domain, jid.resource])
        expect(Jid.of(jid.local, jid.domain, jid.resource)?.text).toBe(jid.text)
        expect(jid.local).not.toMatch(/[@/]/)
        expect(jid.domain).not.toMatch(/[@/]/)
      }),
      { numRuns: 3000 },
    )
  })

  it('every single code point is judged without throwing, and stays what it was prepared to', () => {
    for (let point = 0; point <= 0x2ffff; point++) {
      const char = String.fromCodePoint(point)
      for (const prepare of [prepareLocal, prepareResource]) {
        const once = prepare(`a${char}`) ?? prepare(char)
        if (once !== undefined && prepare(once) !== once) expect.fail(`U+${point.toString(16)}`)
      }
    }
  })
})
