import { AnyActor } from './actor.js'
import type { NactActor } from './nact.js'

/** What waits in the mailboxes of an actor and of all below it. Looks at each of them: 100 000 take some ten milliseconds. */
export function waitingBelow(actor: NactActor): { messages: number; stanzas: number } {
  const waiting = { messages: 0, stanzas: 0 }
  const visit = (one: NactActor) => {
    if (one instanceof AnyActor) {
      const { mailbox, waitingStanzas } = one.readCounters()
      waiting.messages += mailbox - waitingStanzas
      waiting.stanzas += waitingStanzas
    } else {
      waiting.messages += one.mailbox.length
    }
    for (const child of one.children.values()) visit(child)
  }
  visit(actor)
  return waiting
}
