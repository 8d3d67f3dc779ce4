import { describe, expect, it } from 'vitest'
import { Jid, prepareDomain, prepareLocal, prepareResource } from '../../src/protocols/jid.js'

const parts = (text: string) => {
  const jid = Jid.parse(text)
  return jid && [jid.local, jid.domain, jid.resource]
}

describe('RFC 7622 §3.5, the valid addresses of table 1', () => {
  it.each([
    ['juliet@example.com', 'juliet', 'example.com', ''],
    ['juliet@example.com/foo', 'juliet', 'example.com', 'foo'],
    ['juliet@example.com/foo bar', 'juliet', 'example.com', 'foo bar'],
    ['juliet@example.com/foo@bar', 'juliet', 'example.com', 'foo@bar'],
    ['foo\\20bar@example.com', 'foo\\20bar', 'example.com', ''],
    ['fussball@example.com', 'fussball', 'example.com', ''],
    ['fu\u00dfball@example.com', 'fu\u00dfball', 'example.com', ''],
    ['\u03c0@example.com', '\u03c0', 'example.com', ''],
    ['\u03a3@example.com/foo', '\u03c3', 'example.com', 'foo'],
    ['\u03c3@example.com/foo', '\u03c3', 'example.com', 'foo'],
    ['\u03c2@example.com/foo', '\u03c2', 'example.com', 'foo'],
    ['king@example.com/\u265a', 'king', 'example.com', '\u265a'],
    ['example.com', '', 'example.com', ''],
    ['example.com/foobar', '', 'example.com', 'foobar'],
    ['a.example.com/b@example.net', '', 'a.example.com', 'b@example.net'],
  ])('accepts %j', (text, local, domain, resource) => {
    expect(parts(text)).toEqual([local, domain, resource])
  })

  it('keeps fussball and fußball, and the two small sigmas, apart', () => {
    expect(Jid.parse('fussball@example.com')?.text).not.toBe(Jid.parse('fu\u00dfball@example.com')?.text)
    expect(Jid.parse('\u03c3@example.com')?.text).not.toBe(Jid.parse('\u03c2@example.com')?.text)
  })
})

describe('RFC 7622 §3.5, what table 2 calls no JID', () => {
  it.each([
    '"juliet"@example.com',
    'foo bar@example.com',
    '@example.com/',
    'henry\u2163@example.com',
    '\u265a@example.com',
    'juliet@',
    '/foobar',
  ])('refuses %j', text => {
    expect(Jid.parse(text)).toBeUndefined()
  })

  it('accepts its example 18, a resourcepart that starts with a space, because OpaqueString allows spaces everywhere', () => {
    expect(parts('juliet@example.com/ foo')).toEqual(['juliet', 'example.com', ' foo'])
  })
})

describe('a JID is prepared', () => {
  it.each([
    ['LOCALHOST', 'localhost'],
    ['Romeo@LocalHost/Orchard', 'romeo@localhost/Orchard'],
    ['romeo@example.net.', 'romeo@example.net'],
    ['romeo@example.net./x', 'romeo@example.net/x'],
    ['\uff52\uff4f\uff4d\uff45\uff4f@example.net', 'romeo@example.net'],
    ['e\u0301va@example.net', '\u00e9va@example.net'],
    ['\u00c9VA@example.net', '\u00e9va@example.net'],
    ['\u0130@example.net', 'i\u0307@example.net'],
    ['romeo@example.net/e\u0301', 'romeo@example.net/\u00e9'],
    ['romeo@example.net/\u00c9t\u00e9', 'romeo@example.net/\u00c9t\u00e9'],
    ['romeo@example.net/a\u00a0b\u3000c', 'romeo@example.net/a b c'],
    ['xn--mnchen-3ya.de', 'm\u00fcnchen.de'],
    ['XN--MNCHEN-3YA.de', 'm\u00fcnchen.de'],
    ['M\u00dcNCHEN.de', 'm\u00fcnchen.de'],
    ['mu\u0308nchen.de', 'm\u00fcnchen.de'],
    ['xn--fuball-cta.de', 'fu\u00dfball.de'],
    ['\uff45\uff58\uff41\uff4d\uff50\uff4c\uff45\u3002com', 'example.com'],
    ['\u4f8b\u3048.jp', '\u4f8b\u3048.jp'],
    ['\u043f\u0440\u0438\u043c\u0435\u0440.\u0440\u0444', '\u043f\u0440\u0438\u043c\u0435\u0440.\u0440\u0444'],
    ['\u05e9\u05dc\u05d5\u05dd@example.net', '\u05e9\u05dc\u05d5\u05dd@example.net'],
    ['127.0.0.1', '127.0.0.1'],
    ['1', '1'],
    ['0x7f.1', '0x7f.1'],
    ['\u00e9.1', '\u00e9.1'],
    ['my_host', 'my_host'],
    ['r3---sn.example.net', 'r3---sn.example.net'],
    ['[::1]', '[::1]'],
    ['romeo@[2001:DB8:0:0::1]/x', 'romeo@[2001:db8::1]/x'],
    ['col\u00b7la@example.net', 'col\u00b7la@example.net'],
    [
      '\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645@example.net',
      '\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645@example.net',
    ],
    ['\u0915\u094d\u200d@example.net', '\u0915\u094d\u200d@example.net'],
    ['romeo@example.net//@//', 'romeo@example.net//@//'],
    ['romeo@example.net/\u{1f47b}', 'romeo@example.net/\u{1f47b}'],
  ])('%j becomes %j', (text, prepared) => {
    expect(Jid.parse(text)?.text).toBe(prepared)
  })
})

describe('what is no JID', () => {
  it.each([
    ['nothing', ''],
    ['only an at sign', '@'],
    ['no localpart', '@example.net'],
    ['no domainpart', 'romeo@/x'],
    ['an empty resourcepart', 'romeo@example.net/'],
    ['a second at sign', 'romeo@a@b'],
    ['a leading space', ' romeo@example.net'],
    ['a space in the domain', 'exa mple.net'],
    ['an empty label', 'a..b'],
    ['a leading dot', '.a'],
    ['two final dots', 'a..'],
    ['only a dot', '.'],
    ['a leading hyphen', '-a.net'],
    ['a trailing hyphen', 'a-.net'],
    ['a label of 64 characters', `${'a'.repeat(64)}.net`],
    ['a label of 64 characters in its A-label form', `${'\u00e9'.repeat(61)}.net`],
    ['percent encoding', '%61.net'],
    ['percent encoding beside IDN', '\u00e9.%61'],
    ['a colon', 'example.net:5222'],
    ['a wildcard', '*.example.net'],
    ['a symbol in the domain', '\u265a.net'],
    ['the A-label of a symbol', 'xn--ls8h.net'],
    ['a broken A-label', 'xn--zz.net'],
    ['an A-label that decodes to ASCII', 'xn--a-.net'],
    ['a compatibility character in the domain', '\u210c.net'],
    ['a mixture of directions in a label', '\u0627a.net'],
    ['an unclosed IPv6 address', '[::1'],
    ['a broken IPv6 address', '[::g]'],
    ['an IPv6 address with a zone', '[fe80::1%eth0]'],
    ['an IPv6 address with a port', '[::1]:80'],
    ['a control character in the localpart', 'ro\u0007meo@example.net'],
    ['a control character in the resourcepart', 'romeo@example.net/\u0007'],
    ['DEL in the resourcepart', 'romeo@example.net/\u007f'],
    ['a soft hyphen', 'ro\u00admeo@example.net'],
    ['a lone surrogate', 'romeo@example.net/\ud800'],
    ['a private-use character', 'romeo@example.net/\ue000'],
    ['a noncharacter', 'romeo@example.net/\uffff'],
    ['an unassigned code point', 'romeo@example.net/\u0378'],
    ['old Hangul', '\u1100@example.net'],
    ['a full-width at sign in the localpart', 'ro\uff20meo@example.net'],
    ['a full-width slash in the localpart', 'ro\uff0fmeo@example.net'],
    ['a middle dot outside Catalan', 'co\u00b7la@example.net'],
    ['a joiner without a virama', 'ro\u200dmeo@example.net'],
    ['a non-joiner between Latin letters', 'ro\u200cmeo@example.net'],
    ['mixed Arabic digits', '\u0627\u0660\u06f0@example.net'],
    ['a katakana dot without kana', 'a\u30fbb@example.net'],
    ['Latin and Hebrew in a localpart', 'a\u05d0@example.net'],
    ['a Hebrew localpart that ends in a hyphen', '\u05d0-@example.net'],
    ['European and Arabic-Indic digits together', '\u06271\u0660@example.net'],
    ['every forbidden character: "', 'a"b@example.net'],
    ["every forbidden character: '", "a'b@example.net"],
    ['every forbidden character: &', 'a&b@example.net'],
    ['every forbidden character: :', 'a:b@example.net'],
    ['every forbidden character: <', 'a<b@example.net'],
    ['every forbidden character: >', 'a>b@example.net'],
  ])('refuses %s: %j', (_what, text) => {
    expect(Jid.parse(text)).toBeUndefined()
  })
})

describe('the limit of 1023 bytes', () => {
  it('holds for each part after preparation, in bytes of UTF-8', () => {
    expect(prepareLocal('a'.repeat(1023))).toHaveLength(1023)
    expect(prepareLocal('a'.repeat(1024))).toBeUndefined()
    expect(prepareLocal('\u00e9'.repeat(511))).toHaveLength(511)
    expect(prepareLocal('\u00e9'.repeat(512))).toBeUndefined()
    expect(prepareLocal('e\u0301'.repeat(511))).toHaveLength(511)
    expect(prepareResource('a'.repeat(1023))).toHaveLength(1023)
    expect(prepareResource('\u{1f47b}'.repeat(256))).toBeUndefined()
    expect(prepareDomain(`${'a.'.repeat(511)}a`)).toHaveLength(1023)
    expect(prepareDomain(`${'a.'.repeat(512)}a`)).toBeUndefined()
    expect(prepareDomain(`${'\u4f8b.'.repeat(256)}a`)).toBeUndefined()
  })

  it('refuses a text of a million characters at once', () => {
    const started = performance.now()
    for (const unit of ['a', '\u00e9', 'a.', '@', '/', '\uff41', '-', 'e\u0301']) {
      expect(Jid.parse(unit.repeat(1_000_000))).toBeUndefined()
      expect(Jid.parse(`a@b/${unit.repeat(1_000_000)}`)).toBeUndefined()
    }
    expect(performance.now() - started).toBeLessThan(2000)
  })
})

describe('Jid', () => {
  it('gives its bare JID, which is itself when it has no resourcepart', () => {
    const full = Jid.parse('romeo@example.net/orchard')!
    expect(full.isFull).toBe(true)
    expect(full.isBare).toBe(false)
    expect(full.bareText).toBe('romeo@example.net')
    expect(full.bare.text).toBe('romeo@example.net')
    expect(full.bare.isBare).toBe(true)
    expect(full.bare.bare).toBe(full.bare)
    expect(Jid.parse('example.net/x')?.bareText).toBe('example.net')
  })

  it('prepares the parts it is made of', () => {
    expect(Jid.of('Romeo', 'EXAMPLE.net', 'Orchard')?.text).toBe('romeo@example.net/Orchard')
    expect(Jid.of('', 'example.net')?.text).toBe('example.net')
    expect(Jid.of('a@b', 'example.net')).toBeUndefined()
    expect(Jid.of('a', 'example.net/x')).toBeUndefined()
    expect(Jid.of('a', '')).toBeUndefined()
  })

  it('takes another resourcepart, or none', () => {
    const jid = Jid.parse('romeo@example.net/orchard')!
    expect(jid.withResource('a\u00a0b')?.text).toBe('romeo@example.net/a b')
    expect(jid.withResource('')?.text).toBe('romeo@example.net')
    expect(jid.withResource('\u0007')).toBeUndefined()
  })

  it('equals a JID that was written differently, and no other one', () => {
    const jid = Jid.parse('romeo@example.net/orchard')!
    expect(jid.equals(Jid.parse('ROMEO@Example.NET/orchard')!)).toBe(true)
    expect(jid.equals(Jid.parse('romeo@example.net/Orchard')!)).toBe(false)
    expect(jid.equals(jid.bare)).toBe(false)
    expect(String(jid)).toBe('romeo@example.net/orchard')
  })

  it('is one object for one address that is in use', () => {
    expect(Jid.parse('romeo@example.net/one')).toBe(Jid.parse('ROMEO@example.net/one'))
    expect(Jid.parse('romeo@example.net/one')?.bare).toBe(Jid.parse('romeo@example.net'))
  })

  it('forgets addresses of a stream of ever new ones, and keeps the one that is in use', () => {
    const busy = Jid.parse('busy@example.net')
    const rare = Jid.parse('rare@example.net')
    for (let i = 0; i < 20_000; i++) {
      Jid.parse(`user${i}@example.net`)
      if (i % 1000 === 0) Jid.parse('busy@example.net')
    }
    expect(Jid.parse('busy@example.net')).toBe(busy)
    expect(Jid.parse('rare@example.net')).not.toBe(rare)
    expect(Jid.parse('rare@example.net')).toEqual(rare)
  })
})
