/*
 * How late the event loop of a server runs that has many streams of events open and takes messages for them over REST: the server in this
 * process, as `startServer` runs it, the clients in another.
 * node bench/sse.mjs [streams] [messages a second] [seconds]
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { connect } from 'node:net'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as later } from 'node:timers/promises'

const [streams, rate, seconds] = [2_000, 500, 60].map((otherwise, index) =>
  Number(process.argv[index + 2] ?? otherwise),
)
const host = 'localhost'
/** Requests under way at a time. */
const atOnce = 32

// ---- the server

async function measure() {
  const { startServer } = await import('../dist/index.js')
  const folder = mkdtempSync(join(tmpdir(), 'meerkat-bench-'))
  const handlers = {
    lasse_handler: [{ host: '_', path: '/api/sse', module: 'mongoose_client_api_sse' }],
    mongoose_client_api_messages: [{ host: '_', path: '/api/messages/[:with]' }],
  }
  const server = await startServer({
    general: { hosts: [host], data_dir: join(folder, 'data'), loglevel: 'warning', registration_timeout: 'infinity' },
    auth: { methods: ['internal'], scram_iterations: 4096, password: { hash: ['sha'] } },
    listen: {
      c2s: [{ port: 0, ip_address: '127.0.0.1' }],
      http: [{ port: 0, ip_address: '127.0.0.1', transport: { max_connections: 'infinity' }, handlers }],
    },
    modules: { mod_register: {}, mod_offline: {} },
  })
  const empty = process.memoryUsage.rss()
  const ports = server.addresses.map(({ port }) => port).join()
  const clients = fork(import.meta.filename, process.argv.slice(2), { env: { ...process.env, SSE_PORTS: ports } })
  clients.once('exit', code => {
    if (code !== 0) process.exit(1)
  })
  await once(clients, 'message')
  const open = process.memoryUsage.rss()
  const delay = monitorEventLoopDelay({ resolution: 1 })
  const before = process.cpuUsage()
  delay.enable()
  clients.send('begin')
  const [{ sent, heard, took }] = await once(clients, 'message')
  delay.disable()
  const { user, system } = process.cpuUsage(before)
  const ms = percentile => (delay.percentile(percentile) / 1e6).toFixed(1)
  const mebibytes = bytes => (bytes / 2 ** 20).toFixed(0)
  console.log(
    `${streams} streams, ${(sent / took).toFixed(0)} messages a second for ${took.toFixed(1)} s, ${sent - heard} lost: event loop delay ` +
      `p50 ${ms(50)}, p99 ${ms(99)}, p99.9 ${ms(99.9)}, max ${(delay.max / 1e6).toFixed(1)} ms (a timer of 1 ms included); ` +
      `${((user + system) / sent).toFixed(0)} µs of CPU per message; ${((open - empty) / 1024 / streams).toFixed(1)} KiB per stream, ` +
      `${mebibytes(process.memoryUsage.rss())} MiB at the end; load of the machine ${loadavg()[0]?.toFixed(1)}`,
  )
  clients.disconnect()
  await server.stop()
  rmSync(folder, { recursive: true })
}

// ---- the clients

const basic = name => `Basic ${Buffer.from(`${name}@${host}:secret`).toString('base64')}`

async function register(port, names) {
  const socket = connect(port, '127.0.0.1').setEncoding('utf8').setNoDelay(true)
  let text = ''
  socket.on('data', chunk => {
    text += chunk
  })
  const answer = async pattern => {
    while (!pattern.test(text)) await once(socket, 'data')
    text = ''
  }
  socket.write(
    `<stream:stream to="${host}" version="1.0" xmlns="jabber:client" xmlns:stream="http://etherx.jabber.org/streams">`,
  )
  await answer(/<\/stream:features>/)
  for (const name of names) {
    const account = `<username>${name}</username><password>secret</password>`
    socket.write(`<iq type="set" id="${name}"><query xmlns="jabber:iq:register">${account}</query></iq>`)
    await answer(/<iq [^>]*type=['"]result/)
  }
  socket.destroy()
}

async function listen(port, name) {
  const headers = { host, authorization: basic(name) }
  const sent = request({ host: '127.0.0.1', port, agent: false, path: '/api/sse', headers }).end()
  const [response] = await once(sent, 'response')
  if (response.statusCode !== 200) throw new Error(`status ${response.statusCode}`)
  const stream = { heard: 0 }
  response.on('data', chunk => {
    // One event begins with it, and nothing else has it.
    for (let at = chunk.indexOf('event: '); at >= 0; at = chunk.indexOf('event: ', at + 1)) stream.heard += 1
  })
  return stream
}

async function post(port, agent, to, number) {
  const headers = { host, authorization: basic('user0'), 'content-type': 'application/json' }
  const sent = request({ host: '127.0.0.1', port, agent, method: 'POST', path: '/api/messages', headers })
  sent.end(JSON.stringify({ to: `${to}@${host}`, body: `${number}` }))
  const [response] = await once(sent, 'response')
  response.resume()
  await once(response, 'end')
  if (response.statusCode !== 200) throw new Error(`status ${response.statusCode}`)
}

async function talk([xmpp, http]) {
  const names = Array.from({ length: streams }, (_, index) => `user${index}`)
  // A stream without a session may not ask for more.
  for (let at = 0; at < streams; at += 400) {
    const some = names.slice(at, at + 400)
    await Promise.all(Array.from({ length: 8 }, (_, part) => register(xmpp, some.slice(part * 50, (part + 1) * 50))))
  }
  const open = []
  // A few at a time: the opening is not what is measured.
  for (let at = 0; at < streams; at += 50) {
    open.push(...(await Promise.all(names.slice(at, at + 50).map(name => listen(http, name)))))
  }
  process.send('ready')
  await once(process, 'message')
  const agent = new Agent({ keepAlive: true, maxSockets: atOnce })
  const begun = performance.now()
  let sent = 0
  const one = async () => {
    for (;;) {
      const number = sent
      const due = (number * 1000) / rate
      if (Math.max(due, performance.now() - begun) >= seconds * 1000) return
      sent++
      await later(Math.max(0, begun + due - performance.now()))
      await post(http, agent, names[number % streams], number)
    }
  }
  await Promise.all(Array.from({ length: atOnce }, one))
  const took = (performance.now() - begun) / 1000
  const heard = () => open.reduce((sum, stream) => sum + stream.heard, 0)
  // What is not there ten seconds later is lost.
  const end = performance.now() + 10_000
  while (heard() < sent && performance.now() < end) await later(2)
  process.send({ sent, heard: heard(), took })
  await once(process, 'disconnect')
  process.exit()
}

const { SSE_PORTS: ports } = process.env
await (ports === undefined ? measure() : talk(ports.split(',').map(Number)))
