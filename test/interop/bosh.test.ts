import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { httpPort } from '../support/bosh.js'
import { collect, exited } from '../support/programs.js'
import { PASSWORD, session, startedServer } from '../support/server.js'

/*
 * Other people's clients over BOSH, in Node, each as a process of its own. What strophe.js asks of a browser is a few lines beside it.
 */

const programs = [
  { library: 'strophe.js', program: 'strophe-bosh.mjs' },
  { library: 'stanza', program: 'stanza.mjs' },
]
const bodies = ['Wherefore art thou?', 'a < b & c > d; "quoted" \'too\' &amp; ]]>', 'ἀλλ’ ἐγώ – Ромео, 朱丽叶 and 🐿️🌹']

describe.each(programs)('$library over BOSH', ({ library, program }) => {
  it('logs in, exchanges messages both ways and leaves', async ({ skip }) => {
    const folder = join(import.meta.dirname, 'node_modules', library)
    const isMissing = !existsSync(folder)
    if (process.env.CI === 'true') expect(isMissing, folder).toBe(false)
    skip(isMissing, `${folder} is missing: run npm ci --prefix test/interop`)
    const server = await startedServer({
      users: ['romeo', 'juliet'],
      modules: { mod_bosh: {}, mod_roster: {} },
      config: {
        listen: {
          http: [{ port: 0, ip_address: '127.0.0.1', handlers: { mod_bosh: [{ host: '_', path: '/http-bind' }] } }],
        },
      },
    })
    const juliet = await session(server, 'juliet', { resource: 'tcp' })
    const service = `http://127.0.0.1:${httpPort(server)}/http-bind`
    const options = { user: 'romeo', password: PASSWORD, domain: 'localhost', service }
    const peer = spawn(process.execPath, [join(import.meta.dirname, 'peers', program), JSON.stringify(options)])
    const output = collect(peer)
    await output.line(line => line.includes('"online"'), 'the word that it is online')
    for (const body of bodies) {
      peer.stdin.write(`${JSON.stringify({ to: juliet.jid, body })}\n`)
      const got = await juliet.receives('<message><body/></message>')
      expect(got.getChildText('body')).toBe(body)
      expect(got.attrs.from).toMatch(/^romeo@localhost\//)
      const escaped = body.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
      await juliet.send(`<message to='${got.attrs.from}' type='chat'><body>${escaped}</body></message>`)
      await output.line(
        line => line.includes('"message"') && JSON.parse(line).body === body,
        `the message ${JSON.stringify(body)}`,
      )
    }
    peer.stdin.end()
    expect(await exited(peer)).toBe(0)
  })
})
