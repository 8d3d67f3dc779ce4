import { parentPort, workerData } from 'node:worker_threads'
import { batchRunner } from './batch.js'
import { type Database, type DatabaseOptions, openDatabase } from './database.js'
import { type FromWorker, prepareVerbs, type ToWorker, type WorkerOptions } from './protocol.js'
import { isStopping, rest, unlessStopped } from './standstill.js'

/*
 * The worker thread that owns the database. It runs compiled, from dist/: Node 20 cannot start a .ts worker.
 */

const port = parentPort
if (port === null) throw new Error('this file runs as a worker thread only')
const say = (message: FromWorker) => port.postMessage(message)

const { standstill } = workerData as WorkerOptions // The cast: thread.ts starts this file with exactly that.
let database: Database | undefined
let run: ReturnType<typeof batchRunner> | undefined

port.on('message', (message: ToWorker) => unlessStopped(standstill, () => hear(message)))
rest(standstill)

function hear(message: ToWorker): void {
  switch (message.type) {
    case 'open':
      say(opened(message.options))
      break
    case 'batch':
      if (run !== undefined) say(run(message.calls))
      break
    case 'close':
      // Before the answer, so that whoever opens the file next finds it closed.
      close()
      say({ type: 'closed' })
      break
    case 'end':
      close()
      port?.close()
      break
    case 'crash':
      database?.exec('BEGIN IMMEDIATE')
      process.exit(1)
  }
}

function opened(options: DatabaseOptions): FromWorker {
  try {
    database = openDatabase(options)
    run = batchRunner(database, prepareVerbs(database), () => isStopping(standstill))
    return { type: 'ready' }
  } catch (error) {
    return { type: 'failed', message: error instanceof Error ? error.message : String(error) }
  }
}

function close(): void {
  database?.close()
  database = undefined
  run = undefined
}
