import type { IncomingMessage } from 'node:http'

/* spec/http-listener.md §5. Bytes, except where a name says otherwise. */

const maxRequestLine = 8_000
const maxMethod = 32
const maxHeaderName = 64
const maxHeaderValue = 4_096
const maxHeaders = 100
/** Of any request body. */
export const maxBody = 8_000_000
/** Of request line and headers together; node:http counts nothing finer while they arrive. */
export const maxHead = 98_304
/** For the head of a request, and between two requests. */
export const headMs = 5_000
/** Silence that an ordinary exchange may have. A handler that holds its answer lifts it with `ctx.req.setTimeout(0)`. */
export const silenceMs = 60_000
export const requestsPerConnection = 100

const methods = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])

/** The status that a request beyond a limit is answered with, its connection closed; undefined for one within the limits. */
export function beyondLimits(request: IncomingMessage): 413 | 414 | 431 | 501 | undefined {
  const { method = '', url = '', rawHeaders } = request
  if (method.length > maxMethod || !methods.has(method)) return 501
  if (method.length + url.length + ' '.length + ' HTTP/1.1'.length > maxRequestLine) return 414
  if (rawHeaders.length > 2 * maxHeaders) return 431
  for (let index = 0; index < rawHeaders.length; index++) {
    if (rawHeaders[index]!.length > (index % 2 === 0 ? maxHeaderName : maxHeaderValue)) return 431
  }
  return Number(request.headers['content-length'] ?? 0) > maxBody ? 413 : undefined
}

/** An error of node:http's parser, with what it had in its hands. */
export interface ParserError extends Error {
  readonly code?: string
  readonly rawPacket?: Buffer
}

/** The status for a request that node:http could not read; undefined when the connection closes without a word. */
export function parserStatus(error: ParserError, hasSentAnything: boolean): number | undefined {
  switch (error.code) {
    case 'ECONNRESET':
    case 'EPIPE':
      return undefined
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return hasSentAnything ? 408 : undefined
    case 'HPE_INVALID_METHOD':
      return startsWithToken(error.rawPacket) ? 501 : 400
    case 'HPE_HEADER_OVERFLOW':
      return isInRequestLine(error.rawPacket) ? 414 : 431
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return 413
    case 'HPE_INVALID_VERSION':
      return 505
    default:
      return 400
  }
}

/** RFC 9110 §5.6.2. Bytes that are no HTTP at all, such as a TLS handshake, start with none. */
const startsWithToken = (packet: Buffer | undefined) =>
  packet !== undefined && /^[\w!#$%&'*+.^`|~-]+(?: |$)/.test(packet.subarray(0, 64).toString('latin1').trimEnd())

const isInRequestLine = (packet: Buffer | undefined) =>
  packet !== undefined && !packet.includes('\n') && /^[A-Z]+ \S+$/.test(packet.toString('latin1'))
