import { StreamError } from '../protocols/errors.js'
import { Jid } from '../protocols/jid.js'
import { NS } from '../protocols/namespaces.js'
import { ContentNamespace } from '../protocols/stanza/content-namespace.js'
import type { Stanza } from '../protocols/stanza/stanza.js'
import type { Frame } from '../protocols/xml/framer.js'

/*
 * Stanzas on streams between servers, whichever of them opened the stream. RFC 6120 §4.8.3, §8.1
 */

/** Of all streams between servers. */
export const serverContent = new ContentNamespace(NS.server)

/** True for a message, presence or IQ. */
export function isServerStanza({ name, ns }: Frame): boolean {
  return ns === NS.server && (name === 'message' || name === 'presence' || name === 'iq')
}

/** The stanza in a frame, where the peer may send it between the domains; the error that ends its stream, where it may not. */
export function relayed(
  frame: Frame,
  lang: string | undefined,
  mayRelay: (from: string, to: string) => boolean,
): Stanza | StreamError {
  const from = frame.from === undefined ? undefined : Jid.parse(frame.from)
  const to = frame.to === undefined ? undefined : Jid.parse(frame.to)
  if (from === undefined || to === undefined) return new StreamError('improper-addressing')
  if (!mayRelay(from.domain, to.domain)) return new StreamError('invalid-from')
  return serverContent.stanza(frame, from, lang)
}
