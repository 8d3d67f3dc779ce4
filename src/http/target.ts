import type { IncomingMessage } from 'node:http'
import { isIPv6 } from 'node:net'

/** What a request asks for. */
export interface Target {
  /** Lower-cased, without port; '' for an HTTP/1.0 request that names none. */
  readonly host: string
  /** As sent, still encoded. */
  readonly path: string
  /** Without the `?`; '' when there is none. */
  readonly query: string
}

interface Authority {
  readonly host: string
  readonly port: string
}

/**
 * Reads host and path of a request, or gives undefined when it must be answered with 400 (HH-1): no or several Host headers,
 * one that is no authority, or one that contradicts the absolute form of the target. RFC 9112 §3.2
 */
export function requestTarget(request: IncomingMessage): Target | undefined {
  const hosts = hostHeaders(request.rawHeaders)
  if (hosts.length > 1) return undefined
  const named = hosts[0] === undefined ? undefined : parseAuthority(hosts[0])
  if (hosts[0] !== undefined && named === undefined) return undefined
  if (named === undefined && request.httpVersion !== '1.0') return undefined

  const url = request.url ?? ''
  if (url.startsWith('/')) return { host: named?.host ?? '', ...splitQuery(url) }
  const absolute = /^(https?):\/\/([^/?#]*)(.*)$/i.exec(url)
  if (absolute === null) return undefined
  const [, scheme = '', authority = '', rest = ''] = absolute
  const addressed = parseAuthority(authority)
  if (addressed === undefined || addressed.host === '') return undefined // RFC 9110 §4.2.1
  if (named !== undefined && !isSame(named, addressed, scheme.toLowerCase() === 'https' ? '443' : '80'))
    return undefined
  return { host: addressed.host, ...splitQuery(rest.startsWith('/') ? rest : `/${rest}`) }
}

function hostHeaders(rawHeaders: readonly string[]): string[] {
  const hosts: string[] = []
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] ?? ''
    if (name.length === 4 && name.toLowerCase() === 'host') hosts.push(rawHeaders[i + 1] ?? '')
  }
  return hosts
}

/** RFC 3986 §3.2.2 without user information; an empty host is one, RFC 9112 §3.2. */
function parseAuthority(text: string): Authority | undefined {
  const parts = /^(\[[^\]]*\]|[^:]*)(?::(\d{0,5}))?$/.exec(text)
  if (parts === null) return undefined
  const [, host = '', port = ''] = parts
  if (Number(port) > 65_535) return undefined
  const isHost = host.startsWith('[') ? isIPv6(host.slice(1, -1)) : /^(?:[\w.~!$&'()*+,;=-]|%[0-9a-f]{2})*$/i.test(host)
  return isHost ? { host: host.toLowerCase(), port } : undefined
}

const isSame = (one: Authority, other: Authority, defaultPort: string) =>
  one.host === other.host && (one.port || defaultPort) === (other.port || defaultPort)

function splitQuery(url: string): { path: string; query: string } {
  const mark = url.indexOf('?')
  return mark < 0 ? { path: url, query: '' } : { path: url.slice(0, mark), query: url.slice(mark + 1) }
}
