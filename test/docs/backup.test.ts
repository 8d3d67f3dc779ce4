import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { openSqliteStore } from '../../src/storage/sqlite/index.js'
import { temporaryFolder } from '../storage/folder.js'
import { readPage } from './page.js'

/*
 * The backup of docs/operating.md that needs no sqlite3, as the page has it, but for where the files are.
 */

const root = join(import.meta.dirname, '../..')
const [command = ''] = readPage(root, 'docs/operating.md')
  .blocks.map(({ text }) => text)
  .filter(text => text.includes('VACUUM INTO') && text.startsWith('node -e'))

it('a backup while messages are stored has all that was acknowledged before, and opens as a store', async () => {
  const folder = temporaryFolder()
  const backUp = () =>
    promisify(execFile)(
      'sh',
      ['-c', command.replaceAll('/var/lib/meerkat', folder).replaceAll('/var/backups', `${folder}/to`)],
      {
        cwd: root,
        timeout: 60_000,
      },
    )
  await promisify(execFile)('mkdir', [`${folder}/to`])
  const store = await openSqliteStore({ file: `${folder}/meerkat.db` })
  const add = (count: number) =>
    Promise.all(Array.from({ length: count }, () => store.offline.add('romeo', 'a.example', '<message/>', 1, Infinity)))
  await add(200)

  let isDone = false
  const backup = backUp().finally(() => {
    isDone = true
  })
  let more = 0
  while (!isDone) {
    await add(10)
    more += 10
  }
  await backup
  await store.close()

  const copy = await openSqliteStore({ file: `${folder}/to/meerkat.db` })
  const kept = await copy.offline.count('romeo', 'a.example')
  await copy.close()
  expect(kept).toBeGreaterThanOrEqual(200)
  expect(kept).toBeLessThanOrEqual(200 + more)
  await expect(backUp()).rejects.toThrow('output file already exists')
})
