import toml from '@iarna/toml'
import type { Finding } from './problem.js'
import { isTable, type Path } from './schema.js'

/*
 * From the text of a file to plain data, before any schema is asked.
 */

/** Variables that `${NAME}` may stand for. */
export type Environment = Readonly<Record<string, string | undefined>>

/** Plain tables, arrays and scalars, and what was wrong on the way. */
export interface Document {
  data: Record<string, unknown>
  findings: Finding[]
  /** The spelling in the file of a path that was renamed. */
  originOf(path: Path): Path
}

/** A text that is not TOML: `message` says why, `line` and `column` (from 1) where. */
export interface SyntaxFault {
  line: number
  column: number
  message: string
}

/** Deeper values than any option has are refused, so that no later step need fear for its stack. */
const MAX_DEPTH = 32

/** Parses TOML; the one place that knows the parser. */
export function parseToml(text: string): { data: unknown } | { fault: SyntaxFault } {
  try {
    return { data: toml.parse(text) }
  } catch (error) {
    return { fault: faultOf(error) }
  }
}

/** Makes plain data of what the parser or a caller gave: variables replaced (when `env` is given), newer spellings renamed. */
export function readDocument(parsed: unknown, env?: Environment): Document {
  const findings: Finding[] = []
  const data = plain(parsed, [], findings, env)
  const renamed = rename(isTable(data) ? data : {})
  return { ...renamed, findings }
}

/** What the parser throws: row and column stand in fields, and again at the end of the text. */
function faultOf(error: unknown): SyntaxFault {
  const { line, col, message } = Object(error) as { line?: unknown; col?: unknown; message?: unknown }
  return {
    line: typeof line === 'number' ? line + 1 : 1,
    column: typeof col === 'number' ? col + 1 : 1,
    message: String(message ?? error)
      .split(' at row ')[0]!
      .split('\n')[0]!,
  }
}

function plain(value: unknown, path: Path, findings: Finding[], env?: Environment): unknown {
  if (typeof value === 'string') return env === undefined ? value : expanded(value, path, findings, env)
  if (value instanceof Date || typeof value !== 'object' || value === null) return value
  if (path.length > MAX_DEPTH) {
    findings.push({ path, code: 'malformed_option', message: `nested deeper than ${MAX_DEPTH} levels` })
    return undefined
  }
  if (Array.isArray(value)) return value.map((item, index) => plain(item, [...path, index], findings, env))
  const table: Record<string, unknown> = {}
  for (const [key, item] of Object.entries(value)) {
    // An ordinary, unknown key in TOML; in JavaScript it would change what the table is.
    if (key === '__proto__') findings.push({ path: [...path, key], code: 'unexpected_option', message: 'unknown key' })
    else if (item !== undefined) table[key] = plain(item, [...path, key], findings, env)
  }
  return table
}

/** `${NAME}`, `${NAME:-default}` and the literal `$${`. */
const VARIABLE = /\$\$\{|\$\{(?:([A-Za-z_]\w*)(?::-([^}]*))?\})?/g

function expanded(text: string, path: Path, findings: Finding[], env: Environment): string {
  return text.replace(VARIABLE, (found: string, name: string | undefined, fallback: string | undefined) => {
    if (found === '$${') return '${'
    if (name === undefined) {
      findings.push({
        path,
        code: 'incorrect_value',
        message: '"${" starts no variable; a literal "${" is written "$${"',
      })
      return found
    }
    const value = env[name]
    if (fallback !== undefined) return value === undefined || value === '' ? fallback : value
    if (value === undefined) {
      findings.push({ path, code: 'incorrect_value', message: `the variable ${name} is not set and has no default` })
    }
    return value ?? ''
  })
}

/** Newer spellings of handler types. DESIGN §6 */
const HANDLER_SPELLINGS: Readonly<Record<string, string>> = {
  mongoose_bosh_handler: 'mod_bosh',
  mongoose_websocket_handler: 'mod_websockets',
}

/** Moves what is spelt in the newer way to where the older spelling has it. Members of arrays keep their order. */
function rename(data: Record<string, unknown>): Pick<Document, 'data' | 'originOf'> {
  const origins = new Map<string, Path>()
  const listen = data.listen
  if (isTable(listen)) {
    move(listen, 'component', 'service', ['listen'], origins)
    const https = Array.isArray(listen.http) ? listen.http : []
    https.forEach((listener, index) => {
      if (!isTable(listener) || !isTable(listener.handlers)) return
      for (const [newer, older] of Object.entries(HANDLER_SPELLINGS)) {
        move(listener.handlers, newer, older, ['listen', 'http', index, 'handlers'], origins)
      }
    })
  }
  return { data, originOf: path => originOf(path, origins) }
}

function move(table: Record<string, unknown>, newer: string, older: string, at: Path, origins: Map<string, Path>) {
  if (!Object.hasOwn(table, newer)) return
  const moved = table[newer]
  delete table[newer]
  if (Object.hasOwn(table, older) && !Array.isArray(table[older])) return // The older one is wrong already.
  const before = Array.isArray(table[older]) ? table[older] : []
  if (!Array.isArray(moved)) {
    // Not an array: that is for the schema to say, of the spelling that was used.
    table[older] = moved
    origins.set(JSON.stringify([...at, older]), [...at, newer])
    return
  }
  table[older] = [...before, ...moved]
  if (before.length === 0) origins.set(JSON.stringify([...at, older]), [...at, newer])
  moved.forEach((_, index) => {
    origins.set(JSON.stringify([...at, older, before.length + index]), [...at, newer, index])
  })
}

function originOf(path: Path, origins: Map<string, Path>): Path {
  if (origins.size === 0) return path
  for (let length = path.length; length > 0; length--) {
    const origin = origins.get(JSON.stringify(path.slice(0, length)))
    if (origin !== undefined) return [...origin, ...path.slice(length)]
  }
  return path
}
