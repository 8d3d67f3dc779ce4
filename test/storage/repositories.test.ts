import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openSqliteStore } from '../../src/storage/sqlite/index.js'
import { describeStore } from './describe-store.js'

describeStore('SQLite in memory', () => openSqliteStore({ file: ':memory:' }))

describeStore('SQLite in a file', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'meerkat-storage-'))
  const store = await openSqliteStore({ file: join(folder, 'meerkat.db'), synchronous: 'full' })
  return {
    ...store,
    async close() {
      await store.close()
      rmSync(folder, { recursive: true, force: true })
    },
  }
})
