// Logs in with @xmpp/client and asks what it is told to: each line { id, to, name, ns } is answered by { id, result } or { id, error }.
import { createInterface } from 'node:readline'
import { client, xml } from '@xmpp/client'

const { user, password, domain, port, tls } = JSON.parse(process.argv[2])
const tell = event => process.stdout.write(`${JSON.stringify(event)}\n`)

const xmpp = client({
  service: `${tls === 'direct' ? 'xmpps' : 'xmpp'}://${domain}:${port}`,
  domain,
  username: user,
  password,
})
// One connection is tried; a lost one is a failure.
xmpp.reconnect.stop()
xmpp.timeout = 20_000
xmpp.on('error', error => {
  console.error(error)
  process.exit(1)
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
  const { id, to, name, ns } = JSON.parse(line)
  try {
    const answer = await xmpp.iqCaller.get(xml(name, { xmlns: ns }), to, 20_000)
    tell({ id, result: (answer?.getChildElements() ?? []).map(child => ({ name: child.name, ...child.attrs })) })
  } catch (error) {
    tell({ id, error: error.condition ?? String(error) })
  }
}
await xmpp.stop()
