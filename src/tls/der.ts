/*
 * The little of DER that is needed to look into certificates and parameters. ITU-T X.690 §10
 */

export interface DerElement {
  tag: number
  content: Buffer
  rest: Buffer
}

/** The first element of the bytes; its tag has one byte. Lengths are believed. */
export function readElement(der: Buffer): DerElement {
  const short = der[1] ?? 0
  const lengthBytes = short < 0x80 ? 0 : short & 0x7f
  const start = 2 + lengthBytes
  const end = start + (lengthBytes === 0 ? short : der.readUIntBE(2, lengthBytes))
  return { tag: der[0] ?? 0, content: der.subarray(start, end), rest: der.subarray(end) }
}

/** The elements that the content of another one consists of. */
export function children(content: Buffer): DerElement[] {
  const elements: DerElement[] = []
  for (let rest = content; rest.length > 0; ) {
    const element = readElement(rest)
    elements.push(element)
    rest = element.rest
  }
  return elements
}
