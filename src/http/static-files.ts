import type { Stats } from 'node:fs'
import { type FileHandle, open, realpath, stat } from 'node:fs/promises'
import { extname, join, sep } from 'node:path'
import type { Context } from 'koa'
import { empty, type HttpHandler } from './app.js'

/*
 * `cowboy_static`: the files of a folder. spec/api-docs.md §3
 */

/** D-10; koa knows newer names for some of them. */
const mediaTypes: Readonly<Record<string, string>> = {
  '.html': 'text/html',
  '.css': 'text/css',
  '.js': 'application/javascript',
  '.json': 'application/json',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
}

/** What a page may load: nothing from anywhere else. D-15; Swagger UI has its icons as `data:` and some styles in the page. */
const pagePolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')

/** Serves what lies in `folder` (absolute) under the names that `[...]` matches. There is no index of a folder. */
export function createStaticHandler(folder: string): HttpHandler {
  return async (ctx, { rest = [] }) => {
    if (ctx.method !== 'GET' && ctx.method !== 'HEAD') {
      empty(ctx, 405)
      ctx.set('allow', 'GET, HEAD')
      return
    }
    if (rest.some(segment => /[/\\\0]/.test(segment))) return empty(ctx, 400) // D-12
    const found = await find(folder, rest)
    if (typeof found === 'number') return empty(ctx, found)
    await serve(ctx, found)
  }
}

interface FoundFile {
  readonly path: string
  readonly file: FileHandle
  readonly stats: Stats
}

/** Opens the file of that name, or says with which status not. D-11, D-12 */
async function find(folder: string, names: readonly string[]): Promise<FoundFile | 403 | 404> {
  try {
    // Links are followed before the comparison.
    const [root, path] = await Promise.all([realpath(folder), realpath(join(folder, ...names))])
    if (path !== root && !path.startsWith(`${root}${sep}`)) return 404
    // Before it is opened: a pipe would wait for its other end.
    const stats = await stat(path)
    if (!stats.isFile()) return 403
    return { path, stats, file: await open(path) }
  } catch (error) {
    const status = statusOf(error)
    if (status === undefined) throw error
    return status
  }
}

function statusOf(error: unknown): 403 | 404 | undefined {
  switch (error instanceof Error && 'code' in error && error.code) {
    case 'ENOENT':
    case 'ENOTDIR':
    case 'ELOOP':
    case 'ENAMETOOLONG':
      return 404
    case 'EACCES':
    case 'EPERM':
      return 403
    default:
      return undefined
  }
}

/** The whole file, a range of it, or that the client has it already. RFC 9110 §13, §14; D-13 */
async function serve(ctx: Context, { path, file, stats }: FoundFile): Promise<void> {
  const { size } = stats
  ctx.status = 200
  const type = mediaTypes[extname(path).toLowerCase()] ?? 'application/octet-stream'
  ctx.set('content-type', type)
  if (type === 'text/html') ctx.set('content-security-policy', pagePolicy)
  ctx.set('accept-ranges', 'bytes')
  ctx.etag = `${size.toString(16)}-${Math.round(stats.mtimeMs).toString(16)}`
  ctx.lastModified = stats.mtime
  const isKnown = ctx.fresh
  const range = isKnown ? undefined : rangeOf(ctx, size)
  if (isKnown || range === 'unsatisfiable') {
    empty(ctx, isKnown ? 304 : 416)
    if (!isKnown) ctx.set('content-range', `bytes */${size}`)
    return file.close()
  }
  if (range !== undefined) {
    ctx.status = 206
    ctx.set('content-range', `bytes ${range.start}-${range.end}/${size}`)
  }
  ctx.length = range === undefined ? size : range.end - range.start + 1
  if (ctx.method === 'HEAD') return file.close()
  // It closes the file; koa ends it when the client goes away.
  ctx.body = file.createReadStream(range)
}

/** The one range that is asked for, both ends included; undefined when all is: also where several are, or what is no range. */
function rangeOf(ctx: Context, size: number): { start: number; end: number } | 'unsatisfiable' | undefined {
  // RFC 9110 §14.2: of GET alone. §13.1.5: of the file that the client knows.
  if (ctx.method !== 'GET' || !isStillThat(ctx)) return undefined
  const [, first = '', last = ''] = /^bytes=(\d*)-(\d*)$/i.exec(ctx.get('range')) ?? []
  if (first === '' && last === '') return undefined
  if (first === '') {
    const length = Math.min(Number(last), size)
    return length === 0 ? 'unsatisfiable' : { start: size - length, end: size - 1 }
  }
  const [start, end] = [Number(first), last === '' ? size - 1 : Math.min(Number(last), size - 1)]
  if (last !== '' && Number(last) < start) return undefined
  return start >= size ? 'unsatisfiable' : { start, end }
}

function isStillThat(ctx: Context): boolean {
  const condition = ctx.get('if-range')
  return condition === '' || condition === ctx.response.get('etag') || condition === ctx.response.get('last-modified')
}
