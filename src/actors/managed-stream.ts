import { timingSafeEqual } from 'node:crypto'
import type { Stanza } from '../protocols/stanza/stanza.js'
import { Acknowledgements } from '../protocols/stream/acknowledgements.js'
import type { StreamManagement } from '../sessions/stream-management.js'
import type { Handover } from './handover.js'

/** Characters of `C2sServices.newSecret`. */
export const SECRET_LENGTH = 22

/** What a session holds whose client has enabled stream management. XEP-0198 */
export class ManagedStream extends Acknowledgements<Stanza> {
  /** It is known that too much is unacknowledged, and a deadline runs. */
  isOver = false
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
