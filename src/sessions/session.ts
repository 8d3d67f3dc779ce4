import type { StreamCondition } from '../protocols/errors.js'
import type { Jid } from '../protocols/jid.js'
import type { Stanza } from '../protocols/stanza/stanza.js'
import type { StoredCopy } from './stream-management.js'

/**
 * A connected resource as the registry and the router see it; the connection actor's class implements it.
 * `presence.ts` owns the mutable fields.
 */
export interface Session {
  /** The full JID. */
  readonly jid: Jid
  /** The cluster node it lives on. */
  readonly node: string
  /** Where its client is connected from; undefined where that is not known. */
  readonly peer?: { readonly address: string; readonly port: number } | undefined
  /** True while its client is away and may come back to it. XEP-0198 §5 */
  readonly isDetached?: boolean
  /** While its client is away: until the message that it took last is stored. Who sent that waits for it. */
  readonly storing?: Promise<void> | undefined
  /** -128 to 127; means something only while `presence` is set. RFC 6121 §4.7.2.3 */
  priority: number
  /** The last available presence it broadcast, as XML with `from` and without `to`; undefined = not available. */
  presence: string | undefined
  /** True once it asked for its roster: it gets roster pushes. RFC 6121 §2.1.6 */
  isInterested: boolean
  /** Where it sent directed available presence, as JID strings; undefined until the first. RFC 6121 §4.6 */
  directed: Set<string> | undefined
  /** Stanzas that it took and that are not on their way to the client yet. */
  readonly waitingStanzas: number
  /** Queues a stanza for the client; false when the session is gone and the stanza was not taken. Never throws. */
  deliver(stanza: Stanza): boolean
  /** The message that it just took stands in the store; false: it never learns whether its client has it. */
  holds?(message: Stanza, copy: StoredCopy): boolean
  /** Ends the stream with a stream error, asynchronously. */
  end(condition: StreamCondition, text?: string): void
}
