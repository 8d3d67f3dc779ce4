import { execFileSync, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { openSqliteStore } from '../../src/storage/sqlite/index.js'
import { temporaryFolder } from './folder.js'
import { promisedUntilKilled, storedIn } from './killed.js'

it('has after kill -9 and a restart everything that was promised before (DESIGN §7)', async () => {
  const file = join(temporaryFolder(), 'meerkat.db')
  const promised: string[] = []
  for (let round = 0; round < 4; round += 1) {
    promised.push(...(await promisedUntilKilled({ file }, round, 20 + Math.floor(Math.random() * 400))))
    const store = await openSqliteStore({ file })
    const stored = await storedIn(store)
    await store.close()
    expect(promised.filter(line => !stored.has(line))).toEqual([])
  }
  expect(promised.length).toBeGreaterThanOrEqual(80)
})

it('keeps no process alive once it is closed', () => {
  const script = `
    import(${JSON.stringify(new URL('../../dist/storage/sqlite/index.js', import.meta.url).href)}).then(async module => {
      const store = await module.openSqliteStore({ file: ':memory:' })
      await store.accounts.exists('romeo', 'h')
      await store.close()
      console.log('closed')
    })`
  expect(execFileSync(process.execPath, ['-e', script], { encoding: 'utf8', timeout: 15_000 })).toBe('closed\n')
})

it('lets process.exit end the process with its own code while the worker writes', () => {
  const script = `
    import(${JSON.stringify(new URL('../../dist/storage/sqlite/index.js', import.meta.url).href)}).then(async module => {
      const store = await module.openSqliteStore({ file: ':memory:' })
      const add = () => store.offline.add('romeo', 'h', 'x'.repeat(300), 1, Infinity).catch(() => {})
      for (let index = 0; index < 9_000; index += 1) add()
      setTimeout(() => process.exit(7), 5 + Math.random() * 40)
    })`
  // libsql aborts about one in ten of them without standstill.ts, whose own test does not leave it to chance.
  for (let round = 0; round < 5; round += 1) {
    const { status, stderr } = spawnSync(process.execPath, ['-e', script], { encoding: 'utf8', timeout: 15_000 })
    expect({ status, stderr }).toEqual({ status: 7, stderr: '' })
  }
})

it('gives the store up when the disk takes no more, and opens it again with what was promised', () => {
  const script = `
    import(${JSON.stringify(new URL('../../dist/storage/sqlite/index.js', import.meta.url).href)}).then(async module => {
      const failures = []
      const store = await module.openSqliteStore({ file: process.argv[1], onFailure: error => failures.push(error.message) })
      let promised = 0
      const add = async () => { await store.offline.add('romeo', 'h', 'x'.repeat(10_000), 1, Infinity); promised += 1 }
      const error = await (async () => { for (;;) await add() })().catch(reason => reason)
      const isOpen = store.isOpen
      await store.restart()
      const stored = await store.offline.count('romeo', 'h')
      console.log(JSON.stringify({ name: error.name, failures: failures.length, isOpen, isAllThere: stored >= promised && promised > 0 }))
      await store.close()
    })`
  // No file may grow beyond some 2 MB; the signal that the kernel sends with that is ignored, so writing fails.
  const limited = ['-c', 'trap "" XFSZ; ulimit -f 4000; exec "$@"', 'sh', process.execPath, '-e', script]
  const file = join(temporaryFolder(), 'meerkat.db')
  const said = execFileSync('sh', [...limited, file], { encoding: 'utf8', timeout: 15_000 })
  expect(JSON.parse(said)).toEqual({ name: 'StoreUnavailable', failures: 1, isOpen: false, isAllThere: true })
})
