import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import Libsql from 'libsql'
import { StartupError } from '../observability/startup-error.js'
import { createPrivately } from './private-file.js'

/** A data_dir that is ours until it is released or the process ends, however it ends. */
export interface DataDir {
  /** The embedded store. */
  readonly database: string
  /** Gives the folder back. Idempotent. */
  release(): void
}

/**
 * Makes the folder if it is missing and locks it; throws StartupError when it cannot, or when another process works in it.
 *
 * The lock is the kernel's, on `meerkat.lock`, so a holder that was killed leaves nothing behind that must be judged stale.
 * Node has no file locks, but SQLite takes them: the lock file is an empty database with a write transaction that stays open.
 * Nothing in this process may open `meerkat.lock` otherwise, because closing it would drop the lock (POSIX); that is why the
 * pid stands in a file of its own, for people.
 */
export function lockDataDir(path: string): DataDir {
  const pidFile = join(path, 'meerkat.pid')
  const lock = openLock(path)
  try {
    lock.exec('BEGIN IMMEDIATE')
  } catch (error) {
    lock.close()
    throw new StartupError('data-dir-in-use', `data_dir ${path} is in use by ${holder(pidFile)}; stop it first`, {
      cause: error,
    })
  }
  writeFileSync(pidFile, `${process.pid}\n`, { mode: 0o600 })
  let isHeld = true
  return {
    database: join(path, 'meerkat.db'),
    release() {
      if (!isHeld) return
      isHeld = false
      rmSync(pidFile, { force: true })
      lock.exec('ROLLBACK')
      lock.close()
    },
  }
}

function openLock(path: string): Libsql.Database {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 })
    const file = join(path, 'meerkat.lock')
    createPrivately(file)
    const lock = new Libsql(file)
    lock.exec('PRAGMA busy_timeout = 0')
    return lock
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new StartupError('data-dir', `data_dir ${path} cannot be used: ${reason}`, { cause: error })
  }
}

function holder(pidFile: string): string {
  try {
    return `the process with pid ${readFileSync(pidFile, 'utf8').trim()}`
  } catch {
    return 'another process' // It has not written its pid yet.
  }
}
