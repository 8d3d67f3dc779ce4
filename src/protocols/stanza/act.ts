import type { Jid } from '../jid.js'

/**
 * One thing that the server does and tells many stanzas about: a client enters a room, or comes online. What it sends to one recipient
 * counts as one stanza where stanzas wait (`Stanza.weight`), because the recipient gets no turn in between; only its bytes are limited.
 */
export class Act {
  /** Full JIDs, and domains that are not ours: what goes to one of those waits for one connection. */
  readonly #told = new Set<string>()

  constructor(
    /** True for a domain whose accounts are ours. */
    private readonly isHost: (domain: string) => boolean,
  ) {}

  /** Whether it told the same recipient something before; from now on it did. */
  follows(to: Jid): boolean {
    const told = this.#told
    const before = told.size
    told.add(this.isHost(to.domain) ? to.text : to.domain)
    return told.size === before
  }
}
