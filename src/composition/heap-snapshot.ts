import { createWriteStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { getHeapSnapshot } from 'node:v8'
import type { Snapshot } from '../operations/introspection.js'

/** Writes heap snapshots into a folder, one at a time, for the owner of the process only: there is everything in it. */
export function heapSnapshots(folder: string): () => Promise<Snapshot | 'busy'> {
  let isBusy = false
  return async () => {
    if (isBusy) return 'busy'
    isBusy = true
    try {
      return await write(join(folder, `heap-${new Date().toISOString().replaceAll(/[:.]/g, '-')}.heapsnapshot`))
    } finally {
      isBusy = false
    }
  }
}

async function write(file: string): Promise<Snapshot> {
  const since = performance.now()
  await pipeline(getHeapSnapshot(), createWriteStream(file, { flags: 'wx', mode: 0o600 }))
  const { size } = await stat(file)
  return { file, bytes: size, ms: Math.round(performance.now() - since) }
}
