/** Above this many bytes waiting for all connections together nothing more is read; below the second figure it is again. */
const HIGH = 64 * 1024 * 1024
const LOW = 32 * 1024 * 1024

/** Who stops reading while too much waits. */
export interface Reader {
  /** The backlog is low again. */
  backlogDrained(): void
}

/** Bytes of the stanzas that wait in the mailboxes of all connections of a server. DESIGN §3 */
export class Backlog {
  bytes = 0
  private readonly readers = new Set<Reader>()

  get isHigh(): boolean {
    return this.bytes > HIGH
  }

  /** `backlogDrained` of the reader is called once, when the backlog is low again. */
  wait(reader: Reader): void {
    this.readers.add(reader)
  }

  forget(reader: Reader): void {
    this.readers.delete(reader)
  }

  removed(bytes: number): void {
    this.bytes -= bytes
    if (this.readers.size === 0 || this.bytes > LOW) return
    const readers = [...this.readers]
    this.readers.clear()
    for (const reader of readers) reader.backlogDrained()
  }
}
