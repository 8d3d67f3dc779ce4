import { Element } from 'ltx'
import { StanzaError } from '../errors.js'
import { Jid } from '../jid.js'
import { stanzaIdXml } from '../mam.js'
import { NS } from '../namespaces.js'
import { Stanza } from '../stanza/stanza.js'
import { interest } from '../xml/frame.js'

/*
 * What a room says in the stanzas that go through it, and nobody else may: ids of messages and of occupants.
 */

/** XEP-0359 §4 */
export const withStanzaId = (message: Stanza, room: Jid, id: string): Stanza =>
  message.withChild(stanzaIdXml(room.text, id), NS.stanzaIds)

/** XEP-0421 §3.2 */
export const marked = (stanza: Stanza, occupantId: string): Stanza =>
  stanza.withChild(`<occupant-id xmlns="${NS.occupantId}" id="${occupantId}"/>`, NS.occupantId)

/** What may be a lie: most messages have none of it, and are not even parsed. */
const suspicious = interest(NS.stanzaIds) | interest(NS.occupantId) | interest(NS.mucUser) | interest(NS.delay)

/** The message without what only the room says. Throws `bad-request` where nothing else is in it. XEP-0359 §6, XEP-0421 §4 */
export function cleaned(message: Stanza, room: Jid): Stanza {
  const clean = honest(message, room)
  if (clean.payload === undefined) throw new StanzaError('bad-request', 'the message says nothing')
  return clean
}

/** The same, whatever is left of it. */
export const honest = (message: Stanza, room: Jid): Stanza =>
  (message.mask & suspicious) === 0 ? message : withoutLies(message, room)

function withoutLies(stanza: Stanza, room: Jid): Stanza {
  const element = new Element(stanza.element.name)
  element.attrs = stanza.element.attrs
  // Not `cnode`, which would take the children from the tree that others share.
  element.children = stanza.element.children.filter(child => !(child instanceof Element && isLie(child, room)))
  return Stanza.fromElement(element)
}

function isLie(child: Element, room: Jid): boolean {
  const ns = child.getNS()
  if (ns === NS.occupantId || ns === NS.mucUser) return true
  const claimed: string | undefined =
    ns === NS.stanzaIds ? child.attrs.by : ns === NS.delay ? child.attrs.from : undefined
  return claimed !== undefined && Jid.parse(claimed)?.bareText === room.text
}
