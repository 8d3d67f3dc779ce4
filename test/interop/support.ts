import { spawn, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { type Account, certfile, domain, Meerkat } from '../support/meerkat.js'
import { collect, exited, stopped } from '../support/programs.js'

/*
 * Other people's clients as their users start them, each as a process of its own.
 */

export type Encryption = 'starttls' | 'direct'

export const startMeerkat = (): Promise<Meerkat<Encryption>> =>
  Meerkat.start({
    starttls: `
  tls.mode = "starttls_required"
  tls.certfile = "${certfile}"`,
    direct: `
  tls.mode = "tls"
  tls.certfile = "${certfile}"`,
  })

export interface Login {
  account: Account
  server: Meerkat<Encryption>
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

/** With stream management, and a socket that it cuts itself. XEP-0198 */
export const slixmppResuming: Program = {
  ...slixmpp,
  logIn: login => talker(login, python, [join(import.meta.dirname, 'peers/slixmpp_resume.py')], {}),
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
