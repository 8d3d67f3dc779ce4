import { type Dirent, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize, relative, sep } from 'node:path'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'

/*
 * The rules of docs/architecture.md that a machine can check: which part may import which, and who may touch what.
 */

const root = join(import.meta.dirname, '..')
const src = join(root, 'src')

/**
 * Every part of src/ and the parts that it may import besides itself; type-only imports count too.
 * A part is a folder, or a file that stands in src/ itself. Nothing points upward in this list, and no row to a neighbour.
 */
const leaves = ['config', 'observability', 'tls']
const rows: Record<string, string[]> = {
  protocols: [],
  // Runs in other people's programs.
  client: [],

  config: ['protocols'],
  observability: ['protocols'],
  tls: ['protocols'],

  storage: ['protocols', ...leaves],
  sessions: ['storage', 'protocols', ...leaves],
  auth: ['storage', 'protocols', ...leaves],

  routing: ['sessions', 'auth', 'storage', 'protocols', ...leaves],
  transports: ['sessions', 'auth', 'storage', 'protocols', ...leaves],

  'actors/runtime': leaves,
  actors: ['actors/runtime', 'routing', 'transports', 'sessions', 'auth', 'storage', 'protocols', ...leaves],
  modules: ['routing', 'transports', 'sessions', 'auth', 'storage', 'protocols', ...leaves],

  operations: ['modules', 'routing', 'sessions', 'auth', 'storage', 'protocols', ...leaves],

  http: ['operations', 'routing', 'transports', 'sessions', 'auth', 'storage', 'protocols', ...leaves],
  control: ['operations', 'auth', 'storage', 'protocols', ...leaves],
}
const server = ['actors', 'actors/runtime', 'control', 'http', 'operations', 'modules', ...(rows.actors ?? [])]
Object.assign(rows, {
  composition: server,
  'server.ts': ['composition', ...server],
  'actors.ts': ['actors/runtime', ...leaves],
  'index.ts': ['server.ts', 'composition', ...server],
  'testing.ts': ['index.ts', 'server.ts', ...server],
  cli: ['index.ts', 'server.ts', ...server],
  'main.ts': ['cli', 'index.ts', 'server.ts', ...server],
})

interface Import {
  file: string
  /** A file below src/ for one of ours, a package or `node:` module otherwise. */
  target: string
  isOurs: boolean
}

const files = filesBelow(src).filter(file => file.endsWith('.ts'))
const imports = files.flatMap(importsOf)

/** Paths of files, relative to `folder` and with slashes. */
function filesBelow(folder: string): string[] {
  return below(folder).flatMap(entry => (entry.isFile() ? relativePath(folder, entry) : []))
}

/** Paths of folders, relative to the repository and with slashes. */
function foldersBelow(folder: string): string[] {
  return below(folder).flatMap(entry => (entry.isDirectory() ? relativePath(root, entry) : []))
}

function below(folder: string): Dirent[] {
  const entries = readdirSync(folder, { withFileTypes: true }).filter(entry => entry.name !== 'node_modules')
  return entries.flatMap(entry => [entry, ...(entry.isDirectory() ? below(join(folder, entry.name)) : [])])
}

function relativePath(from: string, entry: Dirent): string {
  return relative(from, join(entry.parentPath, entry.name)).split(sep).join('/')
}

function textOf(file: string): string {
  return readFileSync(join(src, file), 'utf8')
}

/** Static, dynamic and type-only imports and re-exports. */
function importsOf(file: string): Import[] {
  return ts.preProcessFile(textOf(file), true, true).importedFiles.map(({ fileName }) => {
    const isOurs = fileName.startsWith('.')
    const target = isOurs
      ? normalize(join(dirname(file), fileName))
          .split(sep)
          .join('/')
      : fileName
    return { file, target, isOurs }
  })
}

/** The part of src/ that a file belongs to. */
function partOf(file: string): string {
  if (file.startsWith('actors/runtime/')) return 'actors/runtime'
  return file.split('/')[0]?.replace(/\.js$/, '.ts') ?? file
}

const tell = (one: Import) => `src/${one.file} imports ${one.target}`

describe('the architecture', () => {
  it('sees the sources', () => {
    expect(files).toContain('protocols/namespaces.ts')
    expect(imports.some(one => one.file === 'sessions/session.ts' && one.target === 'protocols/jid.js')).toBe(true)
  })

  it('has a row for every part of src', () => {
    expect([...new Set(files.map(partOf))].filter(part => !(part in rows))).toEqual([])
  })

  it('has no import that points up or to a sibling', () => {
    const wrong = imports.filter(one => {
      const [from, to] = [partOf(one.file), partOf(one.target)]
      return one.isOurs && from !== to && !rows[from]?.includes(to)
    })
    expect(wrong.map(tell)).toEqual([])
  })

  it('imports nact in actors/runtime only', () => {
    const isNact = (target: string) => target === 'nact' || target.startsWith('nact/')
    const wrong = imports.filter(one => isNact(one.target) && partOf(one.file) !== 'actors/runtime')
    expect(wrong.map(tell)).toEqual([])
  })

  it.each([
    ['pg', 'storage/postgres/'],
    ['libsql', 'storage/'],
    ['prom-client', 'http/prometheus/'],
  ])('imports %s in %s only', (name, folder) => {
    const wrong = imports.filter(one => one.target === name && !one.file.startsWith(folder))
    expect(wrong.map(tell)).toEqual([])
  })

  it('imports nothing in client that a browser does not have', () => {
    expect(imports.filter(one => partOf(one.file) === 'client' && !one.isOurs).map(tell)).toEqual([])
    expect(
      files.filter(file => partOf(file) === 'client' && /\b(Buffer|process|require)\b/.test(textOf(file))),
    ).toEqual([])
  })

  it('keeps protocols free of sockets, files, threads, clocks and randomness', () => {
    const effects = /^node:(net|tls|dgram|dns|http|https|http2|fs|child_process|worker_threads|timers|perf_hooks)(\/|$)/
    const wrong = imports.filter(one => partOf(one.file) === 'protocols' && effects.test(one.target))
    expect(wrong.map(tell)).toEqual([])
    const impure =
      /\b(Date\.now|new Date\(\)|performance\.now|Math\.random|randomBytes|randomUUID|setTimeout|setInterval|setImmediate)\b/
    expect(files.filter(file => partOf(file) === 'protocols' && impure.test(textOf(file)))).toEqual([])
  })

  it('reads the environment in main.ts, index.ts and cli only', () => {
    const isAllowed = (file: string) => ['main.ts', 'index.ts', 'cli'].includes(partOf(file))
    const touches = /\bprocess\s*(\.\s*env\b|\[)|\benv\b[^\n]*from 'node:process'|\{[^}]*\benv\b[^}]*\}\s*=\s*process\b/
    expect(files.filter(file => !isAllowed(file) && touches.test(textOf(file)))).toEqual([])
  })

  it('has no folder whose name says nothing', () => {
    const nameless = /(^|\/)(utils?|helpers?|common|types|misc|shared|lib)$/
    const folders = [...foldersBelow(src), ...foldersBelow(join(root, 'test'))]
    expect(folders.filter(folder => nameless.test(folder))).toEqual([])
  })

  it('explains every folder of src in its README.md', () => {
    const known = new Set(filesBelow(src))
    const folders = new Set(files.flatMap(file => parents(file)))
    expect([...folders].filter(folder => !known.has(`${folder}/README.md`)).map(folder => `src/${folder}`)).toEqual([])
  })
})

/** `a/b/c.ts` lies in `a/b` and `a`. */
function parents(file: string): string[] {
  const folder = dirname(file)
  return folder === '.' ? [] : [folder, ...parents(folder)]
}
