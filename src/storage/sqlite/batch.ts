import type { Database } from './database.js'
import type { Call, FromWorker, prepareVerbs } from './protocol.js'

type Verb = (...args: unknown[]) => unknown
type Outcome = Extract<FromWorker, { type: 'results' | 'refused' | 'failed' }>

/** The process is exiting: the batch is given up. */
class Interrupted extends Error {}

/** Returns the function that carries out a batch in one transaction. It never throws. A batch is given up once `isStopping`. */
export function batchRunner(
  database: Database,
  verbs: ReturnType<typeof prepareVerbs>,
  isStopping = () => false,
): (calls: Call[]) => Outcome {
  // The casts: `Request` has checked the arguments against the verb in the other thread.
  const reads = new Map(Object.entries(verbs.reads) as [string, Verb][])
  const writes = new Map(Object.entries(verbs.writes) as [string, Verb][])

  const perform = ([verb, ...args]: Call): unknown => {
    const action = reads.get(verb) ?? writes.get(verb)
    if (isStopping()) throw new Interrupted('the process is exiting')
    if (action === undefined) throw new Error(`the store has no verb ${verb}`)
    return action(...args)
  }

  const transaction = (calls: Call[]): unknown[] => {
    // Not prepared: libsql 0.5.29 does not reset a statement that failed, and a BEGIN left so keeps every COMMIT from succeeding.
    database.exec(calls.some(([verb]) => writes.has(verb)) ? 'BEGIN IMMEDIATE' : 'BEGIN')
    try {
      const results = calls.map(perform)
      database.exec('COMMIT')
      return results
    } catch (error) {
      if (database.inTransaction) database.exec('ROLLBACK')
      throw error
    }
  }

  /** After a call of the batch failed, each runs in a transaction of its own, so that none pays for another. */
  const singly = (calls: Call[]): Outcome => {
    const failures: [number, string][] = []
    const results = calls.map((call, index) => {
      try {
        return transaction([call])[0]
      } catch (error) {
        if (diskTrouble(error) !== undefined) throw error
        failures.push([index, messageOf(error)])
        return undefined
      }
    })
    return { type: 'results', results, failures }
  }

  return calls => {
    try {
      return { type: 'results', results: transaction(calls), failures: [] }
    } catch (error) {
      const trouble = diskTrouble(error)
      if (trouble !== undefined) return { type: trouble, message: messageOf(error) }
    }
    try {
      return singly(calls)
    } catch (error) {
      // Some of the batch may be committed by now. The promise is kept all the same: a rejected write promises nothing.
      return { type: diskTrouble(error) ?? 'failed', message: messageOf(error) }
    }
  }
}

const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error))

/**
 * Tells trouble with the file from a request that is at fault itself. Full disks and locks pass by themselves; after any
 * other error of the file (SQLITE_IOERR, SQLITE_CORRUPT ...) nothing that SQLite says can be trusted until it is opened again.
 */
function diskTrouble(error: unknown): 'refused' | 'failed' | undefined {
  if (error instanceof Interrupted) return 'failed'
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  if (/^SQLITE_(FULL|BUSY|LOCKED)/.test(code)) return 'refused'
  if (/^SQLITE_(IOERR|CORRUPT|NOTADB|CANTOPEN|READONLY|NOMEM|PROTOCOL|AUTH|PERM|INTERNAL)/.test(code)) return 'failed'
  return undefined
}
