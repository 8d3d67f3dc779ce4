// What a relayed stanza costs a server: a component says messages for another domain, a raw sink plays that domain's server, and
// what lies between is a process whose CPU time is read from /proc.
//   npm run build && node bench/relay.mjs [meerkat|ejabberd|prosody ...] [--stanzas 50000]
// The others come from Debian (scripts/install-peers.sh). Streams are in clear, proven by dialback, which the sink accepts.
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const project = fileURLToPath(new URL('..', import.meta.url))
const [ours, theirs, source] = ['middle.example', 'sink.example', 'source.middle.example']
const secret = 'secret'
/** Messages that are on their way at a time. */
const window = 500

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { stanzas: { type: 'string', default: '50000' } },
})
const stanzas = Number(values.stanzas)

// ---- the servers: each is told where the other domain is

const servers = {
  meerkat: (folder, ports) => {
    writeFileSync(
      join(folder, 'meerkat.toml'),
      `[general]
  hosts = ["${ours}"]
  loglevel = "error"
  data_dir = "data"
[auth]
  methods = ["internal"]
[[listen.service]]
  port = ${ports.component}
  ip_address = "127.0.0.1"
  password = "${secret}"
[[listen.s2s]]
  port = ${ports.s2s}
  ip_address = "127.0.0.1"
[s2s]
  address = [{ host = "${theirs}", ip_address = "127.0.0.1", port = ${ports.sink} }]
`,
    )
    const main = join(project, 'dist/main.js')
    return [process.execPath, ['--max-semi-space-size=4', main, 'start', '--config', 'meerkat.toml'], {}]
  },
  prosody: (folder, ports) => {
    for (const name of ['data', 'plugins']) mkdirSync(join(folder, name))
    // Debian's Prosody asks the machine's name server only.
    writeFileSync(
      join(folder, 'plugins/mod_bench_addresses.lua'),
      `module:set_global();
local service = require "net.resolvers.service";
local basic = require "net.resolvers.basic";
local new = service.new;
service.new = function (host, name, protocol, extra)
  if host == "${theirs}" and name == "xmpp-server" then return basic.new("127.0.0.1", ${ports.sink}, protocol, extra); end
  if host == "${theirs}" then return { next = function (_, callback) callback(nil); end }; end
  return new(host, name, protocol, extra);
end
`,
    )
    writeFileSync(
      join(folder, 'prosody.cfg.lua'),
      `run_as_root = ${process.getuid() === 0};
daemonize = false; pidfile = "${join(folder, 'prosody.pid')}"; data_path = "${join(folder, 'data')}";
plugin_paths = { "${join(folder, 'plugins')}" };
log = { { levels = { min = "error" }, to = "console" } };
network_backend = "epoll";
modules_enabled = { "posix", "dialback", "disco", "ping", "bench_addresses" };
interfaces = { "127.0.0.1" };
c2s_ports = { ${ports.c2s} }; s2s_ports = { ${ports.s2s} }; component_ports = { ${ports.component} };
s2s_direct_tls_ports = { }; c2s_direct_tls_ports = { };
s2s_require_encryption = false; c2s_require_encryption = false;
storage = "internal"; authentication = "internal_hashed";
VirtualHost "${ours}"
Component "${source}"
  component_secret = "${secret}"
`,
    )
    return ['/usr/bin/prosody', ['-F', '--config', join(folder, 'prosody.cfg.lua')], {}]
  },
  ejabberd: (folder, ports) => {
    mkdirSync(join(folder, 'mnesia'))
    // Without the line about resolv.conf, that file's servers are asked instead.
    const lines = ['{lookup,[dns]}.', '{resolv_conf,""}.', `{nameserver,{127,0,0,1},${ports.dns}}.`, '']
    writeFileSync(join(folder, 'inetrc'), lines.join('\n'))
    writeFileSync(
      join(folder, 'ejabberd.yml'),
      `hosts: ["${ours}"]
loglevel: error
auth_method: internal
s2s_use_starttls: false
outgoing_s2s_families: [ipv4]
listen:
  - { port: ${ports.s2s}, ip: "127.0.0.1", module: ejabberd_s2s_in }
  - port: ${ports.component}
    ip: "127.0.0.1"
    module: ejabberd_service
    hosts: { "${source}": { password: "${secret}" } }
modules:
  mod_disco: {}
  mod_ping: {}
  mod_s2s_dialback: {}
`,
    )
    const quiet = ['+sbwt', 'none', '+sbwtdcpu', 'none', '+sbwtdio', 'none', '-noinput']
    const environment = {
      ERL_LIBS: /ERL_LIBS='?([^'\s]+)/.exec(readFileSync('/usr/sbin/ejabberdctl', 'utf8'))?.[1],
      ERL_INETRC: join(folder, 'inetrc'),
      ERL_CRASH_DUMP: join(folder, 'crash.dump'),
      EJABBERD_CONFIG_PATH: join(folder, 'ejabberd.yml'),
      EJABBERD_LOG_PATH: join(folder, 'ejabberd.log'),
    }
    return [
      '/usr/bin/erl',
      [...quiet, '-mnesia', 'dir', JSON.stringify(join(folder, 'mnesia')), '-s', 'ejabberd'],
      environment,
    ]
  },
}

// ---- the two ends

/** The other domain's server: takes every key for right, and counts. */
async function openSink() {
  const sink = { count: 0, port: 0, counted() {}, close: () => server.close() }
  const server = net.createServer(socket => {
    let text = ''
    let isOpen = false
    socket.on('error', () => {})
    socket.on('data', bytes => {
      text += bytes.toString('latin1')
      if (!isOpen && /<stream:stream[^>]*>/.test(text)) {
        isOpen = true
        socket.write(
          `<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:db='jabber:server:dialback' ` +
            `xmlns:stream='http://etherx.jabber.org/streams' from='${theirs}' id='sink'>`,
        )
      }
      const key = /<db:result[^>]*\sfrom=['"]([^'"]+)['"][^>]*>[^<]*<\/db:result>/.exec(text)
      if (key !== null) {
        socket.write(`<db:result from='${theirs}' to='${key[1]}' type='valid'/>`)
        text = text.slice(key.index + key[0].length)
      }
      const end = text.lastIndexOf('</message>')
      if (end === -1) return
      sink.count += text.slice(0, end + 1).split('<message').length - 1
      text = text.slice(end + '</message>'.length)
      sink.counted()
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  sink.port = server.address().port
  return sink
}

/** A component that is let in. */
async function openSource(port) {
  const socket = await connected(port)
  socket.setNoDelay(true)
  let text = ''
  const until = async wanted => {
    for (let match; ; [text] = [text + (await once(socket, 'data'))[0].toString()]) {
      match = wanted.exec(text)
      if (match !== null) return match
    }
  }
  socket.write(
    `<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' to='${source}'>`,
  )
  const [, id] = await until(/<stream:stream[^>]*\sid=['"]([^'"]+)['"]/)
  socket.write(
    `<handshake>${createHash('sha1')
      .update(id + secret)
      .digest('hex')}</handshake>`,
  )
  await until(/<handshake/)
  socket.on('data', bytes => {
    if (bytes.includes("type='error'") || bytes.includes('type="error"')) throw new Error(bytes.toString())
  })
  return socket
}

async function connected(port) {
  for (const deadline = Date.now() + 60_000; ; ) {
    const socket = net.connect(port, '127.0.0.1')
    try {
      await once(socket, 'connect')
      return socket
    } catch (error) {
      if (Date.now() > deadline) throw error
      await new Promise(resolve => setTimeout(resolve, 100))
    }
  }
}

/** Says of every name that it is this machine, and that the sink is its server. */
async function openNames(sinkPort) {
  const names = createSocket('udp4')
  names.on('message', (query, client) => {
    const end = query.indexOf(0, 12) + 5
    const type = query.readUInt16BE(end - 4)
    const target = Buffer.from('\x09localhost\0', 'latin1')
    const service = Buffer.concat([Buffer.from([0, 0, 0, 0, sinkPort >> 8, sinkPort & 255]), target])
    const isPlain = query.subarray(12, end).includes('_xmpp-server')
    const data = type === 1 ? Buffer.from([127, 0, 0, 1]) : type === 33 && isPlain ? service : undefined
    const header = Buffer.from([...query.subarray(0, 2), 0x85, 0x80, 0, 1, 0, data === undefined ? 0 : 1, 0, 0, 0, 0])
    const record = data && Buffer.concat([Buffer.from([0xc0, 12, 0, type, 0, 1, 0, 0, 0, 60, 0, data.length]), data])
    names.send(Buffer.concat([header, query.subarray(12, end), record ?? Buffer.alloc(0)]), client.port, client.address)
  })
  names.bind(0, '127.0.0.1')
  await once(names, 'listening')
  return names
}

async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  await new Promise(resolve => server.close(resolve))
  return port
}

// ---- the measurement

/** User and system time of a process, in microseconds; the kernel counts in hundredths of a second. */
function cpuOf(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1].split(' ')
  return (Number(fields[11]) + Number(fields[12])) * 10_000
}

function relay(socket, sink, count) {
  const body = 'x'.repeat(170)
  const message =
    `<message from='user@${source}/r' to='someone@${theirs}' type='chat' id='m'><body>${body}</body>` +
    `<active xmlns='http://jabber.org/protocol/chatstates'/></message>`
  const [first, last] = [sink.count, sink.count + count]
  let sent = first
  return new Promise(resolve => {
    sink.counted = () => {
      const more = Math.min(last, sink.count + window) - sent
      if (more > 0) socket.write(message.repeat(more))
      sent += Math.max(more, 0)
      if (sink.count >= last) resolve()
    }
    sink.counted()
  })
}

async function measure(name) {
  const folder = mkdtempSync(join(tmpdir(), 'meerkat-relay-'))
  const sink = await openSink()
  const names = await openNames(sink.port)
  const ports = {
    sink: sink.port,
    dns: names.address().port,
    component: await freePort(),
    s2s: await freePort(),
    c2s: await freePort(),
  }
  const [program, args, environment] = servers[name](folder, ports)
  const child = spawn(program, args, {
    cwd: folder,
    env: { ...process.env, HOME: folder, ...environment },
    stdio: ['pipe', 'ignore', 'inherit'],
  })
  try {
    const socket = await openSource(ports.component)
    await relay(socket, sink, Math.min(5_000, stanzas))
    const [cpu, since] = [cpuOf(child.pid), performance.now()]
    await relay(socket, sink, stanzas)
    const each = (cpuOf(child.pid) - cpu) / stanzas
    const rate = stanzas / ((performance.now() - since) / 1000)
    console.log(
      `${name}: ${each.toFixed(1)} µs CPU per relayed stanza, ${rate.toFixed(0)} a second (${stanzas} stanzas)`,
    )
    socket.destroy()
    return each
  } finally {
    const exited = once(child, 'exit')
    child.kill()
    const timer = setTimeout(() => child.kill('SIGKILL'), 10_000)
    await exited
    clearTimeout(timer)
    names.close()
    sink.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

const chosen = positionals.length === 0 ? ['meerkat'] : positionals
const results = {}
for (const name of chosen) {
  if (!(name in servers)) throw new Error(`no server ${name}: ${Object.keys(servers).join(', ')}`)
  results[name] = await measure(name)
}
const [first, ...others] = chosen
for (const name of others) console.log(`${first} to ${name}: ${(results[first] / results[name]).toFixed(2)}`)
process.exit()
