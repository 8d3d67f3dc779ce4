import type { StreamCondition } from '../protocols/errors.js'
import type { Jid } from '../protocols/jid.js'
import type { Stanza } from '../protocols/stanza/stanza.js'
import type { StoredCopy } from './stored-copy.js'

/** Who sends a stanza. */
export interface Sender {
  /** A full JID, or the bare one of an account that sends without a session. */
  readonly jid: Jid
}

/** Whether a client of the sender is connected, and can be asked or told something. */
export const isSession = (sender: Sender): sender is Session => 'deliver' in sender

/**
 * A connected resource as the registry and the router see it; the connection actor's class implements it.
 * `presence.ts` owns the mutable fields.
 */
export interface Session extends Sender {
  /** The full JID. */
  readonly jid: Jid
  /** @internal The cluster node it lives on. */
  readonly node: string
  /** Where its client is connected from; undefined where that is not known. */
  readonly peer?:
    | {
        /** An IP address. */
        readonly address: string
        /** The client's own. */
        readonly port: number
      }
    | undefined
  /** True while its client is away and may come back to it. XEP-0198 §5 */
  readonly isDetached?: boolean
  /** True for one that takes messages without being available: nobody is told that it is there. spec/sse.md S-5 */
  readonly onlyListens?: boolean
  /** @internal While its client is away: until the message that it took last is stored. Who sent that waits for it. */
  readonly storing?: Promise<void> | undefined
  /** -128 to 127; means something only while `presence` is set, or where it `onlyListens`. RFC 6121 §4.7.2.3 */
  priority: number
  /** The last available presence it broadcast, as XML with `from` and without `to`; undefined = not available. */
  presence: string | undefined
  /** @internal True once it asked for its roster: it gets roster pushes. RFC 6121 §2.1.6 */
  isInterested: boolean
  /** @internal Where it sent directed available presence, as JID strings; undefined until the first. RFC 6121 §4.6 */
  directed: Set<string> | undefined
  /** Stanzas that it took and that are not on their way to the client yet. */
  readonly waitingStanzas: number
  /** Queues a stanza for the client; false when the session is gone and the stanza was not taken. Never throws. */
  deliver(stanza: Stanza): boolean
  /** @internal The message that it just took stands in the store; false: it never learns whether its client has it. */
  holds?(message: Stanza, copy: StoredCopy): boolean
  /** Ends the stream with a stream error, asynchronously. */
  end(condition: StreamCondition, text?: string): void
}

/** Whether messages for the account may go to the session. RFC 6121 §8.5.2.1.1 */
export const takesMessages = ({ presence, onlyListens, priority }: Session): boolean =>
  (presence !== undefined || onlyListens === true) && priority >= 0
