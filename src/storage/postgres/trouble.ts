import { DatabaseError } from 'pg'

/*
 * Tells what goes wrong with the database from a request that is at fault itself. The codes are those of PostgreSQL's appendix A.
 */

/** What the database holds is not what this server can work with. */
export class SchemaError extends Error {
  override name = 'SchemaError'
}

/** Codes, or their classes, of what may pass by itself. */
const PASSING = [
  '08', // connection
  '28', // our credentials, once they were good
  '3D', // the database is gone
  '53', // disk, memory or connections are used up
  '55P03', // a lock could not be had
  '57', // cancelled, shut down, not up yet
  '58', // a file of the database
  'XX', // a fault of the database itself
]

/** True when the request may succeed later, as it is: nothing of it was at fault. */
export function isPassing(error: unknown): boolean {
  if (isBroken(error)) return true
  const code = codeOf(error)
  return PASSING.some(passing => code.startsWith(passing)) || isRace(error)
}

/** True when two transactions stood in each other's way: it helps to try again at once. */
export const isRace = (error: unknown) => codeOf(error) === '40P01' || codeOf(error) === '40001'

export const isTooManyConnections = (error: unknown) => codeOf(error) === '53300'

/** Codes after which a connection is of no more use, though the session lives. */
const USELESS = [
  '0A000', // the plan of a prepared statement no longer fits the table: a newer server has changed it
  '25006', // the server at its other end has become a stand-by
  '26000', // a prepared statement is gone
]

/** True when the connection cannot be used any more. */
export function isBroken(error: unknown): boolean {
  // What pg itself says, or the socket, has no severity; a mistake of a caller is a TypeError.
  if (!(error instanceof DatabaseError)) return !(error instanceof TypeError || error instanceof SchemaError)
  return error.severity === 'FATAL' || error.severity === 'PANIC' || USELESS.includes(codeOf(error))
}

const codeOf = (error: unknown) => (error instanceof DatabaseError ? (error.code ?? '') : '')

/** What may be told; several failed attempts to connect come as one error without a message. */
export function reasonOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') return error.errors.map(reasonOf).join('; ')
  return error instanceof Error ? error.message : String(error)
}
