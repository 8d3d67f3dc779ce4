import { readFileSync } from 'node:fs'
import { type Loaded, type LoadOptions, loadConfig } from './load.js'

/** Reads a configuration file. A file that cannot be read is a problem of its first character. */
export function loadConfigFile(file: string, options: LoadOptions): Loaded {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    const message = `the file cannot be read: ${error instanceof Error ? error.message : String(error)}`
    return {
      config: undefined,
      problems: [{ file, line: 1, column: 1, path: '', code: 'syntax_error', message }],
      notices: [],
      located: () => [],
    }
  }
  return loadConfig({ file, text }, options)
}
