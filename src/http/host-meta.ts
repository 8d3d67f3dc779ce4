import { Element } from 'ltx'
import { type Asked, empty, type HttpHandler, json } from './app.js'
import type { Route } from './pattern.js'

/* Where web clients find the endpoints of the domain. XEP-0156; RFC 6415 */

const XRD = 'http://docs.oasis-open.org/ns/xri/xrd-1.0'
const RELATION = 'urn:xmpp:alt-connections:'

/** Where a handler for clients is mounted. */
export interface Endpoint {
  readonly kind: 'websocket' | 'xbosh'
  /** As in the configuration: `_` or a pattern. */
  readonly host: string
  readonly path: string
}

interface Link {
  readonly rel: string
  readonly href: string
}

/** The two forms of the same list; no routes when there is nothing to list. */
export function hostMetaRoutes(endpoints: readonly Endpoint[], isSecure: boolean): Route<HttpHandler>[] {
  // What has places to fill in is not one address.
  const listed = endpoints.filter(({ path }) => !/[[:]/.test(path))
  if (listed.length === 0) return []
  const linksFor = (authority: string, asked: Asked): Link[] =>
    listed.map(({ kind, host, path }) => {
      const scheme = `${kind === 'websocket' ? 'ws' : 'http'}${isSecure ? 's' : ''}`
      const port = /:\d+$/.exec(authority)?.[0] ?? ''
      const name = /^[\w.-]+$/.test(host) && host !== '_' ? host : asked.host
      return { rel: `${RELATION}${kind}`, href: `${scheme}://${name}${port}${path}` }
    })
  return [
    { host: '_', path: '/.well-known/host-meta', target: answering(linksFor, xrd) },
    { host: '_', path: '/.well-known/host-meta.json', target: answering(linksFor, jrd) },
  ]
}

type Answer = (ctx: Parameters<HttpHandler>[0], links: readonly Link[]) => void

function answering(linksFor: (authority: string, asked: Asked) => Link[], answer: Answer): HttpHandler {
  return (ctx, asked) => {
    // Scripts of any page may look for the server. XEP-0156 §3
    ctx.set('access-control-allow-origin', '*')
    if (ctx.method === 'GET' || ctx.method === 'HEAD') {
      answer(ctx, linksFor(ctx.get('host'), asked))
      return
    }
    empty(ctx, 405)
    ctx.set('allow', 'GET, HEAD')
  }
}

function xrd(ctx: Parameters<HttpHandler>[0], links: readonly Link[]): void {
  const document = new Element('XRD', { xmlns: XRD })
  for (const { rel, href } of links) document.c('Link', { rel, href })
  ctx.body = `<?xml version='1.0' encoding='utf-8'?>\n${document}`
  ctx.type = 'application/xrd+xml'
  ctx.status = 200
}

const jrd: Answer = (ctx, links) => json(ctx, { links })
