import type { z } from 'zod'
import {
  type DocumentedOperation,
  documentedPaths,
  type MountedApi,
  queryParameters,
  tooManyGuesses,
} from './operations.js'
import { createSchemas, isSchema, type JsonSchema, mapSchema, type Schemas } from './schemas.js'

/*
 * The Swagger 2.0 document of the client API as it is mounted on a listener. spec/api-docs.md §2
 */

/** Where definitions stand. */
const at = '#/definitions/'

/** D-4; the paths are those that the handlers are mounted at. */
export function swaggerDocument(mounted: readonly MountedApi[]): JsonSchema {
  const schemas = createSchemas('openapi-3.0', at)
  const paths = [...documentedPaths(mounted, tooManyGuesses)].map(([path, methods]) => [
    path,
    Object.fromEntries([...methods].map(([method, operation]) => [method, swaggerOperation(operation, schemas)])),
  ])
  return {
    swagger: '2.0',
    info: {
      title: 'MongooseIM REST API',
      version: '0.1.0',
      description: 'What an account may do by HTTP with its own credentials.',
    },
    securityDefinitions: { account: { type: 'basic', description: 'The JID and the password of the account.' } },
    security: [{ account: [] }],
    ...toSwagger({ paths: Object.fromEntries(paths) }, Object.fromEntries(schemas.definitions)),
  }
}

function swaggerOperation(
  { tag, operation, pathParameters, responses }: DocumentedOperation,
  schemas: Schemas,
): JsonSchema {
  const { description, query, body } = operation
  return {
    tags: [tag],
    description,
    consumes: ['application/json'],
    produces: ['application/json'],
    parameters: [
      ...pathParameters.map(parameter => ({ ...parameter, in: 'path', required: true, type: 'string' })),
      ...(query === undefined ? [] : queryParameters(schemas.of(query)).map(inQuery)),
      ...(body === undefined ? [] : [{ name: 'body', in: 'body', required: true, schema: schemas.of(body) }]),
    ],
    responses: Object.fromEntries(
      Object.entries(responses).map(([status, response]) => [status, swaggerResponse(response, schemas)]),
    ),
  }
}

const swaggerResponse = ({ description, schema }: { description: string; schema?: z.ZodType }, schemas: Schemas) => ({
  description,
  ...(schema && { schema: schemas.of(schema) }),
})

const inQuery = ({ schema, description = '', ...parameter }: ReturnType<typeof queryParameters>[number]) => ({
  ...parameter,
  in: 'query',
  description,
  ...schema,
})

/** Says in the words of Swagger 2.0 what only later versions have words for. */
function toSwagger({ paths }: { paths: object }, definitions: Record<string, JsonSchema>): JsonSchema {
  const resolve = (schema: JsonSchema) =>
    typeof schema.$ref === 'string' ? (definitions[schema.$ref.slice(at.length)] ?? {}) : schema
  const change = (schema: JsonSchema) => withoutDetour(withoutChoice(withoutNull(schema), resolve))
  const inside = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(inside)
    if (!isSchema(value)) return value
    const entries = Object.entries(value).map(([key, found]) => [
      key,
      key === 'schema' && isSchema(found) ? mapSchema(found, change) : inside(found),
    ])
    return Object.fromEntries(entries)
  }
  const named = Object.entries(definitions).map(([name, schema]) => [name, mapSchema(schema, change)])
  return { paths: inside(paths), definitions: Object.fromEntries(named) }
}

/** Swagger UI knows `x-nullable`. */
function withoutNull({ nullable, ...rest }: JsonSchema): JsonSchema {
  return nullable === true ? { ...rest, 'x-nullable': true } : rest
}

/** zod puts every reference that can be left out or null into a list of its own. */
function withoutDetour(schema: JsonSchema): JsonSchema {
  const [only, ...others] = Array.isArray(schema.allOf) ? (schema.allOf as JsonSchema[]) : []
  const isAlone = only !== undefined && others.length === 0 && Object.keys(schema).length === 1
  return isAlone ? only : schema
}

/** Of several objects, one that has the members of all and must have what all must; of anything else, any value. */
function withoutChoice({ anyOf, oneOf, ...rest }: JsonSchema, resolve: (schema: JsonSchema) => JsonSchema): JsonSchema {
  const choices = (anyOf ?? oneOf) as readonly JsonSchema[] | undefined
  if (choices === undefined) return rest
  const objects = choices.map(resolve)
  if (objects.some(({ type }) => type !== 'object')) return rest
  const merged: Record<string, JsonSchema> = {}
  for (const { properties = {} } of objects) {
    for (const [name, schema] of Object.entries(properties as Record<string, JsonSchema>)) {
      merged[name] = merged[name] === undefined ? schema : either(merged[name], schema)
    }
  }
  const [first = [], ...others] = objects.map(({ required = [] }) => required as string[])
  const required = first.filter(name => others.every(names => names.includes(name)))
  return { ...rest, type: 'object', properties: merged, ...(required.length > 0 && { required }) }
}

/** The values of both, as far as they are listed. */
function either(some: JsonSchema, others: JsonSchema): JsonSchema {
  if (!Array.isArray(some.enum) || !Array.isArray(others.enum)) return some
  return { ...some, enum: [...new Set([...some.enum, ...others.enum])] }
}
