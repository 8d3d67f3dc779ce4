import { EventEmitter } from 'node:events'
import { describe, expect, it } from 'vitest'
import { runTop } from '../../src/cli/top.js'
import { controlledServer, Lines } from '../support/control.js'
import { eventually, session } from '../support/server.js'

/** A terminal that keeps what is written to it. */
class Terminal extends EventEmitter {
  isTTY = true
  columns = 60
  rows = 12
  isRaw = false
  written = ''
  write(text: string): boolean {
    this.written += text
    return true
  }
  setRawMode(isRaw: boolean): this {
    this.isRaw = isRaw
    return this
  }
  pause(): this {
    return this
  }
  resume(): this {
    return this
  }
}
const terminalOf = (one: Terminal) => ({ input: one, output: one }) as unknown as Parameters<typeof runTop>[2]

describe('meerkat top', () => {
  it('shows figures, listeners and the busiest actors once, as text and as JSON', async () => {
    const server = await controlledServer(['romeo'])
    const { jid } = await session(server, 'romeo')
    const { dataDir } = server
    const text = new Lines()
    const options = { dataDir, most: 5, once: true, json: false }
    const terminal = terminalOf(new Terminal())
    expect(await runTop(options, text, terminal)).toBe(0)
    expect(text.text).toMatch(/^meerkat \S+ {2}running for \d+ s {2}pid \d+/)
    expect(text.lines).toContainEqual(expect.stringMatching(/^clients {2}sessions 1, connections 1;/))
    expect(text.lines).toContainEqual(expect.stringMatching(/^listener c2s-\S+ {2}c2s {2}connections 1, sessions 1$/))
    const json = new Lines()
    expect(await runTop({ ...options, json: true }, json, terminal)).toBe(0)
    expect(json.lines).toHaveLength(1)
    expect(JSON.parse(json.text)).toMatchObject({ sessions: 1, busiest: expect.any(Array), rates: { stanzasIn: 0 } })
    expect(jid).toContain('romeo')
  })

  it('draws a terminal anew every second, within its size, until q', async () => {
    const server = await controlledServer(['romeo'])
    const romeo = await session(server, 'romeo')
    const terminal = new Terminal()
    const ended = runTop(
      { dataDir: server.dataDir, most: 50, once: false, json: false },
      new Lines(),
      terminalOf(terminal),
    )
    await eventually(() => terminal.written.includes('MESSAGES'))
    expect(terminal.isRaw).toBe(true)
    await romeo.ask('get', '<ping xmlns="urn:xmpp:ping"/>')
    await eventually(() => terminal.written.split('\u001b[H').length > 2)
    for (const screen of terminal.written.split('\u001b[H').slice(1)) {
      const lines = screen.split('\r\n')
      expect(lines.length).toBeLessThanOrEqual(terminal.rows)
      for (const line of lines) expect(line.split('\u001b')[0]!.length).toBeLessThanOrEqual(terminal.columns)
    }
    terminal.emit('data', Buffer.from('q'))
    expect(await ended).toBe(0)
    expect(terminal.isRaw).toBe(false)
    expect(terminal.written.endsWith('\u001b[?25h\u001b[?1049l')).toBe(true)
  })

  it('draws a terminal that says to have no size', async () => {
    const server = await controlledServer([])
    const terminal = new Terminal()
    terminal.rows = 0
    terminal.columns = 0
    const options = { dataDir: server.dataDir, most: 5, once: false, json: false }
    const ended = runTop(options, new Lines(), terminalOf(terminal))
    await eventually(() => terminal.written.includes('MESSAGES'))
    expect(terminal.written).toContain('q quits')
    terminal.emit('data', Buffer.from('q'))
    expect(await ended).toBe(0)
  })
})
