import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { type Page, type Piece, readPage } from './page.js'

/*
 * Whether what a page points to is there: files and headings of links, files by their names, scripts of package.json.
 */

export function linkProblems(page: Page, root: string): Piece[] {
  return page.links.flatMap(({ text, line }) => {
    if (/^[a-z]+:/.test(text)) return []
    const [path = '', anchor] = text.split('#')
    const file = path === '' ? page.file : normalize(join(dirname(page.file), path))
    if (file !== page.file && !existsSync(join(root, file))) return [{ line, text: `${text}: there is no ${file}` }]
    if (anchor === undefined || !file.endsWith('.md')) return []
    const { anchors } = file === page.file ? page : readPage(root, file)
    return anchors.has(anchor) ? [] : [{ line, text: `${text}: ${file} has no such heading` }]
  })
}

const NAMED = /(?<![\w./-])(?:src|test|bench|docs|config|scripts|examples|assets|\.ci)\/[\w./*{},-]*[\w*}]/g

/** Files that are named from the root of the repository, in spans and blocks. `*` and `{a,b}` stand for several. */
export function fileProblems(page: Page, files: readonly string[]): Piece[] {
  return [...page.spans, ...page.blocks.filter(({ language }) => language !== 'text')].flatMap(({ text, line }) =>
    [...text.matchAll(NAMED)]
      .map(match => ({ name: match[0], line: line + text.slice(0, match.index).split('\n').length - 1 }))
      .filter(({ name }) => !files.some(file => patternOf(name, page.file).test(file)))
      .map(({ name, line }) => ({ line, text: `${name}: there is no such file` })),
  )
}

/** Pages below `src/` may leave that away. */
function patternOf(name: string, page: string): RegExp {
  const source = name
    .replace(/\/$/, '')
    .replaceAll('.', '\\.')
    .replace(/\{([^}]*)\}/g, (_, names: string) => `(?:${names.replaceAll(',', '|')})`)
    .replace(/\*+/g, stars => (stars === '*' ? '[^/]*' : '.*'))
  return new RegExp(`^${page.startsWith('src/') ? '(?:src/)?' : ''}${source}(?:/|$)`)
}

/** Everything in the repository that is not installed or made, by its path from the root. */
export function filesOf(root: string, folder = ''): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap(entry => {
    const path = join(folder, entry.name)
    if (/^(?:node_modules|dist|data|\.git)$/.test(entry.name)) return []
    return entry.isDirectory() ? filesOf(root, path) : [path]
  })
}

const NPM = /\bnpm (?:run ([\w:-]+)|(test|start)\b)/g

export function scriptProblems(page: Page, root: string): Piece[] {
  const { scripts } = JSON.parse(readFileSync(`${root}/package.json`, 'utf8')) as { scripts: Record<string, string> }
  return [...page.spans, ...page.blocks].flatMap(({ text, line }) =>
    [...text.matchAll(NPM)]
      .map(match => match[1] ?? match[2] ?? '')
      .filter(name => !(name in scripts))
      .map(name => ({ line, text: `npm run ${name}: package.json has no such script` })),
  )
}
