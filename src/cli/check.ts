import { loadConfigFile } from '../config/load-file.js'
import { type Finding, formatProblem, type Problem } from '../config/problem.js'
import type { ModuleOptions } from '../config/root.js'
import { exitCode, type Output } from './args.js'
import { fileFindings } from './check-files.js'

export interface CheckOptions {
  file: string
  json: boolean
  /** Certificates that are missing are fine: `start --dev` makes them. */
  dev: boolean
  env: Readonly<Record<string, string | undefined>>
  modules: readonly ModuleOptions[]
  /** What was wrong with packages of modules. */
  findings?: readonly Finding[]
}

/** `meerkat check`: all that is wrong with a configuration file and the files that it names. Resolves with the exit code. */
export async function runCheck(options: CheckOptions, output: Output): Promise<number> {
  const { file, json } = options
  const { config, problems, located } = loadConfigFile(file, options)
  const all = config === undefined ? problems : located(await fileFindings(config, options.dev))
  report(file, all, json, output)
  return all.length === 0 ? exitCode.good : exitCode.user
}

function report(file: string, problems: readonly Problem[], isJson: boolean, output: Output) {
  const isOk = problems.length === 0
  if (isJson) return output.out(JSON.stringify({ ok: isOk, problems }))
  if (isOk) return output.out(`${file}: the configuration is good`)
  for (const problem of problems) output.out(formatProblem(problem))
}
