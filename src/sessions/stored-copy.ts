/** A message that stands in the store until the client of a session has acknowledged it. */
export interface StoredCopy {
  /** After commit; rejects when the store does not answer. */
  readonly stored: Promise<void>
  /** The client has it: it is removed. */
  acknowledged(): void
  /** The session has ended without that: it waits for whoever comes. */
  released(): void
}
