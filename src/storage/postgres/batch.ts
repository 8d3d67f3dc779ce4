import type { PoolClient, QueryArrayResult } from 'pg'
import type { Call } from '../sqlite/protocol.js'
import type { PostgresVerbs, Session } from './session.js'
import { sessionOn } from './session.js'
import { isBroken, isPassing, isRace } from './trouble.js'
import { isDialogue, isRead, verbs } from './verbs.js'

/** One result per call, in order. */
export type Outcome = PromiseSettledResult<unknown>

/** How often a call is tried whose transaction stood in the way of another. */
const ATTEMPTS = 3

type Verb = (session: Session, ...args: unknown[]) => Promise<unknown>

/**
 * Carries calls out in their order, in one transaction when one of them writes; after a call failed, each by itself, so that none
 * pays for another. Rejects when the database or the connection is in trouble: then nothing is known about any of them.
 */
export async function runBatch(connection: PoolClient, calls: readonly Call[]): Promise<Outcome[]> {
  if (!calls.some(([verb]) => !isRead(verb))) return settled(connection, calls)
  try {
    return (await transaction(connection, calls)).map(value => ({ status: 'fulfilled', value }))
  } catch (error) {
    if (isPassing(error) && !isRace(error)) throw error
  }
  const outcomes: Outcome[] = []
  for (const call of calls) outcomes.push(await alone(connection, call))
  return outcomes
}

async function alone(connection: PoolClient, call: Call): Promise<Outcome> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      const [value] = await transaction(connection, [call])
      return { status: 'fulfilled', value }
    } catch (reason) {
      if (isRace(reason) && attempt < ATTEMPTS) continue
      if (isPassing(reason)) throw reason
      return { status: 'rejected', reason }
    }
  }
}

async function transaction(connection: PoolClient, calls: readonly Call[]): Promise<unknown[]> {
  const [begun, asked] = await Promise.allSettled([connection.query('BEGIN'), settled(connection, calls)])
  try {
    if (begun.status === 'rejected') throw begun.reason
    if (asked.status === 'rejected') throw asked.reason
    const values = asked.value.map(outcome => {
      if (outcome.status === 'rejected') throw outcome.reason
      return outcome.value
    })
    await commit(connection)
    return values
  } catch (error) {
    // Who gets the error ends a broken connection, and with it the transaction.
    if (!isBroken(error)) await connection.query('ROLLBACK')
    throw error
  }
}

/** A transaction in which something failed is rolled back by COMMIT without an error. */
async function commit(connection: PoolClient): Promise<void> {
  const { command }: QueryArrayResult = await connection.query({ text: 'COMMIT', rowMode: 'array' })
  if (command !== 'COMMIT') throw new Error(`the database answered COMMIT with ${command}`)
}

/** Asks without waiting for answers, but for those of a dialogue. Rejects when the database is in trouble. */
async function settled(connection: PoolClient, calls: readonly Call[]): Promise<Outcome[]> {
  const session = sessionOn(connection)
  const asked: Promise<Outcome>[] = []
  for (const call of calls) {
    const outcome = perform(session, call).then(
      (value): Outcome => ({ status: 'fulfilled', value }),
      (reason): Outcome => ({ status: 'rejected', reason }),
    )
    asked.push(outcome)
    if (isDialogue(call[0])) await outcome
  }
  const outcomes = await Promise.all(asked)
  const trouble = outcomes.find(outcome => outcome.status === 'rejected' && isPassing(outcome.reason))
  if (trouble?.status === 'rejected') throw trouble.reason
  return outcomes
}

async function perform(session: Session, [verb, ...args]: Call): Promise<unknown> {
  // The cast: `Request` has checked the arguments against the verb.
  const action = verbs[verb as keyof PostgresVerbs] as Verb | undefined
  if (action === undefined) throw new TypeError(`the store has no verb ${verb}`)
  return action(session, ...args)
}
