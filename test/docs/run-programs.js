/*
 * A process that runs programs one after the other: each file in turn is imported, in its own folder, and then told by SIGINT to end
 * what it leaves running. Sends what each printed and what it threw to whoever forked it. Ends when all have ended what they began.
 */
import { dirname } from 'node:path'
import { pathToFileURL } from 'node:url'
import { format } from 'node:util'

let lines = []
for (const name of ['log', 'error']) console[name] = (...values) => lines.push(...format(...values).split('\n'))

for (const file of process.argv.slice(2)) {
  lines = []
  process.chdir(dirname(file))
  const error = await import(pathToFileURL(file).href).then(
    () => undefined,
    thrown => thrown?.stack ?? String(thrown),
  )
  process.emit('SIGINT')
  process.send({ file, lines, error })
}
process.disconnect()
