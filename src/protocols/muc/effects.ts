import type { Jid } from '../jid.js'
import type { Stanza } from '../stanza/stanza.js'

/*
 * What a room wants done. The rules only say it; the room's actor does it.
 */

/** One stanza for many: only its `to` differs, so its content is serialised once. */
export interface Delivery {
  /** From the room or an occupant; each addressee gets `stanza.addressed({ to })`. */
  readonly stanza: Stanza
  /** In the order in which they entered. */
  readonly to: readonly Jid[]
}

/** A part of the snapshot. */
export type Part = 'config' | 'affiliations' | 'subject' | 'history' | 'occupants' | 'vcard'

/** A message for the archive of the room. XEP-0313, XEP-0045 §7.2.14 */
export interface ArchivedMessage {
  /** Its stanza-id. */
  readonly id: string
  /** Milliseconds since 1970. */
  readonly at: number
  /** As the occupants get it: from the occupant or the room, with its ids. */
  readonly stanza: Stanza
  /** Bare JID of who sent it; undefined for the room itself. */
  readonly sender: string | undefined
}

/** What takes the place of an archived message. XEP-0424 §4, XEP-0425 §4 */
export interface Tombstone {
  /** The stanza-id of the retracted message; it stays the tombstone's. */
  readonly id: string
  /** The `<retracted/>` element, as XML that declares its namespace: all that is to be left beside the ids in the archived message. */
  readonly retracted: string
  /** Only the author's own message goes: to be left alone if somebody else (bare JID) sent it. Undefined: whoever sent it. */
  readonly author: string | undefined
}

/** What came of a stanza. */
export interface Effects {
  /** In the order in which they are to be sent. */
  readonly deliveries: readonly Delivery[]
  /** What of the snapshot is different. */
  readonly changed: ReadonlySet<Part>
  /** Empty, unless the room is archived. */
  readonly archived: readonly ArchivedMessage[]
  readonly tombstones: readonly Tombstone[]
  /** The room is gone for good: forget what is stored of it. */
  readonly isDestroyed: boolean
}

/** Gathers effects, while a use case goes on. */
export class Outcome implements Effects {
  readonly deliveries: Delivery[] = []
  readonly changed = new Set<Part>()
  readonly archived: ArchivedMessage[] = []
  readonly tombstones: Tombstone[] = []
  isDestroyed = false

  send(stanza: Stanza, ...to: readonly Jid[]): void {
    this.broadcast(stanza, to)
  }

  /** To nobody is nothing. The list is not copied. */
  broadcast(stanza: Stanza, to: readonly Jid[]): void {
    if (to.length > 0) this.deliveries.push({ stanza, to })
  }
}
