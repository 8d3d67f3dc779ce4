import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { expect, it } from 'vitest'

const root = join(dirname(fileURLToPath(import.meta.url)), '../../..')

it('emits declarations that compile for a user who has no typings of nact', () => {
  const emitted = new Map<string, string>()
  const options: ts.CompilerOptions = {
    target: ts.ScriptTarget.ES2023,
    lib: ['lib.es2023.d.ts'],
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    strict: true,
    types: [],
  }
  const sources = ['index.ts', 'nact-modules.d.ts'].map(file => join(root, 'src/actors/runtime', file))
  const build = { ...options, types: ['node'], declaration: true, emitDeclarationOnly: true, noCheck: true }
  ts.createProgram(sources, build).emit(undefined, (path, text) => emitted.set(path, text))
  expect(emitted.size).toBeGreaterThan(10)

  // The user's program sees only what was emitted, each file checked.
  const user = join(root, 'src/actors/runtime/user.ts')
  emitted.set(
    user,
    `import { Actor, createRuntime, spawn, spawnActor } from './index.js'
     class Greeter extends Actor<string> { protected override receive(message: string): void { message.length } }
     const runtime = createRuntime({ onFault: event => { event.action satisfies string } })
     spawnActor(runtime.root, init => new Greeter(init), { name: 'greeter', policy: { restarts: 1, withinMs: 1 } }).tell('hello')
     spawn(runtime.root, { initial: () => 0, receive: (state, add: number) => state + add }).tell(1)`,
  )
  const host = ts.createCompilerHost(options)
  const { fileExists, readFile } = host
  const isSource = (path: string) => path.startsWith(join(root, 'src')) && !emitted.has(path)
  host.fileExists = path => emitted.has(path) || (!isSource(path) && fileExists(path))
  host.readFile = path => emitted.get(path) ?? readFile(path)
  host.getSourceFile = (path, languageVersion) => {
    const text = host.readFile(path)
    return text === undefined ? undefined : ts.createSourceFile(path, text, languageVersion)
  }
  const program = ts.createProgram([user], { ...options, noEmit: true, skipDefaultLibCheck: true }, host)
  const ours = program.getSourceFiles().filter(file => emitted.has(file.fileName))
  expect(ours.length).toBeGreaterThan(10)
  const problems = ours.flatMap(file => [
    ...program.getSyntacticDiagnostics(file),
    ...program.getSemanticDiagnostics(file),
  ])
  expect(problems.map(problem => ts.flattenDiagnosticMessageText(problem.messageText, ' '))).toEqual([])
  for (const [path, text] of emitted) expect([path, /from '(nact|nact\/.*)'/.exec(text)]).toEqual([path, null])
})
