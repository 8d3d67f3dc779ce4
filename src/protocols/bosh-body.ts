/*
 * The `<body/>` that wraps what goes over BOSH, read and written. XEP-0124 §4; XEP-0206
 */

import { escapeXML } from 'ltx'
import type { Answer, Request } from './bosh.js'
import { StreamError } from './errors.js'
import { NS } from './namespaces.js'
import { classes, SPACE } from './xml/characters.js'
import { type Frame, StreamContext } from './xml/frame.js'
import { frameDocument } from './xml/framer.js'
import { Scanner } from './xml/scanner.js'
import { attributesOf, buildElement } from './xml/tree.js'

/** What a request says. */
export interface Body extends Pick<Request, 'rid' | 'kind' | 'pause' | 'ack' | 'key' | 'newKey'> {
  readonly sid: string | undefined
  readonly to: string | undefined
  readonly lang: string | undefined
  /** Of XMPP. */
  readonly version: string | undefined
  /** Seconds. */
  readonly wait: number | undefined
  /** As it stands; that it must be a number is another rule. B-6 */
  readonly hold: string | undefined
  /** The client acknowledges answers. B-31 */
  readonly acknowledges: boolean
  /** What stands inside, as a part of a stream in the namespace `jabber:client`. */
  readonly content: Buffer
}

/** A request that says nothing sensible: `bad-request`. B-9, B-21 */
export class BadBody extends Error {
  override name = 'BadBody'
  constructor(
    message: string,
    /** Of the session that it seems to be meant for. */
    readonly sid: string | undefined,
  ) {
    super(message)
  }
}

const nothing: Buffer = Buffer.alloc(0)
const outside = new StreamContext('', '', [])
const scanner = new Scanner()

/**
 * Reads a request's body, all of it.
 * @throws BadBody
 */
export function readBody(bytes: Buffer): Body {
  let sid: string | undefined
  try {
    const frame = onlyElement(bytes)
    const attrs = attributesOf(frame)
    if (frame.name === 'body') sid = attrs.sid
    if (frame.name !== 'body' || frame.ns !== NS.bosh) throw new BadBody('not a body of BOSH', sid)
    return { ...said(attrs, sid), content: contentOf(frame, attrs) }
  } catch (error) {
    if (error instanceof StreamError) throw new BadBody(error.message, sid)
    throw error
  }
}

function onlyElement(bytes: Buffer): Frame {
  const [frame, another] = frameDocument(bytes.subarray(afterDeclaration(bytes)), bytes.length, outside)
  if (frame === undefined || another !== undefined) throw new BadBody('not one element', undefined)
  return frame
}

/** A byte order mark and an XML declaration may come first. */
function afterDeclaration(bytes: Buffer): number {
  const start = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0
  if (bytes[start] !== 0x3c || bytes[start + 1] !== 0x3f) return start
  scanner.begin('start', outside, start)
  const end = scanner.run(bytes, start + 1, bytes.length)
  if (end === -1) throw new BadBody('unfinished declaration', undefined)
  return end
}

type Attributes = Readonly<Record<string, string | undefined>>

function said(attributes: Attributes, sid: string | undefined): Omit<Body, 'content'> {
  const { type, pause, ack, key, newkey: newKey, wait, hold, to } = attributes
  const numbered = (text: string | undefined, name: string) => {
    if (text === undefined) return undefined
    const value = wholeNumber(text)
    if (value === undefined) throw new BadBody(`${name} is no number`, sid)
    return value
  }
  const rid = numbered(attributes.rid, 'rid')
  if (rid === undefined || rid === 0) throw new BadBody('no rid', sid)
  const kind = kindOf(type, inXmpp(attributes, 'restart'), pause, sid)
  const seconds = kind === 'pause' ? numbered(pause, 'pause') : undefined
  if (seconds === 0) throw new BadBody('no time to pause', sid)
  return {
    sid,
    rid,
    kind,
    pause: seconds,
    ack: kind === 'create' ? undefined : numbered(ack, 'ack'),
    acknowledges: ack === '1',
    key,
    newKey,
    to,
    lang: attributes['xml:lang'],
    version: inXmpp(attributes, 'version'),
    wait: numbered(wait, 'wait'),
    hold,
  }
}

/** spec/bosh.md §3 */
function kindOf(
  type: string | undefined,
  restart: string | undefined,
  pause: string | undefined,
  sid: string | undefined,
): Body['kind'] {
  if (type === 'terminate') return 'terminate'
  if (restart === 'true' || restart === '1') return 'restart'
  if (pause !== undefined) return 'pause'
  return sid === undefined ? 'create' : 'stanzas'
}

/** The value of an attribute in the namespace of XEP-0206, whatever its prefix. */
function inXmpp(attributes: Attributes, name: string): string | undefined {
  for (const [declaration, ns] of Object.entries(attributes)) {
    if (ns !== NS.xmppOverBosh || !declaration.startsWith('xmlns:')) continue
    const value = attributes[`${declaration.slice('xmlns:'.length)}:${name}`]
    if (value !== undefined) return value
  }
  return undefined
}

/** In digits, and small enough to be counted on from. */
export function wholeNumber(text: string): number | undefined {
  if (!/^\d{1,16}$/.test(text)) return undefined
  const value = Number(text)
  return Number.isSafeInteger(value) ? value : undefined
}

/** The bytes between start tag and end tag, which mean the same behind a stream header; B-20: elements and white space only. */
function contentOf(frame: Frame, attributes: Attributes): Buffer {
  const { bytes, start, end } = frame
  let from = start + frame.attributesEnd
  while (bytes[from] !== 0x3e && bytes[from] !== 0x2f) from++
  if (bytes[from] === 0x2f) return nothing
  const inside = bytes.subarray(from + 1, bytes.lastIndexOf('</', end))
  if (isWhite(inside)) return nothing
  const ns = frame.contentNs
  const prefixes = Object.entries(attributes).flatMap(([name, uri]) =>
    name.startsWith('xmlns:') && uri !== undefined ? [name.slice('xmlns:'.length), uri] : [],
  )
  // Many clients leave it to the server to know what stanzas are in.
  const isUsual = ns === NS.bosh || ns === NS.client
  const frames = frameDocument(inside, inside.length, new StreamContext('', isUsual ? NS.client : ns, prefixes))
  if (isUsual && frames.every(child => child.isForwardable)) return inside
  return Buffer.from(frames.map(child => standalone(child, ns)).join(''))
}

const isWhite = (bytes: Buffer) => bytes.every(byte => (classes[byte]! & SPACE) !== 0)

/** The element with every namespace that it took from the body. */
function standalone(frame: Frame, ns: string): string {
  const element = buildElement(frame)
  if (!element.name.includes(':') && element.attrs.xmlns === undefined && ns !== NS.bosh) element.attrs.xmlns = ns
  return element.toString()
}

// ---- what the server says

/** What the answer to a creation or a restart tells. spec/bosh.md §4 */
export interface Opening {
  readonly from: string
  /** Seconds. */
  readonly wait: number
  readonly requests: number
  /** Seconds; undefined = for ever. */
  readonly inactivity: number | undefined
  /** Seconds. */
  readonly maxPause: number
}

/** The `<body ...` of an answer, without what closes the tag. `usesPrefix`: something in it has the prefix `stream`. */
export function answerStart(
  { ack, report, end, tellsTerms }: Answer,
  sid: string,
  opening: Opening,
  usesPrefix: boolean,
): string {
  if (end !== undefined) return `${terminateStart(end.condition)}${usesPrefix ? streamPrefix : ''}`
  const acknowledgement = ack === undefined ? '' : ` ack='${ack}'`
  const reported = report === undefined ? '' : ` report='${report.rid}' time='${report.time}'`
  const prefix = tellsTerms || usesPrefix ? streamPrefix : ''
  const terms = tellsTerms ? termsOf(opening) : ''
  return `<body${terms} sid='${sid}'${acknowledgement}${reported} xmlns='${NS.bosh}'${prefix}`
}

const streamPrefix = ` xmlns:stream='${NS.stream}'`

function termsOf({ from, wait, requests, inactivity, maxPause }: Opening): string {
  const ending = inactivity === undefined ? '' : ` inactivity='${inactivity}'`
  return (
    ` wait='${wait}' requests='${requests}' hold='1' from='${escapeXML(from)}' xmpp:restartlogic='true'` +
    ` xmpp:version='1.0' xmlns:xmpp='${NS.xmppOverBosh}'${ending} maxpause='${maxPause}'`
  )
}

const terminateStart = (condition: string | undefined) =>
  `<body type='terminate'${condition === undefined ? '' : ` condition='${condition}'`} xmlns='${NS.bosh}'`

/** The answer to a request that belongs to no session. B-3 */
export const terminate = (condition: string) => `${terminateStart(condition)}/>`

/** The stream header that a creation or a restart stands for. XEP-0206 */
export function streamHeader(to: string, version: string | undefined, lang: string | undefined): string {
  const language = lang === undefined ? '' : ` xml:lang='${escapeXML(lang)}'`
  return (
    `<?xml version='1.0'?><stream:stream to='${escapeXML(to)}' version='${escapeXML(version ?? '1.0')}'${language}` +
    ` xmlns='${NS.client}' xmlns:stream='${NS.stream}'>`
  )
}
