/* A frame's bytes with another envelope, straight into the bytes that will be sent. */

import { classes, SPACE } from './characters.js'
import type { Frame } from './frame.js'
import { escapeValue, writeUtf8 } from './text.js'

/** What is said otherwise than the frame's start tag says it; undefined leaves an attribute as it is. */
export interface Envelope {
  from?: string | undefined
  to?: string | undefined
  /** Added when the start tag has no `xml:lang`. */
  lang?: string | undefined
  /** '' takes the declaration away. */
  xmlns?: string | undefined
}

// 'name="' with the space before it, and the longest a character can become: `&quot;`.
const attributeRoom = ' xml:lang=""'.length
const characterRoom = 6

const room = (value: string | undefined) => (value === undefined ? 0 : attributeRoom + value.length * characterRoom)

/** No splice of the frame with this envelope takes more bytes. */
export function spliceLength(frame: Frame, { from, to, lang, xmlns }: Readonly<Envelope>): number {
  return frame.end - frame.start + room(from) + room(to) + room(lang) + room(xmlns)
}

// What of the start tag is replaced, in the order of the text: where it begins and ends, and what comes instead.
const starts = [0, 0, 0]
const ends = [0, 0, 0]
const values = ['', '', '']

/**
 * Writes the frame with this envelope and returns the number of bytes; the target must have room (`spliceLength`).
 * What the start tag has keeps its place, what it has not comes last in it.
 */
export function splice(frame: Frame, envelope: Readonly<Envelope>, target: Buffer, offset: number): number {
  const { bytes, start } = frame
  const { from, to, lang, xmlns } = envelope
  const begin = offset
  let count = 0
  if (from !== undefined && frame.fromAt !== 0) count = replace(frame.fromAt, frame.fromEnd, from, count)
  if (to !== undefined && frame.toAt !== 0) count = replace(frame.toAt, frame.toEnd, to, count)
  if (xmlns !== undefined && frame.xmlnsAt !== 0) {
    if (xmlns !== '') count = replace(frame.xmlnsAt, frame.xmlnsEnd, xmlns, count)
    else count = replace(attributeStart(bytes, start + frame.xmlnsAt) - start, frame.xmlnsEnd + 1, '', count)
  }
  let pos = start
  for (let i = 0; i < count; i++) {
    offset = copy(bytes, pos, start + starts[i]!, target, offset)
    offset = writeValue(target, offset, values[i]!)
    pos = start + ends[i]!
  }
  const tagEnd = start + frame.attributesEnd
  offset = copy(bytes, pos, tagEnd, target, offset)
  if (xmlns !== undefined && xmlns !== '' && frame.xmlnsAt === 0) {
    offset = writeAttribute(target, offset, ' xmlns="', xmlns)
  }
  if (from !== undefined && frame.fromAt === 0) offset = writeAttribute(target, offset, ' from="', from)
  if (to !== undefined && frame.toAt === 0) offset = writeAttribute(target, offset, ' to="', to)
  if (lang !== undefined && frame.langAt === 0) offset = writeAttribute(target, offset, ' xml:lang="', lang)
  return offset + bytes.copy(target, offset, tagEnd, frame.end) - begin
}

/** Notes a replacement in its place. */
function replace(start: number, end: number, value: string, count: number): number {
  let at = count
  for (; at > 0 && starts[at - 1]! > start; at--) {
    starts[at] = starts[at - 1]!
    ends[at] = ends[at - 1]!
    values[at] = values[at - 1]!
  }
  starts[at] = start
  ends[at] = end
  values[at] = value
  return count + 1
}

/** Where the white space before the attribute begins whose value is here. */
function attributeStart(bytes: Buffer, valueStart: number): number {
  let at = valueStart - 2
  while (bytes[at] !== 0x3d) at--
  at--
  while ((classes[bytes[at]!]! & SPACE) !== 0) at--
  while ((classes[bytes[at]!]! & SPACE) === 0) at--
  while ((classes[bytes[at]!]! & SPACE) !== 0) at--
  return at + 1
}

/** Copies bytes; a call of Node's own takes longer than this loop for the few that are usual here. */
function copy(bytes: Buffer, start: number, end: number, target: Buffer, offset: number): number {
  if (end - start > 48) return offset + bytes.copy(target, offset, start, end)
  for (let at = start; at < end; at++) target[offset++] = bytes[at]!
  return offset
}

// 1 for characters that stand for themselves in an attribute value.
const plain = new Uint8Array(128).fill(1, 0x20, 0x7f)
for (const char of '&<>\'"') plain[char.charCodeAt(0)] = 0

function writeAttribute(target: Buffer, offset: number, opening: string, value: string): number {
  for (let i = 0; i < opening.length; i++) target[offset++] = opening.charCodeAt(i)
  offset = writeValue(target, offset, value)
  target[offset] = 0x22
  return offset + 1
}

/** Writes the inside of an attribute. */
function writeValue(target: Buffer, offset: number, value: string): number {
  for (let i = 0; i < value.length; i++) {
    const code = value.charCodeAt(i)
    if (code >= 0x80 || plain[code] === 0) return offset + writeUtf8(target, offset, escapeValue(value.slice(i)))
    target[offset++] = code
  }
  return offset
}
