/*
 * What it costs to look at everything: 10 000 sessions in one server of this process, whose whole tree is asked for over HTTP once a
 * second, as the page of the debug endpoint does it. Run after `npm run build`: node bench/inspect.mjs [sessions] [--json]
 * Prints CPU time per answer beyond that of the idle server, as a part of a core, and how late the event loop was, of the server alone:
 * the clients, and who looks, are processes of their own. This one wants a file descriptor for each session: `ulimit -n`.
 */
import { fork } from 'node:child_process'
import { connect } from 'node:net'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'

const SECONDS = 10
const WARM_UP = 5
/** Of one process of clients: each is a file descriptor there too. */
const MOST_CLIENTS = 8000
const [role, ...given] = process.argv.slice(2)
if (role === 'look') await lookOften(Number(given[0]), given[1])
else if (role === 'clients') await logInAll(Number(given[0]), given[1], Number(given[2]))
else await measure(Number(process.argv.find(text => /^\d+$/.test(text)) ?? 10_000))

async function measure(sessions) {
  const { startTestServer } = await import('../dist/testing.js')
  const http = [{ port: 0, ip_address: '127.0.0.1', handlers: { meerkat_debug: [{ host: '_', path: '/debug' }] } }]
  const c2s = [{ port: 0, ip_address: '127.0.0.1', num_acceptors: 10, backlog: 4096 }]
  const auth = { methods: ['anonymous'], anonymous: { allow_multiple_connections: true } }
  const server = await startTestServer({ config: { auth, listen: { c2s, http } }, modules: {} })
  const port = server.addresses.find(({ protocol }) => protocol === 'http').port
  const clients = []
  for (let left = sessions; left > 0; left -= MOST_CLIENTS) {
    clients.push(await clientsOf(server, Math.min(left, MOST_CLIENTS)))
  }
  // What came to rest is packed by now.
  await sleep(5000)
  const idle = await watch(() => sleep(SECONDS * 1000))
  const ways = {}
  for (const view of ['brief', 'full']) ways[view] = await looked(port, view, idle)
  const result = { sessions, seconds: SECONDS, idleCpu: idle.cpu, ...ways }
  if (process.argv.includes('--json')) console.log(JSON.stringify(result))
  else {
    console.log(
      `${sessions} sessions, idle: ${(100 * idle.cpu).toFixed(2)} % of a core, loop late ${idle.p99.toFixed(1)} ms (99 %)`,
    )
    for (const [view, { cpu, max, p99, bytes, answers, actors }] of Object.entries(ways)) {
      console.log(
        `${view}: ${(100 * cpu).toFixed(2)} % of a core more, loop late ${p99.toFixed(1)} ms (99 %), ${max.toFixed(1)} ms (most); ` +
          `${answers} answers of ${actors} actors and ${(bytes / 1e6).toFixed(2)} MB`,
      )
    }
  }
  for (const child of clients) child.kill()
  await server.stop()
  process.exit(0)
}

/** A process with so many sessions of the server, all logged in. */
async function clientsOf(server, count) {
  const child = fork(import.meta.filename, ['clients', String(server.port), server.host, String(count)])
  await new Promise((resolve, reject) => {
    child.once('message', resolve)
    child.once('exit', code => reject(new Error(`the clients ended with ${code}`)))
  })
  return child
}

/** The cost above that of the idle server, with one look at everything a second. */
async function looked(port, view, idle) {
  const child = fork(import.meta.filename, ['look', String(port), view])
  // The first looks are compiled.
  await new Promise(resolve => child.once('message', resolve))
  const told = new Promise(resolve => child.once('message', resolve))
  const busy = await watch(() => told)
  const { answers, bytes, actors } = await told
  return { cpu: busy.cpu - idle.cpu, p99: busy.p99, max: busy.max, answers, bytes, actors }
}

async function watch(work) {
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  const before = process.cpuUsage()
  const since = performance.now()
  await work()
  const seconds = (performance.now() - since) / 1000
  const { user, system } = process.cpuUsage(before)
  delay.disable()
  return { cpu: (user + system) / 1e6 / seconds, p99: delay.percentile(99) / 1e6, max: delay.max / 1e6 }
}

async function lookOften(port, view) {
  // Full answers list 5000 actors at most, so that they come acceptor by acceptor.
  const paths = view === 'brief' ? ['depth=10&view=brief&limit=10000'] : await acceptors(port)
  let bytes = 0
  let actors = 0
  let answers = 0
  for (let i = -WARM_UP; i < SECONDS; i++) {
    if (i === 0) process.send('begin')
    const next = performance.now() + 1000
    bytes = 0
    actors = 0
    for (const query of paths) {
      const text = await (await fetch(`http://127.0.0.1:${port}/debug/actors?${query}`)).text()
      bytes += text.length
      actors += text.split('"state":').length - 1
    }
    if (i >= 0) answers++
    await sleep(Math.max(0, next - performance.now()))
  }
  process.send({ answers, bytes, actors })
  process.disconnect()
}

async function acceptors(port) {
  const query = 'kind=Acceptor&limit=1000&view=brief'
  const { items } = await (await fetch(`http://127.0.0.1:${port}/debug/actors?${query}`)).json()
  const paged = items.flatMap(({ path, childCount = 0 }) =>
    Array.from(
      { length: Math.ceil(childCount / 1000) },
      (_, page) => `path=${path}&depth=1&limit=1000&offset=${page * 1000}`,
    ),
  )
  return ['depth=3&limit=100', ...paged]
}

/** Logs so many in, a hundred at a time, and keeps them. */
async function logInAll(port, host, count) {
  for (let left = count; left > 0; left -= 100) {
    await Promise.all(Array.from({ length: Math.min(100, left) }, () => logIn(port, host)))
  }
  process.send('ready')
}

/** A session of its own, without a thing to say. */
async function logIn(port, host) {
  const socket = connect(port, '127.0.0.1').setEncoding('utf8')
  let text = ''
  let wake = () => undefined
  socket.on('data', chunk => {
    text += chunk
    wake()
  })
  socket.on('error', error => console.error(`${error}`))
  const until = async wanted => {
    while (!text.includes(wanted)) await new Promise(resolve => (wake = resolve))
    text = ''
  }
  const header = `<stream:stream to='${host}' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>`
  socket.write(header)
  await until('</stream:features>')
  socket.write("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='ANONYMOUS'/>")
  await until('<success')
  socket.write(header)
  await until('</stream:features>')
  socket.write("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>")
  await until('</iq>')
}
