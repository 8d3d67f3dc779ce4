import { StanzaError, StreamError } from '../protocols/errors.js'
import { Jid } from '../protocols/jid.js'
import { NS } from '../protocols/namespaces.js'
import { Stanza } from '../protocols/stanza/stanza.js'
import { type Frame, frameDocument, StreamContext } from '../protocols/xml/framer.js'
import { sendAs } from './sender.js'
import type { OperationServices } from './services.js'

/** Bytes of a stanza as XML: what a client may send at most, by whatever way. */
const longestStanza = 8_000_000

const client = new StreamContext('', NS.client, [])

/**
 * Sends a stanza, given as XML with `from` and `to`, as its sender would. Rejects with `bad-request` for a text that is no stanza or has
 * no sender or addressee, and with `jid-malformed` where one of them is no JID; their texts say which. A-11
 */
export async function sendStanza(services: OperationServices, xml: string): Promise<void> {
  const frame = stanzaIn(xml)
  if (frame.from === undefined || frame.to === undefined) {
    throw new StanzaError('bad-request', 'both from and to are required')
  }
  const from = validJid(frame.from)
  validJid(frame.to)
  await sendAs(services, from, Stanza.fromFrame(frame, from))
}

function stanzaIn(xml: string): Frame {
  let frames: Frame[]
  try {
    frames = frameDocument(Buffer.from(xml), longestStanza, client)
  } catch (error) {
    if (error instanceof StreamError) throw malformed(error.text ?? error.condition)
    throw error
  }
  const [frame, another] = frames
  if (frame === undefined || another !== undefined) throw malformed('not one element')
  const isStanza = frame.ns === NS.client && ['message', 'presence', 'iq'].includes(frame.name)
  if (!isStanza) throw malformed('neither a message nor presence nor an IQ')
  return frame
}

function validJid(text: string): Jid {
  const jid = Jid.parse(text)
  if (jid === undefined) throw new StanzaError('jid-malformed', `Invalid jid: ${text.slice(0, 200)}`)
  return jid
}

const malformed = (reason: string) => new StanzaError('bad-request', `Malformed stanza: ${reason}`)
