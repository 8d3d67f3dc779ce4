import { spawn, spawnSync } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { expect } from 'vitest'
import { type Account, certfile, domain, Meerkat } from '../support/meerkat.js'
import { collect, exited, patience, stopped } from '../support/programs.js'

/*
 * Other people's clients as their users start them, each as a process of its own.
 */

export type Encryption = 'starttls' | 'direct'

export const startMeerkat = (options: Parameters<typeof Meerkat.start>[1] = {}): Promise<Meerkat<Encryption>> =>
  Meerkat.start(
    {
      starttls: `
  tls.mode = "starttls_required"
  tls.certfile = "${certfile}"`,
      direct: `
  tls.mode = "tls"
  tls.certfile = "${certfile}"`,
    },
    options,
  )

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

/** A client that does what it is asked, and tells what came of it. */
export interface Asker {
  /** Known once it is online. */
  readonly jid: string
  isOnline(): Promise<void>
  /** Resolves with the result; rejects with the condition of an error. */
  ask(what: string, args?: object, within?: number): Promise<unknown>
  /** Waits for something that was told, with at least these properties, and resolves with it; each is found once. */
  event(wanted: object): Promise<object>
  /** Whether that was told and not waited for. */
  told(wanted: object): boolean
  stop(): Promise<number | null>
}

export const askWithSlixmpp = (login: Login, resource: string): Asker =>
  asker(login, python, [join(import.meta.dirname, 'peers/slixmpp_modules.py')], { resource })

export const askInRooms = (login: Login, resource: string): Asker =>
  asker(login, python, [join(import.meta.dirname, 'peers/slixmpp_rooms.py')], { resource })

export const askWithXmppClient = (login: Login): Asker =>
  asker(login, process.execPath, [join(import.meta.dirname, 'peers/xmpp-asker.mjs')], {})

function asker({ account, server, encryption }: Login, program: string, args: string[], more: object): Asker {
  const options = { ...account, domain, port: server.ports[encryption], tls: encryption, ca: server.caFile, ...more }
  const env = { ...process.env, NODE_EXTRA_CA_CERTS: server.caFile }
  const child = spawn(program, [...args, JSON.stringify(options)], { env })
  const output = collect(child)
  const events: Told[] = []
  const changed = new EventEmitter().setMaxListeners(0)
  createInterface({ input: child.stdout }).on('line', line => {
    const found = event(line)
    if (found === undefined) return
    events.push(found)
    changed.emit('change')
  })
  let asked = 0
  const take = async (wanted: object, within: number): Promise<Told> => {
    const signal = AbortSignal.timeout(within)
    for (;;) {
      const at = events.findIndex(one => equals(one, wanted))
      if (at >= 0) return events.splice(at, 1)[0]!
      await Promise.race([once(changed, 'change', { signal }), output.ended]).catch((error: unknown) => {
        if (!signal.aborted) throw error
        throw new Error(`${JSON.stringify(wanted)}: not within ${within} ms; it wrote:\n${output.text.slice(-4_000)}`)
      })
    }
  }
  return {
    jid: '',
    async isOnline() {
      const { jid } = (await take({ event: 'online' }, patience)) as { jid: string } // as our own programs tell it
      Object.assign(this, { jid })
    },
    async ask(what, more = {}, within = patience) {
      asked += 1
      const id = asked
      child.stdin.write(`${JSON.stringify({ id, do: what, ...more })}\n`)
      const { result, error } = await take({ id }, within)
      if (error !== undefined) throw new Error(error)
      return result
    },
    event: wanted => take(wanted, patience),
    told: wanted => events.some(one => equals(one, wanted)),
    stop() {
      child.stdin.end()
      return exited(child)
    },
  }
}

/** At least these properties. */
function equals(found: object, wanted: object): boolean {
  try {
    expect(found).toMatchObject(wanted)
    return true
  } catch {
    return false
  }
}

interface Told {
  result?: unknown
  error?: string
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
