/*
 * A test against a real server, in memory and in this process: no container, no port to choose.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startTestServer } from 'meerkat-xmpp/testing'
import { startBot } from './bot.js'

test('the bot says hello', async () => {
  const server = await startTestServer()
  await server.addUser('bot', 'secret')
  const service = `xmpp://127.0.0.1:${server.port}`
  const bot = await startBot({ service, domain: server.host, username: 'bot', password: 'secret' })
  try {
    const answer = new Promise(resolve => server.component('tester.localhost', xml => resolve(xml)))
    server.route(`<message from="me@tester.localhost" to="bot@${server.host}"><body>hi</body></message>`)
    assert.match(await answer, /<body>hello<\/body>/)
  } finally {
    // Else it may take the end of its own stream for a loss, and come back for ever.
    bot.reconnect.stop()
    await bot.stop()
    await server.stop()
  }
})
