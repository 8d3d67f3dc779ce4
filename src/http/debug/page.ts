import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Context } from 'koa'
import { type Asked, empty, type HttpHandler } from '../app.js'
import { createStaticHandler } from '../static-files.js'

/*
 * The page of the living tree: `index.html` where `meerkat_debug` is mounted, and its files below `assets/` there.
 */

/** Nothing but what comes from here; no script or style in the markup, and no text that becomes markup. */
const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src 'self' data:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join('; ')

const headers = {
  'content-security-policy': policy,
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  // Kept, but asked for again: after an upgrade nobody has half of the old page.
  'cache-control': 'no-cache',
} as const

/** Whether what follows the mount names the page or one of its files. */
export const isOfPage = ({ rest = [] }: Pick<Asked, 'rest'>) => rest.length === 0 || rest[0] === 'assets'

/** Serves the page that lies in `folder` (absolute), to whom it was decided before may see it. */
export async function createDebugPage(folder: string): Promise<HttpHandler> {
  const page = await readFile(join(folder, 'index.html'), 'utf8')
  const file = createStaticHandler(folder)
  return (ctx, asked) => {
    ctx.set(headers)
    const { rest = [] } = asked
    if (rest.length > 0) return file(ctx, { ...asked, rest: rest.slice(1) })
    showPage(ctx, page)
  }
}

function showPage(ctx: Context, page: string): void {
  if (ctx.method !== 'GET' && ctx.method !== 'HEAD') {
    empty(ctx, 405)
    ctx.set('allow', 'GET, HEAD')
    return
  }
  ctx.body = page.replaceAll('"assets/', `"${folderOf(ctx.req.url ?? '/')}assets/`)
  ctx.type = 'text/html; charset=utf-8'
}

/**
 * How the page names the folder that it stands for, whatever a proxy has put before the path: '' for `/debug/`, `debug/` for `/debug`.
 * What the client wrote ends in markup, so that only what a path may hold remains of it. RFC 3986 §3.3
 */
function folderOf(target: string): string {
  const last = (target.split(/[?#]/, 1)[0] ?? '').split('/').at(-1) ?? ''
  return last === '' ? '' : `${last.replaceAll(/[^\w.~%-]/g, '')}/`
}
