/*
 * How late the event loop of a server runs while it archives, with real sockets: the server in this process, as `startServer` runs it, the
 * clients in another. Every message is archived twice, for its sender and for its reader.
 * node bench/archive-rate.mjs [messages a second] [seconds]
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as later } from 'node:timers/promises'

const [rate, seconds] = [Number(process.argv[2] ?? 5_000), Number(process.argv[3] ?? 60)]
const pairs = 100
const host = 'localhost'
const body = 'x'.repeat(100)

// ---- the server

async function measure() {
  const { startServer } = await import('../dist/index.js')
  const folder = mkdtempSync(join(tmpdir(), 'meerkat-bench-'))
  const server = await startServer({
    general: { hosts: [host], data_dir: join(folder, 'data'), loglevel: 'warning', registration_timeout: 'infinity' },
    auth: { methods: ['internal'], scram_iterations: 4096, password: { hash: ['sha'] } },
    listen: { c2s: [{ port: 0, ip_address: '127.0.0.1' }] },
    modules: { mod_register: {}, mod_mam_meta: {} },
  })
  const clients = fork(import.meta.filename, [String(rate), String(seconds)], {
    env: { ...process.env, ARCHIVE_RATE_PORT: String(server.addresses[0].port) },
  })
  await once(clients, 'message')
  const delay = monitorEventLoopDelay({ resolution: 1 })
  const before = process.cpuUsage()
  delay.enable()
  clients.send('begin')
  const [{ sent, received, took }] = await once(clients, 'message')
  delay.disable()
  const { user, system } = process.cpuUsage(before)
  const ms = percentile => (delay.percentile(percentile) / 1e6).toFixed(1)
  console.log(
    `${(sent / took).toFixed(0)} messages a second for ${took.toFixed(1)} s, each archived twice, ${sent - received} lost: event loop delay ` +
      `p50 ${ms(50)}, p99 ${ms(99)}, p99.9 ${ms(99.9)}, max ${(delay.max / 1e6).toFixed(1)} ms (a timer of 1 ms included); ` +
      `${((user + system) / sent).toFixed(1)} µs of CPU per message, ${(process.memoryUsage.rss() / 2 ** 20).toFixed(0)} MiB`,
  )
  clients.disconnect()
  await server.stop()
  rmSync(folder, { recursive: true })
}

// ---- the clients

/** A session that counts the messages it gets. */
async function client(port, name) {
  const socket = connect(port, '127.0.0.1').setEncoding('utf8').setNoDelay(true)
  const session = { socket, received: 0, jid: '' }
  let text = ''
  socket.on('data', chunk => {
    text += chunk
  })
  const answer = async pattern => {
    while (!pattern.test(text)) await once(socket, 'data')
    const [found] = pattern.exec(text)
    text = ''
    return found
  }
  const open = () =>
    socket.write(
      `<stream:stream to="${host}" version="1.0" xmlns="jabber:client" xmlns:stream="http://etherx.jabber.org/streams">`,
    )
  open()
  await answer(/<\/stream:features>/)
  const account = `<username>${name}</username><password>secret</password>`
  socket.write(`<iq type="set" id="r"><query xmlns="jabber:iq:register">${account}</query></iq>`)
  await answer(/<iq [^>]*type=['"]result/)
  const login = Buffer.from(`\0${name}\0secret`).toString('base64')
  socket.write(`<auth xmlns="urn:ietf:params:xml:ns:xmpp-sasl" mechanism="PLAIN">${login}</auth>`)
  await answer(/<success/)
  open()
  await answer(/<\/stream:features>/)
  socket.write('<iq type="set" id="b"><bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"/></iq>')
  session.jid = /<jid>(.*)<\/jid>/.exec(await answer(/<jid>.*<\/jid>/))[1]
  socket.removeAllListeners('data')
  let rest = ''
  socket.on('data', chunk => {
    const parts = (rest + chunk).split('</message>')
    rest = parts.pop()
    session.received += parts.length
  })
  return session
}

async function talk(port) {
  const all = []
  // A few at a time: logging in is not what is measured.
  for (let number = 0; number < pairs * 2; number += 10) {
    const names = Array.from({ length: 10 }, (_, index) => `user${number + index}`)
    all.push(...(await Promise.all(names.map(name => client(port, name)))))
  }
  const [senders, readers] = [all.slice(0, pairs), all.slice(pairs)]
  const messages = readers.map(({ jid }) => `<message to="${jid}" type="chat" id="a1"><body>${body}</body></message>`)
  process.send('ready')
  await once(process, 'message')
  const begun = performance.now()
  const received = () => readers.reduce((sum, reader) => sum + reader.received, 0)
  let sent = 0
  while (sent < rate * seconds) {
    await later(2)
    const due = Math.min(rate * seconds, Math.floor(((performance.now() - begun) * rate) / 1000))
    for (; sent < due; sent += 1) senders[sent % pairs].socket.write(messages[sent % pairs])
  }
  // What is not there ten seconds later is lost.
  const end = performance.now() + 10_000
  while (received() < sent && performance.now() < end) await later(2)
  process.send({ sent, received: received(), took: (performance.now() - begun) / 1000 })
  await once(process, 'disconnect')
  process.exit()
}

const { ARCHIVE_RATE_PORT: port } = process.env
await (port === undefined ? measure() : talk(Number(port)))
