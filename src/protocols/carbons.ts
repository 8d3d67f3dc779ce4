import { Element } from 'ltx'
import { standalone } from './fragment.js'
import type { Jid } from './jid.js'
import { NS } from './namespaces.js'
import { Stanza } from './stanza/stanza.js'

/*
 * Which messages are copied to a user's other resources, and what a copy looks like. XEP-0280 §6.1, §7, §8
 */

export type Direction = 'sent' | 'received'

const mucUser = 'http://jabber.org/protocol/muc#user' // XEP-0045
const directInvitation = 'jabber:x:conference' // XEP-0249
/** XEP-0184, XEP-0085, XEP-0333 */
const payloads = ['urn:xmpp:receipts', 'http://jabber.org/protocol/chatstates', 'urn:xmpp:chat-markers:0']

/** True for a message that other resources get a copy of. Errors are for who knows what they answer. XEP-0280 §6.1 */
export function isEligible(message: Stanza, direction: Direction): boolean {
  if (message.type === 'groupchat' || message.type === 'error') return false
  const children = message.element.getChildElements()
  if (children.some(isExcluded)) return false
  const room = children.find(child => child.is('x', mucUser))
  if (room?.getChild('invite') !== undefined) return true
  // The room has given a private message to every resource that is in it.
  if (room !== undefined && direction === 'received') return false
  if (message.type === 'chat') return true
  if (children.some(child => payloads.includes(child.getNS() ?? '') || child.is('x', directInvitation))) return true
  return isNormal(message.type) && children.some(child => child.getName() === 'body')
}

/** What nobody knows is `normal`. RFC 6121 §5.2.2 */
const isNormal = (type: string) => type !== 'headline'

/** XEP-0280 §9, XEP-0334 §4.3 */
const isExcluded = (child: Element) => child.is('private', NS.carbons) || child.is('no-copy', NS.hints)

/** The copy, for any resource of the account: its addressee is still missing. XEP-0280 §7, §8 */
export function carbonCopy(message: Stanza, direction: Direction, account: Jid): Stanza {
  const wrapping = new Element('message', { from: account.text })
  if (message.type !== '') wrapping.attrs.type = message.type
  const forwarded = wrapping.c(direction, { xmlns: NS.carbons }).c('forwarded', { xmlns: NS.forward })
  forwarded.cnode(standalone(message.element))
  return Stanza.fromElement(wrapping)
}

/** True for a copy that the server made for the account's session: nobody waits for it anywhere else. XEP-0280 §10.3 */
export function isCarbonCopy(message: Stanza, account: Jid): boolean {
  return message.payload?.ns === NS.carbons && message.from?.text === account.bareText
}
