// Holds docs/configuration.md against vitest's JSON report of the unit tests: each option that the document shows in one of the tables
// named here must have passed its row of the option tables (test/support/option-table.ts) in that run.
import { readFileSync } from 'node:fs'
import { refusals } from '../dist/config/not-yet.js'

const [report] = process.argv.slice(2)
/** Tables whose options all have a row. */
const sections = ['listen.c2s', 'listen.http', 'listen.s2s', 'listen.service', 's2s']

const tests = JSON.parse(readFileSync(report, 'utf8')).testResults.flatMap(file => file.assertionResults)
const passed = new Set(tests.filter(({ status }) => status === 'passed').map(({ title }) => title))
const documented = [...readFileSync('docs/configuration.md', 'utf8').matchAll(/^\| `([a-z0-9_.]+)` \|/gm)]
  .map(([, path]) => path)
  .filter(path => sections.some(section => path.startsWith(`${section}.`)))
  .filter(path => !isRefused(path))

const unproven = documented.filter(path => !passed.has(path))
if (documented.length === 0) throw new Error('docs/configuration.md shows none of the options')
if (unproven.length > 0) {
  console.error(`documented, and not shown by a test that passed: ${unproven.join(', ')}`)
  process.exit(1)
}
console.log(`${documented.length} documented options, each shown by a test that passed`)

/** Of a handler that the server refuses: nothing of it can be seen. */
function isRefused(path) {
  const [, type] = /^listen\.http\.handlers\.(\w+)\./.exec(path) ?? []
  return type !== undefined && refusals({ listen: { http: [{ handlers: { [type]: [{}] } }] } }, []).length > 0
}
