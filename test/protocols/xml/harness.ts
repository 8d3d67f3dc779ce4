import type { Element } from 'ltx'
import { expect } from 'vitest'
import { StreamError } from '../../../src/protocols/errors.js'
import { type Frame, Framer, type Header, type Item } from '../../../src/protocols/xml/framer.js'
import { buildElement } from '../../../src/protocols/xml/tree.js'

export const openTag =
  "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='capulet.example' version='1.0'>"

/** A framer that has read a usual stream header. */
export function openFramer(element = 10_000): Framer {
  const framer = new Framer({ element })
  framer.feed(Buffer.from(openTag))
  expect(framer.next()).toMatchObject({ kind: 'header' })
  expect(framer.next()).toBeUndefined()
  return framer
}

/** Everything the framer has to say about the bytes, given `size` at a time; every chunk is wiped once it is read. */
export function readAll(framer: Framer, bytes: Buffer, size = bytes.length, items: Item[] = []): Item[] {
  for (let at = 0; at < bytes.length; at += size) {
    const chunk = Buffer.from(bytes.subarray(at, at + size))
    framer.feed(chunk)
    for (let item = framer.next(); item !== undefined; item = framer.next()) {
      items.push(item.kind === 'frame' ? item.compact() : item)
    }
    chunk.fill(0)
  }
  return items
}

/** What ends the stream when the framer reads these bytes. */
export function refusal(framer: Framer, bytes: Buffer | string, size?: number): StreamError | undefined {
  const buffer = Buffer.from(bytes as string)
  try {
    readAll(framer, buffer, size ?? Math.max(buffer.length, 1))
  } catch (error) {
    if (error instanceof StreamError) return error
    throw error
  }
  return undefined
}

/** An item as plain data, to compare. */
export function plain(item: Item): unknown {
  if (item.kind === 'header') return describeHeader(item)
  return item.kind === 'frame' ? describe(item) : item
}

function describeHeader({ name, ns, defaultNs, prefixes, attributes }: Header) {
  return { name, ns, defaultNs, prefixes: [...prefixes], attributes: [...attributes] }
}

function describe(frame: Frame) {
  const { name, ns, to, from, id, type, lang, payloadName, payloadNs, mask, isForwardable } = frame
  const text = frame.bytes.toString('utf8', frame.start, frame.end)
  const tree = toPlain(buildElement(frame))
  return { name, ns, to, from, id, type, lang, payloadName, payloadNs, mask, isForwardable, text, tree }
}

export type Plain = { name: string; attributes: [string, string][]; children: (Plain | string)[] }

export function toPlain(element: Element): Plain {
  const children = element.children.map(child => (typeof child === 'object' ? toPlain(child) : String(child)))
  return { name: element.name, attributes: Object.entries(element.attrs), children }
}

/** The one frame that the text is in a usual stream. */
export function frameOf(text: string, framer = openFramer()): Frame {
  const [item, ...others] = readAll(framer, Buffer.from(text))
  expect(others).toEqual([])
  if (item?.kind !== 'frame') throw new Error('no frame')
  return item
}
