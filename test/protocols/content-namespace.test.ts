import fc from 'fast-check'
import type { Element } from 'ltx'
import { describe, expect, it } from 'vitest'
import { Jid } from '../../src/protocols/jid.js'
import { NS } from '../../src/protocols/namespaces.js'
import { ContentNamespace } from '../../src/protocols/stanza/content-namespace.js'
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
