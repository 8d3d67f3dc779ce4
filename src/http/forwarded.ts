import type { IncomingMessage } from 'node:http'
import { type BlockList, isIP, isIPv6 } from 'node:net'
import type { Peer } from '../transports/transport.js'

/**
 * Who sent a request: the other end of its connection, or, behind proxies that are trusted, whom they name in `Forwarded`
 * (RFC 7239) or else in `X-Forwarded-For`. Read from the end: what stands before the first that is not trusted may be invented.
 */
export function clientOf(request: IncomingMessage, trusted: BlockList): Peer {
  const { remoteAddress = '', remotePort = 0 } = request.socket
  let client: Peer = { address: unmapped(remoteAddress), port: remotePort }
  if (!isTrusted(client.address, trusted)) return client
  for (const node of namedNodes(request).reverse()) {
    const named = parseNode(node)
    // A hidden one, or rubbish: nobody is known beyond the proxy.
    if (named === undefined) return client
    client = named
    if (!isTrusted(client.address, trusted)) return client
  }
  return client
}

/** An IPv6 socket shows IPv4 peers in mapped form. */
const unmapped = (address: string) => address.replace(/^::ffff:(?=\d+\.)/i, '')

const isTrusted = (address: string, trusted: BlockList) =>
  isIP(address) !== 0 && trusted.check(address, isIPv6(address) ? 'ipv6' : 'ipv4')

function namedNodes({ headers }: IncomingMessage): string[] {
  const forwarded = headers.forwarded
  if (forwarded !== undefined) return forwarded.split(',').map(forOf)
  const listed = headers['x-forwarded-for']
  if (listed === undefined) return []
  return (Array.isArray(listed) ? listed.join(',') : listed).split(',').map(node => node.trim())
}

/** The `for` of one element of `Forwarded`; '' when there is none. RFC 7239 §4 */
function forOf(element: string): string {
  const match = /(?:^|;)\s*for=(?:"([^"]*)"|([^\s;"]*))\s*(?:;|$)/i.exec(element)
  return match?.[1] ?? match?.[2] ?? ''
}

/** An address with or without a port; undefined for `unknown`, a made-up name, and rubbish. RFC 7239 §6 */
function parseNode(text: string): Peer | undefined {
  if (isIP(text) !== 0) return { address: unmapped(text), port: 0 }
  const match = /^(?:\[([^\]]+)\]|([\d.]+))(?::(\d{1,5}))?$/.exec(text)
  const address = match?.[1] ?? match?.[2] ?? ''
  const port = Number(match?.[3] ?? 0)
  return isIP(address) === 0 || port > 65_535 ? undefined : { address: unmapped(address), port }
}
