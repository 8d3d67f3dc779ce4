// Adds up vitest's JSON reports in a folder and prints the line that says how the run went.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const [folder] = process.argv.slice(2)
const reports = readdirSync(folder).map(file => JSON.parse(readFileSync(join(folder, file), 'utf8')))
const sum = field => reports.reduce((total, report) => total + report[field], 0)
const skipped = sum('numPendingTests') + sum('numTodoTests')
console.log(
  `\n${sum('numPassedTests')} passed, ${sum('numFailedTests')} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`,
)
