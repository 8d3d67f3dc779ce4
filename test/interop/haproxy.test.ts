import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { Client, dropClients } from '../support/client.js'
import { certfile, Meerkat, register } from '../support/meerkat.js'
import { collect, freePort, stopped } from '../support/programs.js'

/*
 * HAProxy in front of a listener with `proxy_protocol = true`, as a process of its own in a temporary folder.
 */

const program = '/usr/sbin/haproxy'
const missing = existsSync(program) ? undefined : `${program} is missing: run scripts/install-peers.sh`

/** Where the client is; the balancer is at 127.0.0.1. */
const home = '127.0.0.2'

let server: Meerkat<'plain' | 'direct'>

beforeAll(async () => {
  server = await Meerkat.start({
    plain: 'proxy_protocol = true',
    direct: `
  proxy_protocol = true
  tls.mode = "tls"
  tls.certfile = "${certfile}"`,
  })
})
afterAll(async () => {
  dropClients()
  expect(await server.stop(), 'how meerkat exited after SIGTERM').toBe(0)
})

/** Starts HAProxy in front of a port of ours; its port. */
async function balancer(port: number, option: string): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'meerkat-haproxy-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const front = await freePort()
  writeFileSync(
    join(folder, 'haproxy.cfg'),
    `
defaults
  mode tcp
  timeout connect 5s
  timeout client 60s
  timeout server 60s
listen xmpp
  bind 127.0.0.1:${front}
  server meerkat 127.0.0.1:${port} ${option}
`,
  )
  const child: ChildProcessWithoutNullStreams = spawn(program, ['-db', '-f', join(folder, 'haproxy.cfg')], {
    cwd: folder,
  })
  const output = collect(child)
  onTestFinished(async () => {
    await stopped(child)
  })
  await Promise.race([accepts(front), output.ended])
  return front
}

/** Resolves when somebody accepts connections at the port. */
async function accepts(port: number): Promise<void> {
  const deadline = Date.now() + 10_000
  for (;;) {
    const socket = net.connect({ port, host: '127.0.0.1' })
    const isOpen = await Promise.race([
      once(socket, 'connect').then(() => true),
      once(socket, 'close').then(() => false),
    ]).catch(() => false)
    socket.destroy()
    if (isOpen) return
    if (Date.now() > deadline) throw new Error(`nobody listens at port ${port}`)
    await new Promise(resolve => setTimeout(resolve, 20))
  }
}

/** What the tree says of the connection that is bound to the JID. */
async function connectionOf(jid: string): Promise<unknown> {
  const answer = await server.command(['tree', '--json', '--depth', '10', '--limit', '1000'])
  const details = [...answer.matchAll(/"details":(\{[^{}]*\})/g)].map(([, object]) => JSON.parse(object ?? ''))
  return details.find(found => found.jid === jid)
}

describe('behind HAProxy (§1.7)', () => {
  it.for([
    ['version 1', 'plain', 'send-proxy'],
    ['version 2', 'plain', 'send-proxy-v2'],
    ['version 2 with a checksum', 'plain', 'send-proxy-v2 proxy-v2-options crc32c'],
    ['version 2 in front of TLS', 'direct', 'send-proxy-v2'],
  ] as const)('a client logs in and keeps its own address: %s', async ([, listener, option], { skip }) => {
    if (missing !== undefined) {
      if (process.env.CI === 'true') throw new Error(missing)
      skip(missing)
    }
    const port = await balancer(server.ports[listener], option)
    const socket = net.connect({ port, host: '127.0.0.1', localAddress: home })
    await once(socket, 'connect')
    const client = new Client(socket, { port, ca: server.ca })
    if (listener === 'direct') await client.handshake()
    const account = { user: `romeo-${port}`, password: 'r0m30' }
    await client.open()
    await register(client, account)
    await client.login(account.user, account.password)
    expect(await connectionOf(client.jid ?? '')).toMatchObject({ address: home, port: socket.localPort })
  })
})
