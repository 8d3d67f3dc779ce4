import { startServer } from 'meerkat-xmpp'
import { application } from './app.js'

const server = await startServer({
  general: { hosts: ['localhost'], data_dir: 'koa-data' },
  listen: { c2s: [{ port: 5222, ip_address: '127.0.0.1' }] },
})
const http = application(server).listen(3000, '127.0.0.1')
process.once('SIGINT', async () => {
  http.close()
  await server.stop()
})
