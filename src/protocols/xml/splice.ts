/* A frame's bytes with another envelope, straight into the bytes that will be sent. */

import { classes, SPACE } from './characters.js'
import type { Frame } from './frame.js'
import { escapeValue, writeUtf8 } from './text.js'

/** What is said otherwise than the frame's start tag says it; undefined leaves an attribute as it is. */
export interface Envelope {
  readonly from?: string | undefined
  readonly to?: string | undefined
  /** Added when the start tag has no `xml:lang`. */
  readonly lang?: string | undefined
  /** '' takes the declaration away. */
  readonly xmlns?: string | undefined
}

// 'name="' with the space before it, and the longest a character can become: `&quot;`.
const attributeRoom = ' xml:lang=""'.length
const characterRoom = 6

const room = (value: string | undefined) => (value === undefined ? 0 : attributeRoom + value.length * characterRoom)

/** No splice of the frame with this envelope takes more bytes. */
export function spliceLength(frame: Frame, { from, to, lang, xmlns }: Envelope): number {
  return frame.end - frame.start + room(from) + room(to) + room(lang) + room(xmlns)
}

// The attributes to leave out, as absolute offsets: start, end, start, end ...
const cuts = new Int32Array(6)

/** Writes the frame with this envelope and returns where it ends. The target must have room (`spliceLength`). */
export function splice(frame: Frame, envelope: Envelope, target: Buffer, offset: number): number {
  const { bytes, start, end } = frame
  const { from, to, lang, xmlns } = envelope
  let count = 0
  if (from !== undefined && frame.fromAt !== 0) count = cut(bytes, start + frame.fromAt, start + frame.fromEnd, count)
  if (to !== undefined && frame.toAt !== 0) count = cut(bytes, start + frame.toAt, start + frame.toEnd, count)
  if (xmlns !== undefined && frame.xmlnsAt !== 0) {
    count = cut(bytes, start + frame.xmlnsAt, start + frame.xmlnsEnd, count)
  }
  let pos = start + frame.nameEnd
  for (let at = start; at < pos; at++) target[offset++] = bytes[at]!
  if (xmlns !== undefined && xmlns !== '') offset = writeAttribute(target, offset, ' xmlns="', xmlns)
  if (from !== undefined) offset = writeAttribute(target, offset, ' from="', from)
  if (to !== undefined) offset = writeAttribute(target, offset, ' to="', to)
  if (lang !== undefined && frame.langAt === 0) offset = writeAttribute(target, offset, ' xml:lang="', lang)
  for (let i = 0; i < count; i += 2) {
    for (const stop = cuts[i]!; pos < stop; pos++) target[offset++] = bytes[pos]!
    pos = cuts[i + 1]!
  }
  return offset + bytes.copy(target, offset, pos, end)
}

/** Notes an attribute, with the white space before it, in the order of the text; its value is between these offsets. */
function cut(bytes: Buffer, valueStart: number, valueEnd: number, count: number): number {
  let start = valueStart - 2
  while (bytes[start] !== 0x3d) start--
  start--
  while ((classes[bytes[start]!]! & SPACE) !== 0) start--
  while ((classes[bytes[start]!]! & SPACE) === 0) start--
  while ((classes[bytes[start]!]! & SPACE) !== 0) start--
  start++
  let at = count
  for (; at > 0 && cuts[at - 2]! > start; at -= 2) {
    cuts[at] = cuts[at - 2]!
    cuts[at + 1] = cuts[at - 1]!
  }
  cuts[at] = start
  cuts[at + 1] = valueEnd + 1
  return count + 2
}

// 1 for characters that stand for themselves in an attribute value.
const plain = new Uint8Array(128).fill(1, 0x20, 0x7f)
for (const char of '&<>\'"') plain[char.charCodeAt(0)] = 0

function writeAttribute(target: Buffer, offset: number, opening: string, value: string): number {
  for (let i = 0; i < opening.length; i++) target[offset++] = opening.charCodeAt(i)
  for (let i = 0; i < value.length; i++) {
    const code = value.charCodeAt(i)
    if (code >= 0x80 || plain[code] === 0) {
      offset += writeUtf8(target, offset, escapeValue(value.slice(i)))
      break
    }
    target[offset++] = code
  }
  target[offset++] = 0x22
  return offset
}
