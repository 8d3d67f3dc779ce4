import { once } from 'node:events'
import { afterEach, describe, expect, inject, it, onTestFinished } from 'vitest'
import { type Client, dropClients } from '../support/client.js'
import { Meerkat } from '../support/meerkat.js'
import { converse, newClient, newTalkers } from './talker.js'

declare module 'vitest' {
  interface ProvidedContext {
    /** 1 is the full size. */
    soakScale: number
  }
}

const SESSIONS = Math.ceil(500 * inject('soakScale')) * 2
/** Of each session. */
const MESSAGES = 200
/** For the reader that stops: far more than the server may keep, so that it is the same at every scale. In bytes, and a number. */
const FLOOD = { message: 16 * 1024, count: 16_000 }
/** What the server's memory may grow by meanwhile, in MiB; the flood is twice that. */
const GROWTH = 128

afterEach(() => dropClients())

describe(`${SESSIONS} sessions in pairs`, () => {
  it(`exchange ${SESSIONS * MESSAGES} messages, none lost, doubled or out of order`, async () => {
    const server = await start()
    const talkers = await newTalkers(server, SESSIONS)
    const since = performance.now()
    await converse(talkers, MESSAGES)
    const seconds = (performance.now() - since) / 1000
    const received = talkers.reduce((sum, talker) => sum + talker.received, 0)
    expect(received).toBe(SESSIONS * MESSAGES)
    const { now, peak } = server.memory
    console.log(
      `${SESSIONS} sessions, ${received} messages in ${seconds.toFixed(1)} s; ${now.toFixed(0)} MiB, peak ${peak.toFixed(0)} MiB`,
    )
  })

  it('go on while one reader has stopped, memory stays flat, and that reader ends (§1.9, §1.10)', async () => {
    const server = await start()
    const talkers = await newTalkers(server, SESSIONS)
    const [sloth, flooder] = [await newClient(server), await newClient(server)]
    await converse(talkers, MESSAGES / 2)
    const before = server.memory.peak

    sloth.pause()
    const ends = server.logged(new RegExp(`"event":"session.closed".*"jid":"${sloth.jid}".*`))
    const since = performance.now()
    const end = ends.then(line => ({ line, ms: performance.now() - since }))
    await Promise.all([converse(talkers, MESSAGES / 2), flood(flooder, sloth), end])
    const growth = server.memory.peak - before
    const { line, ms } = await end
    console.log(
      `${FLOOD.count} messages of ${FLOOD.message} bytes to a reader that stopped: it ended after ${ms.toFixed(0)} ms, ` +
        `memory grew from ${before.toFixed(0)} MiB by ${growth.toFixed(0)} MiB; ${line}`,
    )
    expect(line).toMatch(/queue-limit|resource-constraint|write stalled/)
    expect(growth).toBeLessThan(GROWTH)
    sloth.resume()
    await sloth.closed({ within: 60_000 })
  })
})

async function start(): Promise<Meerkat<'clear'>> {
  // What is tested comes after the login, which may be cheap.
  const auth = 'password.hash = ["sha"]\nscram_iterations = 4096'
  const server = await Meerkat.start({ clear: '' }, { loglevel: 'info', auth })
  onTestFinished(async () => {
    dropClients()
    expect(await server.stop(), 'how meerkat exited after SIGTERM').toBe(0)
  })
  return server
}

/** Sends as fast as the server reads. */
async function flood(from: Client, to: Client): Promise<void> {
  const body = 'x'.repeat(FLOOD.message)
  const message = `<message type="chat" to="${to.jid}"><body>${body}</body></message>`
  // What comes back, errors once the reader is gone, is nobody's.
  from.socket.removeAllListeners('data')
  from.socket.resume()
  for (let sent = 0; sent < FLOOD.count; sent++) {
    if (!from.socket.write(message)) await once(from.socket, 'drain')
  }
}
