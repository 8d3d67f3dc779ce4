// Logs in with @xmpp/client and talks by lines of JSON, as README.md says.
import { createInterface } from 'node:readline'
import { client, xml } from '@xmpp/client'
import { WebSocket } from 'ws'

const { user, password, domain, port, tls, service } = JSON.parse(process.argv[2])
// Node has one of its own from version 22 on.
globalThis.WebSocket ??= WebSocket
const tell = event => process.stdout.write(`${JSON.stringify(event)}\n`)

const xmpp = client({
  service: service ?? `${tls === 'direct' ? 'xmpps' : 'xmpp'}://${domain}:${port}`,
  domain,
  username: user,
  password,
})
// One connection is tried; a lost one is a failure.
xmpp.reconnect.stop()
// For each step: 2 s, the default, are too short on a machine that has much else to do.
xmpp.timeout = 20_000
xmpp.on('error', error => {
  console.error(error)
  process.exit(1)
})
xmpp.on('stanza', stanza => {
  const body = stanza.is('message') && stanza.getChildText('body')
  if (body) tell({ event: 'message', from: stanza.attrs.from, type: stanza.attrs.type, body })
})
// It counts wrongly when a stanza comes in one read with <enabled/>, so that nothing is asked for before.
const managed = new Promise(resolve => {
  xmpp.on('nonza', element => element.is('enabled', 'urn:xmpp:sm:3') && setImmediate(resolve))
})
xmpp.on('online', async jid => {
  await managed
  await xmpp.send(xml('presence'))
  tell({ event: 'online', jid: jid.toString() })
})
await xmpp.start()

for await (const line of createInterface({ input: process.stdin })) {
  const { to, body } = JSON.parse(line)
  await xmpp.send(xml('message', { to, type: 'chat' }, xml('body', {}, body)))
}
await xmpp.stop()
