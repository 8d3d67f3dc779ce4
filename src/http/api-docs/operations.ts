import { compilePath } from '../pattern.js'
import type { ApiDescription, DescribedOperation } from '../rest/description.js'
import type { Response } from '../rest/resource.js'
import type { JsonSchema } from './schemas.js'

/*
 * The operations of an API as both documents list them: one per form of the path and method.
 */

/** A path in brace form with its operations by method, lower-cased. D-6 */
export type DocumentedPaths = ReadonlyMap<string, ReadonlyMap<string, DocumentedOperation>>

export interface DocumentedOperation {
  readonly tag: string
  readonly pathParameters: readonly { readonly name: string; readonly description: string }[]
  readonly operation: DescribedOperation
  readonly responses: Readonly<Record<string, Response>>
}

/** A handler's description and the path pattern that it is mounted at. */
export interface MountedApi {
  readonly path: string
  readonly description: ApiDescription
}

/** What becomes of those who guess passwords. */
export const tooManyGuesses = { 429: { description: 'Too many passwords were wrong; later.' } }

/**
 * All that the handlers document; where two answer the same path, the first one does.
 * @param more what every request may be answered with besides
 */
export function documentedPaths(
  mounted: readonly MountedApi[],
  more: Readonly<Record<number, Response>> = {},
): DocumentedPaths {
  const paths = new Map<string, Map<string, DocumentedOperation>>()
  for (const { path: pattern, description } of mounted) {
    for (const { path, names } of forms(pattern)) {
      const variant = description.variants.find(({ binds }) => isSameSet(binds, names))
      if (variant === undefined) continue
      const methods = paths.get(path) ?? new Map<string, DocumentedOperation>()
      for (const [method, operation] of Object.entries(variant.operations)) {
        const key = method.toLowerCase()
        if (!methods.has(key)) methods.set(key, documented(description, method, names, operation, more))
      }
      paths.set(path, methods)
    }
  }
  return paths
}

function documented(
  { tag, parameters = {} }: ApiDescription,
  method: string,
  names: readonly string[],
  operation: DescribedOperation,
  more: Readonly<Record<number, Response>>,
): DocumentedOperation {
  return {
    tag,
    pathParameters: names.map(name => ({ name, description: parameters[name] ?? '' })),
    operation,
    responses: { ...commonResponses(method, operation), ...more, ...operation.responses },
  }
}

/** What the decision order answers before an operation is asked. spec/http-listener.md §4 */
function commonResponses(method: string, { body }: DescribedOperation): Record<number, Response> {
  return {
    400: { description: 'The request is malformed.' },
    401: { description: 'There is no such account, or the password is another one.' },
    406: { description: 'There is no answer of a type that the client accepts.' },
    ...(body && { 413: { description: 'The body is longer than 8 000 000 bytes.' } }),
    ...((method === 'POST' || method === 'PUT') && { 415: { description: 'The body is not said to be JSON.' } }),
  }
}

/** The parameters of a query. All of them are texts, and those that must be digits are documented as the number that they stand for. */
export function queryParameters(query: JsonSchema): {
  name: string
  required: boolean
  description: string | undefined
  schema: JsonSchema
}[] {
  const { properties = {}, required = [] } = query
  return Object.entries(properties as Record<string, JsonSchema>).map(([name, { description, ...schema }]) => ({
    name,
    required: (required as string[]).includes(name),
    description: typeof description === 'string' ? description : undefined,
    schema: isNumber(schema) ? { type: 'integer', minimum: 0, ...numeric(schema) } : schema,
  }))
}

/** Digits as text, or digits as text beside a number: as the query has no types, that is a number. */
const isNumber = ({ type, pattern, anyOf }: JsonSchema): boolean =>
  Array.isArray(anyOf) ? anyOf.some(isNumber) : type === 'string' && /^\^\\d(\+|\{1,\d+\})\$$/.test(String(pattern))
const numeric = ({ example }: JsonSchema) => (example === undefined ? {} : { example: Number(example) })

/** The forms of a path pattern without optional parts, the shortest first; `[...]` has no brace form. */
function forms(pattern: string): { path: string; names: string[] }[] {
  return compilePath(pattern)
    .filter(({ isOpen }) => !isOpen)
    .reverse()
    .map(({ segments }) => ({
      path: `/${segments.map(part => (part.kind === 'literal' ? part.text : `{${part.name}}`)).join('/')}`,
      names: segments.flatMap(part => (part.kind === 'literal' ? [] : [part.name])),
    }))
}

const isSameSet = (some: readonly string[], others: readonly string[]) =>
  some.length === others.length && some.every(name => others.includes(name))
