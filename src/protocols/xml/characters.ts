/*
 * What each byte may be in UTF-8 encoded XML 1.0. Bytes from 0x80 up are let through here and judged once, when their
 * element is whole, by `checkUnicode`.
 */

import { isUtf8 } from 'node:buffer'
import { StreamError } from '../errors.js'

/** May stand in a name, other than `:` and bytes from 0x80 up. */
export const NAME = 1
/** May begin a name, likewise. */
export const NAME_START = 2
/** Means itself in text: not `<`, `&`, `>` (which may end a `]]>`) nor forbidden. */
export const TEXT = 4
/** Means itself in an attribute value: ASCII, not a quote, `<`, `&` nor white space other than the space. */
export const VALUE = 8
/** White space. */
export const SPACE = 16
/** Part of a qualified name, whether well formed or not. */
export const QNAME = 32
/** Legal in a CDATA section, `>` apart. */
export const CDATA = 64

/** The classes of every byte, as bits. */
export const classes = new Uint8Array(256)

for (let byte = 0; byte < 256; byte++) {
  const char = String.fromCharCode(byte)
  const isHigh = byte >= 0x80
  const isSpace = ' \t\r\n'.includes(char)
  const isLegal = byte >= 0x20 || isSpace
  let bits = 0
  if (/[A-Za-z_]/.test(char)) bits |= NAME_START
  if (/[A-Za-z_0-9.-]/.test(char)) bits |= NAME
  if (/[A-Za-z_0-9.:-]/.test(char) || isHigh) bits |= QNAME
  if (isLegal && !'<&>'.includes(char)) bits |= TEXT
  if (isLegal && char !== '>') bits |= CDATA
  if (isLegal && !isHigh && !'<&"\'\t\r\n'.includes(char)) bits |= VALUE
  if (isSpace) bits |= SPACE
  classes[byte] = bits
}

/** Ends the stream: the peer's XML is not well-formed. RFC 6120 §4.9.3.13 */
export function malformed(text: string): never {
  throw new StreamError('not-well-formed', text)
}

// NameStartChar and Char of XML 1.0 (fifth edition), without the colon; `Name` keeps its productions 4 and 4a.
const nameStart =
  'A-Z_a-z\\u{C0}-\\u{D6}\\u{D8}-\\u{F6}\\u{F8}-\\u{2FF}\\u{370}-\\u{37D}\\u{37F}-\\u{1FFF}\\u{200C}\\u{200D}' +
  '\\u{2070}-\\u{218F}\\u{2C00}-\\u{2FEF}\\u{3001}-\\u{D7FF}\\u{F900}-\\u{FDCF}\\u{FDF0}-\\u{FFFD}\\u{10000}-\\u{EFFFF}'
const ncName = new RegExp(`^[${nameStart}][${nameStart}.0-9\\u{B7}\\u{300}-\\u{36F}\\u{203F}\\u{2040}-]*$`, 'u')

/** Throws unless the bytes, of which some are not ASCII, are a name without a colon. Namespaces in XML, production 4 */
export function checkName(bytes: Buffer, start: number, end: number): void {
  const name = bytes.subarray(start, end)
  if (!isUtf8(name)) throw new StreamError('bad-format', 'invalid UTF-8')
  if (!ncName.test(name.toString())) malformed('illegal name')
}

/** Throws unless the bytes are UTF-8 without U+FFFE and U+FFFF. */
export function checkUnicode(bytes: Buffer, start: number, end: number): void {
  const slice = bytes.subarray(start, end)
  if (!isUtf8(slice)) throw new StreamError('bad-format', 'invalid UTF-8')
  // Both are EF BF BE and EF BF BF; surrogates are not UTF-8 at all.
  for (let at = slice.indexOf(0xef); at !== -1; at = slice.indexOf(0xef, at + 1)) {
    if (slice[at + 1] === 0xbf && slice[at + 2]! >= 0xbe) malformed('illegal character')
  }
}

/** Whether XML lets a document hold the character at all. XML 1.0, production 2 */
export function isCharacter(code: number): boolean {
  if (code < 0x20) return code === 0x9 || code === 0xa || code === 0xd
  return code <= 0xd7ff || (code >= 0xe000 && code <= 0xfffd) || (code >= 0x10000 && code <= 0x10ffff)
}
