import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import type { Output } from '../../src/cli/args.js'
import type { Internals, Server } from '../../src/server.js'
import { PASSWORD, startInFolder } from './server.js'

/** A server with a control socket, and users, that stops when the running test ends. */
export async function controlledServer(
  users: readonly string[],
): Promise<Server & { internals: Internals; port: number; dataDir: string }> {
  const folder = mkdtempSync(join(tmpdir(), 'meerkat-control-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const server = await startInFolder(folder)
  onTestFinished(() => server.stop())
  for (const user of users) await server.internals.authenticator.create(user, 'localhost', PASSWORD)
  return { ...server, dataDir: join(folder, 'data') }
}

/** What a verb writes. */
export class Lines implements Output {
  readonly lines: string[] = []
  out(line: string): void {
    this.lines.push(line)
  }
  error(line: string): void {
    this.lines.push(`error: ${line}`)
  }
  get text(): string {
    return this.lines.join('\n')
  }
}
