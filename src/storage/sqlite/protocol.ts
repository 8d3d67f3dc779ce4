import { accountVerbs } from './accounts.js'
import { archiveVerbs } from './archive.js'
import type { Database, DatabaseOptions } from './database.js'
import { lastActivityVerbs } from './last-activity.js'
import { metaVerbs } from './meta.js'
import { mucVerbs } from './muc.js'
import { mucLightVerbs } from './muc-light.js'
import { offlineVerbs } from './offline.js'
import { privacyVerbs } from './privacy.js'
import { privateXmlVerbs } from './private-xml.js'
import { rosterVerbs } from './rosters.js'
import type { Standstill } from './standstill.js'
import { vcardVerbs } from './vcards.js'

/*
 * What the server's thread and the worker say to each other. The server sends batches of requests, the worker answers
 * each batch with one message, in order; so nothing needs a number.
 */

/** Everything the worker can do, by name. A new repository is one line here, and one among the types. */
export function prepareVerbs(database: Database) {
  const parts = [
    accountVerbs(database),
    rosterVerbs(database),
    offlineVerbs(database),
    privateXmlVerbs(database),
    vcardVerbs(database),
    lastActivityVerbs(database),
    privacyVerbs(database),
    archiveVerbs(database),
    mucLightVerbs(database),
    mucVerbs(database),
    metaVerbs(database),
  ] as const
  return {
    reads: Object.assign({}, ...parts.map(part => part.reads)) as Merged<(typeof parts)[number]['reads']>,
    writes: Object.assign({}, ...parts.map(part => part.writes)) as Merged<(typeof parts)[number]['writes']>,
  }
}

/** All members of a union of tables at once. */
type Merged<T> = (T extends unknown ? (table: T) => void : never) extends (table: infer All) => void ? All : never

type Prepared = ReturnType<typeof prepareVerbs>
export type Verbs = Prepared['reads'] & Prepared['writes']

/** Asks the worker for one verb; resolves after commit. */
export type Request = <V extends keyof Verbs>(verb: V, ...args: Parameters<Verbs[V]>) => Promise<ReturnType<Verbs[V]>>

/** A request on its way: the verb, then its arguments. */
export type Call = [verb: string, ...args: unknown[]]

export type ToWorker =
  | { type: 'open'; options: DatabaseOptions }
  | { type: 'batch'; calls: Call[] }
  /** Closes the database; another may be opened. */
  | { type: 'close' }
  | { type: 'end' }
  | { type: 'crash' }

export type FromWorker =
  /** The database is open and its schema up to date. */
  | { type: 'ready' }
  /** One result per call; `failures` names those that failed, by position. */
  | { type: 'results'; results: unknown[]; failures: [index: number, message: string][] }
  /** Nothing of the batch was done, because the disk is full or another process holds a lock; the next may succeed. */
  | { type: 'refused'; message: string }
  /** The database cannot be opened or no longer be used. */
  | { type: 'failed'; message: string }
  | { type: 'closed' }

/** What the worker is started with. */
export interface WorkerOptions {
  standstill: Standstill
}
