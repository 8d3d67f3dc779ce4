import { describe, expect, it } from 'vitest'
import { runSessionKick, runSessionList } from '../../src/cli/session.js'
import { runTree } from '../../src/cli/tree.js'
import { controlledServer, Lines } from '../support/control.js'
import { session } from '../support/server.js'

const page = { limit: 100, offset: 0, json: false }

describe('meerkat session', () => {
  it('lists who is connected, finds, pages and counts, as text and as JSON', async () => {
    const server = await controlledServer(['romeo', 'juliet'])
    await session(server, 'romeo', { resource: 'garden', priority: 3 })
    await session(server, 'juliet', { resource: 'balcony' })
    const list = async (options: object) => {
      const output = new Lines()
      expect(await runSessionList({ dataDir: server.dataDir, ...page, ...options }, output)).toBe(0)
      return output
    }
    expect((await list({})).lines).toEqual([
      expect.stringMatching(/^romeo@localhost\/garden {2}available 3 {2}127\.0\.0\.1:\d+ {2}c2s-127\.0\.0\.1-0-0$/),
      expect.stringMatching(/^juliet@localhost\/balcony {2}unavailable {2}127\.0\.0\.1:\d+ /),
      '2 of 2 sessions',
    ])
    expect((await list({ limit: 1 })).lines.slice(1)).toEqual(['… 1 more', '2 of 2 sessions'])
    expect((await list({ search: 'GARDEN' })).lines.at(-1)).toBe('1 of 2 sessions')
    expect(JSON.parse((await list({ json: true, search: 'juliet' })).text)).toMatchObject({
      ok: true,
      matched: 1,
      items: [{ jid: 'juliet@localhost/balcony' }],
    })
  })

  it('ends a session, once', async () => {
    const server = await controlledServer(['romeo'])
    const { dataDir } = server
    const romeo = await session(server, 'romeo')
    const jid = String(romeo.jid)
    const output = new Lines()
    expect(await runSessionKick(jid, { dataDir, json: false }, output)).toBe(0)
    expect(output.lines).toEqual([`kicked ${jid}`])
    await romeo.receives('<stream:error><conflict xmlns="urn:ietf:params:xml:ns:xmpp-streams"/></stream:error>')
    await expect(runSessionKick(jid, { dataDir, json: true }, output)).rejects.toMatchObject({
      code: 'not-found',
    })
  })
})

describe('meerkat tree with filters', () => {
  it('lists who passes, with paths, and how many were looked at', async () => {
    const server = await controlledServer(['romeo'])
    const { jid } = await session(server, 'romeo')
    const tree = async (filters: object, json = false) => {
      const output = new Lines()
      const options = { dataDir: server.dataDir, depth: 3, limit: 10, json, filters }
      expect(await runTree(options, output)).toBe(0)
      return output
    }
    const found = await tree({ jid: 'ROMEO' })
    expect(found.lines).toEqual([
      expect.stringMatching(/^\/root\/listeners\/c2s-127\.0\.0\.1-0-0\/acceptor-\d\/connection-1 {2}\w+, .*jid /),
      expect.stringMatching(/^1 of \d+ actors$/),
    ])
    expect(found.text).toContain(jid)
    const json = JSON.parse((await tree({ kind: 'Acceptor', states: ['idle', 'hibernated'] }, true)).text)
    expect(json).toMatchObject({ ok: true, isWhole: true, items: [{ kind: 'Acceptor' }, { kind: 'Acceptor' }] })
    await expect(tree({ states: ['lazy'] })).rejects.toMatchObject({ code: 'bad-request' })
    await expect(tree({ listener: 'nobody' })).rejects.toMatchObject({ code: 'not-found' })
  })
})
