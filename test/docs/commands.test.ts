import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { loadConfigFile } from '../../src/config/load-file.js'
import { modules } from '../../src/modules/index.js'
import { createServer, type Internals, type Server } from '../../src/server.js'
import { collect, exited } from '../support/programs.js'
import { available, PASSWORD, session } from '../support/server.js'
import { type Block, blocksOf } from './blocks.js'

/*
 * What docs/tree.md tells to type into a terminal, typed there: against a server with two people who talk. `meerkat` is the built one.
 */

const main = join(import.meta.dirname, '../../dist/main.js')
const folder = mkdtempSync(join(tmpdir(), 'meerkat-commands-'))
const configFile = join(folder, 'meerkat.toml')
/** Where the page has its server. */
const place = '127.0.0.1:5281'

writeFileSync(
  configFile,
  `[general]
hosts = ["localhost"]

[auth]
methods = ["internal"]

[[listen.c2s]]
port = 0
ip_address = "127.0.0.1"
num_acceptors = 2

[[listen.http]]
port = 0
ip_address = "127.0.0.1"

  [[listen.http.handlers.meerkat_debug]]
  host = "_"
  username = "admin"
  password = "sesame"

[modules.mod_ping]
`,
)
const command = join(folder, 'meerkat')
writeFileSync(command, `#!/bin/sh\nexec '${process.execPath}' '${main}' "$@"\n`)
chmodSync(command, 0o755)

let server: Server & { internals: Internals }
beforeAll(async () => {
  const { config, problems } = loadConfigFile(configFile, { modules, env: {} })
  expect(problems).toEqual([])
  server = await createServer(config!)
  for (const user of ['romeo', 'juliet']) await server.internals.authenticator.create(user, 'localhost', PASSWORD)
})
afterAll(async () => {
  await server?.stop()
  rmSync(folder, { recursive: true })
})

const portOf = (protocol: string) => server.addresses.find(one => one.protocol === protocol)?.port ?? 0

/** Two who are there and talk, until the test ends. */
async function talking(): Promise<void> {
  const at = { port: portOf('c2s') }
  const juliet = await session(at, 'juliet', { resource: 'balcony' })
  const romeo = await session(at, 'romeo', { resource: 'orchard' })
  await Promise.all([available(juliet), available(romeo)])
  const timer = setInterval(() => {
    void romeo.send("<message to='juliet@localhost/balcony'><body>Wherefore art thou?</body></message><presence/>")
  }, 100)
  onTestFinished(() => clearInterval(timer))
}

/** Types a block into a shell. A stream is left when something has come; everything else is to end with 0. Resolves with what was said. */
async function typed({ text }: Block): Promise<string> {
  const env = { ...process.env, PATH: `${folder}:${process.env.PATH}`, MEERKAT_CONFIG: configFile }
  const script = text.replaceAll(place, `127.0.0.1:${portOf('http')}`)
  const shell = spawn('bash', ['-euo', 'pipefail', '-c', script], { cwd: folder, env, detached: true })
  const output = collect(shell)
  if (!/curl -\w*N/.test(script)) {
    expect(await exited(shell), output.text).toBe(0)
    return output.text
  }
  await output.until(said => said.includes('data: '), 'an event')
  end(shell)
  return output.text
}

/** The shell and what it runs. */
const end = ({ pid = 0 }: ChildProcessWithoutNullStreams) => process.kill(-pid)

const blocks = blocksOf('docs/tree.md').filter(({ language, isRun }) => language === 'sh' && isRun)

describe('a command of docs/tree.md', { timeout: 60_000 }, () => {
  it.each(blocks.map(block => ({ ...block, block })))('in line $line does what it says', async ({ block }) => {
    await talking()
    const said = await typed(block)
    expect(said).not.toBe('')
    expect(said).not.toContain('"error"')
  })
})
