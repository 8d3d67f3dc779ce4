import type { z } from 'zod'
import { isTable, metaOf, type Path, schemaAt, valueAt } from './schema.js'

/**
 * The configuration as it would be without its faults: unknown keys gone, every bad or missing value replaced by the documented example
 * of its key. With it the rules across keys can run on a file that has other faults, and say all that is wrong in one run; whatever they
 * find out about a mended key is dropped by the caller. Undefined when the file cannot be mended.
 */
export function mended<S extends z.ZodType>(schema: S, data: unknown): z.infer<S> | undefined {
  const copy: unknown = copyOf(data)
  const tried = new Set<string>()
  // Each round mends at least one key or moves one level up; no table lies deeper than this.
  for (let round = 0; round < 24; round++) {
    const result = schema.safeParse(copy)
    if (result.success) return result.data
    const wrong = new Map<string, Path>()
    for (const issue of result.error.issues) {
      const path = issue.path.filter(key => typeof key !== 'symbol')
      if (issue.code === 'unrecognized_keys') for (const key of issue.keys) remove(copy, [...path, key])
      else wrong.set(JSON.stringify(path), path)
    }
    for (const path of wrong.values()) mend(schema, copy, path, tried)
  }
  return undefined
}

function mend(schema: z.ZodType, copy: unknown, path: Path, tried: Set<string>) {
  for (let length = path.length; length > 0; length--) {
    const here = path.slice(0, length)
    const key = JSON.stringify(here)
    const option = schemaAt(schema, here, copy)
    const example = option && metaOf(option).example
    if (example !== undefined && !tried.has(key)) {
      tried.add(key)
      return put(copy, here, example)
    }
    // Members of arrays are never removed alone: the others would change their index.
    if (typeof here.at(-1) === 'string' && valueAt(copy, here) !== undefined) return remove(copy, here)
  }
}

function put(root: unknown, path: Path, value: unknown) {
  const parent = valueAt(root, path.slice(0, -1))
  const key = path.at(-1)
  if (key !== undefined && (isTable(parent) || Array.isArray(parent))) Reflect.set(parent, key, copyOf(value))
}

function remove(root: unknown, path: Path) {
  const parent = valueAt(root, path.slice(0, -1))
  if (isTable(parent)) Reflect.deleteProperty(parent, String(path.at(-1)))
}

function copyOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(copyOf)
  return isTable(value) ? Object.fromEntries(Object.entries(value).map(([key, item]) => [key, copyOf(item)])) : value
}
