/* The strings that stanzas are made of, so that reading one off the wire makes no new string. */

import { NS } from '../namespaces.js'
import { utf8 } from './text.js'

const known = [
  'message presence iq query error body subject thread x c show status priority text delay item group stanza-id origin-id',
  'active composing paused inactive gone request received replace markable displayed no-store store private sent enable',
  'auth response abort starttls handshake features stream open close bind session resource jid ping vCard data r a h',
  'xmlns id to from type xml:lang version node ver hash stamp by name subscription ask value code queryid var label',
  'chat groupchat normal headline get set result unavailable subscribe subscribed unsubscribe unsubscribed probe',
  'available submit form cancel none both remove jabber:x:oob urn:xmpp:sid:0 urn:xmpp:receipts urn:xmpp:chat-markers:0',
  'urn:xmpp:message-correct:0 http://jabber.org/protocol/chatstates http://jabber.org/protocol/muc vcard-temp',
  'http://jabber.org/protocol/muc#user http://jabber.org/protocol/pubsub urn:xmpp:mam:2 urn:xmpp:carbons:2 sha-1 en',
].flatMap(line => line.split(' '))

// An open-addressed table; strings longer than this many bytes are not looked up.
const slots = 1024
const longest = 64
const texts: string[] = new Array(slots).fill('')
const patterns: (Uint8Array | undefined)[] = new Array(slots).fill(undefined)

/** A text as bytes to compare with. */
export function pattern(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

function hash(length: number, first: number, middle: number, last: number): number {
  return (length * 73 + first * 19 + middle * 7 + last * 151) & (slots - 1)
}

for (const text of new Set([...known, ...Object.values(NS)])) {
  let slot = hash(text.length, text.charCodeAt(0), text.charCodeAt(text.length >> 1), text.charCodeAt(text.length - 1))
  while (patterns[slot] !== undefined) slot = (slot + 1) & (slots - 1)
  texts[slot] = text
  patterns[slot] = pattern(text)
}

/** The bytes, UTF-8 without references, as a string: one shared by all when it is a usual one. */
export function intern(bytes: Buffer, start: number, end: number): string {
  const length = end - start
  if (length === 0) return ''
  if (length > longest) return utf8(bytes, start, end)
  let slot = hash(length, bytes[start]!, bytes[start + (length >> 1)]!, bytes[end - 1]!)
  for (let candidate = patterns[slot]; candidate !== undefined; candidate = patterns[slot]) {
    if (equals(bytes, start, end, candidate)) return texts[slot]!
    slot = (slot + 1) & (slots - 1)
  }
  return utf8(bytes, start, end)
}

/** Whether the bytes from `start` to `end` are exactly these. */
export function equals(bytes: Buffer, start: number, end: number, expected: Uint8Array): boolean {
  const { length } = expected
  if (length !== end - start) return false
  for (let i = 0; i < length; i++) if (bytes[start + i] !== expected[i]) return false
  return true
}
