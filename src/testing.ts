/*
 * `meerkat-xmpp/testing`: a server for tests, in memory, on a port that is free.
 */
import { AnyActor } from './actors/runtime/index.js'
import { loadConfigOrThrow } from './config/load.js'
import type { Module } from './modules/module.js'
import { availableModules } from './modules/packages.js'
import { createServer, type Internals, type Server, type ServerOptions } from './server.js'

export type { Clock } from './observability/clock.js'

/** `clock` is what every time limit of the server runs on: a test that moves its own waits for none. */
export interface TestServerOptions extends Pick<ServerOptions, 'clock' | 'events'> {
  /** Laid over the tables of a small default configuration, one level deep: `{ general: { language: 'de' } }`. */
  readonly config?: Readonly<Record<string, object>>
  /** Modules of your own, for `modules` to name. */
  readonly ownModules?: readonly Module[]
  /** Instead of the shipped list. */
  readonly modules?: Readonly<Record<string, object>>
}

/** A server that runs, in memory, and what tests do with it. */
export interface TestServer extends Server {
  /** The first served domain. */
  readonly host: string
  /** Where its first c2s listener listens. */
  readonly port: number
  /** @internal */
  readonly internals: Internals
  /** Makes an account on `host`. */
  addUser(user: string, password: string): Promise<void>
  /** From now on, what clients send, as XML, in its order: the array grows until the server stops. */
  capture(): readonly string[]
  /**
   * Makes the actor at a path (`/root/listeners/...`, as `tree` shows them) fail as if its handler had thrown, so that its
   * supervisor acts. Throws when nobody is there.
   */
  fail(path: string, error?: Error): void
}

const defaults = {
  general: { hosts: ['localhost'], registration_timeout: 'infinity' },
  auth: { methods: ['internal'], scram_iterations: 4096, password: { hash: ['sha', 'sha256', 'sha512'] } },
  listen: { c2s: [{ port: 0, ip_address: '127.0.0.1', num_acceptors: 2 }] },
}

/** Starts a server with its store in memory, on port 0 of 127.0.0.1. The caller stops it. */
export async function startTestServer(options: TestServerOptions = {}): Promise<TestServer> {
  const given: Readonly<Record<string, object>> = options.config ?? {}
  const tables = Object.fromEntries(
    [...new Set([...Object.keys(defaults), ...Object.keys(given)])].map(name => [
      name,
      // looked up by any table's name; an array of tables has nothing to be laid over
      Array.isArray(given[name]) ? given[name] : { ...(defaults as Record<string, object>)[name], ...given[name] },
    ]),
  )
  const object = options.modules === undefined ? tables : { ...tables, modules: options.modules }
  const place = { object, folder: process.cwd() }
  const available = await availableModules(place, {}, options.ownModules)
  const { config } = loadConfigOrThrow(place, available)
  const { clock, events } = options
  const { modules } = available
  const server = await createServer(config, {
    inMemory: true,
    modules,
    ...(clock && { clock }),
    ...(events && { events }),
  })
  const host = config.general.hosts[0]! // the schema wants one
  return {
    ...server,
    host,
    port: server.addresses.find(({ protocol }) => protocol === 'c2s')?.port ?? 0,
    async addUser(user, password) {
      const made = await server.internals.authenticator.create(user, host, password)
      if (made !== 'created') throw new Error(`${user}@${host}: ${made}`)
    },
    capture() {
      const captured: string[] = []
      server.onStanza(xml => void captured.push(xml))
      return captured
    },
    fail(path, error = new Error('made to fail by a test')) {
      const actor = server.internals.runtime.find(path)
      if (!(actor instanceof AnyActor)) throw new Error(`no actor is at ${path}`)
      actor.failWith(error)
    },
  }
}
