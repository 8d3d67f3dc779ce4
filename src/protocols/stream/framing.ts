import { escapeXML, escapeXMLText } from 'ltx'
import type { StreamError } from '../errors.js'
import { NS } from '../namespaces.js'
import { Framer, type ItemReader, type Limits } from '../xml/framer.js'
import { MessageFramer } from '../xml/message-framer.js'

/** What a server's stream header says. RFC 6120 §4.7 */
export interface OpeningHeader {
  readonly id: string
  readonly from: string
  /** False for the header before an error about the client's own header. spec/listeners.md §3.1.1 */
  readonly hasVersion: boolean
  readonly lang: string
}

/** How a stream looks on one kind of transport. */
export interface Framing {
  /** Reads what the peer sends. */
  reader(limits: Limits): ItemReader
  open(header: OpeningHeader): string
  features(children: string): string
  error(error: StreamError, lang: string): string
  readonly close: string
}

function conditionAndText(error: StreamError, lang: string): string {
  const text =
    error.text === undefined
      ? ''
      : `<text xml:lang='${escapeXML(lang)}' xmlns='${NS.streamErrors}'>${escapeXMLText(error.text)}</text>`
  return `<${error.condition} xmlns='${NS.streamErrors}'/>${text}${error.specific ?? ''}`
}

/** One XML document per stream. RFC 6120 §4 */
export const tcpFraming: Framing = {
  reader: limits => new Framer(limits),
  open({ id, from, hasVersion, lang }) {
    const version = hasVersion ? " version='1.0'" : ''
    return (
      `<?xml version='1.0'?><stream:stream xmlns='${NS.client}' xmlns:stream='${NS.stream}' id='${id}' ` +
      `from='${escapeXML(from)}'${version} xml:lang='${escapeXML(lang)}'>`
    )
  },
  features: children => (children === '' ? '<stream:features/>' : `<stream:features>${children}</stream:features>`),
  error: (error, lang) => `<stream:error>${conditionAndText(error, lang)}</stream:error>`,
  close: '</stream:stream>',
}

/** Each first-level element is a document of its own, in one message, and the stream no element at all. RFC 7395 §3 */
export const webSocketFraming: Framing = {
  reader: limits => new MessageFramer(limits),
  open({ id, from, hasVersion, lang }) {
    const version = hasVersion ? " version='1.0'" : ''
    return (
      `<open xmlns='${NS.framing}' id='${id}' ` + `from='${escapeXML(from)}'${version} xml:lang='${escapeXML(lang)}'/>`
    )
  },
  // Without a prefix, which this document would have to declare. spec/websockets.md W-9
  features: children => `<features xmlns='${NS.stream}'>${children}</features>`,
  error: (error, lang) => `<error xmlns='${NS.stream}'>${conditionAndText(error, lang)}</error>`,
  close: `<close xmlns='${NS.framing}'/>`,
}
