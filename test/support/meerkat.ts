import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Client } from './client.js'
import { collect, exited, freePort, type Output, patience, stopped } from './programs.js'

/*
 * Our server as an operator starts it: `node dist/main.js start --dev`, a process of its own in a folder of its own.
 */

export interface Account {
  user: string
  password: string
}

export const domain = 'localhost'
/** Named in the configuration, made by `--dev`. */
export const certfile = `data/${domain}.pem`
const main = join(import.meta.dirname, '../../dist/main.js')

interface Options {
  loglevel?: string
  /** Options of `[auth]`. */
  auth?: string
  /** More tables, as TOML. */
  more?: string
}

export class Meerkat<Listener extends string = string> {
  private constructor(
    private readonly folder: string,
    private child: ChildProcessWithoutNullStreams,
    readonly ports: Readonly<Record<Listener, number>>,
    private output: Output,
  ) {}

  /** Starts the command with c2s listeners, each with its options besides address and port. */
  static async start<Listener extends string>(
    listeners: Readonly<Record<Listener, string>>,
    options: Options = {},
  ): Promise<Meerkat<Listener>> {
    const folder = mkdtempSync(join(tmpdir(), 'meerkat-'))
    const names = Object.keys(listeners) as Listener[] // Object.keys forgets the literal type
    const ports = {} as Record<Listener, number> // filled by the next line
    for (const name of names) ports[name] = await freePort()
    const sections = names.map(name => listenerSection(ports[name], listeners[name]))
    writeFileSync(join(folder, 'meerkat.toml'), [configuration(options), ...sections, options.more ?? ''].join('\n'))
    const child = run(folder)
    const server = new Meerkat(folder, child, ports, collect(child))
    try {
      await server.isReady()
    } catch (error) {
      await server.stop()
      throw error
    }
    return server
  }

  private isReady(): Promise<void> {
    return this.output.line(line => line.startsWith('ready'), 'the line "ready" of meerkat start')
  }

  /** Ends the process at once, in the middle of whatever it does. */
  async kill(): Promise<void> {
    this.child.kill('SIGKILL')
    await exited(this.child)
  }

  /** Starts it again, after `kill`, with what is in its folder. */
  async startAgain(): Promise<void> {
    this.child = run(this.folder)
    this.output = collect(this.child)
    await this.isReady()
  }

  /** The certificate authority that signed the server's certificate, in PEM. */
  get caFile(): string {
    return join(this.folder, 'data/dev-ca.pem')
  }

  get ca(): string {
    return readFileSync(this.caFile, 'utf8')
  }

  /** Resident memory now, and the most it ever was, in MiB. */
  get memory(): { now: number; peak: number } {
    const status = readFileSync(`/proc/${this.child.pid}/status`, 'utf8')
    const mebibytes = (field: string) => Number(new RegExp(`${field}:\\s+(\\d+) kB`).exec(status)?.[1]) / 1024
    return { now: mebibytes('VmRSS'), peak: mebibytes('VmHWM') }
  }

  /** CPU time that the process has had, in milliseconds. */
  get cpuTime(): number {
    // The name of the command, which may have spaces, ends with a bracket; ticks of a hundredth of a second follow.
    const fields = readFileSync(`/proc/${this.child.pid}/stat`, 'utf8').split(') ').at(-1)!.split(' ')
    return (Number(fields[11]) + Number(fields[12])) * 10
  }

  /** Waits for a line of the log. */
  async logged(pattern: RegExp): Promise<string> {
    await this.output.until(text => pattern.test(text), `${pattern} in the log`)
    return pattern.exec(this.output.text)?.[0] ?? ''
  }

  /** Runs another verb of the command; rejects unless it exits with 0. */
  async command(verb: string[], input = ''): Promise<string> {
    const args = [main, ...verb, '--config', join(this.folder, 'meerkat.toml')]
    const child = spawn(process.execPath, args, { cwd: this.folder })
    const output = collect(child)
    child.stdin.end(input)
    const [code] = await once(child, 'exit', { signal: AbortSignal.timeout(patience) }).finally(() => child.kill())
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

const run = (folder: string) =>
  spawn(process.execPath, [main, 'start', '--dev', '--config', join(folder, 'meerkat.toml')], { cwd: folder })

const configuration = ({ loglevel = 'warning', auth = '' }: Options) => `
[general]
  loglevel = "${loglevel}"
  hosts = ["${domain}"]
  registration_timeout = "infinity"

[auth]
  methods = ["internal"]
${auth}
`

const listenerSection = (port: number, options: string) => `
[[listen.c2s]]
  port = ${port}
  ip_address = "127.0.0.1"
${options}
`

/** Makes an account over a stream that is open and has not logged in. XEP-0077 §3.1 */
export async function register(client: Client, { user, password }: Account): Promise<void> {
  const fields = `<username>${user}</username><password>${password}</password>`
  const answer = await client.ask('set', `<query xmlns="jabber:iq:register">${fields}</query>`)
  if (answer.attrs.type !== 'result') throw new Error(`${user} was not registered: ${answer}`)
}
