import type { ServerResponse } from 'node:http'
import { constants, createGzip, type Gzip } from 'node:zlib'
import { type Alarm, LINGER_MS, type TransportContext, WRITE_STALL_MS } from './transport.js'

const STALL = 0
const LINGER = 1

/** Text that is gathered at most before it is handed on, in characters. */
const GATHERED = 16_384
/** Events are short and much alike: a stream's compressor takes 32 KiB, not the 256 KiB of the default. */
const COMPRESSION = { flush: constants.Z_SYNC_FLUSH, windowBits: 12, memLevel: 5 }

/** What the writer of events tells the session that holds it. */
export interface EventWriterOwner {
  /** More waits to be written than should; `drained` follows when it has gone out. */
  blocked(): void
  drained(): void
  /** The client is gone. Told once, and not after `end` and `destroy`. */
  lost(reason: string): void
}

/** An answer that has not begun. */
export interface EventResponse {
  readonly response: ServerResponse
  /** Of the head, besides those that are set already. */
  readonly headers: Readonly<Record<string, string>>
  readonly isCompressed: boolean
}

/** The writers of responses; the handlers below are shared by all of them. */
const holder = Symbol('writer')
type Held = ServerResponse & { [holder]?: EventWriter | undefined }

function onDrain(this: Held): void {
  this[holder]?.responseDrained()
}
function onClose(this: Held): void {
  this[holder]?.closed()
}
/** 'close' follows. */
function onError(): void {}

/** Writes server-sent events to an answer that does not end by itself. What is written in one drain of the run queue leaves together. */
export class EventWriter {
  isBlocked = false
  bytesOut = 0
  readonly isCompressed: boolean
  private readonly response: Held
  private readonly gzip: Gzip | undefined
  private gathered = ''
  private isFlushing = false
  private isEnding = false
  private isGone = false
  private cause = 'closed by the client'
  /** Pieces that the kernel does not have yet. */
  private pending = 0
  /** When one was written out, or the oldest pending one was begun. */
  private writtenAt = 0
  private alarm: Alarm | undefined = undefined
  private finish: (() => void) | undefined = undefined

  constructor(
    opened: EventResponse,
    private readonly owner: EventWriterOwner,
    private readonly context: TransportContext,
  ) {
    this.response = opened.response
    this.isCompressed = opened.isCompressed
    this.gzip = opened.isCompressed ? this.compressor() : undefined
    this.response[holder] = this
    this.response.on('drain', onDrain).on('close', onClose).on('error', onError)
  }

  /** Sends the head of the answer at once, so that the client knows that it is heard. S-1 */
  begin(headers: EventResponse['headers']): void {
    const { response } = this
    response.writeHead(200, { ...headers, ...(this.isCompressed && { 'content-encoding': 'gzip' }) })
    response.flushHeaders()
    // The client may have gone while its password was looked up.
    if (response.destroyed) setImmediate(() => this.closed())
  }

  write(text: string): void {
    if (this.isGone || this.isEnding) return
    this.gathered += text
    if (this.gathered.length > GATHERED) this.flush()
    else if (!this.isFlushing) {
      this.isFlushing = true
      this.context.flushLater(this)
    }
  }

  flush(): void {
    this.isFlushing = false
    const { gathered, gzip } = this
    this.gathered = ''
    if (this.isGone || gathered === '') return
    const isTaken = gzip === undefined ? this.hand(Buffer.from(gathered)) : gzip.write(gathered)
    if (isTaken || this.isBlocked) return
    this.isBlocked = true
    this.owner.blocked()
  }

  /** Writes what waits, then ends the body in good order; a client that does not take that is cut off. S-16 */
  end(): void {
    if (this.isGone || this.isEnding) return
    this.flush()
    this.isEnding = true
    if (this.gzip === undefined) this.response.end()
    else this.gzip.end()
    this.arm(LINGER, this.context.now() + LINGER_MS)
  }

  /** Resolves when everything written before `end` is with the kernel, or lost. */
  finished(): Promise<void> {
    if (this.isGone || this.response.writableFinished) return Promise.resolve()
    return new Promise(resolve => {
      this.finish = resolve
    })
  }

  /** Cuts the client off. */
  destroy(): void {
    if (this.isGone) return
    this.isEnding = true
    this.response.destroy()
  }

  timedOut(kind: number): void {
    if (this.isGone) return
    if (kind === LINGER) this.destroy()
    else this.stalled()
  }

  private compressor(): Gzip {
    const gzip = createGzip(COMPRESSION)
    gzip.on('data', (piece: Buffer) => {
      if (!this.isGone && !this.hand(piece)) gzip.pause()
    })
    gzip.on('drain', () => this.drained())
    gzip.on('end', () => this.response.end())
    return gzip
  }

  /** False when no more should be written now. */
  private hand(bytes: Buffer): boolean {
    this.bytesOut += bytes.length
    this.context.traffic.bytesOut += bytes.length
    const isFirst = this.pending++ === 0
    if (isFirst) this.writtenAt = this.context.now()
    const isTaken = this.response.write(bytes, this.wrote)
    // Who takes nothing of a little is found out when more comes; there is a comment at the latest.
    if (!isFirst || !isTaken) this.arm(STALL, this.writtenAt + WRITE_STALL_MS)
    return isTaken
  }

  private readonly wrote = (): void => {
    this.pending--
    this.writtenAt = this.context.now()
  }

  private stalled(): void {
    if (this.pending === 0) return
    const due = this.writtenAt + WRITE_STALL_MS
    if (due > this.context.now()) {
      this.arm(STALL, due)
      return
    }
    this.cause = 'write stalled'
    this.response.destroy()
  }

  private arm(kind: number, at: number): void {
    this.alarm ??= this.context.newAlarm(this)
    this.alarm.arm(kind, at)
  }

  // ---- from the answer

  responseDrained(): void {
    if (this.gzip === undefined) this.drained()
    else this.gzip.resume()
  }

  private drained(): void {
    if (!this.isBlocked) return
    this.isBlocked = false
    if (!this.isEnding) this.owner.drained()
  }

  closed(): void {
    if (this.isGone) return
    this.isGone = true
    this.alarm?.drop()
    this.gzip?.destroy()
    this.gathered = ''
    this.response[holder] = undefined
    if (!this.isEnding) this.owner.lost(this.cause)
    this.finish?.()
  }
}
