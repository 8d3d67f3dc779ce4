import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import net from 'node:net'
import { createInterface } from 'node:readline'

/*
 * Programs that a test runs as processes of their own: what they write, and how they end.
 */

/** How long a program may take for one step, in milliseconds. */
export const patience = 30_000

export interface Output {
  /** Everything that was written so far, on both channels. */
  readonly text: string
  /** Waits for a line on standard output. */
  line(matches: (line: string) => boolean, what: string): Promise<void>
  /** Waits until the text of both channels is as wanted. */
  until(matches: (text: string) => boolean, what: string): Promise<void>
  /** Rejects when the program ends. */
  readonly ended: Promise<never>
}

/** Reads what a program writes. */
export function collect(child: ChildProcessWithoutNullStreams): Output {
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
export async function exited(child: ChildProcessWithoutNullStreams): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode
  try {
    await once(child, 'exit', { signal: AbortSignal.timeout(patience) })
  } catch {
    child.kill('SIGKILL')
    throw new Error(`${child.spawnfile} did not end within ${patience} ms`)
  }
  return child.exitCode
}

/** Asks a process to end, and says how it did. */
export function stopped(child: ChildProcessWithoutNullStreams): Promise<number | null> {
  child.kill('SIGTERM')
  return exited(child)
}

/** Ports that systems do not hand out by themselves: nobody gets one between the look and the use. */
const PORTS = { first: 12_000, count: 20_000 }

/** A TCP port of the loopback address that nobody uses at the moment. */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const port = PORTS.first + Math.floor(Math.random() * PORTS.count)
    const probe = net.createServer().listen(port, '127.0.0.1')
    // Rejects with 'error', where somebody listens.
    const isFree = await once(probe, 'listening').then(
      () => true,
      () => false,
    )
    if (!isFree) continue
    probe.close()
    await once(probe, 'close')
    return port
  }
  throw new Error('no port is free')
}
