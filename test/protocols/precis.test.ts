import { describe, expect, it } from 'vitest'
import { opaqueString, usernameCaseMapped } from '../../src/protocols/precis.js'

describe('UsernameCaseMapped (RFC 8265 §3.3)', () => {
  it.each([
    ['juliet@example.com', 'juliet@example.com'],
    ['fussball', 'fussball'],
    ['fu\u00dfball', 'fu\u00dfball'],
    ['\u03c0', '\u03c0'],
    ['\u03a3', '\u03c3'],
    ['\u03c3', '\u03c3'],
    ['\u03c2', '\u03c2'],
  ])('§3.5 table 1: %j becomes %j', (text, prepared) => {
    expect(usernameCaseMapped(text)).toBe(prepared)
  })

  it.each([
    ['a space', 'foo bar'],
    ['nothing', ''],
    ['ROMAN NUMERAL FOUR', 'henry\u2163'],
    ['INFINITY', '\u221e'],
    ['KELVIN SIGN, although its lower case is a k', '\u212a'],
    ['a composition exclusion', '\u0958'],
  ])('§3.5 table 2 and more: refuses %s', (_what, text) => {
    expect(usernameCaseMapped(text)).toBeUndefined()
  })

  it('maps wide and narrow forms before it judges them, and lower-cases them', () => {
    expect(usernameCaseMapped('\uff21\uff76\uff9e')).toBe('a\u30ac')
    expect(usernameCaseMapped('\u3000')).toBeUndefined()
  })

  it.each([
    ['a letter of the right-to-left row alone', '\u05d0', true],
    ['a mark at its end', '\u05d0\u05b0', true],
    ['a digit at its end', '\u05d01', true],
    ['an Arabic-Indic digit at its end', '\u0627\u0660', true],
    ['geresh inside', '\u05d2\u05f3\u05d5', true],
    ['a hyphen inside', '\u05d0-\u05d1', true],
    ['a digit at its start', '1\u05d0', false],
    ['a hyphen at its start', '-\u05d0', false],
    ['a hyphen at its end', '\u05d0-', false],
    ['a Latin letter inside', '\u05d0a\u05d1', false],
    ['a Latin letter at its start', 'a\u05d0', false],
    ['both kinds of digits', '\u06271\u0660', false],
    ['a mark at its start', '\u05b0\u05d0', false],
  ])('RFC 5893 §2: judges a right-to-left name with %s: %j -> %s', (_what, text, isAllowed) => {
    expect(usernameCaseMapped(text)).toBe(isAllowed ? text : undefined)
  })

  it.each([
    ['ZWNJ between joining letters', '\u0628\u200c\u0628', true],
    ['ZWNJ over marks between joining letters', '\u0628\u064e\u200c\u064e\u0628', true],
    ['ZWNJ after a letter that does not join to its left', '\u0627\u200c\u0628', false],
    ['ZWNJ before a letter that does not join', '\u0628\u200c\u0621', false],
    ['ZWNJ at the end', '\u0628\u200c', false],
    ['ZWNJ after a virama', '\u0915\u094d\u200c', true],
    ['ZWJ after a virama', '\u0915\u094d\u200d\u0937', true],
    ['ZWJ elsewhere', '\u0915\u200d\u0937', false],
    ['a Greek numeral sign before Greek', '\u0375\u03b1', true],
    ['a Greek numeral sign before Latin', '\u0375a', false],
    ['geresh after Latin', 'a\u05f3', false],
    ['a katakana dot beside Han', '\u4e00\u30fb', true],
    ['a katakana dot alone', '\u30fb', false],
    ['extended Arabic digits alone', '\u0627\u06f0', true],
    ['a middle dot between l and l', 'l\u00b7l', true],
    ['a middle dot between L and L', 'L\u00b7L', true],
    ['a middle dot at the end', 'l\u00b7', false],
  ])('RFC 5892 Appendix A: judges %s: %j -> %s', (_what, text, isAllowed) => {
    expect(usernameCaseMapped(text)).toBe(isAllowed ? text.toLowerCase() : undefined)
  })
})

describe('OpaqueString (RFC 8265 §4.2)', () => {
  it.each([
    ['correct horse battery staple', 'correct horse battery staple'],
    ['Correct Horse Battery Staple', 'Correct Horse Battery Staple'],
    ['\u03c0\u00df\u00e5', '\u03c0\u00df\u00e5'],
    ['Jack of \u2666s', 'Jack of \u2666s'],
    ['foo\u1680bar', 'foo bar'],
    [' x ', ' x '],
    ['\u2163', '\u2163'],
    ['A\u030a', '\u00c5'],
    ['a\u05d0', 'a\u05d0'],
  ])('§4.3 table 3 and more: %j becomes %j', (text, prepared) => {
    expect(opaqueString(text)).toBe(prepared)
  })

  it.each([
    ['nothing', ''],
    ['a tab', 'my cat is a \u0009by'],
    ['DEL', '\u007f'],
    ['a zero-width space', 'a\u200bb'],
    ['a joiner out of place', 'a\u200db'],
    ['a lone surrogate', '\udc00'],
  ])('§4.3 table 4 and more: refuses %s', (_what, text) => {
    expect(opaqueString(text)).toBeUndefined()
  })
})
