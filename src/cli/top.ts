import type { BusyActor, Summary } from '../operations/introspection.js'
import { exitCode, followServer, type Output } from './args.js'
import { openScreen, type Terminal } from './screen.js'

export interface TopOptions {
  dataDir: string
  /** Actors that are shown. */
  most: number
  /** Show once, and end. */
  once: boolean
  /** One JSON object per line; with `once` a single one. */
  json: boolean
}

export type TopSample = Summary & { readonly busiest: readonly BusyActor[] }

/**
 * `meerkat top`: the figures of the running server and its busiest actors, anew every second until `q`. Where the output is no terminal
 * it is shown once. Resolves with the exit code.
 */
export async function runTop(options: TopOptions, output: Output, terminal: Terminal): Promise<number> {
  const { dataDir, most, json } = options
  const isLive = !options.once && !json && terminal.output.isTTY === true
  const samples = followServer(dataDir, { verb: 'top', most })
  const screen = isLive ? openScreen(terminal, () => void samples.return(undefined)) : undefined
  try {
    for await (const { data } of samples) {
      const sample = data as TopSample // our own server's
      // The first has no rates yet.
      if (!isLive && Object.keys(sample.rates).length === 0) continue
      if (screen?.isOver) break
      if (json) output.out(JSON.stringify(sample))
      else if (screen === undefined) for (const line of draw(sample)) output.out(line)
      else screen.show([...draw(sample)])
      if (!isLive && (options.once || !json)) break
    }
  } finally {
    screen?.close()
  }
  return exitCode.good
}

/** What is shown, line by line. */
export function* draw(sample: TopSample): Generator<string> {
  const { version, state, uptimeMs, pid, sessions, counters, rates, memory, loop, cpu, runtime } = sample
  const rate = (name: string) => number(rates[name] ?? 0)
  yield `meerkat ${version}  ${state} for ${duration(uptimeMs)}  pid ${pid}  ${percent(cpu.user + cpu.system)} CPU  ${bytes(memory.rss)} RSS, ${bytes(memory.heapUsed)} heap`
  yield `loop     late ${loop.p50Ms.toFixed(1)} ms (median), ${loop.p99Ms.toFixed(1)} ms (99 %), ${loop.maxMs.toFixed(1)} ms (most), busy ${percent(loop.utilization)}`
  yield `traffic  stanzas ${rate('stanzasIn')}/s in, ${rate('stanzasOut')}/s out;  bytes ${bytes(rates.bytesIn ?? 0)}/s in, ${bytes(rates.bytesOut ?? 0)}/s out`
  yield `clients  sessions ${sessions}, connections ${counters.connectionsNow ?? 0};  logins ${rate('loginsSucceeded')}/s, failed ${rate('loginsFailed')}/s`
  yield `actors   ${runtime.actors ?? 0};  messages ${rate('actors.messages')}/s, spawned ${rate('actors.spawned')}/s, stopped ${rate('actors.stopped')}/s;  faults ${runtime.faults ?? 0}, overflows ${runtime.overflows ?? 0}`
  for (const { name, protocol, connections, sessions: bound } of sample.listeners) {
    yield `listener ${name}  ${protocol}  connections ${connections}, sessions ${bound}`
  }
  yield ''
  yield `${'MESSAGES'.padStart(9)} ${'MAILBOX'.padStart(8)}  ${'STATE'.padEnd(10)}  ACTOR`
  for (const { messages, mailbox, state: doing, path, jid } of sample.busiest) {
    const who = jid === undefined ? path : `${path}  ${jid}`
    yield `${String(messages).padStart(9)} ${String(mailbox).padStart(8)}  ${doing.padEnd(10)}  ${who}`
  }
}

const number = (value: number) => (value >= 100 ? value.toFixed(0) : value.toFixed(1))
const percent = (part: number) => `${(100 * part).toFixed(0)} %`

/** With a unit of 1024. */
function bytes(value: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB']
  let unit = 0
  let size = value
  for (; size >= 1024 && unit < units.length - 1; unit++) size /= 1024
  return `${unit === 0 ? size.toFixed(0) : size.toFixed(1)} ${units[unit]}`
}

function duration(ms: number): string {
  const seconds = Math.floor(ms / 1000)
  const parts: [number, string][] = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'min'],
    [seconds % 60, 's'],
  ]
  const shown = parts.filter(([count]) => count > 0).slice(0, 2)
  return shown.length === 0 ? '0 s' : shown.map(([count, unit]) => `${count} ${unit}`).join(' ')
}
