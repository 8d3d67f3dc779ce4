import type { QueryArrayResult } from 'pg'
import type { Value } from '../sqlite/database.js'
import type { Verbs } from '../sqlite/protocol.js'

/*
 * What the verbs are written in: statements with `$1`-parameters, prepared once per connection.
 */

/** An array is one parameter, for `unnest`. */
export type Parameter = Value | readonly (string | null)[] | readonly number[]

export interface Statement {
  /** By which a connection knows the statement that it has prepared. */
  readonly name: string
  readonly text: string
}

let statements = 0

/** A statement; made once, when its file is loaded. */
export function sql(text: string): Statement {
  statements += 1
  return { name: `s${statements}`, text }
}

/** One connection, for as long as a verb runs. Statements reach the database in the order of the calls, each without waiting for the last. */
export interface Session {
  /** Resolves with the number of rows changed. */
  run(statement: Statement, ...parameters: Parameter[]): Promise<number>
  get(statement: Statement, ...parameters: Parameter[]): Promise<Value[] | undefined>
  all(statement: Statement, ...parameters: Parameter[]): Promise<Value[][]>
}

/** What a connection of `pg` does for a session. */
export interface Querying {
  query(config: {
    name?: string
    text: string
    values?: unknown[]
    rowMode: 'array'
  }): Promise<QueryArrayResult<Value[]>>
}

export function sessionOn(connection: Querying): Session {
  const query = (statement: Statement, parameters: Parameter[]) =>
    connection.query({ ...statement, values: storable(parameters), rowMode: 'array' })
  return {
    run: async (statement, ...parameters) => (await query(statement, parameters)).rowCount ?? 0,
    get: async (statement, ...parameters) => (await query(statement, parameters)).rows[0],
    all: async (statement, ...parameters) => (await query(statement, parameters)).rows,
  }
}

/** pg would write anything as text: what is no value of ours is refused, as SQLite refuses it. */
function storable(parameters: Parameter[]): Parameter[] {
  const isStorable = (value: unknown): boolean =>
    typeof value === 'string' ||
    typeof value === 'number' ||
    value === null ||
    value instanceof Uint8Array ||
    (Array.isArray(value) && value.every(isStorable))
  const wrong = parameters.find(value => !isStorable(value))
  if (wrong !== undefined || parameters.includes(undefined as never)) {
    throw new TypeError(`PostgreSQL is not given a value of type ${typeof wrong}`)
  }
  return parameters
}

/** A verb of the store as PostgreSQL carries it out: the same arguments, the same result. */
export type PostgresVerbs = {
  [V in keyof Verbs]: (session: Session, ...args: Parameters<Verbs[V]>) => Promise<ReturnType<Verbs[V]>>
}

/** The verbs of one repository. Whatever a verb asks after it has waited for an answer makes it a `dialogue`. */
export interface VerbTable {
  /** Reads that give their statements all at once. */
  reads?: Partial<PostgresVerbs>
  /** Writes that give their statements all at once: the next request need not wait for their answer. */
  writes?: Partial<PostgresVerbs>
  /** Writes that need an answer before they can go on. */
  dialogues?: Partial<PostgresVerbs>
}
