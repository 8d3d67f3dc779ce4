import type { Session } from './session.js'
import type { StreamManagement, WaitingMessages } from './stream-management.js'

const none: readonly Session[] = []

/**
 * Who is online. Plain tables with one writer, read directly by everybody.
 * An account with one session costs one entry and no object of its own.
 */
export class SessionRegistry {
  readonly #byFull = new Map<string, Session>()
  readonly #byAccount = new Map<string, Session | Session[]>()
  readonly #perHost = new Map<string, number>()
  /** How streams are managed, by the host; the module enters it. XEP-0198 */
  readonly streamManagement = new Map<string, StreamManagement>()
  /** Where messages are kept whose client is away, by the host; the module enters it. XEP-0198 §5 */
  readonly waitingMessages = new Map<string, WaitingMessages>()
  /** Stanzas that are held back for an inactive client, by the host; the module enters it. XEP-0352 */
  readonly heldStanzas = new Map<string, number>()

  /** Registers a session; the newest wins, and the session it replaces under the same full JID is returned. */
  add(session: Session): Session | undefined {
    const full = session.jid.text
    const replaced = this.#byFull.get(full)
    if (replaced) this.#drop(replaced)
    this.#byFull.set(full, session)
    const account = session.jid.bareText
    const others = this.#byAccount.get(account)
    if (others === undefined) this.#byAccount.set(account, session)
    else if (Array.isArray(others)) this.#byAccount.set(account, [...others, session])
    else this.#byAccount.set(account, [others, session])
    const host = session.jid.domain
    this.#perHost.set(host, this.countOn(host) + 1)
    return replaced
  }

  /** Forgets a session; false when it is not the one registered under its full JID any more. */
  remove(session: Session): boolean {
    if (this.#byFull.get(session.jid.text) !== session) return false
    this.#drop(session)
    return true
  }

  /** The session of a full JID in canonical text; a text in another spelling finds nothing. */
  byFull(text: string): Session | undefined {
    return this.#byFull.get(text)
  }

  /** The sessions of an account, oldest first, by its canonical bare JID. Never changed later: safe to iterate while sessions come and go. */
  resources(bareText: string): readonly Session[] {
    const found = this.#byAccount.get(bareText)
    if (found === undefined) return none
    return Array.isArray(found) ? found : [found]
  }

  /** True when the account has a session, available or not. */
  isConnected(bareText: string): boolean {
    return this.#byAccount.has(bareText)
  }

  get count(): number {
    return this.#byFull.size
  }

  /** Accounts that have a session. */
  get accountCount(): number {
    return this.#byAccount.size
  }

  countOn(host: string): number {
    return this.#perHost.get(host) ?? 0
  }

  /** The sessions of a host. The iterator may be kept and pulled a page at a time; what comes or goes meanwhile is seen or not. */
  *on(host: string): IterableIterator<Session> {
    for (const session of this.#byFull.values()) if (session.jid.domain === host) yield session
  }

  #drop(session: Session): void {
    this.#byFull.delete(session.jid.text)
    const account = session.jid.bareText
    const others = this.#byAccount.get(account)
    const left = Array.isArray(others) ? others.filter(other => other !== session) : none
    if (left.length === 0) this.#byAccount.delete(account)
    else this.#byAccount.set(account, left.length === 1 ? left[0]! : [...left])
    const host = session.jid.domain
    const count = this.countOn(host) - 1
    if (count === 0) this.#perHost.delete(host)
    else this.#perHost.set(host, count)
  }
}
