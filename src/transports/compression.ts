import { constants, createDeflate, createInflate } from 'node:zlib'

/** What the compression of a stream tells the transport that uses it. */
export interface CompressionOwner {
  /** Clear bytes of the peer's. */
  inflated(bytes: Buffer): void
  /** The chunk is done: the next may come. */
  inflatedAll(): void
  /** One chunk inflates to more than it may; nothing more is read. */
  inflatedTooMuch(): void
  /** Bytes for the wire. */
  deflated(bytes: Buffer): void
  /** What the peer sends is no zlib stream. */
  inflateFailed(error: Error): void
}

/** Both directions of a stream under XEP-0138: zlib, a sync flush behind every write. spec/listeners.md §1.11 */
export class Compression {
  private readonly inflater = createInflate({ flush: constants.Z_SYNC_FLUSH })
  private readonly deflater = createDeflate({ flush: constants.Z_SYNC_FLUSH })
  /** What the chunk in work has become so far. */
  private inflatedBytes = 0

  /** `limit`: bytes that one chunk may inflate to. */
  constructor(
    private readonly owner: CompressionOwner,
    private readonly limit: number,
  ) {
    this.inflater.on('data', (bytes: Buffer) => this.gotInflated(bytes))
    this.inflater.on('error', error => this.owner.inflateFailed(error))
    this.deflater.on('data', (bytes: Buffer) => this.owner.deflated(bytes))
  }

  /** Bytes that wait to be deflated. */
  get waiting(): number {
    return this.deflater.writableLength
  }

  /** One chunk at a time: the next after `inflatedAll`. */
  inflate(chunk: Buffer): void {
    this.inflatedBytes = 0
    this.inflater.write(chunk, error => {
      if (error === null || error === undefined) this.owner.inflatedAll()
    })
  }

  /** The bytes must stay as they are until `done`. */
  deflate(bytes: Buffer, done: () => void): void {
    this.deflater.write(bytes, done)
  }

  /** No more is read; `done` when everything deflated was handed over. */
  end(done: () => void): void {
    this.inflater.destroy()
    this.deflater.once('end', done)
    this.deflater.end()
  }

  destroy(): void {
    this.inflater.destroy()
    this.deflater.destroy()
  }

  private gotInflated(bytes: Buffer): void {
    this.inflatedBytes += bytes.length
    if (this.inflatedBytes <= this.limit) {
      this.owner.inflated(bytes)
      return
    }
    this.inflater.destroy()
    this.owner.inflatedTooMuch()
  }
}
