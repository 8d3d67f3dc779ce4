/*
 * Writes the plain JavaScript beside each example in TypeScript, or with --check tells what is out of date. Run by `npm run examples` and
 * `npm run examples:check`. What the compiler leaves is formatted by Biome; the blank lines that the compiler drops are kept.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import ts from 'typescript'

const repository = join(import.meta.dirname, '..')
const biome = join(repository, 'node_modules/.bin/biome')
const blank = '//blank'

/** The JavaScript of an example. */
function javaScript(file, target) {
  const marked = readFileSync(file, 'utf8').replace(/^\n/gm, `${blank}\n`)
  const { outputText } = ts.transpileModule(marked, {
    fileName: file,
    compilerOptions: {
      target: ts.ScriptTarget.ES2023,
      module: ts.ModuleKind.ESNext,
      verbatimModuleSyntax: true,
      rewriteRelativeImportExtensions: true,
    },
  })
  const bare = outputText.replace(/^\s*\/\/blank$/gm, '')
  const how = ['format', '--stdin-file-path', relative(repository, target)]
  return execFileSync(biome, how, { cwd: repository, input: bare, encoding: 'utf8' })
}

/** Writes the files, unless they are only checked. Gives the names of those that differed. */
function update(isCheck) {
  const folder = join(repository, 'examples')
  const sources = readdirSync(folder, { recursive: true }).filter(
    name => name.endsWith('.ts') && !name.includes('node_modules'),
  )
  return sources
    .map(name => join(folder, name))
    .flatMap(source => {
      const target = source.replace(/ts$/, 'js')
      const text = javaScript(source, target)
      if (existsSync(target) && readFileSync(target, 'utf8') === text) return []
      if (!isCheck) writeFileSync(target, text)
      return [relative(repository, target)]
    })
}

const isCheck = process.argv.includes('--check')
const changed = update(isCheck)
if (isCheck && changed.length > 0) {
  for (const name of changed) process.stderr.write(`${name} is not what its .ts says: run npm run examples\n`)
  process.exitCode = 1
}
