import { closeSync, openSync } from 'node:fs'

/**
 * Makes the file for its owner only, unless it is there. A file that is there is not even opened: closing it again would drop
 * the locks that this process holds on it (POSIX). SQLite gives its log and index files the permissions of the database.
 */
export function createPrivately(file: string): void {
  try {
    closeSync(openSync(file, 'wx', 0o600))
  } catch (error) {
    const isThere = error instanceof Error && 'code' in error && error.code === 'EEXIST'
    if (!isThere) throw error
  }
}
