import type { Stanza } from '../protocols/stanza/stanza.js'
import type { Session } from './session.js'
import type { StoredCopy } from './stored-copy.js'

/** How the streams of a virtual host are managed. XEP-0198; `[modules.mod_stream_management]` */
export interface StreamManagement {
  /** What is sent is kept until it is acknowledged; without that no stream is resumed. */
  readonly keeps: boolean
  /** Stanzas that may be unacknowledged; Infinity: any number. */
  readonly buffer: number
  /** Stanzas between two requests for an acknowledgement; Infinity: none is asked for. */
  readonly askEvery: number
  /** How long a session waits for its client to come back. */
  readonly resumeSeconds: number
  /** Undefined where nothing is remembered of sessions that ended. */
  readonly ended: EndedSessions | undefined
}

/**
 * Keeps what waits for a client that is away (XEP-0198 §5), so that it survives the server. DESIGN §7
 * What is on its way to a client that is connected when the server dies is lost with it, unless it came from here or is archived.
 */
export interface WaitingMessages {
  /** Stores a message of the session that was sent at `at`, in milliseconds since 1970; undefined for what is not worth it. */
  keep(session: Session, message: Stanza, at: number): StoredCopy | undefined
  /** Copies were released: whoever is there gets them. `account` is a bare JID. */
  handOverReleased(account: string): void
}

/** Ended sessions that are remembered. */
const MAX_ENDED = 50_000

/** What was handled in sessions that can be resumed no more: their clients learn what arrived and what did not. XEP-0198 §5 */
export class EndedSessions {
  /** The oldest first. */
  private readonly sessions = new Map<string, { readonly h: number; readonly at: number }>()

  /** `now`: milliseconds of a clock. */
  constructor(private readonly now: () => number) {}

  get size(): number {
    return this.sessions.size
  }

  remember(account: string, id: string, h: number): void {
    this.sessions.set(key(account, id), { h, at: this.now() })
    if (this.sessions.size <= MAX_ENDED) return
    const [oldest] = this.sessions.keys()
    this.sessions.delete(oldest!) // there is more than one
  }

  /** The counter of a session that the account had. */
  find(account: string, id: string): number | undefined {
    return this.sessions.get(key(account, id))?.h
  }

  /** Forgets sessions that ended so many milliseconds ago or more. */
  forget(age: number): void {
    for (const [name, { at }] of this.sessions) {
      if (at + age > this.now()) return
      this.sessions.delete(name)
    }
  }
}

const key = (account: string, id: string) => `${account} ${id}`
