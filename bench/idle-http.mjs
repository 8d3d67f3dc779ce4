/*
 * What idle sessions over HTTP hold: RSS of the server over that of the empty server, for each session. Linux: it comes from /proc.
 * The sessions are logged in and available, by WebSocket, or by BOSH with one request held; another process has them.
 * node bench/idle-http.mjs [websocket|bosh] [sessions] [seconds to settle]
 */
import { fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { Agent, request } from 'node:http'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as later } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import WebSocket from 'ws'
import * as adapter from './adapter.mjs'

const domain = 'bench.example'
const usual = { websocket: 5_000, bosh: 2_000 }
/** Logins at a time. */
const atOnce = 50
const [kind = 'websocket', count = usual[kind], settleSeconds = 35, port] = process.argv.slice(2)

// ---- the server, and what it takes

async function measure(sessions, seconds) {
  const dir = mkdtempSync(join(tmpdir(), 'meerkat-idle-'))
  const certificates = fileURLToPath(new URL('../test/support/certificates/', import.meta.url))
  const context = {
    dir,
    domain,
    storage: 'plain',
    ports: { c2s: await freePort(), http: await freePort(), component: await freePort() },
    cert: { cert: join(certificates, 'rsa-certificate.pem'), key: join(certificates, 'rsa-key.pem') },
    component: { secret: 'secret' },
    helpers: { launch, waitPort: listens, stopChild: stop },
  }
  try {
    await adapter.start(context)
    await adapter.createUsers(
      context,
      Array.from({ length: sessions }, (_, i) => ({ user: `u${i}`, pass: 'secret' })),
    )
    const [pid] = adapter.pids(context)
    await quiet(pid, 5)
    const empty = rssKb(pid)
    const clients = fork(fileURLToPath(import.meta.url), [kind, sessions, seconds, context.ports.http])
    await Promise.race([
      once(clients, 'message'),
      once(clients, 'exit').then(() => Promise.reject(new Error('no clients'))),
    ])
    const early = rssKb(pid)
    await quiet(pid, seconds)
    const all = rssKb(pid)
    const each = kb => ((kb - empty) / sessions).toFixed(1)
    console.log(
      `${kind}: ${sessions} idle sessions, ${each(all)} KiB each after ${seconds} s (${each(early)} right after the logins); ` +
        `the server ${(empty / 1024).toFixed(0)} MiB without and ${(all / 1024).toFixed(0)} MiB with them`,
    )
    clients.kill()
    await once(clients, 'exit')
  } finally {
    await adapter.stop(context)
    rmSync(dir, { recursive: true, force: true })
  }
}

const launch = (command, args, { dir }) => spawn(command, args, { cwd: dir, stdio: ['ignore', 'ignore', 'inherit'] })

async function stop(child) {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill()
  await once(child, 'exit')
}

async function freePort() {
  const probe = net.createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port: free } = probe.address()
  probe.close()
  await once(probe, 'close')
  return free
}

async function listens(port, child) {
  while (child.exitCode === null) {
    const socket = net.connect(port, '127.0.0.1')
    const isOpen = await once(socket, 'connect').then(
      () => true,
      () => false,
    )
    socket.destroy()
    if (isOpen) return
    await later(50)
  }
  throw new Error('the server ended')
}

const rssKb = pid => Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1])

/** Clock ticks of CPU that the process has had. */
const ticks = pid => {
  const [user, system] = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1].split(' ').slice(11, 13)
  return Number(user) + Number(system)
}

/** Waits so long, and on until the process takes less than a twentieth of a core. */
async function quiet(pid, seconds) {
  await later(seconds * 1000)
  for (let tries = 0; tries < 10; tries++) {
    const before = ticks(pid)
    await later(2_000)
    if (ticks(pid) - before < 10) return
  }
}

// ---- the clients, in their own process

async function hold(sessions) {
  const logIn = kind === 'bosh' ? boshSession : webSocketSession
  let next = 0
  const some = Array.from({ length: atOnce }, async () => {
    while (next < sessions) await logIn(`u${next++}`)
  })
  await Promise.all(some)
  process.send('all are there')
}

const xmlns = { bind: 'urn:ietf:params:xml:ns:xmpp-bind', sasl: 'urn:ietf:params:xml:ns:xmpp-sasl' }
const auth = user =>
  `<auth xmlns='${xmlns.sasl}' mechanism='PLAIN'>${Buffer.from(`\0${user}\0secret`).toString('base64')}</auth>`
const bind = `<iq xmlns='jabber:client' type='set' id='b'><bind xmlns='${xmlns.bind}'/></iq>`
const presence = `<presence xmlns='jabber:client'/>`

async function webSocketSession(user) {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/ws-xmpp`, 'xmpp', { perMessageDeflate: false })
  socket.on('close', () => fail(`the WebSocket of ${user} closed`))
  await once(socket, 'open')
  const open = `<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='${domain}' version='1.0'/>`
  let wanted
  socket.on('message', data => {
    if (wanted !== undefined && String(data).includes(wanted.answer)) wanted.came()
  })
  const asked = (text, answer) =>
    new Promise(came => {
      wanted = { answer, came }
      socket.send(text)
    })
  await asked(open, '<features')
  await asked(auth(user), '<success')
  await asked(open, '<features')
  await asked(bind, '<jid>')
  await asked(presence, '<presence')
  wanted = undefined
}

async function boshSession(user) {
  const agent = new Agent({ keepAlive: true, maxSockets: 2 })
  const stream = { to: `to='${domain}'`, xmpp: `xmlns:xmpp='urn:xmpp:xbosh'` }
  let rid = Math.floor(Math.random() * 1e6)
  let sid = ''
  const post = async (attributes, content = '') => {
    const body = `<body xmlns='http://jabber.org/protocol/httpbind' rid='${rid++}'${sid} ${attributes}>${content}</body>`
    const headers = { host: domain, 'content-length': Buffer.byteLength(body) }
    const sent = request({ host: '127.0.0.1', port, method: 'POST', path: '/http-bind', agent, headers })
    sent.end(body)
    const [response] = await once(sent, 'response')
    let text = ''
    for await (const chunk of response) text += chunk
    if (text.includes(`type='terminate'`)) fail(`${user}: ${text}`)
    return text
  }
  const created = await post(`${stream.to} ${stream.xmpp} ver='1.6' wait='60' hold='1' xmpp:version='1.0'`)
  sid = ` sid='${/ sid='([^']+)/.exec(created)[1]}'`
  await post('', auth(user))
  await post(`${stream.to} ${stream.xmpp} xmpp:restart='true'`)
  await post('', bind)
  await post('', presence)
  const poll = async () => {
    for (;;) await post('')
  }
  poll().catch(error => fail(`${user}: ${error}`))
}

function fail(reason) {
  console.error(reason)
  process.exit(1)
}

if (port === undefined) await measure(Number(count), Number(settleSeconds))
else await hold(Number(count))
