import { execFile, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import ts from 'typescript'
import { patience } from '../support/programs.js'
import type { Block } from './blocks.js'

/*
 * The programs of a page, in a folder where the packages that they name are installed: ours as it is built.
 */

export const repository = join(import.meta.dirname, '../..')

/** A folder in which `meerkat-xmpp` and what else the pages take are installed, with files. */
export function folderWith(files: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(tmpdir(), 'meerkat-docs-'))
  mkdirSync(join(folder, 'node_modules/@types'), { recursive: true })
  symlinkSync(repository, join(folder, 'node_modules/meerkat-xmpp'))
  for (const name of ['koa', 'nact', 'vitest', '@types/koa', '@types/node']) {
    symlinkSync(join(repository, 'node_modules', name), join(folder, 'node_modules', name))
  }
  for (const [name, text] of Object.entries({ 'package.json': '{ "type": "module" }', ...files })) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), text)
  }
  return folder
}

/** Whether a block is code, to be run. */
export const isCode = ({ language, isRun }: Block): boolean => isRun && ['js', 'ts'].includes(language)
/** Whether it is a test of `node:test` or vitest, to be run by that. */
export const isTest = (block: Block): boolean => isCode(block) && /from '(node:test|vitest)'/.test(block.text)

/** Where a block stands as a program: where nothing says otherwise, it is called by its line. */
const fileOf = (folder: string, { file, line, language }: Block) => join(folder, file ?? `line-${line}.${language}`)

/** Writes the code of a page into a folder: in JavaScript, with ports that are free. What is in TypeScript is there twice. */
export function written(folder: string, blocks: readonly Block[]): Map<Block, string> {
  return new Map(
    blocks.filter(isCode).map(block => {
      const file = fileOf(folder, block)
      const text = block.text.replaceAll(/\b(port: |\.listen\()\d+(?![\d_])/g, '$10')
      writeFileSync(file, text)
      if (block.language !== 'ts') return [block, file]
      const script = file.replace(/\.ts$/, '.js')
      writeFileSync(
        script,
        ts.transpileModule(text, { compilerOptions: { target: ts.ScriptTarget.ES2023 } }).outputText,
      )
      return [block, script]
    }),
  )
}

/** What became of a program. */
export interface Outcome {
  readonly lines: readonly string[]
  readonly error: string | undefined
}

/** Runs files one after the other in one process; resolves with what became of each when that has ended. */
export async function runPrograms(files: readonly string[]): Promise<Map<string, Outcome>> {
  const runner = join(import.meta.dirname, 'run-programs.js')
  const child = fork(runner, files, { stdio: 'pipe', execArgv: [], timeout: 2 * patience, killSignal: 'SIGKILL' })
  const outcomes = new Map<string, Outcome>()
  child.on('message', ({ file, ...outcome }: Outcome & { file: string }) => void outcomes.set(file, outcome))
  let text = ''
  for (const channel of [child.stdout, child.stderr]) {
    channel?.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
    })
  }
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null] // as the event is documented
  if (code === 0) return outcomes
  throw new Error(`after ${[...outcomes.keys()].at(-1)} the programs ended with ${code ?? signal}:\n${text}`)
}

/** Runs a file that is a test; resolves with what it said where it fails. */
export async function runTest(file: string, runner: 'node:test' | 'vitest'): Promise<string | undefined> {
  const before = runner === 'vitest' ? [join(repository, 'node_modules/vitest/vitest.mjs'), 'run'] : []
  // One that finds itself inside of another one would report to that.
  const { NODE_TEST_CONTEXT: _, VITEST: __, ...env } = process.env
  const options = { cwd: dirname(file), timeout: 2 * patience, env }
  return promisify(execFile)(process.execPath, [...before, file], options).then(
    () => undefined,
    ({ message, stdout, stderr }) => `${message}\n${stdout}${stderr}`,
  )
}

/** What the comments `// → ...` in a program say that it prints; `…` stands for anything. */
export const promised = (text: string): string[] =>
  [...text.matchAll(/\/\/ → (.+)$/gm)].map(([, line = '']) =>
    line
      .split('…')
      .map(part => part.replaceAll(/[$()*+.?[\\\]^{|}]/g, '\\$&'))
      .join('.*'),
  )

const compilerOptions = (folder: string, settings: object) =>
  ts.convertCompilerOptionsFromJson(
    { ...settings, noEmit: true, allowJs: true, skipLibCheck: true, moduleDetection: 'force', types: ['node'] },
    folder,
  )

/** Where the compiler finds the types of a package, for a file in a folder. */
export function typesOf(folder: string, name: string, settings: object): string | undefined {
  const { options } = compilerOptions(folder, settings)
  const mode = options.module === ts.ModuleKind.NodeNext ? ts.ModuleKind.ESNext : undefined
  const from = join(folder, 'program.ts')
  return ts.resolveModuleName(name, from, options, ts.sys, undefined, undefined, mode).resolvedModule?.resolvedFileName
}

/** What the compiler says about files in a folder. */
export function typeProblems(folder: string, files: readonly string[], settings: object): string[] {
  const { options, errors } = compilerOptions(folder, settings)
  const found = [...errors, ...ts.getPreEmitDiagnostics(ts.createProgram(files, options))]
  return found.map(({ file, start = 0, messageText }) => {
    const place = file === undefined ? '' : `${file.fileName}:${file.getLineAndCharacterOfPosition(start).line + 1}: `
    return `${place}${ts.flattenDiagnosticMessageText(messageText, '\n')}`
  })
}
