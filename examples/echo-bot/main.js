import { startServer } from 'meerkat-xmpp'
import { echo } from './echo.js'

const server = await startServer({
  general: { hosts: ['localhost'], data_dir: 'echo-data' },
  auth: { methods: ['internal'] },
  listen: { c2s: [{ port: Number(process.env.XMPP_PORT ?? 5222), ip_address: '127.0.0.1' }] },
  // Clients make their accounts themselves, from this machine.
  modules: { mod_register: {} },
})
const bot = echo(server, 'echo.localhost')
console.log(`write to anybody@${bot.domain}`)
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => server.stop())
