import { describe, expect, it } from 'vitest'
import { maxAttributes, maxDepth } from '../../../src/protocols/xml/framer.js'
import { frameOf, openFramer, openTag, readAll, refusal } from './harness.js'

const bad: [string, string, string][] = [
  // RFC 6120 §11.1
  ['a comment between stanzas', '<!-- x -->', 'restricted-xml'],
  ['a comment in a stanza', '<a><!-- x --></a>', 'restricted-xml'],
  ['a processing instruction between stanzas', '<?x y?>', 'restricted-xml'],
  ['a processing instruction in a stanza', '<a><?x y?></a>', 'restricted-xml'],
  ['an XML declaration between stanzas', '<?xml version="1.0"?>', 'restricted-xml'],
  ['a document type between stanzas', '<!DOCTYPE a [<!ENTITY b "c">]>', 'restricted-xml'],
  ['a document type in a stanza', '<a><!DOCTYPE a></a>', 'restricted-xml'],
  ['an entity declaration', '<a><!ENTITY b "c"></a>', 'restricted-xml'],
  ['an undeclared entity in text', '<a>&foo;</a>', 'restricted-xml'],
  ['an undeclared entity in an attribute', "<a b='&foo;'/>", 'restricted-xml'],
  ['an entity in the wrong case', '<a>&AMP;</a>', 'restricted-xml'],
  // spec/listeners.md §4, trap 39
  ['text between stanzas', 'x', 'bad-format'],
  ['text after a stanza', '<a/>x', 'bad-format'],
  ['a reference between stanzas', '&lt;', 'bad-format'],
  ['a CDATA section between stanzas', '<![CDATA[x]]>', 'bad-format'],
  ['NUL between stanzas', '\0', 'bad-format'],
  // spec/listeners.md §3.1.3
  ['a second stream header', openTag, 'policy-violation'],
  // LIMITS.md §2
  ['a duplicate attribute', "<a b='1' b='2'/>", 'not-well-formed'],
  ['a duplicate attribute among others', "<a b='1' c='' xb='1' b2='' b='2'/>", 'not-well-formed'],
  ['a duplicate xml:lang', "<a xml:lang='1' xml:lang='2'/>", 'not-well-formed'],
  ['a duplicate declaration', "<a xmlns='urn:b' xmlns='urn:b'/>", 'not-well-formed'],
  ['a character reference to a control character', '<a>&#1;</a>', 'not-well-formed'],
  ['a character reference to a surrogate', '<a>&#xD800;</a>', 'not-well-formed'],
  ['a character reference to U+FFFF', "<a b='&#65535;'/>", 'not-well-formed'],
  ['a character reference beyond Unicode', '<a>&#x110000;</a>', 'not-well-formed'],
  ['a character reference beyond counting', `<a>&#${'9'.repeat(400)};</a>`, 'not-well-formed'],
  ['a character reference without digits', '<a>&#;</a>', 'not-well-formed'],
  ['a character reference with an X', '<a>&#X41;</a>', 'not-well-formed'],
  ['a hexadecimal digit in a decimal reference', '<a>&#4A;</a>', 'not-well-formed'],
  ['a bare ampersand', '<a>& b</a>', 'not-well-formed'],
  ['a bare ampersand in an attribute', "<a b='c&'/>", 'not-well-formed'],
  ['an ampersand without a semicolon', '<a>&amp</a>', 'not-well-formed'],
  ['an empty reference', '<a>&;</a>', 'not-well-formed'],
  ['< in an attribute', "<a b='<'/>", 'not-well-formed'],
  ['no white space between attributes', "<a b='1'c='2'/>", 'not-well-formed'],
  ['an attribute without a value', '<a b/>', 'not-well-formed'],
  ['an attribute without a value before another', "<a b c='1'/>", 'not-well-formed'],
  ['an attribute without quotes', '<a b=1/>', 'not-well-formed'],
  ['crossed quotes', `<a b='1"/><c d='/>`, 'not-well-formed'],
  ['a control character in text', '<a>\x01</a>', 'not-well-formed'],
  ['a control character in an attribute', "<a b='\x1f'/>", 'not-well-formed'],
  ['a control character in a tag', '<a\x0b/>', 'not-well-formed'],
  ['a control character in CDATA', '<a><![CDATA[\x08]]></a>', 'not-well-formed'],
  ['NUL in text', '<a>\0</a>', 'not-well-formed'],
  ['U+FFFE in text', '<a>\ufffe</a>', 'not-well-formed'],
  ['U+FFFF in an attribute', "<a b='\uffff'/>", 'not-well-formed'],
  [']]> in text', '<a>]]></a>', 'not-well-formed'],
  ['a name that begins with a digit', '<1m/>', 'not-well-formed'],
  ['a name that begins with a hyphen', '<-m/>', 'not-well-formed'],
  ['a name with a dollar sign', '<m$/>', 'not-well-formed'],
  ['a name with a multiplication sign', '<m\u00d7/>', 'not-well-formed'],
  ['a name that begins with a combining mark', '<\u0300m/>', 'not-well-formed'],
  ['an attribute name that begins with a digit', "<a 1='2'/>", 'not-well-formed'],
  ['an attribute in an end tag', "<a></a b='1'>", 'not-well-formed'],
  ['a slash in an end tag', '<a></a/>', 'not-well-formed'],
  ['white space before a name', '< a/>', 'not-well-formed'],
  ['white space before an end tag name', '<a></ a>', 'not-well-formed'],
  ['white space inside />', '<a / >', 'not-well-formed'],
  ['an empty tag', '<>', 'not-well-formed'],
  ['crossed tags', '<a><b></a></b>', 'not-well-formed'],
  ['an end tag with a longer name', '<a></ab>', 'not-well-formed'],
  ['an end tag with a shorter name', '<ab></a>', 'not-well-formed'],
  ['an end tag in another case', '<a></A>', 'not-well-formed'],
  ['the wrong end of the stream', '</stream>', 'not-well-formed'],
  ['the end of the stream in a stanza', '<a></stream:stream>', 'not-well-formed'],
  ['unknown markup', '<a><!x></a>', 'not-well-formed'],
  ['a conditional section', '<a><![INCLUDE[x]]></a>', 'not-well-formed'],
  // Namespaces in XML
  ['an unbound prefix on an element', '<a:b/>', 'not-well-formed'],
  ['an unbound prefix in an element', '<a><b:c/></a>', 'not-well-formed'],
  ['an unbound prefix on an attribute', "<a b:c='1'/>", 'not-well-formed'],
  ['a prefix used where it is no longer bound', "<a><b xmlns:c='urn:c'/><c:d/></a>", 'not-well-formed'],
  ['an attribute prefix bound by a sibling', "<a><b xmlns:c='urn:c'></b><d c:e=''/></a>", 'not-well-formed'],
  ['the prefix xml rebound', "<a xmlns:xml='urn:x'/>", 'not-well-formed'],
  ['another prefix for the xml namespace', "<a xmlns:b='http://www.w3.org/XML/1998/namespace'/>", 'not-well-formed'],
  [
    'the xml namespace by default',
    "<a><b><c xmlns='http://www.w3.org/XML/1998/namespace'/></b></a>",
    'not-well-formed',
  ],
  ['the prefix xmlns bound', "<a xmlns:xmlns='urn:x'/>", 'not-well-formed'],
  ['the prefix xmlns on an element', '<xmlns:a/>', 'not-well-formed'],
  ['another prefix for the xmlns namespace', "<a xmlns:b='http://www.w3.org/2000/xmlns/'/>", 'not-well-formed'],
  ['the xmlns namespace by default, in disguise', "<a xmlns='http://www.w3.org/2000/xmlns&#47;'/>", 'not-well-formed'],
  ['a prefix bound to nothing', "<a xmlns:b=''/>", 'not-well-formed'],
  ['two colons', "<a:b:c xmlns:a='urn:a'/>", 'not-well-formed'],
  ['two colons in an attribute', "<a xmlns:b='urn:a' b:c:d=''/>", 'not-well-formed'],
  ['a leading colon', '<:a/>', 'not-well-formed'],
  ['a trailing colon', "<a: xmlns:a='urn:a'/>", 'not-well-formed'],
  ['a local name that begins with a digit', "<a:1 xmlns:a='urn:a'/>", 'not-well-formed'],
  ['the prefix xml before a digit', "<a xml:1=''/>", 'not-well-formed'],
  ['the prefix xml before nothing', "<a xml:=''/>", 'not-well-formed'],
  ['the prefix xml before another', "<a xml:b:c=''/>", 'not-well-formed'],
  ['a declaration without a prefix', "<a xmlns:='urn:a'/>", 'not-well-formed'],
  ['a colon in an entity name', '<a>&b:c;</a>', 'not-well-formed'],
  ['attributes with one expanded name', "<a xmlns:b='urn:x' xmlns:c='urn:x' b:d='1' c:d='2'/>", 'not-well-formed'],
]

describe('what RFC 6120 §11 does not allow', () => {
  it.each(bad)('ends the stream: %s', (_, text, condition) => {
    for (const size of [1, 2, 10_000]) expect(refusal(openFramer(), text, size)?.condition).toBe(condition)
  })

  const notUtf8: [string, string][] = [
    ['a lone continuation byte', '<a>\x80</a>'],
    ['an overlong slash', '<a>\xc0\xaf</a>'],
    ['a surrogate', '<a>\xed\xa0\x80</a>'],
    ['a character beyond Unicode', "<a b='\xf4\x90\x80\x80'/>"],
    ['a character cut short', '<a><![CDATA[\xe2\x82]]></a>'],
    ['Latin-1', '<a>caf\xe9</a>'],
    ['a name in Latin-1', '<\xe9/>'],
  ]
  it.each(notUtf8)('ends the stream with bad-format when it is not UTF-8: %s', (_, text) => {
    for (const size of [1, 2, 10_000]) {
      expect(refusal(openFramer(), Buffer.from(text, 'latin1'), size)?.condition).toBe('bad-format')
    }
  })

  it.each([
    ['the five entities', '<a b="&lt;&gt;&amp;&quot;&apos;">&lt;&gt;&amp;&quot;&apos;</a>'],
    ['character references', `<a>&#9;&#xA;&#${'0'.repeat(50)}65;&#x10FFFF;</a>`],
    ['CDATA', '<a><![CDATA[]]><![CDATA[<]] >]]> <![CDATA[]]]]]]><![CDATA[>]]></a>'],
    ['brackets in text', '<a>]] > ]>]&#93;>]<![CDATA[]]]>></a>'],
    ['> in text and attributes', "<a b='>]]>'>></a>"],
    ['both quotes', `<a b='"' c="'"/>`],
    ['white space in tags', "<a\n\t b\r=\n'c' ><b\n/></a\t>"],
    ['characters beyond the basic plane', '<a>\u{1f600}\u{10ffff}\ufffd\ue000</a>'],
    ['names in any script', "<имя σ·='1'><名前 xmlns:日='urn:x' 日:本=''/></имя>"],
    ['prefixes declared after their use in the tag', "<a:b a:c='' xmlns:a='urn:a'/>"],
    ['a prefix bound anew inside', "<a xmlns:b='urn:1'><c xmlns:b='urn:2' b:d=''/><b:e/></a>"],
    ['the prefix xml declared as it is', "<a xmlns:xml='http://www.w3.org/XML/1998/namespace' xml:lang=''/>"],
    ['attributes that differ only in their prefix', "<a xmlns:b='urn:b' xmlns:c='urn:c' b:d='' c:d='' d=''/>"],
    ['no default namespace', "<a xmlns=''><b/></a>"],
    ['DEL and C1 controls', '<a>\x7f\u0080\u009f</a>'],
  ])('lets through %s', (_, text) => {
    expect(frameOf(text).bytes.toString()).toBe(text)
    expect(readAll(openFramer(), Buffer.from(text), 1)).toHaveLength(1)
  })
})

describe('the limits of spec/listeners.md §1.9', () => {
  const sized = (bytes: number, content = 'ä') => {
    const room = bytes - '<message></message>'.length
    const text = content.repeat(room).slice(0, room >> (content === 'ä' ? 1 : 0))
    return Buffer.from(`<message>${text}${'x'.repeat(room - Buffer.byteLength(text))}</message>`)
  }
  const tooBig = { condition: 'policy-violation', text: 'child element too big' }

  it('an element of exactly the limit passes, one byte more fails, whole or byte by byte, and bytes count', () => {
    for (const size of [1, 7, 1000]) {
      expect(sized(301)).toHaveLength(301)
      expect(readAll(openFramer(300), sized(300), size)).toHaveLength(1)
      expect(refusal(openFramer(300), sized(301), size)).toMatchObject(tooBig)
    }
  })

  it('fails as soon as the bytes that came are too many, though the element is not at its end', () => {
    const framer = openFramer(300)
    expect(readAll(framer, sized(1000).subarray(0, 300))).toEqual([])
    expect(refusal(framer, 'x')).toMatchObject(tooBig)
    expect(refusal(openFramer(300), sized(1000).subarray(0, 301))).toMatchObject(tooBig)
  })

  it('two elements that fit by themselves pass in one chunk, with white space around that does not count', () => {
    const bytes = Buffer.concat([Buffer.alloc(400, ' '), sized(300), Buffer.alloc(400, '\n'), sized(300)])
    for (const size of [1, 350, 2000]) expect(readAll(openFramer(300), bytes, size)).toHaveLength(2)
  })

  it.each([
    ['name', '<a', 'a'],
    ['attribute name', '<a c', 'c'],
    ['attribute value', "<a b='", 'x'],
    ['tag', '<a ', ' '],
    ['CDATA section', '<a><![CDATA[', ']'],
    ['reference', '<a>&#0', '0'],
    ['end tag', '<a></a', '\n'],
    ['end of the stream', '</stream:stream', ' '],
  ])('a %s that never ends fails too', (_, start, filler) => {
    const endless = Buffer.from(start + filler.repeat(400))
    for (const size of [1, 1000]) expect(refusal(openFramer(300), endless, size)).toMatchObject(tooBig)
  })

  it('may change between two elements', () => {
    const framer = openFramer(300)
    expect(readAll(framer, sized(300))).toHaveLength(1)
    framer.limits = { element: 400 }
    expect(readAll(framer, sized(400))).toHaveLength(1)
    expect(refusal(framer, sized(401))).toMatchObject(tooBig)
  })

  const nested = (levels: number) => `${'<a>'.repeat(levels)}${'</a>'.repeat(levels)}`
  const tooDeep = { condition: 'policy-violation', text: 'elements nested too deep' }

  it(`${maxDepth} levels pass, one more fails`, () => {
    for (const size of [1, 100_000]) {
      expect(readAll(openFramer(100_000), Buffer.from(nested(maxDepth)), size)).toHaveLength(1)
      expect(refusal(openFramer(100_000), nested(maxDepth + 1), size)).toMatchObject(tooDeep)
    }
  })

  it('5 000 and 100 000 nested tags fail', () => {
    expect(refusal(openFramer(8_000_000), nested(5000))).toMatchObject(tooDeep)
    expect(refusal(openFramer(8_000_000), '<a>'.repeat(100_000), 999)).toMatchObject(tooDeep)
  })

  it(`${maxAttributes} attributes pass, one more fails`, () => {
    const attributes = (count: number) => Array.from({ length: count }, (_, i) => ` a${i}='${i}'`).join('')
    const tooMany = { condition: 'policy-violation', text: 'too many attributes' }
    for (const size of [1, 10_000]) {
      expect(readAll(openFramer(), Buffer.from(`<a${attributes(maxAttributes)}/>`), size)).toHaveLength(1)
      expect(refusal(openFramer(), `<a><b${attributes(maxAttributes + 1)}/></a>`, size)).toMatchObject(tooMany)
    }
  })

  it('50 MB of a tag that never ends are refused without holding more than the limit', () => {
    const limit = 1_000_000
    const framer = openFramer(limit)
    const chunk = Buffer.alloc(65_536, 'x')
    framer.feed(Buffer.from("<a b='"))
    framer.next()
    let held = 0
    let sent = 0
    const flood = () => {
      while (sent < 50_000_000) {
        framer.feed(chunk)
        framer.next()
        held = Math.max(held, framer.retained)
        sent += chunk.length
      }
    }
    expect(flood).toThrow('child element too big')
    expect(held).toBeLessThanOrEqual(limit)
    expect(sent).toBeLessThanOrEqual(limit)
    expect(framer.retained).toBe(0)
    for (; sent < 50_000_000; sent += chunk.length) {
      framer.feed(chunk)
      expect(framer.next()).toBeUndefined()
    }
    expect(framer.retained).toBe(0)
  })

  it('reading byte by byte takes time in proportion to the bytes', () => {
    // Starting over at every byte would be 2·10^11 steps here, far beyond the test's time.
    const framer = openFramer(1_000_000)
    const body = Buffer.alloc(700_000, "<b c='d'>x</b>")
    const bytes = Buffer.concat([Buffer.from('<a>'), body, Buffer.from('</a>')])
    const one = Buffer.alloc(1)
    let items = 0
    for (const byte of bytes) {
      one[0] = byte
      framer.feed(one)
      if (framer.next() !== undefined) items++
    }
    expect(items).toBe(1)
  })
})
