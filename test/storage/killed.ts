import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { expect } from 'vitest'
import type { RdbmsPool } from '../../src/storage/postgres/index.js'
import type { Store } from '../../src/storage/store.js'

/*
 * A process that writes into a store and is killed while it does.
 */

const child = new URL('kill-child.mjs', import.meta.url).pathname
const host = 'h.example'

/** Lets the child write until it has said `lines` lines, kills it, and resolves with everything that it said. */
export async function promisedUntilKilled(
  options: { file: string } | { pool: RdbmsPool },
  round: number,
  lines: number,
): Promise<string[]> {
  const writer = spawn(process.execPath, [child, JSON.stringify(options), String(round)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
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
export async function storedIn(store: Store): Promise<Set<string>> {
  const accounts = await store.accounts.list(host, { limit: 1_000_000 })
  const boxes = await Promise.all(
    Array.from({ length: 8 }, async (_, number) => {
      const messages = await store.offline.page(`box${number}`, host, { after: 0, limit: 1_000_000 })
      const { requests } = await store.rosters.load(`box${number}`, host)
      const archived = (await store.archive.page(`box${number}`, host, { limit: 1_000_000 })) ?? []
      return [
        ...messages.map(({ xml }) => `message ${/id="(.*)"/.exec(xml)?.[1]}`),
        ...archived.map(({ xml }) => `archived ${/id="(.*)"/.exec(Buffer.from(xml).toString())?.[1]}`),
        ...requests.map(({ jid }) => `request ${jid.slice(0, -2)}`),
      ]
    }),
  )
  return new Set([...accounts.map(name => `account ${name}`), ...boxes.flat()])
}
