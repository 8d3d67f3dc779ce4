import { closeSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import Libsql from 'libsql'
import { describe, expect, it, onTestFinished } from 'vitest'
import { openSqliteStore, type SqliteOptions } from '../../src/storage/sqlite/index.js'
import type { StoreUnavailable } from '../../src/storage/store.js'
import { temporaryFolder } from './folder.js'

const unavailable = { name: 'StoreUnavailable' }

async function open(options: Partial<SqliteOptions> = {}) {
  const failures: StoreUnavailable[] = []
  const file = options.file ?? join(temporaryFolder(), 'meerkat.db')
  const store = await openSqliteStore({ file, onFailure: error => failures.push(error), ...options })
  onTestFinished(() => store.close())
  const add = (user = 'romeo', xml = '<message/>') => store.offline.add(user, 'h.example', xml, 1, Infinity)
  return { store, failures, file, add, count: (user = 'romeo') => store.offline.count(user, 'h.example') }
}

describe('when the worker dies', () => {
  it('rejects what was outstanding and what comes after, and tells once', async () => {
    const { store, failures, add, count } = await open()
    await add()
    const killed = store.kill()
    const outstanding = [add(), count(), store.rosters.load('romeo', 'h.example')]
    expect(await Promise.allSettled(outstanding)).toEqual(
      outstanding.map(() => ({ status: 'rejected', reason: expect.objectContaining(unavailable) })),
    )
    await killed
    expect(store.isOpen).toBe(false)
    expect(store.outstanding).toBe(0)
    await expect(count()).rejects.toMatchObject(unavailable)
    expect(failures).toHaveLength(1)
  })

  it('opens again on restart, with everything that was promised and nothing of the open transaction', async () => {
    const { store, add, count } = await open()
    await add()
    await store.kill()
    await store.restart()
    expect(store.isOpen).toBe(true)
    expect(await count()).toBe(1)
    expect(await add()).toEqual(expect.any(Number))
    expect(await count()).toBe(2)
  })

  it('survives deaths in the middle of heavy writing, again and again', async () => {
    const { store, failures, add, count } = await open()
    let promised = 0
    let asked = 0
    for (let round = 0; round < 4; round += 1) {
      const first = Array.from({ length: 700 }, () => add())
      await first[0]
      const killed = store.kill()
      const results = await Promise.allSettled([...first, ...Array.from({ length: 1_800 }, () => add())])
      promised += results.filter(result => result.status === 'fulfilled').length
      asked += results.length
      await killed
      await store.restart()
      const stored = await count()
      expect(stored).toBeGreaterThanOrEqual(promised)
      expect(stored).toBeLessThanOrEqual(asked)
    }
    expect(failures).toHaveLength(4)
    expect(promised).toBeLessThan(asked)
  })

  it('starts one worker for several restarts at once, and none while it is open', async () => {
    const { store, failures, add } = await open()
    await store.restart()
    await store.kill()
    await Promise.all([store.restart(), store.restart(), store.restart()])
    await store.restart()
    expect(await add()).toEqual(expect.any(Number))
    expect(failures).toHaveLength(1)
  })

  it('rejects at once while it is being opened again', async () => {
    const { store, count } = await open()
    await store.kill()
    const restarted = store.restart()
    await expect(count()).rejects.toMatchObject(unavailable)
    await restarted
    expect(await count()).toBe(0)
  })

  it('closes a store that is down, and does not open a closed one', async () => {
    const { store } = await open()
    await store.kill()
    await store.close()
    await expect(store.restart()).rejects.toMatchObject(unavailable)
  })

  it('closes in good order although the worker dies of what it still had to write', async () => {
    const { store, add } = await open()
    const killed = store.kill()
    const outstanding = Promise.allSettled([add(), add()])
    await store.close()
    await killed
    expect((await outstanding).map(result => result.status)).toEqual(['rejected', 'rejected'])
  })

  it('closes when it is asked to during a restart', async () => {
    const { store } = await open()
    await store.kill()
    const restarted = store.restart()
    await store.close()
    await restarted
    expect(store.isOpen).toBe(false)
  })

  it('is empty after a restart when it is kept in memory only', async () => {
    const { store, add, count } = await open({ file: ':memory:' })
    await add()
    await store.kill()
    await store.restart()
    expect(await count()).toBe(0)
  })
})

describe('under load', () => {
  it('rejects at once what goes beyond the number of requests that may wait, and takes more once there is room', async () => {
    const { store, add, count, failures } = await open({ limits: { requests: 10 } })
    const results = await Promise.allSettled(Array.from({ length: 25 }, () => add()))
    expect(results.map(result => result.status)).toEqual([
      ...Array<string>(10).fill('fulfilled'),
      ...Array<string>(15).fill('rejected'),
    ])
    expect(results.at(-1)).toMatchObject({ reason: unavailable })
    expect(store.outstanding).toBe(0)
    expect(await count()).toBe(10)
    expect(await add()).toEqual(expect.any(Number))
    expect(failures).toEqual([])
  })

  it('rejects at once what goes beyond the bytes that may wait', async () => {
    const { add, count } = await open({ limits: { bytes: 10_000 } })
    const results = await Promise.allSettled([
      add('romeo', 'x'.repeat(9_000)),
      add('romeo', 'x'.repeat(9_000)),
      count(),
    ])
    expect(results.map(result => result.status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    expect(await add('romeo', 'x'.repeat(9_000))).toEqual(expect.any(Number))
    await expect(add('romeo', 'x'.repeat(10_001))).rejects.toMatchObject(unavailable)
  })

  it('counts the bytes inside a roster change', async () => {
    const { store } = await open({ limits: { bytes: 10_000 } })
    const put = Array.from({ length: 1_000 }, (_, index) => ({
      jid: `contact${index}@x`,
      name: 'Contact',
      subscription: 'both' as const,
      ask: false,
      approved: false,
      groups: [],
    }))
    await expect(store.rosters.update('romeo', 'h.example', { put })).rejects.toMatchObject(unavailable)
  })

  it('answers thousands of requests in the order in which they were made', async () => {
    const { store } = await open({ limits: { requests: 9_000 } })
    const answered: number[] = []
    const requests = Array.from({ length: 9_000 }, async (_, index) => {
      await (index % 3 === 0
        ? store.accounts.exists('x', 'h')
        : store.offline.add('romeo', 'h', `${index}`, 1, Infinity))
      answered.push(index)
    })
    await Promise.all(requests)
    expect(answered).toEqual(Array.from({ length: 9_000 }, (_, index) => index))
    expect(await store.offline.count('romeo', 'h')).toBe(6_000)
  })
})

describe('a caller that passes what cannot be stored', () => {
  it('is told, and its neighbours and the process go on: a boolean in the place of text', async () => {
    const { store, add, failures } = await open()
    const wrong = true as unknown as string // What a caller without types could do.
    const [first, second, third] = await Promise.allSettled([add(), add('romeo', wrong), add()])
    expect(first).toMatchObject({ status: 'fulfilled', value: expect.any(Number) })
    expect(second).toMatchObject({ status: 'rejected', reason: { message: expect.stringContaining('boolean') } })
    expect(third).toMatchObject({ status: 'fulfilled', value: expect.any(Number) })
    expect(store.isOpen).toBe(true)
    expect(failures).toEqual([])
  })

  it('is told, and its neighbours and the process go on: undefined in the place of text', async () => {
    const { add } = await open()
    const wrong = undefined as unknown as string // What a caller without types could do.
    await expect(add(wrong, '')).resolves.toEqual(expect.any(Number)) // A default of this test's own function.
    const results = await Promise.allSettled([add('romeo', null as unknown as string), add()])
    expect(results.map(result => result.status)).toEqual(['rejected', 'fulfilled'])
  })

  it('is told, and its neighbours and the process go on: something that no message can carry', async () => {
    const { store, add } = await open()
    const wrong = (() => 1) as unknown as string // What a caller without types could do.
    const results = await Promise.allSettled([add(), add('romeo', wrong), add()])
    expect(results.map(result => result.status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    expect(store.outstanding).toBe(0)
  })
})

describe('trouble with the file', () => {
  it('rejects the requests while another process holds the database, stays open, and goes on afterwards', async () => {
    const { store, file, add, count, failures } = await open()
    const stranger = new Libsql(file)
    onTestFinished(() => void stranger.close())
    stranger.exec('BEGIN IMMEDIATE')
    await expect(add()).rejects.toMatchObject(unavailable)
    expect(await count()).toBe(0)
    stranger.exec('ROLLBACK')
    expect(await add()).toEqual(expect.any(Number))
    expect(store.isOpen).toBe(true)
    expect(failures).toEqual([])
  })

  it('gives the store up when the database turns out to be damaged, and opens it again once that is mended', async () => {
    const file = join(temporaryFolder(), 'meerkat.db')
    const first = await openSqliteStore({ file })
    await Promise.all(
      Array.from({ length: 500 }, () => first.offline.add('romeo', 'h', 'x'.repeat(1_000), 1, Infinity)),
    )
    await first.close()
    const whole = readFileSync(file)
    overwrite(file, whole.length / 2)

    const { store, failures } = await open({ file })
    const reading = store.offline.page('romeo', 'h', { after: 0, limit: 500 })
    const behind = store.accounts.exists('romeo', 'h')
    await expect(reading).rejects.toMatchObject(unavailable)
    await expect(behind).rejects.toMatchObject(unavailable)
    expect(failures).toHaveLength(1)
    expect(store.isOpen).toBe(false)

    writeFileSync(file, whole)
    await store.restart()
    expect(await store.offline.page('romeo', 'h', { after: 0, limit: 500 })).toHaveLength(500)
  })

  it('tells why a restart failed and may be asked again', async () => {
    const { store, file, failures, count } = await open()
    await store.kill()
    const whole = readFileSync(file)
    writeFileSync(file, 'this is no database, but it is long enough to look like one'.repeat(100))
    await expect(store.restart()).rejects.toThrow(/not a database/)
    await expect(count()).rejects.toMatchObject(unavailable)
    writeFileSync(file, whole)
    await store.restart()
    expect(await count()).toBe(0)
    expect(failures).toHaveLength(1)
  })

  it('refuses to start on a file that is no database, or in a folder that is not there', async () => {
    const folder = temporaryFolder()
    writeFileSync(join(folder, 'text.db'), 'no database at all '.repeat(400))
    await expect(openSqliteStore({ file: join(folder, 'text.db') })).rejects.toMatchObject({
      name: 'StartupError',
      problem: 'store',
    })
    await expect(openSqliteStore({ file: join(folder, 'missing', 'meerkat.db') })).rejects.toThrow(/missing/)
  })
})

/** Overwrites the second half of a file. */
function overwrite(file: string, from: number): void {
  const descriptor = openSync(file, 'r+')
  writeSync(descriptor, Buffer.alloc(from, 0x55), 0, from, from)
  closeSync(descriptor)
}
