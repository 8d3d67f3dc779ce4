import { z } from 'zod'
import type { Finding } from './problem.js'
import {
  allowedValues,
  childOf,
  isTable,
  keysOf,
  kindOf,
  kindsOf,
  metaOf,
  type Path,
  schemaAt,
  syntaxOf,
  unwrap,
  valueAt,
} from './schema.js'
import { closest } from './suggest.js'

/*
 * From zod's issues to our findings. Of an issue only the kind and the path are used: what is allowed is read from the schema, so that
 * every message says it in the words of the documentation.
 */

type Issue = z.core.$ZodIssue

/** One finding per thing that is wrong. */
export function findingsOf(issues: readonly Issue[], schema: z.ZodType, data: unknown): Finding[] {
  const found = new Map<string, Finding>()
  for (const issue of issues) {
    for (const finding of findingsOfIssue(issue, [], schema, data)) {
      const key = JSON.stringify(finding.path)
      if (!found.has(key)) found.set(key, finding)
    }
  }
  return [...found.values()]
}

function findingsOfIssue(issue: Issue, base: Path, schema: z.ZodType, data: unknown): Finding[] {
  const path = [...base, ...issue.path.filter(key => typeof key !== 'symbol')]
  if (issue.code === 'unrecognized_keys') return issue.keys.map(key => unknownKey([...path, key], schema, data))
  if (issue.code === 'invalid_union') return unionFindings(issue, path, schema, data)
  if (issue.code === 'invalid_key') {
    return [{ path, code: 'incorrect_value', message: 'a name must be a non-empty string', value: path.at(-1) }]
  }
  return [badValue(path, schema, data, issue.code === 'custom' ? issue.message : undefined)]
}

/** Of the options of a union, the one that the value is meant for says what is wrong; else the union as a whole. */
function unionFindings(issue: z.core.$ZodIssueInvalidUnion, path: Path, schema: z.ZodType, data: unknown): Finding[] {
  const value = valueAt(data, path)
  const nested = issue.errors.filter(errors => errors.every(error => error.path.length > 0))
  if (nested.length !== 1 || value === undefined) return [badValue(path, schema, data)]
  return nested[0]!.flatMap(inner => findingsOfIssue(inner, path, schema, data))
}

function unknownKey(path: Path, schema: z.ZodType, data: unknown): Finding {
  const table = schemaAt(schema, path.slice(0, -1), data)
  const known = Object.keys((table && keysOf(table)) ?? {})
  const key = String(path.at(-1))
  const suggestion = closest(key, known)
  const hint = suggestion === undefined ? listOf(known) : `; did you mean "${suggestion}"?`
  // A misspelt password is still a password.
  const options = Object.values((table && keysOf(table)) ?? {})
  const mayBeSecret =
    /pass|secret|shared|auth|token|key/i.test(`${key} ${suggestion}`) ||
    options.some(option => metaOf(option).secret) ||
    isSecretAt(path, schema, data)
  return {
    path,
    code: 'unexpected_option',
    message: `unknown key${hint}`,
    ...(mayBeSecret ? {} : printable(valueAt(data, path))),
    ...(suggestion === undefined ? {} : { suggestion }),
  }
}

function listOf(known: string[]): string {
  return known.length === 0 || known.length > 24 ? '' : `; known here: ${known.join(', ')}`
}

/** A value that is missing, of the wrong kind or not allowed. `rule` says what is allowed where the schema's type does not. */
function badValue(path: Path, schema: z.ZodType, data: unknown, rule?: string): Finding {
  const option = schemaAt(schema, path, data)
  const syntax = rule ?? (option === undefined ? 'something else' : syntaxOf(option))
  const value = valueAt(data, path)
  if (value === undefined) return { path, code: 'missing_option', message: `missing; needed: ${syntax}` }
  const values = option && allowedValues(option)
  const suggestion = typeof value === 'string' && values ? closest(value, values.map(String)) : undefined
  const refused = option && typeof value === 'string' ? metaOf(option).refused?.[value] : undefined
  const hint = suggestion === undefined || refused !== undefined ? '' : `; did you mean ${JSON.stringify(suggestion)}?`
  return {
    path,
    code: option !== undefined && !isOfKind(option, value) ? 'malformed_option' : 'incorrect_value',
    message: `found ${isForTables(option) ? `${article(kindOf(value))} ${kindOf(value)}` : shown(value, path, schema, data)}; allowed: ${syntax}${hint}${refused === undefined ? '' : ` (${refused})`}`,
    ...(isSecretAt(path, schema, data) || isForTables(option) ? {} : printable(value)),
    ...(values ? { allowed: values } : {}),
    ...(hint === '' || suggestion === undefined ? {} : { suggestion }),
  }
}

/** True when the value has the type that the option wants, whatever its range. */
function isOfKind(option: z.ZodType, value: unknown): boolean {
  if (!kindsOf(option).includes(kindOf(value))) return false
  return typeof value !== 'number' || Number.isInteger(value) || takesFractions(option)
}

function takesFractions(option: z.ZodType): boolean {
  const bare = unwrap(option)
  if (bare instanceof z.ZodUnion) return bare.options.some(one => takesFractions(one as z.ZodType)) // Built by the classic API.
  return bare instanceof z.ZodNumber && bare.format !== 'safeint'
}

/** True where tables belong, in which there may be secrets: what stands in their place is not shown. */
function isForTables(option: z.ZodType | undefined): boolean {
  const bare = option && unwrap(option)
  if (bare instanceof z.ZodArray) return isForTables(bare.element as z.ZodType) // Built by the classic API.
  return bare === undefined || bare instanceof z.ZodObject || bare instanceof z.ZodRecord
}

const article = (word: string) => (/^[aeiou]/.test(word) ? 'an' : 'a')

/** A value as a message shows it. */
function shown(value: unknown, path: Path, schema: z.ZodType, data: unknown): string {
  if (isSecretAt(path, schema, data)) return `a secret ${kindOf(value)}`
  if (value instanceof Date) return 'a date'
  if (isTable(value)) return 'a table'
  if (Array.isArray(value)) return 'value' in printable(value) ? cut(JSON.stringify(value)) : 'an array of tables'
  return typeof value === 'string' ? cut(JSON.stringify(value)) : String(value)
}

function cut(text: string): string {
  return text.length > 120 ? `${text.slice(0, 117)}...` : text
}

/** True when the value at `path` lies in something that is never printed. */
export function isSecretAt(path: Path, schema: z.ZodType, data: unknown): boolean {
  let at: z.ZodType | undefined = schema
  for (const [depth, key] of path.entries()) {
    at = at && childOf(at, key, valueAt(data, path.slice(0, depth)))
    if (at !== undefined && metaOf(at).secret) return true
  }
  return false
}

/** `{ value }` when it may stand in a report: scalars, and arrays of scalars. */
export function printable(value: unknown): { value?: unknown } {
  if (typeof value === 'bigint' || value instanceof Date) return { value: String(value) }
  if (Array.isArray(value)) return value.every(item => typeof item !== 'object') ? { value: value.map(jsonable) } : {}
  return typeof value === 'object' || value === undefined ? {} : { value: jsonable(value) }
}

/** JSON has neither BigInt nor the infinities. */
function jsonable(value: unknown): unknown {
  return typeof value === 'bigint' || (typeof value === 'number' && !Number.isFinite(value)) ? String(value) : value
}
