import { execFile } from 'node:child_process'
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { beforeAll, describe, expect, it } from 'vitest'
import { runExamples } from './package-examples.js'

/*
 * What a stranger gets: the packed package, installed in a folder that has nothing else.
 */

const repository = join(import.meta.dirname, '../..')
const compiler = join(repository, 'node_modules/typescript/bin/tsc')
const folder = mkdtempSync(join(tmpdir(), 'meerkat-package-'))
const versions = (path: string): Readonly<Record<string, string>> => {
  const { dependencies, devDependencies } = JSON.parse(readFileSync(join(repository, path), 'utf8')) // it is npm's
  return { ...dependencies, ...devDependencies }
}
/** What the examples need besides, in the versions that are tested here. */
const others = Object.entries({ ...versions('package.json'), ...versions('test/interop/package.json') })
  .filter(([name]) =>
    ['koa', 'nact', '@xmpp/client', '@types/koa', '@types/node', '@types/xmpp__client'].includes(name),
  )
  .map(([name, version]) => `${name}@${version}`)

/** Runs a program in the folder; rejects with what it said where it fails, or takes more than two minutes. */
async function run(program: string, ...parameters: string[]): Promise<string> {
  const options = { cwd: folder, timeout: 120_000, encoding: 'utf8' as const }
  const { stdout } = await promisify(execFile)(program, parameters, options).catch((error: { stdout?: string }) => {
    throw new Error(`${String(error)}\n${error.stdout ?? ''}`, { cause: error })
  })
  return stdout
}

const compile = (...parameters: string[]) => run(process.execPath, compiler, ...parameters)

beforeAll(async () => {
  await run('npm', 'pack', repository, '--ignore-scripts', '--silent')
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  const [tarball] = readdirSync(folder).filter(name => name.endsWith('.tgz'))
  const how = ['--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund']
  await run('npm', 'install', ...how, `./${tarball}`, ...others)
  copyExamples('javascript', /\.(?:js|toml)$/)
  copyExamples('typescript', /\.(?:ts|toml)$/)
  cpSync(join(folder, 'typescript/module/meerkat.toml'), join(folder, 'compiled/module/meerkat.toml'))
  cpSync(join(import.meta.dirname, 'package/use.ts'), join(folder, 'use.ts'))
  cpSync(join(repository, 'examples/tsconfig.json'), join(folder, 'typescript/tsconfig.json'))
  return () => rmSync(folder, { recursive: true })
}, 300_000)

/** Takes the examples out of the package. */
function copyExamples(to: string, files: RegExp): void {
  const from = join(folder, 'node_modules/meerkat-xmpp/examples')
  for (const name of readdirSync(from, { recursive: true, encoding: 'utf8' })) {
    if (files.test(name)) cpSync(join(from, name), join(folder, to, name))
  }
}

describe('the packed package', () => {
  it('has every entry, for plain JavaScript', async () => {
    const script = `
      for (const entry of ['', '/actors', '/client', '/testing']) {
        const names = Object.keys(await import('meerkat-xmpp' + entry))
        if (names.length === 0) throw new Error(entry)
        console.log(names.join())
      }`
    const said = await run(process.execPath, '--input-type=module', '--eval', script)
    const entries = said.trim().split('\n')
    for (const [index, name] of ['startServer', 'spawnActor', 'createClient', 'startTestServer'].entries()) {
      expect(entries[index]?.split(',')).toContain(name)
    }
  })

  it.each([
    ['nodenext', 'nodenext'],
    ['esnext', 'bundler'],
  ])('has types for module %s, moduleResolution %s, with which programs compile', async (module, resolution) => {
    const how = ['--module', module, '--moduleResolution', resolution, '--target', 'es2023', '--types', 'node']
    // `npm run docs:api` reads the declarations themselves.
    await compile('--noEmit', '--strict', '--skipLibCheck', ...how, 'use.ts')
  })

  it('has no types of what is internal', () => {
    const said = readFileSync(join(folder, 'node_modules/meerkat-xmpp/dist/modules/module.d.ts'), 'utf8')
    expect(said).toContain('onIq(')
    expect(said).not.toContain('routing: Routing')
  })
})

describe('the examples in plain JavaScript', () => {
  runExamples(join(folder, 'javascript'))
})

describe('the examples, compiled from TypeScript', () => {
  beforeAll(() => compile('-p', 'typescript', '--outDir', 'compiled'), 120_000)

  it('have types for bundlers too', async () => {
    await compile('--noEmit', '-p', 'typescript', '--module', 'esnext', '--moduleResolution', 'bundler')
  })

  runExamples(join(folder, 'compiled'))
})
