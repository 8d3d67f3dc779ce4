/*
 * The framer against saxes, which reads XML 1.0 and Namespaces in XML strictly, and against itself. Documents are made
 * from a grammar, then broken in a few places. Framer and saxes must agree on what is well-formed, except that
 * RFC 6120 §11.1 and our limits refuse more: comments, processing instructions, a document type, entities that need a
 * declaration (saxes refuses them too), text and CDATA sections outside the root, nesting and attributes beyond the limit.
 */

import { isUtf8 } from 'node:buffer'
import fc from 'fast-check'
import { SaxesParser } from 'saxes'
import { describe, expect, it } from 'vitest'
import { StreamError } from '../../src/protocols/errors.js'
import {
  type Frame,
  Framer,
  frameDocument,
  type Item,
  maxHeader,
  StreamContext,
} from '../../src/protocols/xml/framer.js'
import { splice, spliceLength } from '../../src/protocols/xml/splice.js'
import { buildElement } from '../../src/protocols/xml/tree.js'
import { frameOf, openFramer, openTag, type Plain, plain, readAll, toPlain } from '../protocols/xml/harness.js'

const numRuns = 400

// ---- documents

const prefixes = ['', '', '', 'p:', 'q:', 'é:', 'xml:', 'u:']
const names = ['a', 'body', 'x-1', 'b.c', '_', 'ñame', '名', '\u{10400}', '__proto__', 'constructor']
const uris = ['urn:a', 'urn:b', 'urn:a', 'jabber:client', 'urn:xmpp:delay', 'ü', '']
const pieces = [
  'text',
  ' ',
  '\n',
  '\r\n',
  '\r',
  '\t',
  'é',
  '\u{1f600}',
  '\ufffd',
  '>',
  ']',
  ']]',
  '&amp;',
  '&lt;',
  '&#65;',
  '&#xe9;',
  '&#x1F600;',
  '&#10;',
  '&#13;',
  "'",
  '"',
]

const oneOf = (values: string[]) => fc.constantFrom(...values)
const text = fc.array(oneOf(pieces), { maxLength: 4 }).map(parts => parts.join('').replace(/]]>/g, ']]&gt;'))
const space = oneOf(['', '', ' ', '\n\t'])
const qname = fc.tuple(oneOf(prefixes), oneOf(names)).map(([prefix, name]) => prefix + name)
const attributeName = fc.oneof(
  { weight: 4, arbitrary: qname },
  { weight: 1, arbitrary: oneOf(['xmlns', 'xmlns:p', 'xmlns:q', 'xmlns:é', 'xml:lang', 'to', 'from', 'id', 'type']) },
)
const attribute = fc
  .tuple(attributeName, fc.oneof(text, oneOf(uris)), oneOf(["'", '"']), space, space)
  .map(([name, value, quote, before, after]) => {
    const inside = (name.startsWith('xmlns') ? value.trim() || 'urn:a' : value).replaceAll(quote, '&#34;')
    return ` ${before}${name}${after}=${before}${quote}${inside}${quote}`
  })
const unique = (attributes: string[]) => {
  const seen = new Map(attributes.map(each => [each.trim().split(/[\s=]/)[0], each]))
  return [...seen.values()].join('')
}
const attributes = fc.array(attribute, { maxLength: 4 }).map(unique)

const { element } = fc.letrec<{ element: string; content: string }>(tie => ({
  element: fc
    .tuple(qname, attributes, space, fc.oneof({ depthSize: 'small' }, fc.constant(undefined), tie('content')))
    .map(([name, inside, after, content]) => {
      const tag = `${name}${inside}${after}`
      return content === undefined ? `<${tag}/>` : `<${tag}>${content}</${name}${after}>`
    }),
  content: fc
    .array(
      fc.oneof(
        { depthSize: 'small' },
        text,
        oneOf(['<![CDATA[]]>', '<![CDATA[<&]]]]>', '<![CDATA[\r\n]>]]>']),
        tie('element'),
      ),
      { maxLength: 4 },
    )
    .map(parts => parts.join('').replace(/([^>]]|^])]>/g, '$1]&gt;')),
}))

const declared = "<r xmlns:p='urn:p' xmlns:q='urn:q' xmlns:é='urn:é'>"
/** Usually well-formed; the prefix `u` never is bound. */
const document = element.map(inside => `${declared}${inside}</r>`)

// ---- breaking them

type Edit = { kind: string; at: number; length: number; byte: number; token: string }
const tokens = [
  '<',
  '>',
  '&',
  ';',
  '/',
  '"',
  "'",
  '=',
  ' ',
  ':',
  ']]>',
  '<!--',
  '-->',
  '<?x?>',
  '<?xml ',
  '<![CDATA[',
  ']',
  '<!DOCTYPE',
  '&#0;',
  '&foo;',
  '&#xFFFF;',
  'xmlns=""',
  " xmlns:p=''",
  '\ufffe',
  '\uffff',
  '\0',
  '</r>',
  '<r>',
  '/>',
  '\u00d7',
  '1',
  '-',
]
const edit: fc.Arbitrary<Edit> = fc.record({
  kind: oneOf(['flip', 'delete', 'repeat', 'insert', 'insert', 'byte', 'move']),
  at: fc.nat(),
  length: fc.integer({ min: 1, max: 12 }),
  byte: fc.nat(255),
  token: oneOf(tokens),
})

function apply(bytes: Buffer, { kind, at, length, byte, token }: Edit): Buffer {
  const pos = at % (bytes.length + 1)
  const [before, after] = [bytes.subarray(0, pos), bytes.subarray(pos)]
  switch (kind) {
    case 'flip': {
      const copy = Buffer.from(bytes)
      if (pos < copy.length) copy[pos]! ^= 1 << (byte & 7)
      return copy
    }
    case 'delete':
      return Buffer.concat([before, after.subarray(length)])
    case 'repeat':
      return Buffer.concat([before, after.subarray(0, length), after])
    case 'insert':
      return Buffer.concat([before, Buffer.from(token), after])
    case 'byte':
      return Buffer.concat([before, Buffer.from([byte]), after])
    default:
      return Buffer.concat([before, bytes.subarray(byte, byte + length), after])
  }
}

const broken = fc
  .tuple(document, fc.array(edit, { maxLength: 3 }))
  .map(([xml, edits]) => edits.reduce(apply, Buffer.from(xml)))

// ---- what saxes says

/**
 * The tree, or undefined when the text is not well-formed; `restricted` when it has what RFC 6120 §11.1 forbids.
 * Undefined as a whole where saxes itself strays from the standard.
 */
function oracle(xml: string): { tree: Plain | undefined; restricted: boolean } | undefined {
  const parser = new SaxesParser({ xmlns: true })
  const root: Plain = { name: '', attributes: [], children: [] }
  const open = [root]
  let restricted = false
  let failed = false
  let incomparable = false
  const restrict = () => {
    restricted = true
  }
  const append = (piece: string) => {
    const { children } = open.at(-1)!
    const last = children.at(-1)
    if (piece === '') return
    if (typeof last === 'string') children[children.length - 1] = last + piece
    else children.push(piece)
  }
  parser.on('error', () => {
    failed = true
  })
  for (const event of ['comment', 'processinginstruction', 'doctype', 'xmldecl'] as const) parser.on(event, restrict)
  parser.on('text', append)
  parser.on('cdata', append)
  parser.on('opentag', ({ name, attributes: found }) => {
    // saxes lets a local name begin with what may not begin a name. Namespaces in XML, production 4
    for (const part of [name, ...Object.keys(found)].flatMap(each => each.split(':'))) {
      if (/^(?:[0-9.\u00b7\u203f\u2040-]|\p{M})/u.test(part)) failed = true
    }
    // saxes compares namespaces without the white space around them, so `' '` is none for it.
    for (const { name: key, value } of Object.values(found)) {
      if (key.startsWith('xmlns') && value !== value.trim()) incomparable = true
    }
    const node: Plain = {
      name,
      attributes: Object.entries(found).map(([key, { value }]) => [key, value]),
      children: [],
    }
    open.at(-1)!.children.push(node)
    open.push(node)
  })
  parser.on('closetag', () => {
    open.pop()
  })
  parser.write(xml).close()
  const trees = root.children.filter(child => typeof child !== 'string')
  if (incomparable) return undefined
  return { tree: failed || trees.length !== 1 ? undefined : trees[0], restricted }
}

/** What the framer makes of one document. */
function ours(bytes: Buffer): { frame?: Frame; refused?: StreamError } {
  try {
    const frames = frameDocument(bytes, 100_000, new StreamContext('', '', []))
    return frames.length === 1 ? { frame: frames[0]! } : { refused: new StreamError('not-well-formed') }
  } catch (error) {
    if (error instanceof StreamError) return { refused: error }
    throw error
  }
}

describe('the framer, compared with saxes', () => {
  const compare = (bytes: Buffer) => {
    const { frame, refused } = ours(bytes)
    if (!isUtf8(bytes)) {
      expect(refused).toBeDefined()
      return
    }
    const verdict = oracle(bytes.toString())
    if (verdict === undefined) return
    const { tree, restricted } = verdict
    if (refused?.condition === 'restricted-xml') {
      // An undeclared entity is an error for saxes; the rest only for RFC 6120.
      expect(tree === undefined || restricted).toBe(true)
    } else if (tree === undefined || restricted) expect(refused).toBeDefined()
    else {
      expect(refused).toBeUndefined()
      expect(toPlain(buildElement(frame!))).toEqual(tree)
    }
  }

  it('accepts the same documents and builds the same trees', () => {
    let accepted = 0
    fc.assert(
      fc.property(document, xml => {
        compare(Buffer.from(xml))
        if (ours(Buffer.from(xml)).frame) accepted++
      }),
      { numRuns },
    )
    // The comparison means nothing if hardly anything is well-formed.
    expect(accepted).toBeGreaterThan(numRuns / 4)
  })

  it('refuses the same broken documents', () => {
    fc.assert(fc.property(broken, compare), { numRuns: 5 * numRuns })
  })
})

describe('the framer, whatever comes', () => {
  const stream = fc
    .tuple(
      fc.array(fc.oneof(document, oneOf([' \n', '<presence/>', '</stream:stream>', openTag])), { maxLength: 4 }),
      fc.array(edit, { maxLength: 3 }),
    )
    .map(([parts, edits]) => edits.reduce(apply, Buffer.from(openTag + parts.join(''))))
  const limit = 200

  /** Items, then the error if there was one. */
  const outcome = (bytes: Buffer, sizes: number[]) => {
    const framer = new Framer({ element: limit })
    const items: Item[] = []
    let condition = ''
    try {
      for (let at = 0, i = 0; at < bytes.length; i++) {
        const size = sizes[i % sizes.length]!
        readAll(framer, bytes.subarray(at, at + size), size, items)
        at += size
        expect(framer.retained).toBeLessThanOrEqual(Math.max(limit, maxHeader))
      }
    } catch (error) {
      if (!(error instanceof StreamError)) throw error
      condition = error.message
      expect(framer.retained).toBe(0)
    }
    return [...items.map(plain), condition]
  }

  it('throws nothing but StreamError, keeps no more than the limit and does not care how the bytes are cut', () => {
    fc.assert(
      fc.property(stream, fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 5 }), (bytes, sizes) => {
        const whole = outcome(bytes, [bytes.length])
        expect(outcome(bytes, sizes)).toEqual(whole)
        expect(outcome(bytes, [1])).toEqual(whole)
      }),
      { numRuns },
    )
  })

  it('survives random bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), bytes => {
        outcome(Buffer.from(bytes), [7])
        outcome(Buffer.concat([Buffer.from(openTag), Buffer.from('<a>'), bytes]), [7])
      }),
      { numRuns },
    )
  })
})

describe('a splice', () => {
  const value = fc.oneof(
    fc.constant(undefined),
    text.map(each => each.replace(/&[^;]*;/g, '&')),
  )
  const envelope = fc.record({
    from: value,
    to: value,
    lang: value,
    xmlns: fc.constantFrom(undefined, '', 'jabber:server', 'urn:<&>'),
  })

  it('says the new envelope and the same content', () => {
    fc.assert(
      fc.property(attributes, element, envelope, (inside, content, change) => {
        const xml = `<message${inside} xmlns:p='urn:p' xmlns:q='urn:q' xmlns:é='urn:é'>${content}</message>`
        if (!ours(Buffer.from(xml)).frame) return
        const frame = frameOf(xml)
        const target = Buffer.alloc(spliceLength(frame, change) + 4, '#')
        const end = 2 + splice(frame, change, target, 2)
        expect(end).toBeLessThanOrEqual(target.length - 2)
        expect(target.toString('utf8', end)).toBe('#'.repeat(target.length - end))
        const spliced = readAll(openFramer(), target.subarray(2, end))
        expect(spliced).toHaveLength(1)
        const [result] = spliced
        if (result?.kind !== 'frame') throw new Error('no frame')
        expect(result).toMatchObject({ name: 'message', id: frame.id, type: frame.type })
        expect(result.from).toBe(change.from ?? frame.from)
        expect(result.to).toBe(change.to ?? frame.to)
        expect(result.lang).toBe(frame.lang ?? change.lang)
        if (change.xmlns !== undefined) expect(result.attribute('xmlns')).toBe(change.xmlns || undefined)
        const [before, after] = [toPlain(buildElement(frame)), toPlain(buildElement(result))]
        expect(after.children).toEqual(before.children)
        const changed = new Set(['from', 'to', 'xml:lang', 'xmlns'])
        const others = (tree: Plain) => tree.attributes.filter(([name]) => !changed.has(name))
        expect(others(after)).toEqual(others(before))
      }),
      { numRuns },
    )
  })
})
