import fc from 'fast-check'
import { Element } from 'ltx'
import { describe, expect, it } from 'vitest'
import { StanzaError } from '../../src/protocols/errors.js'
import { Jid } from '../../src/protocols/jid.js'
import { NS } from '../../src/protocols/namespaces.js'
import { Act } from '../../src/protocols/stanza/act.js'
import { errorReply, iqResult, Stanza } from '../../src/protocols/stanza/stanza.js'
import { interest } from '../../src/protocols/xml/frame.js'
import { frameOf, openFramer, readAll } from './xml/harness.js'

const jid = (text: string) => Jid.parse(text)!
const romeo = jid('romeo@montague.example/orchard')
const juliet = jid('juliet@capulet.example/balcony')

/** The stanza that a client's text becomes. */
const received = (text: string, lang?: string) => Stanza.fromFrame(frameOf(text), romeo, lang)

/** What is written for the stanza, and that it stays within what was announced. */
function written(stanza: Stanza, encoding?: { xmlns?: string; lang?: string }): string {
  const room = stanza.encodedLength(encoding)
  const target = Buffer.alloc(room + 10, '#')
  const length = stanza.encode(target, 5, encoding)
  expect(length).toBeLessThanOrEqual(room)
  expect(target.toString('latin1', 5 + length)).toMatch(/^#{5,}$/)
  return target.toString('utf8', 5, 5 + length)
}

const message =
  "<message to='Juliet@capulet.example/balcony' type='chat' id='1' from='x@y'><body>a&lt;é<![CDATA[<]]></body></message>"

describe('a stanza that came in', () => {
  it('tells its envelope', () => {
    const stanza = received(message, 'de')
    expect(stanza).toMatchObject({ kind: 'message', type: 'chat', id: '1', lang: 'de', from: romeo, to: juliet })
    expect(stanza.toText).toBe('Juliet@capulet.example/balcony')
    expect(stanza.payload).toEqual({ name: 'body', ns: NS.client })
    expect(received('<iq/>')).toMatchObject({ kind: 'iq', type: '', id: undefined, lang: undefined, to: undefined })
  })

  it('shows an address that is none only as text', () => {
    const stanza = received("<message to='@'/>")
    expect(stanza.to).toBeUndefined()
    expect(stanza.toText).toBe('@')
  })

  it('is forwarded as its own bytes with the sender stamped on (RFC 6120 §8.1.2.1)', () => {
    expect(written(received(message))).toBe(
      `<message to='Juliet@capulet.example/balcony' type='chat' id='1' from='${romeo.text}'><body>a&lt;é<![CDATA[<]]></body></message>`,
    )
  })

  it('gets the language of its sender`s stream only when it has none (RFC 6120 §4.7.4)', () => {
    expect(written(received('<message/>', 'de'))).toBe(`<message from="${romeo.text}" xml:lang="de"/>`)
    expect(written(received("<message xml:lang='fr'/>", 'de'))).toBe(`<message xml:lang='fr' from="${romeo.text}"/>`)
    expect(written(received('<message/>'), { lang: 'en' })).toBe(`<message from="${romeo.text}" xml:lang="en"/>`)
    expect(written(received('<message/>', 'de'), { lang: 'en' })).toContain('"de"')
    expect(received('<message/>', 'de').element.attrs['xml:lang']).toBe('de')
  })

  it('loses or gets the declaration of its namespace as the recipient`s transport needs it', () => {
    const stanza = received("<message xmlns='jabber:client' to='a'><x xmlns='urn:x'/></message>")
    expect(written(stanza)).toBe(`<message to='a' from="${romeo.text}"><x xmlns='urn:x'/></message>`)
    expect(written(stanza, { xmlns: NS.server })).toBe(
      `<message xmlns='jabber:server' to='a' from="${romeo.text}"><x xmlns='urn:x'/></message>`,
    )
  })

  it('escapes what it writes into attributes', () => {
    const sender = jid(`romeo@montague.example/<"&'>ö`)
    const text = written(Stanza.fromFrame(frameOf('<presence/>'), sender))
    expect(text).toBe('<presence from="romeo@montague.example/&lt;&quot;&amp;&apos;&gt;ö"/>')
    expect(frameOf(text).from).toBe(sender.text)
  })

  it('shows a tree addressed as the envelope says, made once', () => {
    const stanza = received(message)
    expect(stanza.element.toString()).toBe(
      `<message to="Juliet@capulet.example/balcony" type="chat" id="1" from="${romeo.text}"><body>a&lt;é&lt;</body></message>`,
    )
    expect(stanza.element).toBe(stanza.element)
  })

  it('declares the prefixes that it took from its stream', () => {
    const stanza = received("<message to='a'><stream:x stream:y='z'/></message>")
    expect(written(stanza)).toBe(
      `<message to="a" xmlns:stream="${NS.stream}" from="${romeo.text}"><stream:x stream:y="z"/></message>`,
    )
    expect(stanza.toText).toBe('a')
  })

  it('loses the prefix of its own name, and its children stay in their namespaces', () => {
    const one = received("<c:message xmlns:c='jabber:client' id='1'><body/><c:subject/></c:message>")
    expect(written(one)).toBe(
      `<message xmlns:c="jabber:client" id="1" from="${romeo.text}"><body/><c:subject/></message>`,
    )
    const other = received("<c:message xmlns:c='jabber:client' xmlns='urn:d'><x/><y xmlns=''/></c:message>")
    expect(written(other)).toBe(
      `<message xmlns:c="jabber:client" from="${romeo.text}"><x xmlns="urn:d"/><y xmlns=""/></message>`,
    )
  })

  it('knows which namespaces of interest it holds, as bytes and as a tree', () => {
    const hints = interest(NS.hints)
    const stanza = received(`<message><a xmlns='urn:a'/><store xmlns='${NS.hints}'/></message>`)
    expect(stanza.mask & hints).toBe(hints)
    expect(Stanza.fromElement(stanza.element).mask & hints).toBe(hints)
    expect(received('<message><body/></message>').mask & hints).toBe(0)
  })

  it('outlives the chunk it came in once compacted', () => {
    const framer = openFramer()
    const chunk = Buffer.from(`<presence/>${message}<presence/>`)
    framer.feed(chunk)
    framer.next()
    const frame = framer.next()
    if (frame?.kind !== 'frame') throw new Error('no frame')
    const stanza = Stanza.fromFrame(frame, romeo, 'de').addressed({ to: juliet })
    const before = written(stanza)
    const compact = stanza.compact()
    chunk.fill(0)
    expect(written(compact)).toBe(before)
    expect(compact).toMatchObject({ from: romeo, to: juliet, lang: 'de', id: '1' })
    expect(compact.compact()).toBe(compact)
  })

  it('is no other element', () => {
    expect(() => received('<auth/>')).toThrow('<auth/> is not a stanza')
  })
})

describe('a stanza with another address', () => {
  it('shares the content and changes nothing of the first', () => {
    const stanza = received(message)
    const copy = stanza.addressed({ to: romeo.bare, from: juliet })
    expect(copy).toMatchObject({ from: juliet, to: romeo.bare, toText: romeo.bareText, id: '1', type: 'chat' })
    expect(written(copy)).toBe(
      `<message to='${romeo.bareText}' type='chat' id='1' from='${juliet.text}'><body>a&lt;é<![CDATA[<]]></body></message>`,
    )
    expect(copy.element.attrs).toMatchObject({ from: juliet.text, to: romeo.bareText })
    expect(stanza.element.attrs).toMatchObject({ from: romeo.text, to: 'Juliet@capulet.example/balcony' })
    expect(copy.element.children).toBe(stanza.element.children)
  })

  it('keeps the one address when the other changes', () => {
    const copy = received("<message to='a@b'/>").addressed({ from: juliet })
    expect(copy.to).toBe(Jid.parse('a@b'))
    expect(written(copy)).toBe(`<message to='a@b' from="${juliet.text}"/>`)
    expect(written(copy.addressed({ to: romeo }))).toBe(`<message to='${romeo.text}' from="${juliet.text}"/>`)
  })
})

describe('stanzas of one act', () => {
  it('count as one for each recipient: a session of ours, or a domain elsewhere', () => {
    const act = new Act(domain => domain === romeo.domain)
    const told = [romeo, romeo, juliet, jid('nurse@capulet.example/hall'), jid('benvolio@montague.example/street')]
    const stanzas = told.map(to => received('<presence/>').addressed({ to, follows: act.follows(to) }))
    expect(stanzas.map(({ weight }) => weight)).toEqual([1, 0, 1, 0, 1])
    expect(new Act(() => true).follows(romeo)).toBe(false)
  })

  it('are the same stanzas otherwise, and count again for somebody else', () => {
    const follows = received(message).addressed({ to: juliet, follows: true })
    expect(written(follows)).toBe(written(received(message).addressed({ to: juliet })))
    expect(`${follows.element}`).toBe(`${received(message).addressed({ to: juliet }).element}`)
    for (const same of [follows.compact(), follows.withChild('<x xmlns="a:b"/>', 'a:b')]) expect(same.weight).toBe(0)
    expect(follows.addressed({ to: romeo }).weight).toBe(1)
  })
})

describe('a stanza of our own making', () => {
  it('reads its envelope from the tree and is written as the tree is', () => {
    const element = new Element('iq', { type: 'set', id: '"1"', to: juliet.text, 'xml:lang': 'en' })
    element.c('query', { xmlns: NS.roster }).c('item', { jid: 'a@b' }).t('<&>')
    const stanza = Stanza.fromElement(element)
    expect(stanza).toMatchObject({ kind: 'iq', type: 'set', id: '"1"', to: juliet, from: undefined, lang: 'en' })
    expect(stanza.payload).toEqual({ name: 'query', ns: NS.roster })
    expect(stanza.element).toBe(element)
    expect(written(stanza)).toBe(element.toString())
    expect(written(stanza, { xmlns: NS.client })).toBe(
      element.toString().replace('><query', ' xmlns="jabber:client"><query'),
    )
    expect(stanza).toMatchObject({ kind: 'iq', type: 'set', id: '"1"', to: juliet, from: undefined, lang: 'en' })
    expect(written(stanza.compact())).toBe(element.toString())
  })

  it('is serialised once for all its addressees', () => {
    let count = 0
    class Counted extends Element {
      override toString(): string {
        count++
        return super.toString()
      }
    }
    const stanza = Stanza.fromElement(new Counted('message', { type: 'groupchat' }))
    for (let i = 0; i < 5; i++) written(stanza.addressed({ from: romeo, to: jid(`a${i}@b`) }))
    expect(count).toBe(1)
  })

  it('never puts on the wire what XML cannot hold', () => {
    const element = new Element('message', { id: '\u0000' })
    element.c('body').t('a\u0001\ud800\uffff\u{1f600}\n')
    expect(written(Stanza.fromElement(element))).toBe(
      '<message id="\ufffd"><body>a\ufffd\ufffd\ufffd\u{1f600}\n</body></message>',
    )
  })

  it('may be wrapped deeper and bear more attributes than its sender was allowed', () => {
    const attributes = Array.from({ length: 64 }, (_, i) => ` a${i}=''`).join('')
    const deep = received(`<message${attributes}>${'<a>'.repeat(255)}${'</a>'.repeat(255)}</message>`, 'de')
    const stored = Stanza.parse(deep.addressed({ to: juliet }).toString())
    expect(stored).toMatchObject({ from: romeo, to: juliet, lang: 'de' })
    const wrapper = new Element('message', {})
    wrapper.c('sent', { xmlns: NS.carbons }).c('forwarded').cnode(stored.element)
    expect(written(Stanza.fromElement(wrapper))).toContain('<a><a/></a>')
  })

  it('is the same after it was stored as text', () => {
    const stanza = received(message, 'de').addressed({ to: juliet })
    const copy = Stanza.parse(stanza.toString())
    expect(copy).toMatchObject({ kind: 'message', type: 'chat', id: '1', lang: 'de', from: romeo, to: juliet })
    expect(copy.toString()).toBe(stanza.toString())
    expect(readAll(openFramer(), Buffer.from(copy.toString()))).toHaveLength(1)
  })

  it('is not made from a text that is none', () => {
    for (const text of ['', '<message>', '<message/><message/>', '<a/>', 'x'])
      expect(() => Stanza.parse(text)).toThrow()
  })
})

describe('replies', () => {
  it('an empty result is what its text says, whatever the id', () => {
    fc.assert(
      fc.property(fc.option(fc.string({ unit: 'binary' }), { nil: undefined }), id => {
        const request = Stanza.fromElement(new Element('iq', { type: 'get', id, from: romeo.text, to: juliet.text }))
        const reply = iqResult(request)
        const read = Stanza.parse(written(reply))
        const view = ({ kind, type, id, lang, from, to, payload, mask, hasOneChild }: Stanza) => {
          return { kind, type, id, lang, from, to, payload, mask, hasOneChild }
        }
        expect(view(read)).toEqual(view(reply))
        expect(read).toMatchObject({ type: 'result', from: juliet, to: romeo, payload: undefined, hasOneChild: false })
        expect(read.id).toBe(id?.replace(/[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, '\ufffd'))
        expect(reply.element.toString()).toBe(read.element.toString())
      }),
    )
  })

  it.each([
    ["<iq><a xmlns='a'/></iq>", true],
    ["<iq> <a xmlns='a'><b/><b/></a> </iq>", true],
    ["<iq><a xmlns='a'/><b xmlns='b'/></iq>", false],
    ["<iq><a/><p:a xmlns:p='a'/></iq>", false],
    ['<iq/>', false],
    ['<iq>text</iq>', false],
  ])('%s has exactly one child: %s (RFC 6120 §8.2.3)', (xml, hasOneChild) => {
    expect(received(xml).hasOneChild).toBe(hasOneChild)
    expect(Stanza.fromElement(received(xml).element).hasOneChild).toBe(hasOneChild)
  })

  it('an IQ result goes back where the request came from (RFC 6120 §8.2.3)', () => {
    const reply = iqResult(received(`<iq type='get' id='1' to='${juliet.text}'><ping xmlns='urn:xmpp:ping'/></iq>`))
    expect(reply).toMatchObject({ kind: 'iq', type: 'result', id: '1', from: juliet, to: romeo })
    expect(reply.payload).toBeUndefined()
  })

  it('an error goes back without the content (RFC 6120 §8.3.1)', () => {
    const reply = errorReply(received(message), new StanzaError('item-not-found'))
    expect(reply).toMatchObject({ kind: 'message', type: 'error', id: '1', from: juliet, to: romeo })
    expect(reply.element.getChildElements().map(child => child.name)).toEqual(['error'])
  })
})
