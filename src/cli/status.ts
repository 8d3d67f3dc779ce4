import type { ServerStatus } from '../observability/status.js'
import { askServer, exitCode, type Output } from './args.js'

/** `meerkat status`: what the running server says about itself. Resolves with the exit code. */
export async function runStatus(options: { dataDir: string; json: boolean }, output: Output): Promise<number> {
  const status = (await askServer(options.dataDir, { verb: 'status' })) as ServerStatus // the answer of our own server
  if (options.json) output.out(JSON.stringify({ ok: true, ...status }))
  else for (const line of describe(status)) output.out(line)
  return exitCode.good
}

function describe(status: ServerStatus): string[] {
  const { counters, memory } = status
  const rows: [string, string][] = [
    ['state', `${status.state}, for ${duration(status.uptimeMs)}`],
    ['version', `${status.version}, Node ${status.node}, pid ${status.pid}`],
    ['hosts', status.hosts.join(', ')],
    ['sessions', `${status.sessions} now, ${counters.sessionsOpened} since the start`],
    ['connections', `${status.connections} now, ${counters.connectionsAccepted} since the start`],
    ['logins', `${counters.loginsSucceeded} good, ${counters.loginsFailed} failed`],
    ['stanzas', `${counters.stanzasIn} in, ${counters.stanzasOut} out`],
    ['actors', `${counters.actorFaults} faults, ${counters.actorRestarts} restarts`],
    ['memory', `${mebibytes(memory.rss)}, heap ${mebibytes(memory.heapUsed)}`],
    ...status.listeners.map(({ protocol, address, port }): [string, string] => [
      'listener',
      `${protocol} ${endpoint(address, port)}`,
    ]),
  ]
  return rows.map(([name, value]) => `${name.padEnd(12)} ${value}`)
}

/** `127.0.0.1:5222`, `[::1]:5222` */
export const endpoint = (address: string, port: number) => `${address.includes(':') ? `[${address}]` : address}:${port}`

const mebibytes = (bytes: number) => `${(bytes / 1_048_576).toFixed(1)} MiB`

/** The two largest units: `3 d 4 h`, `12 s`. */
function duration(ms: number): string {
  const seconds = Math.floor(ms / 1_000)
  const parts = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3_600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'min'],
    [seconds % 60, 's'],
  ] as const
  const first = parts.findIndex(([count]) => count > 0)
  if (first < 0) return '0 s'
  return parts
    .slice(first, first + 2)
    .map(([count, unit]) => `${count} ${unit}`)
    .join(' ')
}
