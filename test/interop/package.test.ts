import { execFile } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { beforeAll, describe, expect, it } from 'vitest'

/*
 * What a stranger gets: the packed package, installed in a folder that has nothing else.
 */

const repository = join(import.meta.dirname, '../..')
const compiler = join(repository, 'node_modules/typescript/bin/tsc')
const folder = mkdtempSync(join(tmpdir(), 'meerkat-package-'))

/** Runs a program in the folder; rejects with what it said where it fails, or takes more than two minutes. */
async function run(program: string, ...parameters: string[]): Promise<string> {
  const options = { cwd: folder, timeout: 120_000, encoding: 'utf8' as const }
  const { stdout } = await promisify(execFile)(program, parameters, options).catch((error: { stdout?: string }) => {
    throw new Error(`${String(error)}\n${error.stdout ?? ''}`, { cause: error })
  })
  return stdout
}

beforeAll(async () => {
  await run('npm', 'pack', repository, '--ignore-scripts', '--silent')
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  const [tarball] = readdirSync(folder).filter(name => name.endsWith('.tgz'))
  await run('npm', 'install', '--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund', `./${tarball}`)
  return () => rmSync(folder, { recursive: true })
}, 300_000)

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
  ])('has types for module %s, moduleResolution %s', async (module, resolution) => {
    cpSync(join(import.meta.dirname, 'package/use.ts'), join(folder, 'use.ts'))
    const types = ['--types', 'node', '--typeRoots', join(repository, 'node_modules/@types')]
    const how = ['--module', module, '--moduleResolution', resolution, '--target', 'es2023', ...types]
    // Only what other packages say in their own declarations is left unread.
    await run(process.execPath, compiler, '--noEmit', '--strict', '--skipLibCheck', ...how, 'use.ts')
  })

  it('runs an example, whose module it finds by its path', async () => {
    cpSync(join(repository, 'examples/module'), join(folder, 'module'), { recursive: true })
    expect(existsSync(join(folder, 'node_modules/.bin/meerkat'))).toBe(true)
    const said = await run('npx', '--no-install', 'meerkat', 'check', '--config', 'module/meerkat.toml')
    expect(said).toContain('the configuration is good')
  })
})
