import { expect, it } from 'vitest'
import { request } from '../support/rest.js'
import { startedServer } from '../support/server.js'

it('HP-5: where handlers of several types would answer, the first one in the file does', async () => {
  const handlers = {
    health: { meerkat_health: [{ host: '_', path: '/here' }] },
    docs: { cowboy_swagger_redirect_handler: [{ host: '_', path: '/here' }] },
  }
  const statusOf = async (order: (keyof typeof handlers)[]) => {
    const all = Object.assign({}, ...order.map(name => handlers[name]))
    const server = await startedServer({
      config: { listen: { http: [{ port: 0, ip_address: '127.0.0.1', handlers: all }] } },
    })
    return (await request(server, 'GET /here')).status
  }
  expect(await statusOf(['health', 'docs'])).toBe(200)
  expect(await statusOf(['docs', 'health'])).toBe(301)
})
