/* From the bytes of text and attribute values, already found well-formed, to strings and back. */

import { StreamError } from '../errors.js'
import { isCharacter, malformed } from './characters.js'

/** Methods that Node gives every Buffer and that its published types leave out: the encoding is not looked up by name. */
interface Slices {
  latin1Slice(start: number, end: number): string
  utf8Slice(start: number, end: number): string
  utf8Write(text: string, offset: number): number
}

/** The bytes as a string of characters below U+0100, one a byte. */
export function latin1(bytes: Buffer, start: number, end: number): string {
  // The cast adds what the typings leave out.
  return (bytes as unknown as Slices).latin1Slice(start, end)
}

/** The bytes, UTF-8, as a string. */
export function utf8(bytes: Buffer, start: number, end: number): string {
  // The cast adds what the typings leave out.
  return (bytes as unknown as Slices).utf8Slice(start, end)
}

/** Writes the string as UTF-8 and returns the number of bytes. */
export function writeUtf8(target: Buffer, offset: number, text: string): number {
  // The cast adds what the typings leave out.
  return (target as unknown as Slices).utf8Write(text, offset)
}

const entities = new Map([
  ['lt', '<'],
  ['gt', '>'],
  ['amp', '&'],
  ['quot', '"'],
  ['apos', "'"],
])
/** The names of the entities that need no declaration. XML 1.0 §4.6 */
export const predefined: readonly string[] = [...entities.keys()]
const reference = /&([^;]*);/g

/** What stands for a reference, given without its `&` and `;`; throws when it is not allowed. RFC 6120 §11.1, XML 1.0 §4.1 */
export function dereference(name: string): string {
  if (name.charCodeAt(0) !== 0x23) {
    const char = entities.get(name)
    if (char !== undefined) return char
    if (!/^[^0-9.#-][^#]*$/.test(name)) malformed('bare ampersand')
    throw new StreamError('restricted-xml', 'entity reference')
  }
  const code = /^#[0-9]+$/.test(name)
    ? Number.parseInt(name.slice(1), 10)
    : /^#x[0-9A-Fa-f]+$/.test(name)
      ? Number.parseInt(name.slice(2), 16)
      : Number.NaN
  if (!isCharacter(code)) malformed('illegal character reference')
  return String.fromCodePoint(code)
}

const resolve = (_: string, name: string) => dereference(name)

/** An attribute's value. XML 1.0 §3.3.3 */
export function decodeValue(bytes: Buffer, start: number, end: number): string {
  return utf8(bytes, start, end)
    .replace(/\r\n|[\t\r\n]/g, ' ')
    .replace(reference, resolve)
}

/** What character data says. XML 1.0 §2.11, §4.6 */
export function decodeText(bytes: Buffer, start: number, end: number): string {
  return decodeCdata(bytes, start, end).replace(reference, resolve)
}

/** What a CDATA section's inside says. XML 1.0 §2.11 */
export function decodeCdata(bytes: Buffer, start: number, end: number): string {
  return utf8(bytes, start, end).replace(/\r\n?/g, '\n')
}

const escapes = new Map([
  ['&', '&amp;'],
  ['<', '&lt;'],
  ['>', '&gt;'],
  ["'", '&apos;'],
  ['"', '&quot;'],
  ['\t', '&#9;'],
  ['\n', '&#10;'],
  ['\r', '&#13;'],
])

/** The text as the inside of an attribute, whichever the quotes. White space survives the reader's normalisation. */
export function escapeValue(text: string): string {
  return text.replace(/[&<>'"\t\n\r]/g, char => escapes.get(char)!)
}
