import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Command } from 'commander'
import { beforeAll, describe, expect, it } from 'vitest'
import { general } from '../../src/config/general.js'
import { laterModules } from '../../src/config/later-modules.js'
import { loadConfig } from '../../src/config/load.js'
import { modules } from '../../src/modules/index.js'
import { addressProblems, shippedAddresses, tomlProblems } from './configurations.js'
import { type Page, type Piece, parsePage } from './page.js'
import { fileProblems, filesOf, linkProblems, scriptProblems } from './references.js'
import { unitProblems } from './units.js'
import { commandProblems, meerkatProgram } from './verbs.js'

/*
 * What the pages say, held against what there is. Blocks of JavaScript are run by `programs.test.ts`.
 */

const root = join(import.meta.dirname, '../..')
const files = filesOf(root)
const pages = files
  .filter(file => /^(?:(?:docs\/|bench\/)?[\w-]+\.md|(?:examples|src|test)\/.*README\.md)$/.test(file))
  .sort()
const shipped = shippedAddresses(root)
const shutdownTimeout = general.shape.shutdown_timeout.parse(undefined)

let program: Command

beforeAll(async () => {
  program = await meerkatProgram()
})

type Check = (page: Page, text: string) => Piece[]

const checks: Readonly<Record<string, Check>> = {
  links: page => linkProblems(page, root),
  files: page => fileProblems(page, files),
  scripts: page => scriptProblems(page, root),
  commands: page => commandProblems(page, program),
  configurations: page => tomlProblems(page),
  addresses: (page, text) => addressProblems(page, text, root, shipped),
  units: page => unitProblems(page, shutdownTimeout),
}

/** `line: what is wrong`, for every check or for one. */
function problemsOf(text: string, file: string, names = Object.keys(checks)): string[] {
  const page = parsePage(file, text)
  return names.flatMap(name => checks[name]!(page, text)).map(({ line, text: what }) => `${line}: ${what}`)
}

describe('the pages', () => {
  it('are found', () => {
    expect(pages).toEqual(
      expect.arrayContaining(['README.md', 'CONTRIBUTING.md', 'docs/operating.md', 'src/cli/README.md']),
    )
  })

  it.each(pages)('%s says what is so', file => {
    expect(problemsOf(readFileSync(join(root, file), 'utf8'), file)).toEqual([])
  })
})

describe('single facts', () => {
  const textOf = (file: string) => readFileSync(join(root, file), 'utf8')

  it('the README shows what `npm start` listens to', () => {
    const { listen } = loadConfig(
      { file: join(root, 'config/meerkat.toml'), text: textOf('config/meerkat.toml') },
      { modules, env: {} },
    ).config!
    const lines = (['c2s', 'http', 's2s', 'service'] as const).flatMap(type =>
      listen[type].map(({ ip_address = '0.0.0.0', port }) => `listening ${type} ${ip_address}:${port}`),
    )
    expect(textOf('README.md').match(/listening .*/g)).toEqual(lines)
  })

  it('who comes from MongooseIM is told which modules are not built', () => {
    const [told = ''] = /\*\*Not built\*\*.*?legacy_mode/s.exec(textOf('docs/from-mongooseim.md')) ?? []
    expect(told.match(/mod_\w+/g)?.sort()).toEqual(Object.keys(laterModules).sort())
  })
})

describe('the checks find', () => {
  const fenced = (language: string, ...lines: string[]) => [`\`\`\`${language}`, ...lines, '```'].join('\n')
  const unit = (line: string) => fenced('ini', '[Service]', line)

  it.each<[string, string, string, string]>([
    ['a link to no file', 'links', 'See\n[it](nowhere.md).', '2: nowhere.md: there is no docs/nowhere.md'],
    [
      'a link to no heading',
      'links',
      '[it](metrics.md#none)',
      '1: metrics.md#none: docs/metrics.md has no such heading',
    ],
    ['a link to no heading of its own', 'links', '# One\n[it](#two)', '2: #two: docs/page.md has no such heading'],
    ['a file that is gone', 'files', 'Read `src/nowhere.ts`.', '1: src/nowhere.ts: there is no such file'],
    [
      'a file in a block',
      'files',
      fenced('sh', 'cat', 'cat config/no.toml'),
      '3: config/no.toml: there is no such file',
    ],
    ['a script', 'scripts', '`npm run nothing`', '1: npm run nothing: package.json has no such script'],
    ['a verb', 'commands', 'a\n\n    meerkat chekc\n', '3: meerkat chekc: there is no verb chekc; there are'],
    ['a verb of a verb', 'commands', '`meerkat session list|kik`', 'there is no verb kik; there are list, kick'],
    ['an option', 'commands', fenced('sh', 'node dist/main.js top --onc'), 'top has no option --onc'],
    [
      'an option behind others',
      'commands',
      '`sudo -u x npx meerkat user add a@b --jsn > f`',
      'add has no option --jsn',
    ],
    [
      'an option of a unit',
      'commands',
      unit('ExecStart=/usr/bin/node --x=4 /a/dist/main.js start --dve'),
      'no option --dve',
    ],
    [
      'an unknown key',
      'configurations',
      fenced('toml', '', '[listen]', 'c2s = [{ port = 1, prt = 1 }]'),
      '4: listen.c2s[0].prt  unexpected_option',
    ],
    ['a syntax error', 'configurations', fenced('toml', 'x = ='), '2:'],
    ['what is not built', 'configurations', fenced('toml', '[cluster]'), 'not_supported_yet'],
    ['a port of nobody', 'addresses', 'curl http://localhost:1/api', '1: http://localhost:1/api: nothing serves it'],
    ['a path of nobody', 'addresses', '<http://127.0.0.1:5281/debag>', '1: http://127.0.0.1:5281/debag: nothing'],
    ['a command of nobody', 'addresses', 'curl http://localhost:8088/api/usres/x', 'nothing serves it'],
    ['a key of no unit', 'units', unit('LimitNFILE=3'), '3: [Service] has no LimitNFILE'],
    ['too short a time', 'units', unit('TimeoutStopSec=10'), '3: ends before the server has'],
    ['no line', 'units', unit('ProtectSystem'), '3: ProtectSystem: no line of a unit'],
  ])('%s', (_, check, text, problem) => {
    expect(problemsOf(text, 'docs/page.md', [check])).toEqual([expect.stringContaining(problem)])
  })

  it('nothing where all is right', () => {
    const text = [
      '# One `two`, three',
      '[a](#one-two-three) [b](metrics.md) [c](../README.md#for-real) `src/main.ts` `src/{cli,http}/README.md` `npm test`',
      '`meerkat tree /root/listeners --limit=3` `meerkat` `MEERKAT_CONFIG=x node dist/main.js session kick a@b/c | head`',
      fenced(
        'toml',
        '[[listen.http]]',
        'port = 1',
        'handlers.mod_bosh = [{ host = "_", path = "/b" }]',
        '[modules.mod_bosh]',
      ),
      'http://localhost:1/b http://example.org/b http://127.0.0.1:1 http://localhost:8088/api/users/x?a=b',
      unit('TimeoutStopSec=30'),
    ].join('\n\n')
    expect(problemsOf(text, 'docs/page.md')).toEqual([])
  })
})
