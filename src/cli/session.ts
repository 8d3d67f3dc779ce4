import type { SessionPage } from '../operations/introspection.js'
import { askServer, exitCode, type Output } from './args.js'

export interface SessionListOptions {
  dataDir: string
  /** A part of the JID or of the address. */
  search?: string | undefined
  host?: string | undefined
  limit: number
  offset: number
  json: boolean
}

/** `meerkat session list`: who is connected to the running server. Resolves with the exit code. */
export async function runSessionList({ dataDir, json, ...query }: SessionListOptions, output: Output): Promise<number> {
  const page = (await askServer(dataDir, { verb: 'sessions', ...query })) as SessionPage // our own server's
  if (json) output.out(JSON.stringify({ ok: true, ...page }))
  else for (const line of show(page)) output.out(line)
  return exitCode.good
}

/** One line per session; what a page left out is counted. */
export function* show({ total, matched, offset, items }: SessionPage): Generator<string> {
  for (const { jid, address, port, listener, priority, isAvailable, isDetached, waitingStanzas } of items) {
    const state = isDetached ? 'away' : isAvailable ? `available ${priority}` : 'unavailable'
    const waiting = waitingStanzas > 0 ? `, ${waitingStanzas} waiting` : ''
    yield `${jid}  ${state}${waiting}  ${address ?? '?'}:${port ?? '?'}  ${listener ?? 'no listener'}`
  }
  const left = matched - offset - items.length
  if (left > 0) yield `… ${left} more`
  yield `${matched} of ${total} sessions`
}

/** `meerkat session kick`: ends a session. Resolves with the exit code. */
export async function runSessionKick(
  jid: string,
  { dataDir, json }: { dataDir: string; json: boolean },
  output: Output,
): Promise<number> {
  await askServer(dataDir, { verb: 'kick', jid })
  output.out(json ? JSON.stringify({ ok: true, jid }) : `kicked ${jid}`)
  return exitCode.good
}
