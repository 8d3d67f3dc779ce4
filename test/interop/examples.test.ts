import { execFile } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, describe, expect, it } from 'vitest'

const repository = join(import.meta.dirname, '../..')
const folder = mkdtempSync(join(tmpdir(), 'meerkat-example-'))
afterAll(() => rmSync(folder, { recursive: true }))

describe('examples/client-test', () => {
  it('passes by the test runner of Node.js, with @xmpp/client and this package', async () => {
    // Where both packages are found by name.
    cpSync(join(repository, 'examples/client-test'), folder, { recursive: true })
    mkdirSync(join(folder, 'node_modules'))
    symlinkSync(join(import.meta.dirname, 'node_modules/@xmpp'), join(folder, 'node_modules/@xmpp'))
    symlinkSync(repository, join(folder, 'node_modules/meerkat-xmpp'))
    const { stdout } = await promisify(execFile)(process.execPath, ['--test', '--test-reporter=tap'], {
      cwd: folder,
      timeout: 60_000,
      // The runner of a runner would wait for its parent.
      env: { PATH: process.env.PATH },
    })
    expect(stdout).toMatch(/^# pass 1$/m)
    expect(stdout).toMatch(/^# fail 0$/m)
  })
})
