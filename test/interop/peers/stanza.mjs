// Logs in over WebSocket or BOSH with stanza and talks by lines of JSON, as README.md says; `service` is the address instead of `port` and `tls`.
import { createInterface } from 'node:readline'
import { createClient } from 'stanza'

const { user, password, domain, service } = JSON.parse(process.argv[2])
const tell = event => process.stdout.write(`${JSON.stringify(event)}\n`)
const fail = error => {
  console.error(error)
  process.exit(1)
}

const isWebSocket = service.startsWith('ws')
const client = createClient({
  jid: `${user}@${domain}`,
  credentials: { username: user, password },
  transports: { websocket: isWebSocket && service, bosh: !isWebSocket && service },
  autoReconnect: false,
  timeout: 20,
})
client.on('auth:failed', () => fail('authentication failed'))
client.on('stream:error', fail)
client.on('message', ({ from, body }) => {
  if (body) tell({ event: 'message', from, body })
})
let isLeaving = false
client.on('disconnected', () => (isLeaving ? process.exit(0) : fail('disconnected')))
const isOnline = new Promise(resolve => client.once('session:started', resolve))
client.connect()
await isOnline
await client.getRoster()
client.sendPresence()
tell({ event: 'online', jid: client.jid })

for await (const line of createInterface({ input: process.stdin })) {
  const { to, body } = JSON.parse(line)
  client.sendMessage({ to, type: 'chat', body })
}
isLeaving = true
client.disconnect()
