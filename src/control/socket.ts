import { chmod, type FileHandle, lstat, open, rm } from 'node:fs/promises'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { join, resolve } from 'node:path'
import { isMainThread } from 'node:worker_threads'
import { type Emit, thrown } from '../observability/events.js'
import { Feed } from '../observability/feed.js'
import { StartupError } from '../observability/startup-error.js'

/*
 * The control socket of a running server: `data_dir/meerkat.sock`, for the owner of the process only. One JSON object per line
 * asks, one per line answers, in order. A verb that streams answers with lines that say `more`, then with the last one.
 */

export type ControlRequest = { readonly verb: string } & Record<string, unknown>

export type ControlErrorCode = 'bad-request' | 'unknown-verb' | 'not-found' | 'conflict' | 'unavailable' | 'internal'

export type ControlReply =
  | {
      readonly ok: true
      readonly result: unknown
      /** Another line follows; an empty result keeps the connection alive. */
      readonly more?: true
    }
  | { readonly ok: false; readonly error: { readonly code: ControlErrorCode; readonly message: string } }

/** Thrown by a handler to refuse a request. The message is for the user. */
export class ControlError extends Error {
  override name = 'ControlError'
  constructor(
    readonly code: ControlErrorCode,
    message: string,
  ) {
    super(message)
  }
}

/** Answers one verb; what it returns or resolves to must be JSON, or a feed, whose batches are streamed. */
export type ControlHandler = (request: ControlRequest) => unknown

export type ControlHandlers = Readonly<Record<string, ControlHandler>>

export interface ControlServer {
  /** Stops listening, cuts every client and removes the socket file. */
  close(): Promise<void>
}

const fileName = 'meerkat.sock'
/** Bytes of a line. A request holds a part of an account that is imported, a reply a page of the tree, or of an account, at most. */
const maxRequest = 16_777_216
const maxReply = 67_108_864
const maxClients = 64
const idleMs = 30_000
/** `sun_path` without its final NUL: 108 bytes on Linux, 104 on the BSDs and macOS. */
const maxPath = process.platform === 'linux' ? 107 : 103

/**
 * Opens the control socket. The caller holds the lock of data_dir: a socket file that nobody answers is left over from a killed
 * server and is replaced, one that answers never is.
 * @throws StartupError
 */
export async function serveControl(dataDir: string, handlers: ControlHandlers, emit: Emit): Promise<ControlServer> {
  const address = await reachable(dataDir)
  if (address === undefined) throw new StartupError('data-dir', `data_dir ${dataDir} does not exist`)
  const clients = new Set<Socket>()
  const server = createServer({ allowHalfOpen: true }, socket => {
    clients.add(socket)
    socket.once('close', () => clients.delete(socket))
    serveClient(socket, handlers, emit)
  })
  server.maxConnections = maxClients
  try {
    await bind(server, address.path, dataDir)
  } catch (error) {
    await address.release()
    throw error
  }
  server.on('error', () => undefined) // accepting one client failed; the next one may succeed
  return {
    async close() {
      const closed = new Promise<void>(resolve => void server.close(() => resolve()))
      for (const socket of clients) socket.destroy()
      await closed
      await address.release()
    },
  }
}

async function bind(server: Server, path: string, dataDir: string): Promise<void> {
  const file = join(dataDir, fileName)
  try {
    await listen(server, path)
  } catch (error) {
    if (codeOf(error) !== 'EADDRINUSE') throw cannotBind(file, error)
    if (await isAnswered(path)) {
      throw new StartupError('data-dir-in-use', `another server answers on ${file}; stop it first`, { cause: error })
    }
    if (!(await lstat(path)).isSocket()) throw cannotBind(file, error)
    await rm(path)
    await listen(server, path).catch((again: unknown) => {
      throw cannotBind(file, again)
    })
  }
  await chmod(path, 0o600)
}

const cannotBind = (file: string, error: unknown) =>
  new StartupError('data-dir', `the control socket ${file} cannot be opened: ${messageOf(error)}`, { cause: error })

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    // The file must not be open to others even for a moment. It is made before listen() returns; a worker has no umask of its own.
    const before = isMainThread ? process.umask(0o177) : undefined
    server.listen(path, () => {
      server.off('error', reject)
      resolve()
    })
    if (before !== undefined) process.umask(before)
  })
}

async function isAnswered(path: string): Promise<boolean> {
  const socket = await connectTo(path)
  socket?.destroy()
  return socket !== undefined
}

function serveClient(socket: Socket, handlers: ControlHandlers, emit: Emit): void {
  socket.setTimeout(idleMs, () => socket.destroy())
  socket.on('error', () => socket.destroy())
  answerLines(socket, handlers, emit).then(
    () => socket.end(() => socket.destroy()),
    () => socket.destroy(), // it went away
  )
}

async function answerLines(socket: Socket, handlers: ControlHandlers, emit: Emit): Promise<void> {
  for await (const line of linesOf(socket, maxRequest)) {
    const isTooLong = line === undefined
    const reply = isTooLong ? refusal('bad-request', 'the request is too long') : await answer(line, handlers, emit)
    if (reply instanceof Feed) {
      await stream(socket, reply)
      continue
    }
    const isTaken = socket.write(`${reply}\n`)
    if (!isTaken && !isTooLong) await drained(socket)
  }
}

/** Writes as fast as the client reads; one that is gone is noticed at the next line, of which silence has some too. */
async function stream(socket: Socket, feed: Feed): Promise<void> {
  const end = () => feed.close()
  socket.once('close', end)
  if (socket.destroyed) end()
  for await (const batch of feed.batches()) {
    const reply: ControlReply = { ok: true, more: true, result: batch }
    if (!socket.write(`${JSON.stringify(reply)}\n`)) await drained(socket)
  }
  socket.off('close', end)
  const last: ControlReply = { ok: true, result: null }
  socket.write(`${JSON.stringify(last)}\n`)
}

const drained = (socket: Socket) =>
  new Promise<void>(resolve => {
    socket.once('drain', resolve)
    socket.once('close', () => resolve())
  })

async function answer(line: string, handlers: ControlHandlers, emit: Emit): Promise<string | Feed> {
  const request = readRequest(line)
  if (request === undefined) return refusal('bad-request', 'not a JSON object with a verb')
  const { verb } = request
  const handler = Object.hasOwn(handlers, verb) ? handlers[verb] : undefined
  if (handler === undefined) return refusal('unknown-verb', `the server does not know the verb ${JSON.stringify(verb)}`)
  try {
    const result = await handler(request)
    if (result instanceof Feed) return result
    const reply: ControlReply = { ok: true, result: result ?? null }
    return JSON.stringify(reply)
  } catch (error) {
    if (error instanceof ControlError) return refusal(error.code, error.message)
    emit('control.failed', { verb, ...thrown(error) })
    return refusal('internal', messageOf(error))
  }
}

function refusal(code: ControlErrorCode, message: string): string {
  const reply: ControlReply = { ok: false, error: { code, message } }
  return JSON.stringify(reply)
}

function readRequest(line: string): ControlRequest | undefined {
  const value = parse(line)
  const isRequest = typeof value === 'object' && value !== null && 'verb' in value && typeof value.verb === 'string'
  return isRequest ? (value as ControlRequest) : undefined // an object whose verb is text is all that the type says
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}

/** The lines of a stream, the last one also without its end; undefined, and no more, for one longer than `max` bytes. */
async function* linesOf(socket: Socket, max: number): AsyncGenerator<string | undefined> {
  let parts: Buffer[] = []
  let length = 0
  const take = () => {
    const line = Buffer.concat(parts).toString()
    parts = []
    length = 0
    return line
  }
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    let rest: Buffer = chunk
    for (let end = rest.indexOf('\n'); end >= 0; end = rest.indexOf('\n')) {
      if (length + end > max) return yield undefined
      parts.push(rest.subarray(0, end))
      rest = rest.subarray(end + 1)
      yield take()
    }
    length += rest.length
    if (length > max) return yield undefined
    if (rest.length > 0) parts.push(rest)
  }
  if (length > 0) yield take()
}

/**
 * Asks the server that works in `dataDir`; undefined when there is none. Rejects when the socket may not be used, when the server
 * does not answer within `timeoutMs`, or hangs up.
 */
export async function callControl(
  dataDir: string,
  request: ControlRequest,
  timeoutMs: number,
): Promise<ControlReply | undefined> {
  const address = await reachable(dataDir)
  if (address === undefined) return undefined
  try {
    const socket = await connectTo(address.path)
    return socket === undefined ? undefined : await ask(socket, request, timeoutMs)
  } finally {
    await address.release()
  }
}

async function ask(socket: Socket, request: ControlRequest, timeoutMs: number): Promise<ControlReply> {
  const timer = setTimeout(() => {
    socket.destroy(new ControlError('unavailable', `the server did not answer within ${timeoutMs} ms`))
  }, timeoutMs)
  try {
    socket.end(`${JSON.stringify(request)}\n`)
    for await (const line of linesOf(socket, maxReply)) {
      const reply = line === undefined ? undefined : readReply(line)
      if (reply !== undefined) return reply
      throw new ControlError('unavailable', 'the server answered something that is no reply')
    }
    throw new ControlError('unavailable', 'the server hung up without an answer')
  } finally {
    clearTimeout(timer)
    socket.destroy()
  }
}

/**
 * The replies of the server that works in `dataDir` to a verb that streams, until the last one; undefined when there is no server.
 * Leaving the loop hangs up. Throws as `callControl`, but waits `timeoutMs` for each line.
 */
export async function streamControl(
  dataDir: string,
  request: ControlRequest,
  timeoutMs: number,
): Promise<AsyncGenerator<ControlReply> | undefined> {
  const address = await reachable(dataDir)
  if (address === undefined) return undefined
  try {
    const socket = await connectTo(address.path)
    return socket && replies(socket, request, timeoutMs)
  } finally {
    await address.release()
  }
}

async function* replies(socket: Socket, request: ControlRequest, timeoutMs: number): AsyncGenerator<ControlReply> {
  socket.setTimeout(timeoutMs, () => {
    socket.destroy(new ControlError('unavailable', `the server said nothing for ${timeoutMs} ms`))
  })
  try {
    socket.write(`${JSON.stringify(request)}\n`)
    for await (const line of linesOf(socket, maxReply)) {
      const reply = line === undefined ? undefined : readReply(line)
      if (reply === undefined) throw new ControlError('unavailable', 'the server answered something that is no reply')
      yield reply
      if (!reply.ok || reply.more !== true) return
    }
    throw new ControlError('unavailable', 'the server hung up')
  } finally {
    socket.destroy()
  }
}

function readReply(line: string): ControlReply | undefined {
  const reply = parse(line)
  return typeof reply === 'object' && reply !== null && 'ok' in reply ? (reply as ControlReply) : undefined // our own server's
}

/** A connection, or undefined when nobody listens there. */
function connectTo(path: string): Promise<Socket | undefined> {
  return new Promise((resolve, reject) => {
    const socket = connect(path)
    socket.once('error', error => {
      const code = codeOf(error)
      if (code === 'ENOENT' || code === 'ECONNREFUSED' || code === 'ENOTSOCK') resolve(undefined)
      else reject(error)
    })
    socket.once('connect', () => resolve(socket))
  })
}

/** A path to the socket that is short enough for the kernel, valid until it is released. */
interface Address {
  readonly path: string
  release(): Promise<void>
}

/**
 * The kernel takes about a hundred bytes as the path of a socket. Linux reaches a longer one through an open folder; elsewhere,
 * and not in a folder for all such as /tmp, where somebody else could answer in our place, that is an error. Undefined when there
 * is no such folder.
 */
async function reachable(dataDir: string): Promise<Address | undefined> {
  const path = join(resolve(dataDir), fileName)
  if (Buffer.byteLength(path) <= maxPath) return { path, release: async () => undefined }
  if (process.platform !== 'linux') {
    throw new StartupError('data-dir', `the path of data_dir is too long for its control socket: ${path}`)
  }
  const folder = await openFolder(dataDir)
  if (folder === undefined) return undefined
  return { path: join(`/proc/self/fd/${folder.fd}`, fileName), release: () => folder.close() }
}

async function openFolder(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, 'r')
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  }
}

const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error))
const codeOf = (error: unknown) => (error instanceof Error && 'code' in error ? error.code : undefined)
