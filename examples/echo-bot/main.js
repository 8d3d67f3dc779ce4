import { startServer } from 'meerkat-xmpp'
import { echo } from './echo.js'

const server = await startServer({
  general: { hosts: ['localhost'], data_dir: 'echo-data' },
  listen: { c2s: [{ port: 5222, ip_address: '127.0.0.1' }] },
})
const bot = echo(server, 'echo.localhost')
console.log(`write to anybody@${bot.domain}`)
process.once('SIGINT', () => server.stop())
