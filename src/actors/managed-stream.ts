import { timingSafeEqual } from 'node:crypto'
import type { Stanza } from '../protocols/stanza/stanza.js'
import { Acknowledgements, COUNTER_LIMIT } from '../protocols/stream/acknowledgements.js'
import type { StoredCopy } from '../sessions/stored-copy.js'
import type { StreamManagement } from '../sessions/stream-management.js'
import type { Handover } from './handover.js'

/** Characters of `C2sServices.newSecret`. */
export const SECRET_LENGTH = 22

/** What a session holds whose client has enabled stream management. XEP-0198 */
export class ManagedStream extends Acknowledgements<Stanza> {
  /** It is known that too much is unacknowledged, and a deadline runs. */
  isOver = false
  /** Until the message that came last, while the client was away, is stored. */
  storing: Promise<void> | undefined = undefined
  /** What of the unacknowledged stands in the store; undefined while nothing does. */
  private copies: Map<Stanza, StoredCopy> | undefined = undefined
  /** A transport that was told to come: where there are several only the newest counts. */
  newest: Handover | undefined = undefined

  constructor(
    readonly management: StreamManagement,
    /** Set where the stream can be resumed: a secret and the resource. */
    readonly id: string | undefined,
    /** How long the session waits for its client to come back. */
    readonly resumeSeconds: number,
  ) {
    super(management.keeps, management.askEvery)
  }

  get hasTooMany(): boolean {
    return this.unacknowledged.length > this.management.buffer
  }

  isStored(stanza: Stanza): boolean {
    return this.copies?.has(stanza) === true
  }

  /** The stanza stands in the store until it is acknowledged. */
  addCopy(stanza: Stanza, copy: StoredCopy): void {
    this.copies ??= new Map()
    this.copies.set(stanza, copy)
    // Whoever sent it is told; for everybody else it is as if it had never been tried.
    copy.stored.catch(() => this.forgetCopy(copy))
  }

  private forgetCopy(copy: StoredCopy): void {
    if (this.storing === copy.stored) this.storing = undefined
    for (const [stanza, other] of this.copies ?? []) if (other === copy) this.copies?.delete(stanza)
  }

  /** The stanza is kept in another form. */
  moveCopy(stanza: Stanza, kept: Stanza): void {
    const copy = this.copies === undefined || kept === stanza ? undefined : this.takeCopy(stanza)
    if (copy !== undefined) this.copies?.set(kept, copy)
  }

  private takeCopy(stanza: Stanza): StoredCopy | undefined {
    const copy = this.copies?.get(stanza)
    this.copies?.delete(stanza)
    return copy
  }

  /** All of them: the session is over. */
  takeCopies(): ReadonlyMap<Stanza, StoredCopy> | undefined {
    const { copies } = this
    this.copies = undefined
    return copies
  }

  override acknowledge(h: number): boolean {
    if (this.copies === undefined || !this.allows(h)) return super.acknowledge(h)
    const count = this.outstanding - ((this.sent - h + COUNTER_LIMIT) % COUNTER_LIMIT)
    for (const { item } of this.unacknowledged.slice(0, count)) this.takeCopy(item)?.acknowledged()
    if (this.copies.size === 0) this.copies = undefined
    return super.acknowledge(h)
  }

  get asks(): boolean {
    return this.management.askEvery !== Number.POSITIVE_INFINITY
  }
}

/** The resource in the id of a stream; '' in what is no such id. */
export const resourceIn = (id: string) => id.slice(SECRET_LENGTH)

/** Whether two ids are the same, in a time that does not tell where they differ. */
export function isTheSame(id: string, other: string): boolean {
  const [one, two] = [Buffer.from(id), Buffer.from(other)]
  return one.length === two.length && timingSafeEqual(one, two)
}
