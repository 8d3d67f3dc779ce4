import { z } from 'zod'

/*
 * JSON Schemas of a document, made of zod schemas. Those that have an id stand once, and everything else refers to them.
 */

export type JsonSchema = Readonly<Record<string, unknown>>

/** The schemas of one document. */
export interface Schemas {
  /** The schema as it stands in the document; what it names is among the definitions afterwards. */
  of(schema: z.ZodType): JsonSchema
  /** Those with a name. */
  readonly definitions: ReadonlyMap<string, JsonSchema>
}

/** @param at where the definitions stand in the document, such as `#/definitions/` */
export function createSchemas(target: 'draft-2020-12' | 'openapi-3.0', at: string): Schemas {
  const definitions = new Map<string, JsonSchema>()
  return {
    definitions,
    of(schema) {
      // A member of something, because a schema that stands for itself would not be made a reference.
      const { properties, $defs, definitions: named } = convert(z.object({ it: schema }), target)
      const relocated = (found: JsonSchema) => relocate(found, at)
      for (const [name, found] of Object.entries((named ?? $defs ?? {}) as Record<string, JsonSchema>)) {
        definitions.set(name, relocated(found))
      }
      return relocated((properties as Record<'it', JsonSchema>).it)
    },
  }
}

function convert(schema: z.ZodType, target: 'draft-2020-12' | 'openapi-3.0'): JsonSchema {
  const options = { target, io: 'input', unrepresentable: 'any', override } as const
  return z.toJSONSchema(schema, options)
}

/** An integer is any integer: what JavaScript can count to goes without saying. */
function override({ jsonSchema }: { jsonSchema: Record<string, unknown> }): void {
  if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum
  if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum
}

/** Points the references to where the definitions stand in the document. */
function relocate(schema: JsonSchema, at: string): JsonSchema {
  return mapSchema(schema, found =>
    typeof found.$ref === 'string' ? { ...found, $ref: found.$ref.replace(/^#\/(\$defs|definitions)\//, at) } : found,
  )
}

/** Makes a schema of another, its parts first. */
export function mapSchema(schema: JsonSchema, change: (found: JsonSchema) => JsonSchema): JsonSchema {
  const part = (value: unknown) => (isSchema(value) ? mapSchema(value, change) : value)
  const entries = Object.entries(schema).map(([key, value]) => {
    if (key === 'properties' && isSchema(value)) {
      return [key, Object.fromEntries(Object.entries(value).map(([name, member]) => [name, part(member)]))]
    }
    if (lists.has(key) && Array.isArray(value)) return [key, value.map(part)]
    return [key, parts.has(key) ? part(value) : value]
  })
  return change(Object.fromEntries(entries))
}

const lists = new Set(['anyOf', 'oneOf', 'allOf', 'prefixItems'])
const parts = new Set(['items', 'additionalProperties', 'propertyNames', 'not'])

export const isSchema = (value: unknown): value is JsonSchema =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
