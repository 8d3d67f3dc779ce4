import { z } from 'zod'
import type { Command, CommandErrorKind } from '../../operations/commands/command.js'
import { allCommands } from '../../operations/commands/registry.js'
import type { MountedApi } from '../api-docs/operations.js'
import type { DescribedOperation } from '../rest/description.js'
import type { Method, Response } from '../rest/resource.js'
import { malformedBody, pathArguments } from './matching.js'
import { statusOf } from './run.js'

/** Where the admin API is mounted usually. */
const usualPath = '/api'

const methods = { read: 'GET', create: 'POST', update: 'PUT', delete: 'DELETE' } as const satisfies Record<
  Command['action'],
  Method
>

/** What the API documents tell of commands: each at its path as written out. Arguments that stand elsewhere are not documented. A-1 */
export function describeCommands(commands: readonly Command[] = allCommands, base = usualPath): MountedApi[] {
  const byPath = new Map<string, Command[]>()
  for (const command of commands) {
    const path = [base, command.category, ...pathArguments(command).map(name => `:${name}`), command.subcategory]
      .filter(segment => segment !== undefined)
      .join('/')
    byPath.set(path, [...(byPath.get(path) ?? []), command])
  }
  return [...byPath].map(([path, [first, ...others]]) => {
    const there = [first!, ...others] // a path is there for a command
    const binds = pathArguments(first!)
    return {
      path,
      description: {
        tag: first!.category,
        parameters: Object.fromEntries(binds.map(name => [name, descriptionOf(first!.arguments[name])])),
        variants: [
          {
            binds,
            operations: Object.fromEntries(there.map(command => [methods[command.action], described(command)])),
          },
        ],
      },
    }
  })
}

const descriptionOf = (schema: z.ZodType | undefined) => schema?.meta()?.description ?? ''

function described(command: Command): DescribedOperation {
  const inPath = pathArguments(command)
  const others = Object.entries(command.arguments).filter(([name]) => !inPath.includes(name))
  const isWritten = command.action === 'create' || command.action === 'update'
  return {
    description: command.description,
    ...(isWritten && { body: z.object(Object.fromEntries(others)), wrongBody: () => malformedBody }),
    ...(command.optional && { query: z.object(command.optional) }),
    responses: { ...success(command), ...refusals(command, isWritten) },
  }
}

function success({ result, action, description }: Command): Record<number, Response> {
  if (result === undefined) return { 204: { description: 'It is done.' } }
  if (action === 'read' || action === 'delete') return { 200: { description, schema: result } }
  return { 201: { description: 'It is done.', schema: result, type: 'text/plain' } }
}

function refusals({ refusals = {} }: Command, isWritten: boolean): Record<number, Response> {
  const own = Object.entries(refusals).map(([kind, description]) => [
    statusOf[kind as CommandErrorKind], // Object.entries forgets the literal type
    { description },
  ])
  return {
    404: { description: isWritten ? 'No command takes so many arguments.' : 'The path names nothing.' },
    ...Object.fromEntries(own),
  }
}
