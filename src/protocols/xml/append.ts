/* One more child for a frame, without a tree. */

import { Frame, interestOf, SEVERAL } from './frame.js'

/**
 * The frame with another child behind all that it has: an element in XML that declares its own namespace, `ns`. The bytes are
 * its own but from Node's pool: whoever keeps it copies it (`compact`). The frame must have an end tag.
 */
export function withChild(frame: Frame, xml: string, ns: string): Frame {
  const { bytes, start, end } = frame
  // The last `<` of an element begins its end tag.
  const at = bytes.lastIndexOf(0x3c, end - 1)
  if (at <= start || bytes[at + 1] !== 0x2f) throw new Error('an element without content has no end tag')
  const length = Buffer.byteLength(xml)
  const grown = Object.assign(new Frame(), frame)
  grown.bytes = Buffer.allocUnsafe(end - start + length)
  bytes.copy(grown.bytes, 0, start, at)
  grown.bytes.write(xml, at - start)
  bytes.copy(grown.bytes, at - start + length, at, end)
  grown.start = 0
  grown.end = end - start + length
  grown.mask |= interestOf(ns)
  if (grown.payloadAt === 0) grown.payloadAt = at - start
  else grown.flags |= SEVERAL
  return grown
}
