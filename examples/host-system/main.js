import { startServer } from 'meerkat-xmpp'
import { start, stop } from 'nact'
import { countOn } from './counter.js'

const system = start()
const server = await startServer(
  {
    general: { hosts: ['localhost'], data_dir: 'host-data' },
    auth: { methods: ['internal'] },
    listen: { c2s: [{ port: Number(process.env.XMPP_PORT ?? 5222), ip_address: '127.0.0.1' }] },
    // Clients make their accounts themselves, from this machine.
    modules: { mod_register: {} },
  },
  { system },
)
const { domain } = countOn(system, server, 'counter.localhost')
console.log(`write to anybody@${domain}`)
// One stop for all: it reaches the server, which tells its clients, and closes what it has open.
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => stop(system))
