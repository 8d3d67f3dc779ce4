/** Sizes of the pooled pieces of memory that output is gathered in, in bytes. */
const SMALL = 4 * 1024
const LARGE = 64 * 1024
/** Pieces of one size that are kept for the next writer. */
const KEPT = { small: 1024, large: 64 }

/** A piece of memory that output is gathered in; it returns to its pool when what it holds is written. */
export interface Slab {
  readonly bytes: Buffer
  used: number
}

const small: Slab[] = []
const large: Slab[] = []

function takeSlab(size: number): Slab {
  if (size <= SMALL) return small.pop() ?? { bytes: Buffer.allocUnsafeSlow(SMALL), used: 0 }
  if (size <= LARGE) return large.pop() ?? { bytes: Buffer.allocUnsafeSlow(LARGE), used: 0 }
  return { bytes: Buffer.allocUnsafeSlow(size), used: 0 }
}

export function returnSlab(slab: Slab): void {
  slab.used = 0
  if (slab.bytes.length === SMALL && small.length < KEPT.small) small.push(slab)
  else if (slab.bytes.length === LARGE && large.length < KEPT.large) large.push(slab)
}

/** Gathers what one connection writes during one drain of the run queue. Holds no memory while it is empty. */
export class Output {
  private current: Slab | undefined
  private full: Slab[] | undefined
  /** Bytes gathered and not taken yet. */
  length = 0

  /** A slab with room for `size` more bytes behind `used`; `wrote` says how many it became. */
  reserve(size: number): Slab {
    const { current } = this
    if (current !== undefined) {
      if (current.used + size <= current.bytes.length) return current
      if (this.full === undefined) this.full = [current]
      else this.full.push(current)
      // Whoever fills a small slab has more to say.
      this.current = takeSlab(Math.max(size, LARGE))
    } else {
      this.current = takeSlab(size)
    }
    return this.current
  }

  wrote(slab: Slab, size: number): void {
    slab.used += size
    this.length += size
  }

  write(text: string): void {
    // A UTF-16 unit is at most three bytes of UTF-8.
    const slab = this.reserve(text.length * 3)
    this.wrote(slab, slab.bytes.write(text, slab.used, 'utf8'))
  }

  /** Hands over everything gathered, in order; each slab goes back with `returnSlab`. */
  take(): Slab[] {
    const { full, current } = this
    this.full = undefined
    this.current = undefined
    this.length = 0
    if (current === undefined) return []
    if (full === undefined) return [current]
    full.push(current)
    return full
  }

  /** The only slab when there is just one, to be handed over; the usual case. */
  takeSingle(): Slab | undefined {
    if (this.full !== undefined || this.current === undefined) return undefined
    const { current } = this
    this.current = undefined
    this.length = 0
    return current
  }
}
