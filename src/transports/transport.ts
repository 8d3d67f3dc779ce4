import type { Stanza } from '../protocols/stanza/stanza.js'

export interface Peer {
  readonly address: string
  readonly port: number
}

/** What a transport tells the connection that holds it. */
export interface TransportOwner {
  /** Bytes came in; they belong to the owner from here on. */
  received(chunk: Buffer): void
  /** More waits to be written than should; `drained` follows when it has gone out. */
  blocked(): void
  drained(): void
  /** More than `MAX_UNWRITTEN` bytes wait to be written. */
  outputOverflowed(): void
  /** One read inflates to more than it may; nothing more is read. spec/listeners.md §1.11 */
  inputOverflowed(): void
  /** The peer is gone; nothing more comes or goes. Told once, also after `close` and `destroy`. */
  lost(reason: string): void
}

/** Carries a stream's bytes. Writes are gathered and leave together in `flush`. */
export interface Transport {
  readonly peer: Peer
  readonly isEncrypted: boolean
  readonly isBlocked: boolean
  readonly bytesIn: number
  readonly bytesOut: number
  send(xml: string): void
  sendStanza(stanza: Stanza): void
  flush(): void
  pause(): void
  resume(): void
  /** Writes what waits, then closes in good order: the peer gets some time to do the same. */
  close(): void
  /** Resolves when everything written before `close` is with the kernel, or lost. */
  finished(): Promise<void>
  destroy(): void
}

/** Deadlines of one transport on the server's wheel. */
export interface Alarm {
  /** `timedOut(kind)` is called at `at`; arming again moves it. */
  arm(kind: number, at: number): void
  drop(): void
}

/** What all transports of a server share. */
export interface TransportContext {
  /** Calls `flush` once at the end of the running drain. */
  flushLater(target: { flush(): void }): void
  /** Milliseconds of the server's clock. */
  now(): number
  /** Of all transports together. */
  readonly traffic: { bytesIn: number; bytesOut: number }
  newAlarm(target: { timedOut(kind: number): void }): Alarm
}

/** Most bytes that may wait to be written on one connection. spec/listeners.md §1.9 */
export const MAX_UNWRITTEN = 16 * 1024 * 1024
/** A write that makes no progress for this long ends the connection, in milliseconds. spec/listeners.md §1.3 */
export const WRITE_STALL_MS = 15_000
/** How long the peer may take to close its side, in milliseconds. spec/listeners.md §3 */
export const LINGER_MS = 30_000
