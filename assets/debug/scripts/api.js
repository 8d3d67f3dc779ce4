/*
 * What the page asks of the server. The contract: src/http/debug/README.md.
 */

/** The mount of the handler: this file is two folders below it. */
const mount = new URL('../../', import.meta.url)

/** The server's own words for why it did not do what was asked. */
export class Refusal extends Error {
  name = 'Refusal'

  constructor(status, text) {
    super(text)
    this.status = status
  }
}

/** The address of something below the mount; what is undefined or '' in the query is left out. */
export function address(path, query = {}) {
  const url = new URL(path, mount)
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== '') url.searchParams.set(name, value)
  }
  return url
}

/** How long an answer may take, in ms. */
const TIMEOUT = 15_000

async function ask(url, init = {}, timeout = TIMEOUT) {
  const response = await fetch(url, { ...init, cache: 'no-store', signal: AbortSignal.timeout(timeout) })
  const text = await response.text()
  const body = text === '' ? undefined : JSON.parse(text)
  if (!response.ok) throw new Refusal(response.status, body?.error ?? `${response.status} ${response.statusText}`)
  return body
}

/** @throws Refusal, TypeError when the server cannot be reached */
export const get = (path, query) => ask(address(path, query))

/** `timeout`: in ms, for what takes longer. @throws as `get` */
export const post = (path, body, timeout) =>
  ask(
    address(path),
    { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) },
    timeout,
  )

/** The answer, or undefined when there is no such thing (any more). */
export async function find(path, query) {
  try {
    return await get(path, query)
  } catch (error) {
    if (error instanceof Refusal && error.status === 404) return undefined
    throw error
  }
}
