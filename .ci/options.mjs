// Holds docs/configuration.md against vitest's JSON report of the unit tests: each option that the document shows in a table of a
// listener that is built must have passed its row of the option tables (test/server/option-table.test.ts) in that run.
import { readFileSync } from 'node:fs'

const [report] = process.argv.slice(2)
/** Listeners whose options all have a row. */
const listeners = ['listen.c2s']

const tests = JSON.parse(readFileSync(report, 'utf8')).testResults.flatMap(file => file.assertionResults)
const passed = new Set(tests.filter(({ status }) => status === 'passed').map(({ title }) => title))
const documented = [...readFileSync('docs/configuration.md', 'utf8').matchAll(/^\| `([a-z0-9_.]+)` \|/gm)]
  .map(([, path]) => path)
  .filter(path => listeners.some(listener => path.startsWith(`${listener}.`)))

const unproven = documented.filter(path => !passed.has(path))
if (documented.length === 0) throw new Error('docs/configuration.md shows no option of a listener')
if (unproven.length > 0) {
  console.error(`documented, and not shown by a test that passed: ${unproven.join(', ')}`)
  process.exit(1)
}
console.log(`${documented.length} documented options of listeners, each shown by a test that passed`)
