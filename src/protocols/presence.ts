import { Element } from 'ltx'
import { StanzaError } from './errors.js'
import type { Jid } from './jid.js'
import { NS } from './namespaces.js'
import { Stanza } from './stanza/stanza.js'

/** The priority of an available presence; throws `bad-request` for anything but one integer from -128 to 127. RFC 6121 §4.7.2.3 */
export function priorityOf(presence: Stanza): number {
  const found = presence.element.getChildElements().filter(child => isPriority(child))
  if (found.length === 0) return 0
  const text = found[0]!.getText().trim()
  const value = /^[+-]?\d{1,4}$/.test(text) ? Number(text) : Number.NaN
  if (found.length > 1 || !(value >= -128 && value <= 127)) {
    throw new StanzaError('bad-request', 'the priority is one integer from -128 to 127')
  }
  return value
}

function isPriority(child: Element): boolean {
  const ns = child.getNS()
  return child.getName() === 'priority' && (ns === undefined || ns === NS.client)
}

/** A presence of the server's own making, on behalf of a user. */
export function presenceOf(from: Jid, to: Jid | undefined, type: string, status?: string): Stanza {
  const element = new Element('presence', { from: from.text, type })
  if (to) element.attrs.to = to.text
  if (status !== undefined) element.c('status').t(status)
  return Stanza.fromElement(element)
}
