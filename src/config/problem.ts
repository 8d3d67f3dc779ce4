import type { Path } from './schema.js'

/** What can be wrong with a configuration. spec/listeners.md §1.1 */
export type ProblemCode =
  | 'syntax_error'
  | 'unexpected_option'
  | 'malformed_option'
  | 'missing_option'
  | 'incorrect_value'
  | 'undefined_reference'
  | 'duplicate_listener'
  | 'not_supported'
  | 'not_supported_yet'

/** Something wrong in a configuration, before it has a place in the file. */
export interface Finding {
  path: Path
  /** What sort of mistake it is. */
  code: ProblemCode
  /** What was found and what is allowed, in one line. */
  message: string
  /** The offending value: scalars and arrays of scalars only, and never a secret. */
  value?: unknown
  /** The allowed values, where they can be listed. */
  allowed?: readonly (string | number | boolean)[]
  /** What was probably meant. */
  suggestion?: string
}

/** What a rule across keys found; `because` names the keys that it was derived from, when they are others than its path. */
export interface RuleFinding extends Finding {
  because?: readonly Path[]
}

/** One problem of a configuration, as `meerkat check --json` prints it. */
export interface Problem extends Omit<Finding, 'path'> {
  /** The file, or 'configuration' when it was given as an object. */
  file: string
  /** From 1; 0 when there is no file. */
  line: number
  /** From 1, in UTF-16 units; 0 when there is no file. */
  column: number
  /** Such as `listen.c2s[1].tls.ciphers`. */
  path: string
}

/** An option that is accepted without effect. */
export interface Notice {
  path: string
  message: string
}

/** A configuration that cannot be used; `problems` are all that is wrong with it. */
export class ConfigError extends Error {
  /** Always `ConfigError`. */
  override name = 'ConfigError'
  constructor(
    /** In the order of the file. */
    readonly problems: readonly Problem[],
  ) {
    super(problems.map(formatProblem).join('\n'))
  }
}

/** `file:line:col  path  code  message`, without the place where there is none. */
export function formatProblem(problem: Problem): string {
  const { file, line, column, path, code, message } = problem
  const place = line === 0 ? file : `${file}:${line}:${column}`
  return [place, path, code, message].filter(part => part !== '').join('  ')
}

/** A path as text: `listen.c2s[1].tls.ciphers`; keys that TOML would quote are quoted. */
export function formatPath(path: Path): string {
  return path.reduce<string>((text, key) => {
    if (typeof key === 'number') return `${text}[${key}]`
    const word = /^[\w-]+$/.test(key) ? key : JSON.stringify(key)
    return text === '' ? word : `${text}.${word}`
  }, '')
}
