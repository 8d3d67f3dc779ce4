import type { Action, Command } from '../../operations/commands/command.js'
import { Refused } from '../rest/answer.js'

/*
 * Which command a request means, and with which arguments. It is found by their number, not by the path: what names a thing may stand in
 * the path, the query or the body. spec/rest-admin.md §1
 */

export interface Chosen {
  readonly command: Command
  /** As they came, not validated. */
  readonly given: ReadonlyMap<string, unknown>
}

/** What a request says. */
export interface Said {
  /** Of the path, behind the category. */
  readonly segments: readonly string[]
  readonly query: URLSearchParams
}

/** What came where a body of JSON was wanted. A-2 */
export const malformedBody = 'The request body is malformed.'

/** The command that reads or deletes what the path names; undefined when there is none. */
export function byPath(commands: readonly Command[], action: Action, { segments, query }: Said): Chosen | undefined {
  for (const command of commands) {
    if (command.action !== action) continue
    const values = withoutSubcategory(command, segments)
    const names = Object.keys(command.arguments)
    if (values?.length !== names.length) continue
    const given = new Map<string, unknown>(names.map((name, index) => [name, values[index]]))
    for (const name of Object.keys(command.optional ?? {})) if (query.has(name)) given.set(name, query.get(name))
    return { command, given }
  }
  return undefined
}

/**
 * The command that creates or updates with as many arguments as there are in path, query and body. Throws `Refused`: 404 when none takes
 * so many, 400 when it takes others.
 */
export function byCount(
  commands: readonly Command[],
  action: Action,
  { segments, query }: Said,
  body: Readonly<Record<string, unknown>>,
): Chosen {
  const members = new Map<string, unknown>([...new Map(query), ...Object.entries(body)])
  const count = new Set(query.keys()).size + Object.keys(body).length
  let found: { command: Command; values: readonly string[] } | undefined
  for (const command of commands) {
    const values = withoutSubcategory(command, segments)
    const { identifiers = [] } = command
    if (command.action !== action || values === undefined || values.length > identifiers.length) continue
    if (values.length + count !== Object.keys(command.arguments).length) continue
    // A path that is written out means what it says.
    if (found === undefined || values.length === identifiers.length) found = { command, values }
  }
  if (found === undefined) throw new Refused(404, isPath(commands, segments) ? 'Bad parameters length.' : '')
  const given = named(found.command, found.values, members)
  if (given === undefined) throw new Refused(400, malformedBody)
  return { command: found.command, given }
}

/** The arguments by their names; undefined when one is missing, and something else is there instead. */
function named(
  command: Command,
  values: readonly string[],
  members: ReadonlyMap<string, unknown>,
): ReadonlyMap<string, unknown> | undefined {
  const given = new Map(members)
  for (const [index, value] of values.entries()) given.set(command.identifiers![index]!, value)
  const names = Object.keys(command.arguments)
  return given.size === names.length && names.every(name => given.has(name)) ? given : undefined
}

/** Whether anything is at the path, whatever the method: else there is no count to be wrong. */
const isPath = (commands: readonly Command[], segments: readonly string[]) =>
  commands.some(command => {
    const values = withoutSubcategory(command, segments)
    return values !== undefined && values.length <= pathArguments(command).length
  })

/** The arguments that stand in a command's path when it is written out. */
export function pathArguments({ action, arguments: all, identifiers = [] }: Command): readonly string[] {
  return action === 'create' || action === 'update' ? identifiers : Object.keys(all)
}

/** What the path says for the command's arguments; undefined when it is the path of another subcategory. */
function withoutSubcategory({ subcategory }: Command, segments: readonly string[]): readonly string[] | undefined {
  if (subcategory === undefined) return segments
  return segments.at(-1) === subcategory ? segments.slice(0, -1) : undefined
}
