import { parentPort, workerData } from 'node:worker_threads'
import { batchRunner } from './batch.js'
import { type Database, openDatabase } from './database.js'
import { type FromWorker, prepareVerbs, type ToWorker, type WorkerOptions } from './protocol.js'
import { isStopping, rest, unlessStopped } from './standstill.js'

/*
 * The worker thread that owns the database. It runs compiled, from dist/: Node 20 cannot start a .ts worker.
 */

const port = parentPort
if (port === null) throw new Error('this file runs as a worker thread only')
const say = (message: FromWorker) => port.postMessage(message)

const options = workerData as WorkerOptions // The cast: client.ts starts this file with exactly that.
try {
  serve(openDatabase(options))
  say({ type: 'ready' })
} catch (error) {
  say({ type: 'failed', message: error instanceof Error ? error.message : String(error) })
  port.close()
}
rest(options.standstill)

function serve(database: Database): void {
  const run = batchRunner(database, prepareVerbs(database), () => isStopping(options.standstill))
  const hear = (message: ToWorker) => {
    switch (message.type) {
      case 'batch':
        say(run(message.calls))
        break
      case 'close':
        // Before the answer, so that whoever opens the file next finds it closed.
        database.close()
        say({ type: 'closed' })
        port?.close()
        break
      case 'crash':
        database.exec('BEGIN IMMEDIATE')
        process.exit(1)
    }
  }
  port?.on('message', (message: ToWorker) => unlessStopped(options.standstill, () => hear(message)))
}
