import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { expect, it } from 'vitest'
import { openSqliteStore } from '../../src/storage/sqlite/index.js'
import type { Store } from '../../src/storage/store.js'
import { temporaryFolder } from './folder.js'

const child = new URL('kill-child.mjs', import.meta.url).pathname
const host = 'h.example'

/** Lets the child write until it has said `lines` lines, kills it, and resolves with everything that it said. */
async function promisedUntilKilled(file: string, round: number, lines: number): Promise<string[]> {
  const writer = spawn(process.execPath, [child, file, String(round)], { stdio: ['ignore', 'pipe', 'inherit'] })
  const exited = once(writer, 'exit')
  const said: string[] = []
  for await (const line of createInterface({ input: writer.stdout })) {
    said.push(line)
    if (said.length === lines) writer.kill('SIGKILL')
  }
  expect((await exited)[1]).toBe('SIGKILL')
  return said
}

/** All that is stored, in the words of the child. */
async function storedIn(store: Store): Promise<Set<string>> {
  const accounts = await store.accounts.list(host, { limit: 1_000_000 })
  const boxes = await Promise.all(
    Array.from({ length: 8 }, async (_, number) => {
      const messages = await store.offline.page(`box${number}`, host, { after: 0, limit: 1_000_000 })
      const { requests } = await store.rosters.load(`box${number}`, host)
      return [
        ...messages.map(({ xml }) => `message ${/id="(.*)"/.exec(xml)?.[1]}`),
        ...requests.map(({ jid }) => `request ${jid.slice(0, -2)}`),
      ]
    }),
  )
  return new Set([...accounts.map(name => `account ${name}`), ...boxes.flat()])
}

it('has after kill -9 and a restart everything that was promised before (DESIGN §7)', async () => {
  const file = join(temporaryFolder(), 'meerkat.db')
  const promised: string[] = []
  for (let round = 0; round < 4; round += 1) {
    promised.push(...(await promisedUntilKilled(file, round, 20 + Math.floor(Math.random() * 400))))
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
  // No file may grow beyond some 400 KB; the signal that the kernel sends with that is ignored, so writing fails.
  const limited = ['-c', 'trap "" XFSZ; ulimit -f 800; exec "$@"', 'sh', process.execPath, '-e', script]
  const file = join(temporaryFolder(), 'meerkat.db')
  const said = execFileSync('sh', [...limited, file], { encoding: 'utf8', timeout: 15_000 })
  expect(JSON.parse(said)).toEqual({ name: 'StoreUnavailable', failures: 1, isOpen: false, isAllThere: true })
})
