import { CommandError, type CommandErrorKind } from '../../operations/commands/command.js'
import type { OperationServices } from '../../operations/services.js'
import { type StanzaCondition, StanzaError } from '../../protocols/errors.js'
import { type Answer, noContent, ok, Refused } from '../rest/answer.js'
import type { Chosen } from './matching.js'

/** spec/rest-admin.md §4 */
export const statusOf: Readonly<Record<CommandErrorKind, number>> = {
  bad_request: 400,
  denied: 403,
  not_found: 404,
  not_implemented: 501,
  internal: 500,
}

/** What a client of XMPP would be refused. */
const statusOfCondition: Readonly<Partial<Record<StanzaCondition, number>>> = {
  'bad-request': 400,
  'jid-malformed': 400,
  'not-acceptable': 400,
  conflict: 403,
  forbidden: 403,
  'not-allowed': 403,
  'not-authorized': 403,
  'registration-required': 403,
  'item-not-found': 404,
  // What is too long to be sent.
  'policy-violation': 413,
  'feature-not-implemented': 501,
}

/**
 * Runs a command with what a request says. Throws `Refused` for what its schemas or it itself refuse; a result that is not as the
 * command declares it is a failure of ours. A-27
 * @param locate gives the URL of what was created, by the last segment of its path
 */
export async function run(
  services: OperationServices,
  { command, given }: Chosen,
  locate: (name: string) => string,
): Promise<Answer> {
  const values = valuesOf({ ...command.arguments, ...command.optional }, given)
  const result = await command.run(services, values).catch(refuse)
  if (command.result === undefined) return noContent
  const read = command.result.safeParse(result)
  if (!read.success) throw new Error(`the result of ${command.name} is not as it is declared: ${read.error.message}`)
  if (command.action === 'read' || command.action === 'delete') return ok(read.data)
  const text = String(read.data)
  if (command.action === 'update') return { status: 201, text }
  return { status: 201, text, headers: { location: locate(command.nameOf?.(values) ?? text) } }
}

/** The values that the schemas make of what came. Throws `Refused` with all that is wrong with them. */
function valuesOf(schemas: Chosen['command']['arguments'], given: Chosen['given']): Readonly<Record<string, unknown>> {
  const values: Record<string, unknown> = {}
  const wrong: string[] = []
  for (const [name, schema] of Object.entries(schemas)) {
    const read = schema.safeParse(given.get(name))
    if (read.success) values[name] = read.data
    else
      for (const { code, message } of read.error.issues) wrong.push(code === 'custom' ? message : `${name}: ${message}`)
  }
  if (wrong.length > 0) throw new Refused(400, wrong.join('; '))
  return values
}

function refuse(error: unknown): never {
  if (error instanceof CommandError) throw new Refused(statusOf[error.kind], error.message)
  const status = error instanceof StanzaError ? statusOfCondition[error.condition] : undefined
  if (error instanceof StanzaError && status !== undefined) throw new Refused(status, error.text)
  throw error
}
