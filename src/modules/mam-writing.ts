import { randomText } from '../auth/random-text.js'
import type { Clock } from '../observability/clock.js'
import { archiveId, secretLength } from '../protocols/archive-id.js'
import type { Stanza } from '../protocols/stanza/stanza.js'

/** Makes ids of archived messages; no two have the same time. */
export class ArchiveIds {
  /** Of the last id, in microseconds since 1970: the next is later, whatever the clock says. */
  #lastTime = 0

  constructor(private readonly clock: Clock) {}

  next(): string {
    this.#lastTime = Math.max(this.#lastTime + 1, this.clock.wall() * 1000)
    return archiveId(this.#lastTime, randomText(secretLength / 2, 'hex'))
  }
}

/** Bytes that are written into one after the other and never again: each message by itself would ask for several times what it needs. */
let slab = Buffer.alloc(0)
let used = 0
const slabSize = 64 * 1024
/** What may need more has memory of its own. */
const largest = slabSize / 4

/** A message as it is kept. */
export function bytesOf(message: Stanza): Uint8Array {
  const room = message.encodedLength()
  if (room > largest) {
    const own = Buffer.allocUnsafeSlow(room)
    return own.subarray(0, message.encode(own, 0))
  }
  if (used + room > slab.length) {
    slab = Buffer.allocUnsafeSlow(slabSize)
    used = 0
  }
  const start = used
  used += message.encode(slab, start)
  return slab.subarray(start, used)
}
