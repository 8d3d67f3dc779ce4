// A component with @xmpp/component that answers every message with its body, as README.md says.
import { component, xml } from '@xmpp/component'

const { domain, port, secret } = JSON.parse(process.argv[2])
const tell = event => process.stdout.write(`${JSON.stringify(event)}\n`)

const xmpp = component({ service: `xmpp://127.0.0.1:${port}`, domain, password: secret })
// One connection is tried; a lost one is a failure.
xmpp.reconnect.stop()
// For each step: 2 s, the default, are too short on a machine that has much else to do.
xmpp.timeout = 20_000
xmpp.on('error', error => {
  tell({ event: 'error', condition: error.condition ?? String(error) })
})
xmpp.on('disconnect', () => process.exit(0))
xmpp.on('stanza', stanza => {
  const body = stanza.is('message') && stanza.getChildText('body')
  const { from, to, type } = stanza.attrs
  if (body) void xmpp.send(xml('message', { to: from, from: to, type }, xml('body', {}, body)))
})
xmpp.on('online', jid => tell({ event: 'online', jid: jid.toString() }))
process.stdin.on('end', () => void xmpp.stop()).resume()
await xmpp.start()
