import { rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { loadConfigFile } from '../../src/config/load-file.js'
import { formatProblem } from '../../src/config/problem.js'
import type { Module } from '../../src/index.js'
import { availableModules } from '../../src/modules/packages.js'
import { ManualClock } from '../support/clock.js'
import { actors, available, eventually, session, startedServer } from '../support/server.js'
import { type Block, blocksOf } from './blocks.js'
import {
  folderWith,
  isCode,
  isTest,
  type Outcome,
  promised,
  repository,
  runPrograms,
  runTest,
  typeProblems,
  typesOf,
  written,
} from './programs.js'

/*
 * What the pages tell programmers to write does what they say. The programs take `meerkat-xmpp` as it is built.
 */

/** The file that programs start a server from. */
const configuration = `
[general]
hosts = ["localhost"]
data_dir = "../data"

[[listen.c2s]]
port = 0
ip_address = "127.0.0.1"
`

/** The processes share the machine with others. */
const patient = { timeout: 60_000 }

const pages = ['README.md', 'docs/module.md', 'docs/embedding.md', 'docs/tree.md', 'src/actors/runtime/README.md']
const folders = pages.map(() => folderWith({ 'config/meerkat.toml': configuration }))
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true })
})

const blocks = pages.flatMap(blocksOf)
const files = new Map(
  pages.flatMap((page, index) => [
    ...written(
      folders[index]!,
      blocks.filter(one => one.page === page),
    ),
  ]),
)
const named = (some: typeof blocks) =>
  some.map(block => ({ place: `${block.page}:${block.line}`, block, file: files.get(block)! }))

const programs = named(blocks.filter(block => isCode(block) && !isTest(block)))
const tests = named(blocks.filter(isTest))
const runnerOf = ({ text }: Block) => (text.includes("from 'vitest'") ? 'vitest' : 'node:test')

// All at once: each is a process of its own.
let outcomes: Promise<ReadonlyMap<string, Outcome>>
let passed: ReadonlyMap<string, Promise<string | undefined>>
beforeAll(() => {
  outcomes = runPrograms(programs.map(({ file }) => file))
  outcomes.catch(() => undefined) // for those who wait for them
  passed = new Map(tests.map(({ file, block }) => [file, runTest(file, runnerOf(block))]))
})

describe('what is in TypeScript', patient, () => {
  const settings = named(
    blocks.filter(
      ({ page, language, text }) =>
        page === 'docs/embedding.md' && language === 'json' && text.includes('compilerOptions'),
    ),
  )
  const settingsOf = ({ text }: Block) => (JSON.parse(text) as { compilerOptions: object }).compilerOptions
  const typed = [...files].filter(([{ language }]) => language === 'ts').map(([, file]) => file.replace(/\.js$/, '.ts'))

  it.each(settings)('finds its types by the settings in $place', ({ block }) => {
    for (const entry of ['meerkat-xmpp', 'meerkat-xmpp/actors', 'meerkat-xmpp/client', 'meerkat-xmpp/testing']) {
      expect(typesOf(folders[0]!, entry, settingsOf(block))).toMatch(/\/dist\/.*\.d\.ts$/)
    }
  })

  it('compiles with them', () => {
    expect(typeProblems(folders[0]!, typed, settingsOf(settings[0]!.block))).toEqual([])
  })
})

describe('a program', patient, () => {
  it.each(programs)('in $place runs, prints what it says, and ends', async ({ file, block }) => {
    const { lines, error } = (await outcomes).get(file) ?? { lines: [], error: 'it was not run' }
    expect(error).toBeUndefined()
    for (const line of promised(block.text)) expect(lines).toContainEqual(expect.stringMatching(`^${line}$`))
  })
})

describe('a test', patient, () => {
  it.each(tests)('in $place passes', async ({ file }) => {
    expect(await passed.get(file)).toBeUndefined()
  })
})

describe('a module of docs/module.md', patient, () => {
  const users = ['romeo']

  const blockOf = (name: string) =>
    blocks.find(({ page, text }) => page === 'docs/module.md' && text.includes(`name: '${name}'`))!

  /** It takes what it needs from the sources, as the server of this process does. */
  const moduleOf = async (name: string): Promise<Record<string, Module>> => {
    const text = blockOf(name).text.replace("'meerkat-xmpp'", JSON.stringify(join(repository, 'src/index.ts')))
    const file = join(folderWith({ 'module.js': text }), 'module.js')
    onTestFinished(() => rmSync(dirname(file), { recursive: true }))
    return import(/* @vite-ignore */ file)
  }

  it('has its options checked as the page says', async () => {
    const file = join(dirname(files.get(blockOf('mod_greeter'))!), 'wrong.toml')
    const tables = '[general]\nhosts = ["localhost"]\n\n[[listen.c2s]]\nport = 5222\n\n[modules.mod_ping]\n\n'
    writeFileSync(
      file,
      `${tables}[modules.mod_greeter]\npackage = "./greeter.js"\ngreeting = 3\ngreting = "Good day"\n`,
    )
    const { problems } = loadConfigFile(file, { ...(await availableModules({ file }, {})), env: {} })
    const said = blocks.find(
      ({ page, language, text }) => page === 'docs/module.md' && language === 'text' && text !== '',
    )
    expect(problems.map(one => `${formatProblem({ ...one, file: 'meerkat.toml' })}\n`).join('')).toBe(said?.text)
  })

  it('reminds when it is time, and rests until then', async () => {
    const { default: reminder } = await moduleOf('mod_reminder')
    const clock = new ManualClock()
    const server = await startedServer({ ownModules: [reminder!], modules: { mod_reminder: {} }, users, clock })
    const romeo = await session(server, 'romeo')
    await available(romeo)
    const remind = (minutes: number, text: string) =>
      romeo.ask('set', `<remind xmlns='urn:example:reminder' minutes='${minutes}'>${text}</remind>`)
    expect((await remind(1, 'tea')).attrs.type).toBe('result')
    expect((await remind(0, 'now')).attrs.type).toBe('error')
    const path = () => actors(server).find(({ kind }) => kind === 'resident')
    await eventually(() => path()?.state === 'hibernated')
    clock.advance(10_000) // it is packed
    expect(path()?.details).toEqual({ user: 'romeo@localhost' })
    expect((await remind(2, 'bread')).attrs.type).toBe('result')
    clock.advance(60_000)
    await romeo.receives("<message from='localhost'><body>tea</body></message>")
    clock.advance(60_000)
    await romeo.receives("<message from='localhost'><body>bread</body></message>")
    await eventually(() => path() === undefined)
  })

  it('refuses what is long, and drops what comes long from elsewhere', async () => {
    const { quiet } = await moduleOf('mod_quiet')
    const server = await startedServer({ ownModules: [quiet!], modules: { mod_quiet: { longest: 5 } }, users })
    const romeo = await session(server, 'romeo')
    await available(romeo)
    await romeo.send("<message to='a@verona.example' id='m1'><body>too long</body></message>")
    await romeo.receives(
      "<message type='error' id='m1'><error><policy-violation xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>",
    )
    for (const body of ['too long', 'short']) {
      server.route(`<message from='verona.example' to='${romeo.jid}' id='m2'><body>${body}</body></message>`)
    }
    expect(String(await romeo.receives("<message id='m2'/>"))).toContain('short')
  })
})
