import { z } from 'zod'
import { tomlOf } from '../../src/config/document.js'
import { configSchema } from '../../src/config/root.js'
import { isOptional, keysOf, metaOf, unwrap } from '../../src/config/schema.js'
import { fixtureModules } from './support.js'

/*
 * Builds the smallest file that sets one option: every table on the way to it with its mandatory keys.
 */

export const schema = configSchema(fixtureModules)

/** A file in which `key` (as in docs/configuration.md) is `value` (TOML; undefined: missing), and `extra` lines stand beside it. */
export function fileWith(key: string, value: string | undefined, extra: string[] = []): string {
  const keys = key.split('.')
  const name = keys.at(-1)!
  const lines: string[] = []
  let at: z.ZodType = schema
  if (keys[0] !== 'general') lines.push('[general]', 'hosts = ["localhost"]')
  for (let depth = 0; depth < keys.length - 1; depth++) {
    const step = into(at, keys[depth]!)
    at = step.schema
    const isLast = depth === keys.length - 2
    if (keysOf(at) === undefined) continue
    const header = keys.slice(0, depth + 1).join('.')
    lines.push(step.isList ? `[[${header}]]` : `[${header}]`)
    const given = [...(isLast ? extra.map(line => line.split(/[ .=]/)[0]) : []), keys[depth + 1]]
    lines.push(...mandatory(at, given))
    if (isLast) lines.push(...extra, ...(value === undefined ? [] : [`${name} = ${value}`]))
  }
  return `${lines.join('\n')}\n`
}

/** The path in a report of the option that `fileWith` sets. */
export function reportedPath(key: string): string {
  let at: z.ZodType | undefined = schema
  let isAfterList = false
  let text = ''
  for (const name of key.split('.')) {
    text += `${isAfterList ? '[0]' : ''}${text === '' ? '' : '.'}${name}`
    const step: ReturnType<typeof into> = into(at ?? schema, name)
    at = step.schema
    isAfterList = step.isList
  }
  return text
}

/** What is below `name`, an array's element in place of the array. */
function into(schema: z.ZodType, name: string): { schema: z.ZodType; isList: boolean } {
  const bare = unwrap(schema)
  const child = bare instanceof z.ZodRecord ? (bare.valueType as z.ZodType) : keysOf(bare)?.[name]
  if (child === undefined) return { schema: z.unknown(), isList: false }
  const inner = unwrap(child)
  const isList = inner instanceof z.ZodArray && keysOf(inner.element as z.ZodType) !== undefined
  return { schema: isList ? (inner.element as z.ZodType) : child, isList }
}

function mandatory(table: z.ZodType, given: (string | undefined)[]): string[] {
  return Object.entries(keysOf(table) ?? {})
    .filter(([name, option]) => !isOptional(option) && !given.includes(name))
    .map(([name, option]) => `${name} = ${tomlOf(metaOf(option).example)}`)
}
