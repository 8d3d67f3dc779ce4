import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { ConfigError, defineModule, Element, type Server, StartupError, startServer, z } from '../../src/index.js'
import { startTestServer } from '../../src/testing.js'
import { connect, dropClients } from '../support/client.js'

/*
 * Modules of other people. Their files are plain JavaScript, which take what they need from the built package.
 */

const repository = join(import.meta.dirname, '../..')
const folder = mkdtempSync(join(tmpdir(), 'meerkat-modules-'))
mkdirSync(join(folder, 'node_modules'))
symlinkSync(repository, join(folder, 'node_modules/meerkat-xmpp'))
const running: Server[] = []

afterEach(async () => {
  dropClients()
  for (const server of running.splice(0)) await server.stop()
})
afterAll(() => rmSync(folder, { recursive: true }))

const written = (name: string, text: string) => writeFileSync(join(folder, name), text)

written(
  'greeter.mjs',
  `import { defineModule, Element, z } from 'meerkat-xmpp'
  export default defineModule({
    name: 'mod_greeter',
    features: ['urn:example:greeter'],
    config: z.strictObject({ greeting: z.string().default('hello') }),
    start(server, options) {
      server.onIq('host', 'get', 'urn:example:greeter', 'query', iq =>
        new Element('query', { xmlns: 'urn:example:greeter', options: Object.keys(options).join() })
          .t(options.greeting + ' ' + iq.from.local))
    },
  })`,
)

const listener = `[[listen.c2s]]
port = 0
ip_address = "127.0.0.1"
num_acceptors = 1
`

/** Starts a server from a file in the folder, in which `modules` stand from line 7. */
async function start(modules: string): Promise<Server> {
  const file = join(folder, 'meerkat.toml')
  writeFileSync(file, `[general]\nhosts = ["localhost"]\n${listener}${modules}`)
  const server = await startServer({ configFile: file }, { inMemory: true })
  running.push(server)
  return server
}

async function problemsOf(modules: string) {
  const error: unknown = await start(modules).catch((caught: unknown) => caught)
  expect(error).toBeInstanceOf(ConfigError)
  return (error as ConfigError).problems.map(({ line, path, code, message }) => ({ line, path, code, message }))
}

const ask = "<iq type='get' to='localhost' id='g1'><query xmlns='urn:example:greeter'/></iq>"

/** A greeter as a package that is found by its name, with the given package.json. */
function installed(name: string, description: object) {
  mkdirSync(join(folder, 'node_modules', name), { recursive: true })
  const text = "export { default as module } from '../../greeter.mjs'"
  writeFileSync(join(folder, 'node_modules', name, 'index.mjs'), text)
  writeFileSync(join(folder, 'node_modules', name, 'package.json'), JSON.stringify({ name, ...description }))
}

async function answerOf(server: Server, mechanism = 'ANONYMOUS'): Promise<string> {
  const romeo = await connect({ port: server.addresses[0]!.port })
  await romeo.login('romeo', 'secret', { mechanism })
  await romeo.send(ask)
  return String(await romeo.receives("<iq type='result' id='g1'/>"))
}

describe('a module from a package', () => {
  it.each([
    ['a path from the folder of the file', './greeter.mjs'],
    ['an absolute path', join(folder, 'greeter.mjs')],
    ['a name, exported as "module"', 'greeter-main'],
    ['a name of a package that is only for import', 'greeter-import'],
  ])('is found by %s, gets its options without "package", and answers', async (_, specifier) => {
    installed('greeter-main', { main: './index.mjs' })
    installed('greeter-import', { exports: { '.': { import: './index.mjs' } } })
    const server = await start(
      `[auth]\nmethods = ["anonymous"]\nsasl_mechanisms = ["anonymous"]\n[auth.anonymous]\nprotocol = "sasl_anon"\n[modules.mod_greeter]\npackage = "${specifier}"\ngreeting = "good day"\n`,
    )
    expect(await answerOf(server)).toContain('<query xmlns="urn:example:greeter" options="greeting">good day ')
  })

  it('is named in the tree of service discovery', async () => {
    const server = await start(
      '[auth]\nmethods = ["anonymous"]\nsasl_mechanisms = ["anonymous"]\n[auth.anonymous]\nprotocol = "sasl_anon"\n[modules.mod_disco]\n[[host_config]]\nhost = "localhost"\n[host_config.modules.mod_disco]\n[host_config.modules.mod_greeter]\npackage = "./greeter.mjs"\n',
    )
    const romeo = await connect({ port: server.addresses[0]!.port })
    await romeo.login('', '', { mechanism: 'ANONYMOUS' })
    await romeo.send("<iq type='get' to='localhost' id='d'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>")
    expect(String(await romeo.receives("<iq type='result' id='d'/>"))).toContain('var="urn:example:greeter"')
  })

  it('with a wrong option is a problem of its line, as of any module', async () => {
    const table = '[modules.mod_greeter]\npackage = "./greeter.mjs"\ngreeting = 3\ngreting = "x"\n'
    expect(await problemsOf(table)).toMatchObject([
      { line: 9, path: 'modules.mod_greeter.greeting', code: 'malformed_option' },
      { line: 10, path: 'modules.mod_greeter.greting', code: 'unexpected_option' },
    ])
  })

  it.each([
    ['no package', './nobody.mjs', '', 'the package cannot be loaded: Cannot find module'],
    ['no JavaScript', './broken.mjs', 'export default (', 'the package cannot be loaded: '],
    ['a file that throws', './throws.mjs', 'throw new Error("no licence")', 'the package cannot be loaded: no licence'],
    ['no module', './other.mjs', 'export default { name: "mod_other" }', 'exports nothing that defineModule made'],
    [
      'a module of another name',
      './misnamed.mjs',
      'import { defineModule } from "meerkat-xmpp"; export const module = defineModule({ name: "mod_x", start() {} })',
      'the module of the package is named "mod_x"',
    ],
    [
      'options that are no table',
      './scalar.mjs',
      'import { defineModule, z } from "meerkat-xmpp"; export default defineModule({ name: "mod_other", config: z.string(), start() {} })',
      'the "config" of the module is no z.strictObject',
    ],
  ])('that is %s is one problem, of the option "package"', async (_, specifier, text, message) => {
    if (text !== '') written(specifier, text)
    expect(await problemsOf(`[modules.mod_other]\npackage = "${specifier}"\n`)).toEqual([
      {
        line: 8,
        path: 'modules.mod_other.package',
        code: 'incorrect_value',
        message: expect.stringContaining(message),
      },
    ])
  })

  it('cannot take the place of a built one: that has no such option, and nothing is loaded', async () => {
    written('taken.mjs', 'globalThis.wasLoaded = true')
    expect(await problemsOf('[modules.mod_ping]\npackage = "./taken.mjs"\n')).toMatchObject([
      { path: 'modules.mod_ping.package', code: 'unexpected_option' },
    ])
    expect(globalThis).not.toHaveProperty('wasLoaded')
  })

  it('that throws at its start ends the start with its name and its words', async () => {
    written(
      'ill.mjs',
      `import { defineModule } from 'meerkat-xmpp'
      export default defineModule({ name: 'mod_ill', start() { throw new Error('no database') } })`,
    )
    const error: unknown = await start('[modules.mod_ill]\npackage = "./ill.mjs"\n').catch((caught: unknown) => caught)
    expect(error).toBeInstanceOf(StartupError)
    expect(String(error)).toContain('the module mod_ill did not start for localhost: no database')
  })
})

describe('a module of the program itself', () => {
  const echo = defineModule({
    name: 'mod_own',
    config: z.strictObject({ word: z.string() }),
    start(server, { word }) {
      server.onIq('host', 'get', 'urn:example:greeter', 'query', () => new Element('query', { word }))
    },
  })

  it('is handed in, and is on where the configuration names it', async () => {
    const server = await startTestServer({ ownModules: [echo], modules: { mod_own: { word: 'mine' } } })
    running.push(server)
    await server.addUser('romeo', 'secret')
    expect(await answerOf(server, 'PLAIN')).toContain('word="mine"')
  })

  it('is checked as the built ones are', async () => {
    const starting = startTestServer({ ownModules: [echo], modules: { mod_own: { word: 3 } } })
    await expect(starting).rejects.toThrow('modules.mod_own.word')
  })
})
