import { join } from 'node:path'
import type { Worker } from 'node:worker_threads'
import { expect, it, onTestFinished } from 'vitest'
import { openSqliteStore } from '../../src/storage/sqlite/index.js'
import { temporaryFolder } from './folder.js'

/** Tells how many threads were started since. */
function countThreads(): () => number {
  let started = 0
  const onWorker = (_: Worker) => void started++
  process.on('worker', onWorker)
  onTestFinished(() => void process.off('worker', onWorker))
  return () => started
}

const inMemory = async () => {
  const store = await openSqliteStore({ file: ':memory:' })
  onTestFinished(() => store.close())
  return {
    store,
    add: () => store.offline.add('romeo', 'h.example', '<message/>', 1, Infinity),
    count: () => store.offline.count('romeo', 'h.example'),
  }
}

it('is left to the next store in memory, which finds nothing of the one before', async () => {
  const first = await inMemory()
  await first.add()
  await first.store.close()
  const started = countThreads()
  for (let round = 0; round < 5; round += 1) {
    const next = await inMemory()
    expect(await next.count()).toBe(0)
    await next.add()
    expect(await next.count()).toBe(1)
    await next.store.close()
    await expect(next.count()).rejects.toMatchObject({ name: 'StoreUnavailable' })
  }
  expect(started()).toBe(0)
})

it('works for one store at a time', async () => {
  const stores = [await inMemory(), await inMemory(), await inMemory()]
  await stores[1]?.add()
  expect(await Promise.all(stores.map(({ count }) => count()))).toEqual([0, 1, 0])
  await stores[1]?.store.close()
  const next = await inMemory()
  expect(await Promise.all([stores[0], next, stores[2]].map(store => store?.count()))).toEqual([0, 0, 0])
})

it('is told once that a store is done with it, also where the answers are there before the tick is over', async () => {
  const first = await inMemory()
  await new Promise(resolve => setImmediate(resolve))
  const added = first.add()
  const closed = first.store.close()
  // The worker has answered before what was put off to the end of this tick.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200)
  await Promise.all([added, closed])
  const next = await inMemory()
  expect(await next.count()).toBe(0)
})

it('is not used again once it died', async () => {
  const first = await inMemory()
  const started = countThreads()
  await first.store.kill()
  await first.store.restart()
  expect(started()).toBeLessThanOrEqual(1) // none when another one waited
  expect(await first.count()).toBe(0)
  await first.store.close()
  const next = await inMemory()
  expect(await next.count()).toBe(0)
})

it('ends with a store in a file, whose locks it may hold', async () => {
  const file = join(temporaryFolder(), 'meerkat.db')
  await (await openSqliteStore({ file })).close()
  const waiting = await spares()
  await (await openSqliteStore({ file })).close()
  expect(await spares()).toBe(Math.max(0, waiting - 1))
})

it('waits in small numbers only', async () => {
  const stores = await Promise.all(Array.from({ length: 7 }, inMemory))
  await Promise.all(stores.map(({ store }) => store.close()))
  expect(await spares()).toBe(4)
})

/** How many threads wait: as many stores in memory can be open before one is started. They wait again afterwards. */
async function spares(): Promise<number> {
  const started = countThreads()
  const stores = []
  while (started() === 0) stores.push(await openSqliteStore({ file: ':memory:' }))
  // the last one started its own, which takes no place of another: it is killed
  await stores.pop()?.kill()
  for (const store of stores) await store.close()
  return stores.length
}
