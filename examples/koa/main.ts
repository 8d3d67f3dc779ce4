import { startServer } from 'meerkat-xmpp'
import { application } from './app.ts'

const server = await startServer({
  general: { hosts: ['localhost'], data_dir: 'koa-data' },
  auth: { methods: ['internal'] },
  listen: { c2s: [{ port: Number(process.env.XMPP_PORT ?? 5222), ip_address: '127.0.0.1' }] },
  // Clients make their accounts themselves, from this machine.
  modules: { mod_register: {} },
})
const http = application(server).listen(Number(process.env.PORT ?? 3000), '127.0.0.1', () => console.log('ready'))
for (const signal of ['SIGINT', 'SIGTERM'])
  process.once(signal, async () => {
    http.close()
    await server.stop()
  })
