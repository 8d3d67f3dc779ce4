/* Trees straight from bytes that the framer found well-formed: nothing is checked here again. */

import { Element } from 'ltx'
import { classes, SPACE } from './characters.js'
import { FOREIGN, type Frame, nameEndOf } from './frame.js'
import { intern } from './intern.js'
import { decodeCdata, decodeText, decodeValue, latin1 } from './text.js'

type Attributes = Record<string, string>

/**
 * The tree of a frame. Its top carries `xmlns` only where the text does, and the declarations of prefixes that the frame
 * takes from its stream's header, so that the tree stands for itself.
 */
export function buildElement(frame: Frame): Element {
  const element = build(frame.bytes, frame.start)
  if (frame.flags & FOREIGN) {
    const { prefixes } = frame.context
    for (let i = 0; i < prefixes.length; i += 2) {
      const name = `xmlns:${prefixes[i]}`
      if (!Object.hasOwn(element.attrs, name)) setAttribute(element.attrs, name, prefixes[i + 1]!)
    }
  }
  return element
}

/** The attributes of a frame's start tag. */
export function attributesOf({ bytes, start }: Frame): Readonly<Attributes> {
  const attributes: Attributes = {}
  readAttributes(bytes, nameEndOf(bytes, start + 1), attributes)
  return attributes
}

/** The tree of the well-formed element whose `<` is at `pos`. */
function build(bytes: Buffer, pos: number): Element {
  let open: Element | undefined
  // Adjacent text, references and CDATA sections are one string.
  let text = ''
  for (;;) {
    if (bytes[pos] !== 0x3c) {
      const start = pos
      let isPlain = true
      for (;;) {
        const byte = bytes[pos]!
        if (byte === 0x3c) break
        if (byte >= 0x80 || byte === 0x26 || byte === 0x0d) isPlain = false
        pos++
      }
      const piece = isPlain ? latin1(bytes, start, pos) : decodeText(bytes, start, pos)
      text = text === '' ? piece : text + piece
    }
    const next = bytes[pos + 1]
    if (next === 0x21) {
      const start = pos + '<![CDATA['.length
      const end = bytes.indexOf(']]>', start, 'latin1')
      text += decodeCdata(bytes, start, end)
      pos = end + 3
      continue
    }
    if (text !== '') {
      open!.children.push(text)
      text = ''
    }
    if (next === 0x2f) {
      const { parent } = open!
      if (parent === null) return open!
      open = parent
      while (bytes[pos] !== 0x3e) pos++
      pos++
      continue
    }
    const nameEnd = nameEndOf(bytes, pos + 1)
    const element = new Element(intern(bytes, pos + 1, nameEnd))
    pos = readAttributes(bytes, nameEnd, element.attrs)
    if (open !== undefined) {
      element.parent = open
      open.children.push(element)
    }
    if (bytes[pos - 2] !== 0x2f) open = element
    else if (open === undefined) return element
  }
}

/** Reads the attributes behind a start tag's name; returns where the tag ends. */
function readAttributes(bytes: Buffer, pos: number, attributes: Attributes): number {
  for (;;) {
    let byte = bytes[pos]!
    while ((classes[byte]! & SPACE) !== 0) byte = bytes[++pos]!
    if (byte === 0x3e) return pos + 1
    if (byte === 0x2f) return pos + 2
    const start = pos
    pos = nameEndOf(bytes, pos)
    const name = intern(bytes, start, pos)
    let quote = bytes[pos]!
    while (quote !== 0x22 && quote !== 0x27) quote = bytes[++pos]!
    const valueStart = ++pos
    let isPlain = true
    for (;;) {
      byte = bytes[pos]!
      if (byte === quote) break
      if (byte >= 0x80 || byte === 0x26 || byte < 0x20) isPlain = false
      pos++
    }
    setAttribute(attributes, name, isPlain ? intern(bytes, valueStart, pos) : decodeValue(bytes, valueStart, pos))
    pos++
  }
}

/** Sets an attribute, whatever its name. */
export function setAttribute(attributes: Attributes, name: string, value: string): void {
  // Assigning to `__proto__` would lose it; defined, it is a property like any other.
  if (name !== '__proto__') attributes[name] = value
  else Object.defineProperty(attributes, name, { value, writable: true, enumerable: true, configurable: true })
}
