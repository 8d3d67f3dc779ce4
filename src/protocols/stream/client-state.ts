import type { Element } from 'ltx'
import { NS } from '../namespaces.js'
import type { Stanza } from '../stanza/stanza.js'

const chatStates = 'http://jabber.org/protocol/chatstates' // XEP-0085
const chatMarkers = 'urn:xmpp:chat-markers:0' // XEP-0333
const stanzaIds = 'urn:xmpp:sid:0' // XEP-0359

export const clientStateFeature = `<csi xmlns='${NS.clientState}'/>`

/** What is held back for a client that nobody looks at, in the order in which it is to go out. XEP-0352 §4 */
export class HeldStanzas {
  private readonly held = new Map<string, Stanza>()
  private messages = 0

  /** At most `limit` stanzas. */
  constructor(private readonly limit: number) {}

  get size(): number {
    return this.held.size
  }

  /** Keeps a stanza that can wait, over bytes of its own; false when it, and all that is held before it, has to go out now. */
  hold(stanza: Stanza): boolean {
    const key = this.keyOf(stanza)
    if (key === undefined) return false
    // Out of date, and its place with it: what a sender says last stands last.
    this.held.delete(key)
    if (this.held.size >= this.limit) return false
    this.held.set(key, stanza.compact())
    return true
  }

  /** Everything that is held; nothing is afterwards. */
  take(): Stanza[] {
    const stanzas = [...this.held.values()]
    this.held.clear()
    return stanzas
  }

  /** Of a sender's presence only the last counts. */
  private keyOf(stanza: Stanza): string | undefined {
    if (isPresence(stanza)) return `presence ${stanza.from?.text}`
    return isAside(stanza) ? `message ${this.messages++}` : undefined
  }
}

/** Whether it says that somebody is available or not: what asks for a subscription, or went wrong, is for the user. */
function isPresence({ kind, type }: Stanza): boolean {
  return kind === 'presence' && (type === '' || type === 'unavailable')
}

/** A message of chat states or markers and nothing else that a person would see. */
export function isAside(stanza: Stanza): boolean {
  if (stanza.kind !== 'message' || stanza.type === 'error') return false
  const children = stanza.element.getChildElements()
  return children.some(isNotice) && children.every(child => isNotice(child) || isAttendant(child))
}

function isNotice(child: Element): boolean {
  const ns = child.getNS()
  return ns === chatStates || (ns === chatMarkers && child.getName() !== 'markable')
}

/** What accompanies others and says nothing itself. */
function isAttendant(child: Element): boolean {
  const ns = child.getNS()
  return ns === NS.hints || ns === stanzaIds || ns === NS.delay || child.getName() === 'thread'
}
