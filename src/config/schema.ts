import { z } from 'zod'

/*
 * Reading our zod schemas: what the documentation, the messages and the rules all derive from one declaration.
 */

/** Where in the file: table keys and array indexes. */
export type Path = readonly (string | number)[]

/** What `.meta()` of an option may hold. */
export interface OptionMeta {
  /** One or two sentences of Markdown. */
  description?: string
  /** A value that the schema accepts. */
  example?: unknown
  /** What is accepted, in words, where the schema alone does not say it well. */
  syntax?: string
  /** What holds when the option is not set and has no default of its own, in words. */
  unset?: string
  /** What a name in this place must exist as. */
  refers?: 'access' | 'shaper-rule' | 'shaper' | 'acl'
  /** What the loader makes of the value. */
  prepare?: 'path' | 'domain'
  /** True for values that are never printed. */
  secret?: boolean
  /** Values that are known and refused, with the reason. */
  refused?: Record<string, string>
  /** True for a table that only repeats keys of another one, where they are documented. */
  repeats?: boolean
}

/** The meta data of a schema and of what it wraps (the wrapper's win). */
export function metaOf(schema: z.ZodType): OptionMeta {
  const inner = innerOf(schema)
  // Every schema of ours is given its meta data as an OptionMeta; zod's own type of it holds anything.
  return { ...(inner === undefined ? {} : metaOf(inner)), ...(schema.meta() as OptionMeta | undefined) }
}

/** The schema without its default and its being optional. */
export function unwrap(schema: z.ZodType): z.ZodType {
  const inner = innerOf(schema)
  return inner === undefined ? schema : unwrap(inner)
}

/** The default of an option, or undefined. */
export function defaultOf(schema: z.ZodType): unknown {
  if (schema instanceof z.ZodDefault) return schema.def.defaultValue
  const inner = innerOf(schema)
  return inner === undefined ? undefined : defaultOf(inner)
}

/** True when the key may be missing. */
export function isOptional(schema: z.ZodType): boolean {
  return schema instanceof z.ZodOptional || schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault
}

/** The keys of a table, or undefined when the schema is no table with fixed keys. */
export function keysOf(schema: z.ZodType): Record<string, z.ZodType> | undefined {
  const bare = unwrap(schema)
  // zod types shapes by its core; all of ours are built by the classic API.
  return bare instanceof z.ZodObject ? (bare.shape as Record<string, z.ZodType>) : undefined
}

/** The schema of what stands at `key` below `schema`, for the given value of the whole; undefined for an unknown key. */
export function childOf(schema: z.ZodType, key: string | number, value?: unknown): z.ZodType | undefined {
  const bare = unwrap(schema)
  if (bare instanceof z.ZodObject) {
    const keys = keysOf(bare) ?? {}
    return Object.hasOwn(keys, key) ? keys[key] : undefined
  }
  if (bare instanceof z.ZodArray) return asClassic(bare.element)
  if (bare instanceof z.ZodRecord) return asClassic(bare.valueType)
  if (bare instanceof z.ZodUnion) {
    const option = optionFor(bare, value)
    return option && childOf(option, key, value)
  }
  return undefined
}

/** The schema at `path`, for the value of the whole. */
export function schemaAt(schema: z.ZodType, path: Path, value: unknown): z.ZodType | undefined {
  let at: z.ZodType | undefined = schema
  let here = value
  for (const key of path) {
    at = at && childOf(at, key, here)
    here = valueAt(here, [key])
  }
  return at
}

/** The value at `path`, or undefined. */
export function valueAt(value: unknown, path: Path): unknown {
  let here = value
  for (const key of path) {
    if (typeof here !== 'object' || here === null || !Object.hasOwn(here, key)) return undefined
    here = Reflect.get(here, key)
  }
  return here
}

/**
 * A copy of `value` in which every leaf is what `change` gives for it. `change` gets the meta data and the path of the leaf; keys of
 * records are leaves of their own kind (`isKey`), whose result is not used.
 */
export function mapLeaves(
  schema: z.ZodType,
  value: unknown,
  change: (leaf: unknown, meta: OptionMeta, path: Path, isKey: boolean) => unknown,
  path: Path = [],
): unknown {
  const bare = unwrap(schema)
  if (Array.isArray(value)) {
    return value.map((item, index) => mapChild(bare, value, index, item, change, path))
  }
  if (isTable(value)) {
    if (bare instanceof z.ZodRecord) {
      const meta = metaOf(asClassic(bare.keyType))
      for (const key of Object.keys(value)) change(key, meta, [...path, key], true)
    }
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => [key, mapChild(bare, value, key, item, change, path)]),
    )
  }
  const option = bare instanceof z.ZodUnion ? optionFor(bare, value) : undefined
  return change(value, { ...(option && metaOf(option)), ...metaOf(schema) }, path, false)
}

function mapChild(
  schema: z.ZodType,
  whole: unknown,
  key: string | number,
  item: unknown,
  change: Parameters<typeof mapLeaves>[2],
  path: Path,
): unknown {
  const child = childOf(schema, key, whole)
  return child === undefined ? item : mapLeaves(child, item, change, [...path, key])
}

/** What a schema accepts, in words: `an integer from 0 to 65535`, `one of "tls", "starttls"`. */
export function syntaxOf(schema: z.ZodType): string {
  const syntax = metaOf(schema).syntax
  if (syntax !== undefined) return syntax
  const bare = unwrap(schema)
  const values = allowedValues(bare)
  if (values !== undefined) return values.length === 1 ? quoted(values) : `one of ${quoted(values)}`
  if (bare instanceof z.ZodBoolean) return 'true or false'
  if (bare instanceof z.ZodNumber) return numberSyntax(bare)
  if (bare instanceof z.ZodString) return bare.minLength ? 'a non-empty string' : 'a string'
  if (bare instanceof z.ZodUnion) return bare.options.map(option => syntaxOf(asClassic(option))).join(' or ')
  if (bare instanceof z.ZodArray) return arraySyntax(bare)
  return 'a table'
}

/** The values of an enum or literal, or undefined. */
export function allowedValues(schema: z.ZodType): (string | number | boolean)[] | undefined {
  const bare = unwrap(schema)
  if (bare instanceof z.ZodEnum) return [...bare.options]
  if (bare instanceof z.ZodLiteral) return [...bare.values].filter(isScalar)
  return undefined
}

/** The same table with no default anywhere: what a part of the file may override. */
export function withoutDefaults<S extends z.ZodType>(schema: S): z.ZodType<z.input<S>> {
  return stripped(schema) as z.ZodType<z.input<S>> // A schema without defaults gives out what it takes in.
}

function stripped(schema: z.ZodType): z.ZodType {
  const bare = unwrap(schema)
  const keys = keysOf(bare)
  if (keys === undefined) return isOptional(schema) ? withMeta(bare.optional(), noted(schema)) : schema
  // A table without defaults stays itself, and so keeps its rules across keys, which rebuilding would lose.
  const table = hasDefaults(bare) ? z.strictObject(mapEntries(keys, stripped)) : bare
  return withMeta(isOptional(schema) ? table.optional() : table, noted(schema))
}

function hasDefaults(schema: z.ZodType): boolean {
  const isDefault = schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault
  return isDefault || Object.values(keysOf(schema) ?? {}).some(hasDefaults)
}

function mapEntries(keys: Record<string, z.ZodType>, change: (schema: z.ZodType) => z.ZodType) {
  return Object.fromEntries(Object.entries(keys).map(([key, child]) => [key, change(child)]))
}

/** Documentation of an option whose default is taken away. */
function noted(schema: z.ZodType): OptionMeta {
  return { ...metaOf(schema), ...(keysOf(schema) ? {} : { unset: 'what holds for the whole server' }) }
}

function withMeta(schema: z.ZodType, meta: OptionMeta): z.ZodType {
  return schema.meta({ ...meta })
}

/** TOML's word for the type of a value. */
export function kindOf(value: unknown): string {
  if (Array.isArray(value)) return 'array'
  if (value instanceof Date) return 'date'
  if (typeof value === 'bigint') return 'number'
  return typeof value === 'object' ? 'table' : typeof value
}

/** True for a table. */
export function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date)
}

/** The kinds of value that a schema can accept. */
export function kindsOf(schema: z.ZodType): string[] {
  const bare = unwrap(schema)
  const values = allowedValues(bare)
  if (values !== undefined) return values.map(kindOf)
  if (bare instanceof z.ZodBoolean) return ['boolean']
  if (bare instanceof z.ZodNumber) return ['number']
  if (bare instanceof z.ZodString) return ['string']
  if (bare instanceof z.ZodArray) return ['array']
  if (bare instanceof z.ZodUnion) return bare.options.flatMap(option => kindsOf(asClassic(option)))
  return ['table']
}

/** The option of a union that the value is meant for: the first of its kind. */
function optionFor(union: z.ZodUnion, value: unknown): z.ZodType | undefined {
  const kind = kindOf(value)
  return union.options.map(asClassic).find(option => kindsOf(option).includes(kind))
}

function innerOf(schema: z.ZodType): z.ZodType | undefined {
  if (schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault || schema instanceof z.ZodOptional) {
    return asClassic(schema.def.innerType)
  }
  return undefined
}

/** zod types what is nested by its core; all of ours is built by the classic API. */
function asClassic(schema: z.core.$ZodType): z.ZodType {
  return schema as z.ZodType
}

function numberSyntax(schema: z.ZodNumber): string {
  const { minValue: min, maxValue: max } = schema
  if (max !== null && max < Number.MAX_SAFE_INTEGER) return `an integer from ${min ?? 0} to ${max}`
  if (min === 1) return 'a positive integer'
  if (min === 0) return 'an integer of 0 or more'
  return schema.format === 'safeint' ? 'an integer' : 'a number'
}

function arraySyntax(schema: z.ZodArray): string {
  const element = asClassic(schema.element)
  const least = schema.def.checks?.some(check => check instanceof z.core.$ZodCheckMinLength)
    ? 'a non-empty array'
    : 'an array'
  return keysOf(element) ? `${least} of tables` : `${least} of: ${syntaxOf(element)}`
}

function quoted(values: readonly unknown[]): string {
  return values.map(value => JSON.stringify(value)).join(', ')
}

function isScalar(value: unknown): value is string | number | boolean {
  return ['string', 'number', 'boolean'].includes(typeof value)
}
