import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { collect, exited } from '../support/programs.js'
import { available, PASSWORD, session, startedServer } from '../support/server.js'

/*
 * Other people's clients over WebSocket, in Node, each as a process of its own.
 */

const certfile = join(import.meta.dirname, '../support/certificates/rsa.pem')
const bodies = ['Wherefore art thou?', 'a < b & c > d; "quoted" \'too\' &amp; ]]>', 'ἀλλ’ ἐγώ – Ромео, 朱丽叶 and 🐿️🌹']
const programs = [
  { name: '@xmpp/client', library: '@xmpp/client', program: 'xmpp-client.mjs' },
  { name: 'strophe.js', library: 'strophe.js', program: 'strophe-bosh.mjs' },
  { name: 'stanza', library: 'stanza', program: 'stanza.mjs' },
]

describe.each(programs)('$name', ({ library, program }) => {
  it.for(['ws', 'wss'])(
    'logs in over %s, is seen online, exchanges messages both ways and leaves',
    async (scheme, { skip }) => {
      const folder = join(import.meta.dirname, 'node_modules', library)
      const isMissing = !existsSync(folder)
      if (process.env.CI === 'true') expect(isMissing, folder).toBe(false)
      skip(isMissing, `${folder} is missing: run npm ci --prefix test/interop`)
      const handlers = { mod_websockets: [{ host: '_', path: '/ws-xmpp' }] }
      const tls = scheme === 'wss' ? { tls: { certfile } } : {}
      const server = await startedServer({
        users: ['romeo', 'juliet'],
        config: { listen: { http: [{ port: 0, ip_address: '127.0.0.1', handlers, ...tls }] } },
      })
      const port = server.addresses.find(({ protocol }) => protocol === 'http')?.port ?? 0
      const juliet = await session(server, 'juliet', { resource: 'tcp' })
      await available(juliet)
      const service = `${scheme}://localhost:${port}/ws-xmpp`
      const options = { user: 'romeo', password: PASSWORD, domain: 'localhost', service }
      const peer = spawn(process.execPath, [join(import.meta.dirname, 'peers', program), JSON.stringify(options)], {
        env: { ...process.env, NODE_EXTRA_CA_CERTS: certfile },
      })
      const output = collect(peer)
      await output.line(line => line.includes('"online"'), 'the word that it is online')
      for (const body of bodies) {
        peer.stdin.write(`${JSON.stringify({ to: juliet.jid, body })}\n`)
        const got = await juliet.receives('<message><body/></message>')
        expect(got.getChildText('body')).toBe(body)
        expect(got.attrs.from).toMatch(/^romeo@localhost\//)
        const escaped = body.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
        await juliet.send(`<message to='${got.attrs.from}' type='chat'><body>${escaped}</body></message>`)
        const isIt = (line: string) => line.includes('"message"') && JSON.parse(line).body === body
        await output.line(isIt, `the message ${JSON.stringify(body)}`)
      }
      peer.stdin.end()
      expect(await exited(peer)).toBe(0)
    },
  )
})
