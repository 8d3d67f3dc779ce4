import { describe, expect, it } from 'vitest'
import { runTrace, show } from '../../src/cli/trace.js'
import { controlledServer, Lines } from '../support/control.js'
import { eventually, session } from '../support/server.js'

const all = { count: 100, seconds: 60, bodies: false, json: false }

describe('meerkat trace', () => {
  it('shows stanzas as they pass, without what was said, and ends at the count', async () => {
    const server = await controlledServer(['romeo'])
    const romeo = await session(server, 'romeo')
    const output = new Lines()
    const ended = runTrace({ dataDir: server.dataDir, ...all, kind: 'message', direction: 'sent', count: 1 }, output)
    await eventually(() => output.lines.includes('# 1 stanzas or 60 s'))
    await romeo.send('<message to="juliet@localhost"><body>it is the east</body></message>')
    expect(await ended).toBe(0)
    expect(output.lines).toEqual([
      '# 1 stanzas or 60 s',
      expect.stringMatching(/^\S+Z → romeo@localhost\/\S+ {2}message, \d+ bytes$/),
      expect.stringContaining('<body>…</body>'),
      '# ended: enough; 1 seen, 0 left out',
    ])
  })

  it('writes one JSON object per line', async () => {
    const server = await controlledServer([])
    const output = new Lines()
    expect(await runTrace({ dataDir: server.dataDir, ...all, seconds: 1, json: true }, output)).toBe(0)
    expect(output.lines.map(line => JSON.parse(line).event)).toEqual(['started', 'ended'])
  })

  it('says what the server refuses, and that there is none', async () => {
    const server = await controlledServer([])
    const { dataDir } = server
    const output = new Lines()
    await expect(runTrace({ dataDir, ...all, jid: '@' }, output)).rejects.toMatchObject({ code: 'bad-request' })
    await server.stop()
    await expect(runTrace({ dataDir, ...all }, output)).rejects.toMatchObject({ code: 'not-running' })
  })

  it('is one of eight at a time, so that nobody can make the server look at everything for everybody', async () => {
    const server = await controlledServer([])
    const { dataDir } = server
    const outputs = Array.from({ length: 8 }, () => new Lines())
    const ended = outputs.map(output => runTrace({ dataDir, ...all, seconds: 600 }, output).catch(() => 'cut'))
    await eventually(() => outputs.every(({ lines }) => lines.length === 1))
    const refused = { code: 'unavailable', message: 'there are 8 traces already' }
    await expect(runTrace({ dataDir, ...all }, new Lines())).rejects.toMatchObject(refused)
    await server.stop()
    await Promise.all(ended)
  })

  it('names components and other servers by what they are', () => {
    const data = { at: 0, direction: 'received', via: 'server', peer: 'b.example', kind: 'iq', type: 'get', bytes: 9 }
    expect([...show({ event: 'stanza', data })][0]).toBe('1970-01-01T00:00:00.000Z ← server b.example  iq get, 9 bytes')
  })

  it('shows what a terminal would take for an order as what it is', () => {
    const data = {
      at: 0,
      direction: 'sent',
      via: 'client',
      peer: 'a@b/\u001b[2J',
      kind: 'iq',
      type: 'get',
      bytes: 9,
      xml: '<iq/>',
    }
    expect([...show({ event: 'stanza', data })][0]).toBe('1970-01-01T00:00:00.000Z → a@b/\\u001b[2J  iq get, 9 bytes')
  })
})
