import fc from 'fast-check'
import type { Element } from 'ltx'
import { describe, expect, it } from 'vitest'
import { Jid } from '../../src/protocols/jid.js'
import { NS } from '../../src/protocols/namespaces.js'
import { ContentNamespace } from '../../src/protocols/stanza/content-namespace.js'
import { Stanza } from '../../src/protocols/stanza/stanza.js'
import { type Frame, Framer } from '../../src/protocols/xml/framer.js'
import { parseXml } from '../support/xml.js'

/*
 * Stanzas of streams whose content namespace is not jabber:client. RFC 6120 §4.8.3
 */

const from = Jid.parse('bot@echo.localhost/x')!
const content = new ContentNamespace(NS.component)
const declarations = `xmlns:c='${NS.component}' xmlns:q='urn:q'`

function frameOf(xml: string): Frame {
  const framer = new Framer({ element: 100_000 })
  framer.feed(Buffer.from(`<s:stream xmlns:s='${NS.stream}' xmlns='${NS.component}' ${declarations}>${xml}`))
  framer.next()
  const item = framer.next()
  if (item?.kind !== 'frame') throw new Error(`no stanza: ${xml}`)
  return item
}

type Node = [ns: string, name: string, attributes: object, children: (Node | string)[]]

/** What an element says, whatever its prefixes; text in one piece. */
function meaning(element: Element): Node {
  const attributes = Object.entries(element.attrs).filter(([name]) => name !== 'xmlns' && !name.startsWith('xmlns:'))
  const children: (Node | string)[] = []
  for (const child of element.children) {
    const last = children.length - 1
    if (typeof child !== 'string') children.push(meaning(child))
    else if (typeof children[last] === 'string') children[last] += child
    else children.push(child)
  }
  return [element.getNS() ?? '', element.getName(), Object.fromEntries(attributes.sort()), children]
}

/** The same with everything of the one namespace in the other. */
const asClient = ([ns, name, attributes, children]: Node): Node => [
  ns === NS.component ? NS.client : ns,
  name,
  attributes,
  children.map(child => (typeof child === 'string' ? child : asClient(child))),
]

/** What a component's stanza means, read by a parser that shares nothing with the server. */
function told(xml: string): Node {
  const wrapped = parseXml(`<x ${declarations} xmlns='${NS.component}'>${xml}</x>`, NS.component)
  return asClient(meaning(wrapped.getChildElements()[0]!))
}

function stamped([ns, name, attributes, children]: Node): Node {
  return [ns, name, Object.fromEntries(Object.entries({ ...attributes, from: from.text }).sort()), children]
}

/** What comes out, in a stream of clients. */
const heard = (xml: string) => meaning(parseXml(content.stanza(frameOf(xml), from, undefined).toString(), NS.client))

const named = (ns: string) => content.stanza(frameOf(`<message xmlns='${ns}'><body>x</body></message>`), from, 'de')

describe('a content namespace (RFC 6120 §4.8.3)', () => {
  it('leaves the bytes of a usual stanza as they are, but for the sender', () => {
    const stanza = content.stanza(frameOf(`<message to='a@b' id='1'><body>x &lt; y</body></message>`), from, undefined)
    expect(stanza.toString()).toBe(`<message to='a@b' id='1' from="${from.text}"><body>x &lt; y</body></message>`)
    expect(stanza.payload).toEqual({ name: 'body', ns: NS.client })
  })

  it.each([NS.component, NS.client])('takes %s for the stanza, in text and tree', ns => {
    const stanza = named(ns)
    expect(stanza.element.is('message', NS.client)).toBe(true)
    expect(stanza.element.getChildText('body')).toBe('x')
    expect(stanza.lang).toBe('de')
    expect(stanza.from).toBe(from)
    expect(meaning(parseXml(stanza.toString(), NS.client))).toEqual(
      meaning(parseXml(`<message from='${from.text}' xml:lang='de'><body>x</body></message>`, NS.client)),
    )
  })

  const ns = fc.constantFrom(
    '',
    ` xmlns='${NS.component}'`,
    ` xmlns='${NS.client}'`,
    ` xmlns='urn:x'`,
    ` xmlns:c='${NS.component}'`,
    ` xmlns:c='urn:other'`,
    ` xmlns:p='${NS.component}'`,
  )
  const prefix = fc.constantFrom('', '', 'c:', 'q:')
  const text = fc.constantFrom('', 'x', 'ὦ &amp; &lt;', NS.component)
  const element: fc.Arbitrary<string> = fc.letrec<{ element: string }>(tie => ({
    element: fc.oneof(
      { maxDepth: 4 },
      text,
      fc
        .tuple(prefix, fc.constantFrom('body', 'x', 'query'), ns, fc.array(tie('element'), { maxLength: 3 }))
        .map(([prefix, name, ns, children]) => `<${prefix}${name}${ns} a='1'>${children.join('')}</${prefix}${name}>`),
    ),
  })).element

  it('means the same in a stream of clients, with every element of the one namespace in the other', () => {
    const top = fc.constantFrom(
      ['', ''],
      ['', ` xmlns='${NS.component}'`],
      ['', ` xmlns='${NS.client}'`],
      ['c:', ''],
      ['c:', ` xmlns='urn:x'`],
      ['k:', ` xmlns:k='${NS.client}'`],
    )
    fc.assert(
      fc.property(top, fc.array(element, { maxLength: 4 }), ([prefix, ns], children) => {
        const xml = `<${prefix}message${ns} to='a@b'>${children.join('')}</${prefix}message>`
        expect(heard(xml)).toEqual(stamped(told(xml)))
      }),
      { numRuns: 300 },
    )
  })
})

/** What a stanza of ours says in a stream of components. */
const sent = (xml: string) => content.outgoing(Stanza.parse(xml)).toString()
const onStream = (xml: string) => meaning(parseXml(xml, NS.component))

/** As it should be read there: what is content of the stanza in that of the stream, the rest as it was. */
function asComponent([ns, name, attributes, children]: Node): Node {
  if (ns !== NS.client) return [ns, name, attributes, children]
  return [
    NS.component,
    name,
    attributes,
    children.map(child => (typeof child === 'string' ? child : asComponent(child))),
  ]
}

describe('a stanza of ours in a stream of another content namespace (RFC 6120 §4.8.3)', () => {
  const plain = `<message to='a@b'><body>x</body></message>`

  it('goes as it is where it says no namespace, or says it in its start tag only', () => {
    for (const xml of [plain, `<message xmlns='jabber:client' to='a@b'><body>x</body></message>`]) {
      const stanza = Stanza.parse(xml)
      expect(content.outgoing(stanza)).toBe(stanza)
    }
  })

  it.each([
    ['a child that says it', `<message to='a@b'><body xmlns='jabber:client'>x</body></message>`],
    ['a prefix for it', `<message to='a@b' xmlns:c='jabber:client'><c:body>x</c:body></message>`],
  ])('loses %s', (_, xml) => {
    expect(onStream(sent(xml))).toEqual(onStream(plain))
  })

  it('keeps that of what is forwarded (XEP-0297 §3.1), and texts that look alike', () => {
    const inner = `<x xmlns='urn:x'><forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client'><body>x</body></message></forwarded></x>`
    const text = `<body>&lt;b xmlns='jabber:client'/&gt;<![CDATA[<b xmlns='jabber:client'/>]]></body>`
    for (const child of [inner, text, `<y xmlns='urn:y' a='jabber:client'/>`]) {
      const xml = `<message to='a@b'>${child}</message>`
      expect(sent(xml)).toBe(xml)
    }
    const both = `<message to='a@b'><subject xmlns='jabber:client'>s</subject>${inner}</message>`
    expect(onStream(sent(both))).toEqual(onStream(both.replace(` xmlns='jabber:client'`, '')))
  })

  it('leaves the tree alone, which others share', () => {
    const stanza = Stanza.parse(`<message to='a@b'><body xmlns='jabber:client'>x</body></message>`)
    const before = stanza.element.toString()
    content.outgoing(stanza)
    expect(stanza.element.toString()).toBe(before)
    expect(stanza.element.getChild('body')?.getNS()).toBe(NS.client)
  })

  const declaration = fc.constantFrom(
    '',
    ` xmlns='${NS.client}'`,
    ` xmlns='urn:x'`,
    ` xmlns:c='${NS.client}'`,
    ` xmlns:c='urn:c'`,
  )
  // What inherits the namespace of the stanza follows it, even inside another namespace: so there something else is said.
  const foreign = fc.constantFrom(` xmlns='urn:x'`, ` xmlns='${NS.client}'`)
  const element: fc.Arbitrary<string> = fc.letrec<{ element: string }>(tie => ({
    element: fc.oneof(
      { maxDepth: 4 },
      fc.constantFrom('', 'x', 'ὦ &amp; &lt;', NS.client),
      fc
        .tuple(
          fc.oneof(fc.tuple(fc.constantFrom('', 'k:'), declaration), fc.tuple(fc.constant('q:'), foreign)),
          fc.array(tie('element'), { maxLength: 3 }),
        )
        .map(([[prefix, said], children]) => `<${prefix}z${said} a='1'>${children.join('')}</${prefix}z>`),
    ),
  })).element

  it('means the same there, with the content of the stanza in the namespace of the stream', () => {
    const top = fc.constantFrom('', ` xmlns='${NS.client}'`)
    fc.assert(
      fc.property(top, fc.array(element, { maxLength: 4 }), (said, children) => {
        const xml = `<message${said} xmlns:k='${NS.client}' xmlns:q='urn:q' to='a@b'>${children.join('')}</message>`
        expect(onStream(sent(xml))).toEqual(asComponent(meaning(parseXml(xml, NS.client))))
      }),
      { numRuns: 300 },
    )
  })
})
