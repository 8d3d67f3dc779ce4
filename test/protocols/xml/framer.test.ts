import { describe, expect, it } from 'vitest'
import { NS } from '../../../src/protocols/namespaces.js'
import { Framer, frameDocument, interest, maxHeader, StreamContext } from '../../../src/protocols/xml/framer.js'
import { frameOf, openFramer, openTag, plain, readAll, refusal } from './harness.js'

describe('the stream header', () => {
  const header = (text: string) => {
    const [item] = readAll(new Framer({ element: 1000 }), Buffer.from(text))
    if (item?.kind !== 'header') throw new Error('no header')
    return item
  }

  it('is resolved: names, namespaces and attributes (RFC 6120 §4.7, §4.8)', () => {
    const item = header(
      `<?xml version='1.0' encoding='UTF-8'?>\n<stream:stream from="juliet@im.example" to='im.example' version='1.0'
       xml:lang='en' id='a&amp;b' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>`,
    )
    expect(item).toMatchObject({ name: 'stream', ns: NS.stream, defaultNs: NS.client, version: '1.0', lang: 'en' })
    expect(item).toMatchObject({ from: 'juliet@im.example', to: 'im.example', id: 'a&b' })
    expect([...item.prefixes]).toEqual([['stream', NS.stream]])
  })

  it('may use any prefix, or none, for the stream namespace (trap 38)', () => {
    expect(header(`<s:stream xmlns:s='${NS.stream}' xmlns='jabber:server'>`)).toMatchObject({
      ns: NS.stream,
      defaultNs: NS.server,
    })
    expect(header(`<stream xmlns='${NS.stream}'>`)).toMatchObject({ ns: NS.stream, defaultNs: NS.stream })
  })

  it('has no namespace when its prefix is not declared, which the caller answers with invalid-namespace (§3.1.1)', () => {
    expect(header("<stream:stream to='x' xmlns='jabber:client'>")).toMatchObject({ ns: '', to: 'x' })
  })

  it('shows other attributes, as a component sends them (§3.3.1)', () => {
    const item = header(
      `<stream:stream xmlns='${NS.component}' xmlns:stream='${NS.stream}' to='c' is_subdomain='true'>`,
    )
    expect(item.attributes.get('is_subdomain')).toBe('true')
  })

  it('may come after a byte order mark, however that is cut', () => {
    for (const size of [1, 2, 3, 4, 1000]) {
      const bytes = Buffer.from(`\ufeff<?xml version="1.0"?>${openTag}`)
      expect(readAll(new Framer({ element: 1000 }), bytes, size)).toMatchObject([{ kind: 'header' }])
    }
  })

  it('ends the stream at once when it is an empty element', () => {
    const items = readAll(new Framer({ element: 1000 }), Buffer.from(`${openTag.slice(0, -1)}/>`))
    expect(items.map(item => item.kind)).toEqual(['header', 'end'])
  })

  it('is shared between streams that declare the same', () => {
    expect(openFramer().context).toBe(openFramer().context)
  })

  const bad: [string, string, string][] = [
    ['a bare word', 'malformed', 'not-well-formed'],
    ['another element', '<message xmlns="jabber:client"/>', 'not-well-formed'],
    ['an end tag', '</stream:stream>', 'not-well-formed'],
    ['a CDATA section', '<![CDATA[x]]>', 'not-well-formed'],
    ['half a byte order mark', '\xef<', 'not-well-formed'],
    ['a comment', '<!-- -->', 'restricted-xml'],
    ['a document type', '<!DOCTYPE stream>', 'restricted-xml'],
    ['a processing instruction', '<?php echo ?>', 'restricted-xml'],
    ['a stylesheet', '<?xml-stylesheet href="x"?>', 'restricted-xml'],
    ['an XML declaration after white space', ' <?xml version="1.0"?>', 'restricted-xml'],
    ['two XML declarations', '<?xml version="1.0"?><?xml version="1.0"?>', 'restricted-xml'],
    ['an XML declaration without a version', '<?xml encoding="UTF-8"?>', 'not-well-formed'],
    ['an XML declaration of version 2', '<?xml version="2.0"?>', 'not-well-formed'],
    ['an XML declaration with crossed quotes', '<?xml version="1.0\'?>', 'not-well-formed'],
    ['another encoding', '<?xml version="1.0" encoding="ISO-8859-1"?>', 'unsupported-encoding'],
    ['an undeclared prefix on an attribute', `<stream:stream xmlns:stream='${NS.stream}' a:b='c'>`, 'not-well-formed'],
    ['an undeclared entity', "<stream:stream to='&x;'>", 'restricted-xml'],
    ['a duplicate attribute', "<stream:stream to='x' to='y'>", 'not-well-formed'],
  ]
  it.each(bad)('is refused when the stream begins with %s', (_, text, condition) => {
    for (const size of [1, 1000]) {
      expect(refusal(new Framer({ element: 1000 }), Buffer.from(text, 'latin1'), size)?.condition).toBe(condition)
    }
  })

  it('names what encodings it knows in any case of letters', () => {
    expect(header(`<?xml version='1.0' encoding='utf-8' standalone='yes' ?>${openTag}`).version).toBe('1.0')
  })

  it('is refused with bad-format when it is not UTF-8 (trap 39)', () => {
    const bytes = Buffer.from("<stream:stream to='\xff'>", 'latin1')
    expect(refusal(new Framer({ element: 1000 }), bytes)?.condition).toBe('bad-format')
  })

  it('may have 16 KiB and no byte more, whole or byte by byte (§1.9)', () => {
    const sized = (length: number) => Buffer.from(openTag.replace('capulet', 'x'.repeat(length - openTag.length + 7)))
    for (const size of [1, 1000, 20_000]) {
      expect(readAll(new Framer({ element: 100 }), sized(maxHeader), size)).toMatchObject([{ kind: 'header' }])
      expect(refusal(new Framer({ element: 100 }), sized(maxHeader + 1), size)).toMatchObject({
        condition: 'policy-violation',
        text: 'stream header too big',
      })
    }
  })
})

describe('a frame', () => {
  it('tells what its start tag says, decoded', () => {
    const frame = frameOf(
      `<message from='romeo@montague.example' to="juliet&#64;capulet.example/b&amp;&#x62;&quot;'"\n type = 'chat' id='ä&#10;\n' xml:lang='de'><body/></message>`,
    )
    expect(frame).toMatchObject({
      name: 'message',
      ns: NS.client,
      from: 'romeo@montague.example',
      type: 'chat',
      lang: 'de',
    })
    expect(frame).toMatchObject({ to: 'juliet@capulet.example/b&b"\'', id: 'ä\n ' })
  })

  it('has undefined for what is absent and the empty string for what is empty', () => {
    expect(frameOf("<iq to=''/>")).toMatchObject({
      to: '',
      from: undefined,
      id: undefined,
      type: undefined,
      lang: undefined,
    })
  })

  it('is a slice of the chunk, not a copy', () => {
    const framer = openFramer()
    const chunk = Buffer.from(' <presence/>\n<iq></iq >')
    framer.feed(chunk)
    for (const [name, text] of [
      ['presence', '<presence/>'],
      ['iq', '<iq></iq >'],
    ]) {
      const frame = framer.next()
      if (frame?.kind !== 'frame') throw new Error('no frame')
      expect(frame.bytes).toBe(chunk)
      expect(frame.name).toBe(name)
      expect(chunk.toString('utf8', frame.start, frame.end)).toBe(text)
    }
    expect(framer.next()).toBeUndefined()
  })

  it('takes its namespace from the stream, from its own declaration or from its prefix', () => {
    expect(frameOf('<presence/>').ns).toBe(NS.client)
    expect(frameOf("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>").ns).toBe(NS.sasl)
    expect(frameOf('<stream:features/>')).toMatchObject({ name: 'features', ns: NS.stream })
    expect(frameOf("<a:presence xmlns:a='jabber:client'/>")).toMatchObject({ name: 'presence', ns: NS.client })
    expect(frameOf("<r xmlns='urn:xmpp:sm&#58;3'/>").ns).toBe(NS.streamManagement)
  })

  it('knows its first child element by name and namespace (RFC 6120 §8.2.3)', () => {
    const payload = (content: string) => {
      const { payloadName, payloadNs } = frameOf(`<iq xmlns:o='urn:outer'>${content}</iq>`)
      return [payloadName, payloadNs]
    }
    expect(payload("\n <query xmlns='jabber:iq:roster'><a/></query><b/>")).toEqual(['query', NS.roster])
    expect(payload("<q a='>' xmlns = 'urn:&lt;x'/>")).toEqual(['q', 'urn:<x'])
    expect(payload('<query/>')).toEqual(['query', NS.client])
    expect(payload("<p:ping xmlns:p='urn:xmpp:ping'/>")).toEqual(['ping', NS.ping])
    expect(payload('<o:x/>')).toEqual(['x', 'urn:outer'])
    expect(payload('<stream:x/>')).toEqual(['x', NS.stream])
    expect(payload('text <![CDATA[<a/>]]>')).toEqual([undefined, undefined])
    expect(frameOf("<x:iq xmlns:x='jabber:client' xmlns='urn:d'><a/></x:iq>").payloadNs).toBe('urn:d')
    expect(frameOf("<x:iq xmlns:x='urn:x'><a/></x:iq>").payloadNs).toBe(NS.client)
  })

  it('is forwardable when it binds every prefix it uses and has none itself', () => {
    expect(frameOf("<message xml:lang='en'><x xmlns='urn:x' xmlns:y='urn:y' y:a='b'/></message>").isForwardable).toBe(
      true,
    )
    expect(frameOf("<message xmlns:y='urn:y'><y:x/></message>").isForwardable).toBe(true)
    expect(frameOf('<message><x><stream:x/></x></message>').isForwardable).toBe(false)
    expect(frameOf("<message><x stream:a='b'/></message>").isForwardable).toBe(false)
    expect(frameOf("<m:message xmlns:m='jabber:client'/>").isForwardable).toBe(false)
    expect(frameOf("<message><stream:x xmlns:stream='urn:x'/></message>").isForwardable).toBe(true)
  })

  it('has the bit of every namespace of interest that a direct child is in', () => {
    const delay = interest(NS.delay)
    const hints = interest(NS.hints)
    const client = interest(NS.client)
    expect(interest(NS.delay)).toBe(delay)
    const mask = (content: string) => frameOf(`<message xmlns:d='${NS.delay}'>${content}</message>`).mask
    expect(mask("<delay xmlns='urn:xmpp:delay'/>")).toBe(delay)
    expect(mask("<delay xmlns='urn:xmpp:delax'/>")).toBe(0)
    expect(mask("<delay xmlns='urn:xmpp&#58;delay'/><x xmlns='urn:xmpp:hints'/>")).toBe(delay | hints)
    expect(mask('<d:delay/>')).toBe(delay)
    expect(mask("<e:x xmlns:e='urn:xmpp:hints' xmlns='urn:xmpp:delay'/>")).toBe(hints)
    expect(mask('<body/>')).toBe(client)
    expect(mask("<x xmlns='urn:x'><delay xmlns='urn:xmpp:delay'/></x>")).toBe(0)
    expect(frameOf("<message xmlns='urn:xmpp:hints'><x/></message>").mask).toBe(hints)
    expect(frameOf("<h:message xmlns:h='urn:xmpp:hints'><x/></h:message>").mask).toBe(client)
  })

  it('gives any attribute of its start tag by name', () => {
    const frame = frameOf("<open a='>' version = '1.0' to='b' ü='ö'/>")
    expect(['a', 'version', 'to', 'from', 'ü'].map(name => frame.attribute(name))).toEqual([
      '>',
      '1.0',
      'b',
      undefined,
      'ö',
    ])
  })

  it('keeps exactly its own bytes once compacted', () => {
    const framer = openFramer()
    const chunk = Buffer.from("<a/><message to='x'>ä</message><b/>")
    framer.feed(chunk)
    framer.next()
    const frame = framer.next()
    if (frame?.kind !== 'frame') throw new Error('no frame')
    const copy = frame.compact()
    chunk.fill(0)
    expect(copy.bytes.buffer.byteLength).toBe(copy.length)
    expect(copy.bytes.toString()).toBe("<message to='x'>ä</message>")
    expect(copy.to).toBe('x')
    expect(copy.compact()).toBe(copy)
  })
})

describe('the framer', () => {
  it('gives the items one by one, and the end of the stream last (RFC 6120 §4.4)', () => {
    const items = readAll(
      new Framer({ element: 1000 }),
      Buffer.from(`${openTag}<a/> <b></b>\n</stream:stream >garbage<`),
    )
    expect(items.map(item => (item.kind === 'frame' ? item.name : item.kind))).toEqual(['header', 'a', 'b', 'end'])
  })

  it('counts white space between elements and keeps nothing of it (RFC 6120 §4.6.1)', () => {
    const framer = openFramer()
    expect(readAll(framer, Buffer.from(' \r\n\t'.repeat(1000)), 7)).toEqual([])
    expect(framer).toMatchObject({ whitespace: 4000, isIdle: true, retained: 0 })
  })

  it('holds nothing between elements', () => {
    const framer = openFramer()
    readAll(framer, Buffer.from('<message><body>half'))
    expect(framer.isIdle).toBe(false)
    expect(framer.retained).toBeGreaterThan(0)
    readAll(framer, Buffer.from('</body></message>'))
    expect(framer).toMatchObject({ isIdle: true, retained: 0 })
  })

  it('gives the same items wherever a mixed stream is cut in two', () => {
    interest(NS.delay)
    const bytes = Buffer.from(
      `\ufeff<?xml version='1.0'?> <stream:stream xmlns='jabber:client' xmlns:stream='${NS.stream}' xmlns:db = "jabber:server:dialback" to='&#x65;é'>
<message to='é@x' id="&lt;1&gt;"><body>Öl &amp; \u{1f600} ]] > &#x1F600;<![CDATA[<a>]]]]><![CDATA[>]]></body></message>
<presence/>\t<db:result xmlns:q='urn:q' q:a='1' a = "2"><q:b/></db:result><é:ñ xmlns:é='urn:é' é:ñ=''></é:ñ >
<iq type='set'><x xmlns='urn:xmpp:delay'  ><y  /></x ></iq></stream:stream>\n`,
    )
    const whole = readAll(new Framer({ element: 1000 }), bytes).map(plain)
    expect(whole).toHaveLength(7)
    for (let cut = 1; cut < bytes.length; cut++) {
      const framer = new Framer({ element: 1000 })
      const items = [...readAll(framer, bytes.subarray(0, cut)), ...readAll(framer, bytes.subarray(cut))]
      expect(items.map(plain)).toEqual(whole)
    }
    for (const size of [1, 2, 3, 5, 8, 13]) {
      expect(readAll(new Framer({ element: 1000 }), bytes, size).map(plain)).toEqual(whole)
    }
  })

  it('forgets everything at a restart, bytes not read yet included (§3.1.4)', () => {
    const framer = openFramer()
    framer.feed(Buffer.from(`<starttls xmlns='${NS.tls}'/>${openTag}<auth/>`))
    expect(framer.next()).toMatchObject({ name: 'starttls' })
    framer.reset()
    expect(framer.next()).toBeUndefined()
    expect(framer.isIdle).toBe(true)
    expect(readAll(framer, Buffer.from(`<?xml version='1.0'?>${openTag}<b/>`))).toMatchObject([
      { kind: 'header' },
      { name: 'b' },
    ])
    readAll(framer, Buffer.from('<half'))
    framer.reset()
    expect(readAll(framer, Buffer.from(openTag))).toMatchObject([{ kind: 'header' }])
  })

  it('hands back what it has not read', () => {
    const framer = openFramer()
    framer.feed(Buffer.from('<a/><b/><c'))
    framer.next()
    expect(framer.rest().toString()).toBe('<b/><c')
    expect(framer.next()).toBeUndefined()
  })

  it('refuses another chunk before it has read the last one to its end', () => {
    const framer = openFramer()
    framer.feed(Buffer.from('<a/><b/>'))
    framer.next()
    expect(() => framer.feed(Buffer.from('<c/>'))).toThrow('not read')
  })

  it('reads nothing more after an error', () => {
    const framer = openFramer()
    framer.feed(Buffer.from('<a></b><c/>'))
    expect(() => framer.next()).toThrow('not-well-formed')
    expect(framer.next()).toBeUndefined()
    expect(readAll(framer, Buffer.from('<d/>'))).toEqual([])
  })

  it('is not disturbed by another stream that is read in between', () => {
    const [one, two] = [openFramer(), openFramer()]
    const text = Buffer.from("<message xmlns:a='urn:a'><a:b a:c='1'><d>x</d></a:b></message>")
    const items: unknown[] = []
    for (let i = 0; i < text.length; i++) {
      items.push(...readAll(one, text.subarray(i, i + 1)).map(plain))
      items.push(...readAll(two, text.subarray(i, i + 1)).map(plain))
    }
    expect(items).toEqual([plain(frameOf(text.toString())), plain(frameOf(text.toString()))])
  })
})

describe('a buffer that is a document of its own (RFC 7395 §3.3)', () => {
  const frames = (text: string, limit = 1000) =>
    frameDocument(Buffer.from(text), limit, new StreamContext('', 'urn:d', []))

  it('gives its elements', () => {
    expect(frames(' <a/><b xmlns="urn:b">x</b>\n')).toMatchObject([
      { name: 'a', ns: 'urn:d' },
      { name: 'b', ns: 'urn:b' },
    ])
    expect(frames('')).toEqual([])
  })

  it.each([
    ['an unfinished element', '<a>', 'not-well-formed'],
    ['text', 'x', 'bad-format'],
    ['an end tag', '</a>', 'not-well-formed'],
    ['an XML declaration', '<?xml version="1.0"?><a/>', 'restricted-xml'],
    ['a comment', '<a/><!-- -->', 'restricted-xml'],
    ['an undeclared prefix', '<stream:a/>', 'not-well-formed'],
  ])('is refused with %s in it', (_, text, condition) => {
    expect(() => frames(text)).toThrow(condition)
  })

  it('counts each element against the limit', () => {
    expect(frames('<aaaaaa/><aaaaaa/>', 9)).toHaveLength(2)
    expect(() => frames('<aaaaaaa/>', 9)).toThrow('child element too big')
  })
})
