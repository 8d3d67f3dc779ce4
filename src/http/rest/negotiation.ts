import type { Context } from 'koa'
import { Refused } from './answer.js'

const token = "[!#$%&'*+.^_`|~\\w-]+"
const parameter = `\\s*;\\s*(?:${token}(?:=(?:${token}|"(?:[^"\\\\]|\\\\.)*"))?)?`
const mediaType = new RegExp(`^(${token}/${token})(?:${parameter})*$`)

/**
 * The first of the media types that the client accepts; the first of all when it does not say.
 * Throws `Refused` with 400 for a header that is none and with 406 when there is no such type. spec/http-listener.md §4 step 5
 */
export function acceptedType(ctx: Context, provided: readonly [string, ...string[]]): string {
  const accept = ctx.get('accept')
  if (accept.trim() === '') return provided[0]
  const ranges = accept.split(',').map(range => range.trim())
  if (ranges.some(range => range !== '' && !mediaType.test(range))) throw new Refused(400)
  const found = ctx.accepts([...provided])
  if (typeof found !== 'string') throw new Refused(406)
  return found
}

/** Throws `Refused` with 415 unless the body is said to be JSON. spec/http-listener.md §4 step 7 */
export function requireJson(ctx: Context): void {
  const [, type] = mediaType.exec(ctx.get('content-type').trim()) ?? []
  if (type?.toLowerCase() !== 'application/json') throw new Refused(415)
}
