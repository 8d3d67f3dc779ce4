import { clone, type Element } from 'ltx'
import { NS } from './namespaces.js'
import type { Stanza } from './stanza/stanza.js'

const chatStates = 'http://jabber.org/protocol/chatstates' // XEP-0085

/**
 * What to do with a message that nobody takes now. XEP-0160 §3, XEP-0334 §5.2
 * `ignore`: not worth an error, there is nothing in it for a person; `refuse`: the sender should know that it is lost.
 */
export function offlineFate(message: Stanza): 'store' | 'ignore' | 'refuse' {
  const { type } = message
  if (type === 'groupchat' || type === 'headline' || type === 'error') return 'refuse'
  const children = message.element.getChildElements()
  const content = children.filter(child => !isTransient(child))
  if (children.some(child => child.is('no-store', NS.hints))) return content.some(isText) ? 'refuse' : 'ignore'
  return content.length === 0 ? 'ignore' : 'store'
}

const isText = (child: Element) => child.getName() === 'body' || child.getName() === 'subject'

/** What alone makes no message: chat states, the thread they belong to, and hints. */
function isTransient(child: Element): boolean {
  const ns = child.getNS()
  return ns === chatStates || ns === NS.hints || child.getName() === 'thread'
}

/** The message as it is stored: stamped with when it came. XEP-0203 */
export function stamped(message: Stanza, host: string, at: number): Element {
  const element = clone(message.element)
  // We said so ourselves when it was first sent. XEP-0198 §4
  if (element.getChildren('delay', NS.delay).some(({ attrs }) => attrs.from === host)) return element
  element.c('delay', { xmlns: NS.delay, from: host, stamp: new Date(at).toISOString() }).t('Offline storage')
  return element
}
