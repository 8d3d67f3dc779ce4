import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import net, { type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { connect } from '../support/client.js'

/*
 * Our server as an operator starts it, and other people's clients as their users start them, each as a process of its own.
 */

export type Encryption = 'starttls' | 'direct'

export interface Account {
  user: string
  password: string
}

const root = join(import.meta.dirname, '../..')
const main = join(root, 'dist/main.js')
export const domain = 'localhost'
/** How long a server may take to start, and a client to log in or to pass a message on, in milliseconds. */
const patience = 30_000

// ---- Our server -------------------------------------------------------------------------------

export class Meerkat {
  private constructor(
    private readonly folder: string,
    private readonly child: ChildProcessWithoutNullStreams,
    readonly ports: Record<Encryption, number>,
    private readonly output: Output,
  ) {}

  /** Starts the command in a folder of its own, on free ports of the loopback address, with a certificate of its own CA. */
  static async start(): Promise<Meerkat> {
    const folder = mkdtempSync(join(tmpdir(), 'meerkat-interop-'))
    const [starttls, direct] = [await freePort(), await freePort()]
    writeFileSync(join(folder, 'meerkat.toml'), configuration(starttls, direct))
    const child = spawn(process.execPath, [main, 'start', '--dev', '--config', join(folder, 'meerkat.toml')], {
      cwd: folder,
    })
    const server = new Meerkat(folder, child, { starttls, direct }, collect(child))
    try {
      await server.output.line(line => line.startsWith('ready'), 'the line "ready" of meerkat start')
    } catch (error) {
      await server.stop()
      throw error
    }
    return server
  }

  /** The certificate authority that signed the server's certificate, in PEM. */
  get caFile(): string {
    return join(this.folder, 'data/dev-ca.pem')
  }

  get ca(): string {
    return readFileSync(this.caFile, 'utf8')
  }

  get configFile(): string {
    return join(this.folder, 'meerkat.toml')
  }

  /** Registers an account in band. XEP-0077 §3.1 */
  async register(account: Account): Promise<void> {
    const client = await connect({ port: this.ports.direct, tls: 'direct', ca: this.ca, domain })
    await client.open()
    const answer = await client.ask(
      'set',
      `<query xmlns="jabber:iq:register"><username>${account.user}</username><password>${account.password}</password></query>`,
    )
    if (answer.attrs.type !== 'result') throw new Error(`${account.user} was not registered: ${answer}`)
    await client.close()
  }

  /** Runs another verb of the command; rejects unless it exits with 0. */
  async command(verb: string[], input = ''): Promise<string> {
    const child = spawn(process.execPath, [main, ...verb, '--config', this.configFile], { cwd: this.folder })
    const output = collect(child)
    child.stdin.end(input)
    const [code] = await once(child, 'exit', { signal: AbortSignal.timeout(patience) })
    if (code !== 0) throw new Error(`meerkat ${verb.join(' ')} exited with ${code}:\n${output.text}`)
    return output.text
  }

  /** Asks the server to drain, and says how it exited. */
  async stop(): Promise<number | null> {
    const code = await stopped(this.child)
    rmSync(this.folder, { recursive: true, force: true })
    return code
  }
}

function configuration(starttls: number, direct: number): string {
  return `
[general]
  loglevel = "warning"
  hosts = ["${domain}"]
  registration_timeout = "infinity"

[auth]
  methods = ["internal"]

[[listen.c2s]]
  port = ${starttls}
  ip_address = "127.0.0.1"
  tls.mode = "starttls_required"
  tls.certfile = "data/${domain}.pem"

[[listen.c2s]]
  port = ${direct}
  ip_address = "127.0.0.1"
  tls.mode = "tls"
  tls.certfile = "data/${domain}.pem"
`
}

async function freePort(): Promise<number> {
  const probe = net.createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  // A listening TCP server's address is never a path.
  const { port } = probe.address() as AddressInfo
  probe.close()
  await once(probe, 'close')
  return port
}

// ---- Other people's clients -------------------------------------------------------------------

export interface Login {
  account: Account
  server: Meerkat
  encryption: Encryption
}

/** A client that is being logged in: whoever subscribes to its presence sees when it is. */
export interface Peer {
  send(to: string, body: string): Promise<void>
  /** Waits for a message with exactly this body. */
  receives(body: string): Promise<void>
  /** Rejects when the program ends, with what it wrote. */
  ended: Promise<never>
  /** Ends the session as a user would; says how the program exited. */
  stop(): Promise<number | null>
}

export interface Program {
  name: string
  /** What is missing to run it, if something is. */
  missing(): string | undefined
  logIn(login: Login): Peer
}

const python = '/usr/bin/python3'

export const xmppClient: Program = {
  name: '@xmpp/client',
  missing: () => absent(join(import.meta.dirname, 'node_modules/@xmpp/client'), 'npm ci --prefix test/interop'),
  logIn: login =>
    talker(login, process.execPath, [join(import.meta.dirname, 'peers/xmpp-client.mjs')], {
      NODE_EXTRA_CA_CERTS: login.server.caFile,
    }),
}

export const slixmpp: Program = {
  name: 'slixmpp',
  missing: () =>
    spawnSync(python, ['-c', 'import slixmpp']).status === 0 ? undefined : 'slixmpp: run scripts/install-peers.sh',
  logIn: login => talker(login, python, [join(import.meta.dirname, 'peers/slixmpp_client.py')], {}),
}

export const goSendXmpp: Program = {
  name: 'go-sendxmpp',
  missing: () => absent('/usr/bin/go-sendxmpp', 'scripts/install-peers.sh'),
  logIn: goSendXmppPeer,
}

function absent(path: string, remedy: string): string | undefined {
  return existsSync(path) ? undefined : `${path} is missing: run ${remedy}`
}

/** A program of ours around a library: it obeys and tells by lines of JSON (README.md). */
function talker({ account, server, encryption }: Login, program: string, args: string[], env: NodeJS.ProcessEnv): Peer {
  const options = { ...account, domain, port: server.ports[encryption], tls: encryption, ca: server.caFile }
  const child = spawn(program, [...args, JSON.stringify(options)], { env: { ...process.env, ...env } })
  const output = collect(child)
  return {
    async send(to, body) {
      await output.line(line => event(line)?.event === 'online', 'the word that it is online')
      child.stdin.write(`${JSON.stringify({ to, body })}\n`)
    },
    async receives(body) {
      const wanted = (line: string) => event(line)?.event === 'message' && event(line)?.body === body
      await output.line(wanted, `a message with the body ${JSON.stringify(body.slice(0, 100))}`)
    },
    ended: output.ended,
    stop() {
      child.stdin.end()
      return exited(child)
    },
  }
}

interface Told {
  event?: string
  body?: string
}

function event(line: string): Told | undefined {
  if (!line.startsWith('{')) return undefined
  // Our own two programs write these lines.
  return JSON.parse(line) as Told
}

/** go-sendxmpp listens in one process and sends each message in another; it takes its CA from the environment. */
function goSendXmppPeer({ account, server, encryption }: Login): Peer {
  const args = [
    '-u',
    `${account.user}@${domain}`,
    '-p',
    account.password,
    '-j',
    `${domain}:${server.ports[encryption]}`,
  ]
  if (encryption === 'direct') args.push('--tls')
  const options = { env: { ...process.env, SSL_CERT_FILE: server.caFile, SSL_CERT_DIR: '' } }
  const listener = spawn('go-sendxmpp', [...args, '--listen'], options)
  const output = collect(listener)
  return {
    async send(to, body) {
      const sender = spawn('go-sendxmpp', [...args, to], options)
      const said = collect(sender)
      sender.stdin.end(body)
      const code = await exited(sender)
      if (code !== 0) throw new Error(`go-sendxmpp exited with ${code}:\n${said.text}`)
    },
    async receives(body) {
      await output.until(text => text.includes(body), `the text ${JSON.stringify(body.slice(0, 100))}`)
    },
    ended: output.ended,
    stop: () => stopped(listener),
  }
}

// ---- Processes --------------------------------------------------------------------------------

interface Output {
  /** Everything that was written so far, on both channels. */
  readonly text: string
  /** Waits for a line on standard output. */
  line(matches: (line: string) => boolean, what: string): Promise<void>
  /** Waits until the text of both channels is as wanted. */
  until(matches: (text: string) => boolean, what: string): Promise<void>
  /** Rejects when the program ends. */
  readonly ended: Promise<never>
}

function collect(child: ChildProcessWithoutNullStreams): Output {
  let text = ''
  const lines: string[] = []
  const changed = new EventEmitter().setMaxListeners(0)
  for (const channel of [child.stdout, child.stderr]) {
    channel.setEncoding('utf8')
    channel.on('data', (chunk: string) => {
      text += chunk
      changed.emit('change')
    })
  }
  createInterface({ input: child.stdout }).on('line', line => {
    lines.push(line)
    changed.emit('change')
  })
  const ended = new Promise<never>((_, reject) => {
    const end = (how: string) => reject(new Error(`${child.spawnfile} ${how}; it wrote:\n${text.slice(-4_000)}`))
    child.on('error', error => end(`could not be started: ${error.message}`))
    child.on('close', (code, signal) => end(`ended with ${code ?? signal}`))
  })
  // A program that ends is a failure only for those who wait for something of it.
  ended.catch(() => {})
  // Its input breaks when it ends, and then `ended` tells.
  child.stdin.on('error', () => {})

  const wait = async (isThere: () => boolean, what: string) => {
    const signal = AbortSignal.timeout(patience)
    while (!isThere()) {
      await Promise.race([once(changed, 'change', { signal }), ended]).catch(error => {
        if (!signal.aborted) throw error
        throw new Error(`${what}: not within ${patience} ms; ${child.spawnfile} wrote:\n${text.slice(-4_000)}`)
      })
    }
  }
  return {
    get text() {
      return text
    },
    line: (matches, what) => wait(() => lines.some(matches), what),
    until: (matches, what) => wait(() => matches(text), what),
    ended,
  }
}

/** Waits for the end of a process that is to end by itself; kills it and fails when it does not. */
async function exited(child: ChildProcessWithoutNullStreams): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode
  try {
    await once(child, 'exit', { signal: AbortSignal.timeout(patience) })
  } catch {
    child.kill('SIGKILL')
    throw new Error(`${child.spawnfile} did not end within ${patience} ms`)
  }
  return child.exitCode
}

function stopped(child: ChildProcessWithoutNullStreams): Promise<number | null> {
  child.kill('SIGTERM')
  return exited(child)
}
