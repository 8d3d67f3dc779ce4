import { dirname, resolve } from 'node:path'
import type { z } from 'zod'
import { harmlessNotices } from './harmless.js'
import { findingsOf } from './issues.js'
import { resolveJwtSecrets } from './jwt-secret.js'
import { KeyIndex } from './locate.js'
import { mended } from './mend.js'
import { refusals } from './not-yet.js'
import { once, preparedDomain } from './primitives.js'
import { ConfigError, type Finding, formatPath, type Notice, type Problem, type RuleFinding } from './problem.js'
import { type Document, type Environment, parseToml, readDocument } from './read-data.js'
import { referenceFindings } from './references.js'
import { type Config, configSchema, type FileConfig, type ModuleOptions } from './root.js'
import { ruleFindings } from './rules.js'
import { mapLeaves, type Path } from './schema.js'

/** A configuration as text: `file` is its path, used in messages and for what is relative to it. */
export interface TextSource {
  file: string
  text: string
}
/** A configuration as an object; relative paths in it are relative to `folder`. */
export interface ObjectSource {
  object: unknown
  folder: string
}

export interface LoadOptions {
  /** The modules that are built. */
  modules: readonly ModuleOptions[]
  /** Variables that strings of a file may use, and those that `auth.jwt.secret.env` names; in objects only the latter. */
  env?: Environment
  /** What was found wrong while the modules were loaded. */
  findings?: readonly Finding[]
  /** False leaves out what is `not_supported` and `not_supported_yet`: for tests of the grammar alone. */
  refusesUnbuilt?: boolean
}

export interface Loaded {
  /** Undefined when there are problems. */
  config: Config | undefined
  /** All of them, in the order of the file. */
  problems: Problem[]
  /** Options that are accepted without effect; one info line each. */
  notices: Notice[]
  /** Gives later findings (of files that the configuration names) their place. */
  located(findings: readonly Finding[]): Problem[]
}

/** Reads a configuration: everything that is wrong with it, or the frozen value that the server runs on. Pure; never throws. */
export function loadConfig(source: TextSource | ObjectSource, options: LoadOptions): Loaded {
  if ('object' in source) return loadData(source.object, source.folder, 'configuration', undefined, options)
  const text = source.text.replace(/^\uFEFF/, '')
  const parsed = parseToml(text)
  if ('fault' in parsed) {
    const { line, column, message } = parsed.fault
    const problem: Problem = { file: source.file, line, column, path: '', code: 'syntax_error', message }
    return { config: undefined, problems: [problem], notices: [], located: () => [] }
  }
  return loadData(parsed.data, dirname(source.file), source.file, new KeyIndex(text), options)
}

/** As `loadConfig`, for who cannot go on without. Throws ConfigError. */
export function loadConfigOrThrow(source: TextSource | ObjectSource, options: LoadOptions) {
  const { config, problems, notices } = loadConfig(source, options)
  if (config === undefined) throw new ConfigError(problems)
  return { config, notices }
}

function loadData(
  parsed: unknown,
  folder: string,
  file: string,
  index: KeyIndex | undefined,
  options: LoadOptions,
): Loaded {
  const { modules } = options
  const document = readDocument(parsed, index === undefined ? undefined : (options.env ?? {}))
  const variables = resolveJwtSecrets(document.data, options.env ?? {})
  const schema = configSchema(modules)
  const result = schema.safeParse(document.data, once)
  const whole = result.success ? result.data : mended(schema, document.data)

  const found: Finding[] = [...document.findings, ...variables, ...(options.findings ?? [])]
  if (!result.success) add(found, findingsOf(result.error.issues, schema, document.data))
  add(found, referenceFindings(schema, document.data))
  if (whole !== undefined) add(found, ruleFindings(whole))
  if (options.refusesUnbuilt !== false) {
    const wrong = found.map(finding => finding.path)
    const unbuilt = refusals(document.data, modules)
    found.push(
      ...unbuilt.filter(({ path }) => !wrong.some(other => other.length <= path.length && isRelated(other, path))),
    )
  }

  const located = (findings: readonly Finding[]) => problemsOf(findings, file, index, document)
  if (found.length > 0 || !result.success) return { config: undefined, problems: located(found), notices: [], located }
  return {
    config: frozen(completed(inOrder(result.data, document.data), schema, folder, modules)),
    problems: [],
    notices: harmlessNotices(document.data),
    located,
  }
}

/** Findings with their places, in the order of the file. */
function problemsOf(
  findings: readonly Finding[],
  file: string,
  index: KeyIndex | undefined,
  document: Document,
): Problem[] {
  const problems = findings.map(({ path, ...finding }) => {
    const origin = document.originOf(path)
    const place = index?.placeOf(origin) ?? { line: 0, column: 0 }
    return { file, ...place, path: formatPath(origin), ...finding }
  })
  return problems.sort((a, b) => a.line - b.line || a.column - b.column)
}

/** Adds what does not speak of something that is known to be wrong already. */
function add(found: Finding[], more: readonly RuleFinding[]) {
  const known = found.map(finding => finding.path)
  for (const { because = [], ...finding } of more) {
    if (![finding.path, ...because].some(path => known.some(other => isRelated(path, other)))) found.push(finding)
  }
}

/** True when one path lies on the way to the other. */
function isRelated(a: Path, b: Path): boolean {
  const length = Math.min(a.length, b.length)
  return a.slice(0, length).every((key, index) => key === b[index])
}

/** The types of handlers of each HTTP listener as the file has them: the first that can answer does. spec/http-listener.md HP-5 */
function inOrder(config: FileConfig, data: unknown): FileConfig {
  // The cast: what has passed the schema has its shape.
  const given = (data as { listen?: { http?: { handlers?: object }[] } }).listen?.http ?? []
  const http = config.listen.http.map((listener, index) => {
    const { handlers } = listener
    const order = Object.keys(given[index]?.handlers ?? {})
    const sorted = Object.entries(handlers).sort(([one], [other]) => order.indexOf(one) - order.indexOf(other))
    return { ...listener, handlers: Object.fromEntries(sorted) as typeof handlers } // the same entries
  })
  return { ...config, listen: { ...config.listen, http } }
}

/** Paths made absolute, domains prepared, modules of a file without `[modules]` filled in. */
function completed(config: FileConfig, schema: z.ZodType, folder: string, modules: readonly ModuleOptions[]): Config {
  const prepared = mapLeaves(schema, config, (value, meta) => {
    if (typeof value !== 'string') return value
    if (meta.prepare === 'path') return resolve(folder, value)
    return meta.prepare === 'domain' ? (preparedDomain(value) ?? value) : value
  }) as FileConfig // The leaves changed, and those from string to string.
  return { ...prepared, modules: prepared.modules ?? shippedModules(modules) }
}

function shippedModules(modules: readonly ModuleOptions[]): Record<string, unknown> {
  const shipped = modules.filter(module => module.shipped !== false)
  return Object.fromEntries(shipped.map(module => [module.name, module.config.parse(module.shipped || {}, once)]))
}

function frozen<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value)
    for (const item of Object.values(value)) frozen(item)
  }
  return value
}
