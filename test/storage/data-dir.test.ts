import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { lockDataDir } from '../../src/storage/data-dir.js'
import { temporaryFolder } from './folder.js'

const module = new URL('../../dist/storage/data-dir.js', import.meta.url).href

/** A process that tries to lock the folder, says `locked` or why not, and then stays as long as it is let. */
const script = `
  import(${JSON.stringify(module)}).then(({ lockDataDir }) => {
    try {
      lockDataDir(process.argv[1])
      console.log('locked')
      if (process.argv[2] === 'stay') setInterval(() => {}, 1000)
    } catch (error) {
      console.log(error.problem + ': ' + error.message)
    }
  })`

const tryToLock = (folder: string) =>
  execFileSync(process.execPath, ['-e', script, folder], { encoding: 'utf8' }).trim()

async function holder(folder: string) {
  const child = spawn(process.execPath, ['-e', script, folder, 'stay'], { stdio: ['ignore', 'pipe', 'inherit'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  const [line] = await once(child.stdout, 'data')
  expect(String(line).trim()).toBe('locked')
  return child
}

describe('the lock on data_dir', () => {
  it('makes the folder, for its owner only, with everything above it', () => {
    const folder = join(temporaryFolder(), 'a', 'data')
    const held = lockDataDir(folder)
    expect(statSync(folder).mode & 0o777).toBe(0o700)
    expect(statSync(join(folder, 'meerkat.lock')).mode & 0o777).toBe(0o600)
    expect(statSync(join(folder, 'meerkat.pid')).mode & 0o777).toBe(0o600)
    expect(held.database).toBe(join(folder, 'meerkat.db'))
    held.release()
  })

  it('refuses a second process, names the pid of the first, and lets go when the first has released it', () => {
    const folder = temporaryFolder()
    const held = lockDataDir(folder)
    expect(tryToLock(folder)).toBe(
      `data-dir-in-use: data_dir ${folder} is in use by the process with pid ${process.pid}; stop it first`,
    )
    // The one that was refused has not loosened it.
    expect(tryToLock(folder)).toMatch(/^data-dir-in-use/)
    held.release()
    held.release()
    expect(existsSync(join(folder, 'meerkat.pid'))).toBe(false)
    expect(tryToLock(folder)).toBe('locked')
  })

  it('refuses a second server in one process', () => {
    const folder = temporaryFolder()
    const held = lockDataDir(folder)
    expect(() => lockDataDir(folder)).toThrow(`pid ${process.pid}`)
    expect(tryToLock(folder)).toMatch(/^data-dir-in-use/)
    held.release()
    lockDataDir(folder).release()
  })

  it('is gone with a holder that was killed, whatever pid stands in the file', async () => {
    const folder = temporaryFolder()
    const child = await holder(folder)
    expect(() => lockDataDir(folder)).toThrow(`pid ${child.pid}`)
    child.kill('SIGKILL')
    await once(child, 'exit')
    expect(readFileSync(join(folder, 'meerkat.pid'), 'utf8')).toBe(`${child.pid}\n`)
    // The pid of a process that lives: a lock that went by it would be taken for held.
    writeFileSync(join(folder, 'meerkat.pid'), `${process.ppid}\n`)
    const held = lockDataDir(folder)
    expect(readFileSync(join(folder, 'meerkat.pid'), 'utf8')).toBe(`${process.pid}\n`)
    held.release()
  })

  it('goes to exactly one of several processes that start at once', async () => {
    const folder = temporaryFolder()
    const children = Array.from({ length: 4 }, () => {
      const child = spawn(process.execPath, ['-e', script, folder, 'stay'], { stdio: ['ignore', 'pipe', 'inherit'] })
      onTestFinished(() => void child.kill('SIGKILL'))
      return child
    })
    const lines = await Promise.all(children.map(async child => String((await once(child.stdout, 'data'))[0]).trim()))
    expect(lines.filter(line => line === 'locked')).toHaveLength(1)
    expect(lines.filter(line => line.startsWith('data-dir-in-use'))).toHaveLength(3)
  })

  it('says what is wrong with a folder that cannot be made', () => {
    const folder = temporaryFolder()
    writeFileSync(join(folder, 'file'), '')
    symlinkSync(join(folder, 'nowhere'), join(folder, 'dangling'))
    for (const path of ['file', 'file/below', 'dangling', 'dangling/below']) {
      expect(() => lockDataDir(join(folder, path))).toThrow(
        expect.objectContaining({ name: 'StartupError', problem: 'data-dir', message: expect.stringContaining(path) }),
      )
    }
  })
})
