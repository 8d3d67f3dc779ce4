import { once } from 'node:events'
import net, { type AddressInfo } from 'node:net'
import { afterEach, describe, expect, inject, it, onTestFinished } from 'vitest'
import { type Client, dropClients } from '../support/client.js'
import { certfile, domain, Meerkat } from '../support/meerkat.js'
import { freePort } from '../support/programs.js'
import { newClient } from './talker.js'

/*
 * Other servers that send far more than anybody asked for: the server's memory stays flat, the senders hear of it, and a
 * federation beside it goes on. spec/listeners.md §1.9, §3.2.5
 */

/** Bytes of each kind of junk. */
const BYTES = 100_000_000 * inject('soakScale')
/** What the server's memory may grow by meanwhile, in MiB, whatever the scale. */
const GROWTH = 64

const GOOD = 'good.example'
const BAD = 'bad.example'
const namespaces = `xmlns='jabber:server' xmlns:db='jabber:server:dialback' xmlns:stream='http://etherx.jabber.org/streams'`
const header = (attributes: string) => `<?xml version='1.0'?><stream:stream ${namespaces} ${attributes}>`

afterEach(() => dropClients())

/** Another server, on a port of its own; each connection to it is handed over with what it said first, its header. */
async function otherServer(serve: (socket: net.Socket) => void): Promise<number> {
  const server = net.createServer(socket => {
    socket.on('error', () => {})
    socket.once('data', () => serve(socket))
  })
  onTestFinished(() => {
    server.close()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port // never a path
}

/** Takes every key for right, and answers each message with one of its id. */
function goodServer(heard: (id: string) => void): (socket: net.Socket) => void {
  return socket => {
    let text = ''
    socket.write(header(`from='${GOOD}' id='good'`))
    socket.on('data', bytes => {
      text += bytes
      if (/<db:result[^>]*>[^<]+</.test(text)) {
        socket.write(`<db:result from='${GOOD}' to='${domain}' type='valid'/>`)
        text = ''
      }
      for (const [, id] of text.matchAll(/<message[^>]* id=['"]([^'"]+)['"][^>]*>.*?<\/message>/g)) heard(id ?? '')
      text = text.slice(text.lastIndexOf('</message>') + 1)
    })
  }
}

/** Sends so many bytes of this, as fast as the other side reads, until it ends the connection. */
async function pour(socket: net.Socket, piece: string): Promise<number> {
  const bytes = Buffer.from(piece.repeat(Math.ceil(65_536 / piece.length)))
  let sent = 0
  while (sent < BYTES && !socket.destroyed && socket.writable) {
    sent += bytes.length
    if (socket.write(bytes)) continue
    const isOver = AbortSignal.timeout(60_000)
    await Promise.race([once(socket, 'drain', { signal: isOver }), once(socket, 'close', { signal: isOver })]).catch(
      () => {},
    )
    if (isOver.aborted) break
  }
  return sent
}

/** What comes behind `before`, again and again. */
const junk: readonly (readonly [name: string, before: string, piece: string])[] = [
  ['elements', header(`from='${BAD}' id='bad'`), `<junk xmlns='junk'>${'x'.repeat(5_000)}</junk>`],
  ['white space', header(`from='${BAD}' id='bad'`), ' \n'.repeat(5_000)],
  ['one element without end', `${header(`from='${BAD}' id='bad'`)}<junk xmlns='junk'>`, 'x'.repeat(5_000)],
  ['elements within elements', header(`from='${BAD}' id='bad'`), '<a>'.repeat(1_000)],
  ['a header without end', `<stream:stream a='`, 'x'.repeat(5_000)],
  ['something that is no XML', 'HTTP/1.1 200 OK\r\n', 'x'.repeat(5_000)],
]

async function start(ports: { good: number; bad: number; s2s: number }) {
  const address = (host: string, port: number) => `{ host = "${host}", ip_address = "127.0.0.1", port = ${port} }`
  const server = await Meerkat.start(
    { clear: '' },
    {
      auth: 'password.hash = ["sha"]\nscram_iterations = 4096',
      more: `
[[listen.s2s]]
  port = ${ports.s2s}
  state_timeout = 5000
  ip_address = "127.0.0.1"
[s2s]
  use_starttls = "optional"
  certfile = "${certfile}"
  address = [${address(GOOD, ports.good)}, ${address(BAD, ports.bad)}]
`,
    },
  )
  onTestFinished(async () => {
    dropClients()
    expect(await server.stop(), 'how meerkat exited after SIGTERM').toBe(0)
  })
  return server
}

const message = (to: string, id: string) =>
  `<message to='juliet@${to}' type='chat' id='${id}'><body>Ay me</body></message>`

describe(`a server that sends ${BYTES / 1e6} MB of`, () => {
  it.each(junk)('%s: memory stays flat, the sender is told, others go on', async (name, before, piece) => {
    const arrived = new Set<string>()
    let wake = () => {}
    const good = await otherServer(
      goodServer(id => {
        arrived.add(id)
        wake()
      }),
    )
    const poured: Promise<number>[] = []
    const bad = await otherServer(socket => {
      socket.write(before)
      // Where it may send that much, it goes: who says nothing of our key has minutes for it.
      poured.push(pour(socket, piece).finally(() => socket.end()))
    })
    const server = await start({ good, bad, s2s: await freePort() })
    const romeo = await newClient(server)
    await exchange(romeo, 'first')
    const { peak } = server.memory
    await romeo.send(message(BAD, 'lost'))
    const told = romeo.receives(`<message type='error' id='lost' from='juliet@${BAD}'/>`, { within: 90_000 })
    for (let i = 0; i < 20; i++) await exchange(romeo, `beside ${i}`)
    await told
    const bytes = (await Promise.all(poured)).reduce((sum, count) => sum + count, 0)
    await exchange(romeo, 'last')
    const growth = server.memory.peak - peak
    console.log(`${name}: ${(bytes / 1e6).toFixed(1)} MB sent before the end, memory grew by ${growth.toFixed(0)} MiB`)
    expect(growth).toBeLessThan(GROWTH)

    async function exchange(from: Client, id: string): Promise<void> {
      await from.send(message(GOOD, id))
      while (!arrived.has(id)) {
        await new Promise<void>(resolve => {
          wake = resolve
        })
      }
    }
  })

  it.each(junk)(
    '%s, on a stream that it opens: memory stays flat, and the stream ends',
    async (name, before, piece) => {
      const s2s = await freePort()
      const server = await start({ good: await freePort(), bad: await freePort(), s2s })
      const romeo = await newClient(server)
      const { peak } = server.memory
      const socket = net.connect(s2s, '127.0.0.1')
      socket.on('error', () => {})
      socket.resume()
      onTestFinished(() => {
        socket.destroy()
      })
      socket.write(before.replace(` id='bad'`, ` to='${domain}'`))
      const closed = once(socket, 'close', { signal: AbortSignal.timeout(90_000) })
      const bytes = await pour(socket, piece)
      await closed
      await romeo.ask('get', `<ping xmlns='urn:xmpp:ping'/>`)
      const growth = server.memory.peak - peak
      console.log(
        `${name}: ${(bytes / 1e6).toFixed(1)} MB sent before the end, memory grew by ${growth.toFixed(0)} MiB`,
      )
      expect(growth).toBeLessThan(GROWTH)
    },
  )
})
