import type { Response } from '../rest/resource.js'
import { type DocumentedOperation, documentedPaths, type MountedApi, queryParameters } from './operations.js'
import { createSchemas, type JsonSchema, mapSchema, type Schemas } from './schemas.js'

/*
 * The OpenAPI 3.1 document of an API, for generated clients. spec/api-docs.md D-4
 */

/** What stands at the head of a document. */
export interface DocumentHead {
  readonly title: string
  readonly description: string
  /** Who the user is whose name and password are asked for. */
  readonly user: string
  /** What every request may be answered with besides. */
  readonly more?: Readonly<Record<number, Response>>
}

/** The API of these handlers. */
export function openApiDocument(
  mounted: readonly MountedApi[],
  { title, description, user, more }: DocumentHead,
): JsonSchema {
  const schemas = createSchemas('draft-2020-12', '#/components/schemas/')
  const paths = [...documentedPaths(mounted, more)].map(([path, methods]) => [
    path,
    Object.fromEntries([...methods].map(([method, found]) => [method, operationOf(method, path, found, schemas)])),
  ])
  const named = [...schemas.definitions].map(([name, schema]) => [name, withExamples(schema)])
  return {
    openapi: '3.1.0',
    info: { title, version: '0.1.0', description },
    security: [{ basic: [] }],
    paths: Object.fromEntries(paths),
    components: {
      securitySchemes: { basic: { type: 'http', scheme: 'basic', description: user } },
      schemas: Object.fromEntries(named),
    },
  }
}

function operationOf(
  method: string,
  path: string,
  { tag, operation, pathParameters, responses }: DocumentedOperation,
  schemas: Schemas,
): JsonSchema {
  const { description, query, body } = operation
  const string = { type: 'string' }
  const parameters = [
    ...pathParameters.map(parameter => ({ ...parameter, in: 'path', required: true, schema: string })),
    ...(query === undefined ? [] : queryParameters(schemas.of(query)).map(inQuery)),
  ]
  return {
    operationId: operationId(method, path),
    tags: [tag],
    description,
    ...(parameters.length > 0 && { parameters }),
    ...(body && { requestBody: { required: true, content: contentOf(schemas.of(body)) } }),
    responses: Object.fromEntries(
      Object.entries(responses).map(([status, response]) => [status, responseOf(response, schemas)]),
    ),
  }
}

const responseOf = ({ description, schema, type }: Response, schemas: Schemas) => ({
  description,
  ...(schema && { content: contentOf(schemas.of(schema), type) }),
})

const contentOf = (schema: JsonSchema, type = 'application/json') => ({ [type]: { schema: withExamples(schema) } })

/** `put /api/rooms/{id}/config` becomes `putRoomsIdConfig`. */
function operationId(method: string, path: string): string {
  const words = path.replace(/^\/api\b/, '').match(/[a-z0-9]+/gi) ?? []
  return method + words.map(word => word.charAt(0).toUpperCase() + word.slice(1)).join('')
}

const inQuery = ({ schema, description, ...parameter }: ReturnType<typeof queryParameters>[number]) => ({
  ...parameter,
  in: 'query',
  ...(description !== undefined && { description }),
  schema: withExamples(schema),
})

/** JSON Schema has a list of examples where we give one. */
function withExamples(schema: JsonSchema): JsonSchema {
  return mapSchema(schema, ({ example, ...rest }) => (example === undefined ? rest : { ...rest, examples: [example] }))
}
