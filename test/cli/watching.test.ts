import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { describe, expect, it, onTestFinished } from 'vitest'
import { controlledServer } from '../support/control.js'
import { eventually, session } from '../support/server.js'

/*
 * The verbs that look at a running server, as a shell sees them: what they write, how they end, and what when nobody reads it.
 */

const main = new URL('../../dist/main.js', import.meta.url).pathname

interface Command {
  readonly child: ChildProcessWithoutNullStreams
  readonly lines: string[]
  readonly errors: string[]
  /** The exit code. */
  readonly ended: Promise<number | null>
}

/** Runs the command on the server's folder. */
function meerkat(dataDir: string, ...args: string[]): Command {
  const file = join(dataDir, '../verbs.toml')
  writeFileSync(file, `[general]\nhosts = ["localhost"]\ndata_dir = ${JSON.stringify(dataDir)}\n`)
  const child = spawn(process.execPath, [main, ...args, '--config', file], { env: { ...process.env, COLUMNS: '' } })
  onTestFinished(() => void child.kill('SIGKILL'))
  const lines: string[] = []
  const errors: string[] = []
  createInterface({ input: child.stdout }).on('line', line => lines.push(line))
  createInterface({ input: child.stderr }).on('line', line => errors.push(line))
  const ended = once(child, 'close').then(([code]) => code as number | null) // the first argument of 'close'
  return { child, lines, errors, ended }
}

describe('the verbs that look at a running server', { timeout: 120_000 }, () => {
  it('write JSON with --json, and end with 0 where all was well and with 1 where the user was wrong', async () => {
    const { dataDir, ...server } = await controlledServer(['romeo'])
    const { jid = '' } = await session(server, 'romeo')
    const verbs = [
      ['tree'],
      ['top', '--once'],
      ['trace', '--seconds', '1'],
      ['session', 'list'],
      ['session', 'kick', jid],
    ]
    for (const verb of verbs) {
      const { lines, errors, ended } = meerkat(dataDir, ...verb, '--json')
      expect([await ended, errors]).toEqual([0, []])
      for (const line of lines) expect(JSON.parse(line)).toEqual(expect.any(Object))
      expect(lines.length).toBe(verb[0] === 'trace' ? 2 : 1)
    }
    const nobody = meerkat(dataDir, 'session', 'kick', jid, '--json')
    expect(await nobody.ended).toBe(1)
    expect(JSON.parse(nobody.lines.join(''))).toMatchObject({ ok: false, error: { code: 'not-found' } })
  })

  it('write plain text without escape sequences where the output is no terminal', async () => {
    const { dataDir, ...server } = await controlledServer(['romeo'])
    await session(server, 'romeo')
    for (const verb of [['tree'], ['top'], ['trace', '--seconds', '1'], ['session', 'list']]) {
      const { lines, errors, ended } = meerkat(dataDir, ...verb)
      expect([await ended, errors]).toEqual([0, []])
      expect(lines.join('\n')).not.toContain('\u001b')
      expect(lines.length).toBeGreaterThan(1)
    }
  })

  it.each(['trace --seconds 600 --json', 'trace --seconds 600', 'top --json'])(
    '%s ends quietly when nobody reads any more, as before head -1',
    async verb => {
      const { dataDir, ...server } = await controlledServer(['romeo'])
      const romeo = await session(server, 'romeo')
      const { child, lines, errors, ended } = meerkat(dataDir, ...verb.split(' '))
      await eventually(() => lines.length > 0)
      child.stdout.destroy()
      // Stanzas, so that there is something to write.
      const talk = setInterval(() => void romeo.send(`<message to='${romeo.jid}'><body>hello</body></message>`), 200)
      onTestFinished(() => clearInterval(talk))
      expect([await ended, errors]).toEqual([0, []])
    },
  )
})
