import type { X509Certificate } from 'node:crypto'
import type { TLSSocket } from 'node:tls'
import type { Sizes } from '../observability/metrics/figures.js'
import type { Stanza } from '../protocols/stanza/stanza.js'
import type { Framing } from '../protocols/stream/framing.js'

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

/** Opens the transport of a connection that is being made. */
export type OpenTransport = (owner: TransportOwner, context: TransportContext) => Transport

/** Carries a stream's bytes. Writes are gathered and leave together in `flush`. */
export interface Transport {
  readonly peer: Peer
  readonly isEncrypted: boolean
  /** A TLS handshake is under way: nothing may be written. */
  readonly isSecuring: boolean
  readonly isCompressed: boolean
  readonly isBlocked: boolean
  /** How stream-level elements look on it. */
  readonly framing: Framing
  /** The TLS connection, where bytes of the stream go over one directly: for channel bindings. */
  readonly tls: TLSSocket | undefined
  /** The peer's, where SASL EXTERNAL may use it. spec/listeners.md §1.6.4 */
  readonly clientCertificate: X509Certificate | undefined
  readonly bytesIn: number
  readonly bytesOut: number
  /** From now on another owner is told. */
  handTo(owner: TransportOwner): void
  send(xml: string): void
  sendStanza(stanza: Stanza): void
  flush(): void
  /**
   * What is written and read from here on is compressed; one read may inflate to `limit` bytes. What was read and not
   * handled must be thrown away by the owner. XEP-0138
   */
  compress(limit: number): void
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
  /** The same in detail, where somebody shows it. */
  readonly sizes?: Sizes | undefined
  newAlarm(target: { timedOut(kind: number): void }): Alarm
}

/** Most bytes that may wait to be written on one connection. spec/listeners.md §1.9 */
export const MAX_UNWRITTEN = 16 * 1024 * 1024
/** A write that makes no progress for this long ends the connection, in milliseconds. spec/listeners.md §1.3 */
export const WRITE_STALL_MS = 15_000
/** How long the peer may take to close its side, in milliseconds. spec/listeners.md §3 */
export const LINGER_MS = 30_000
