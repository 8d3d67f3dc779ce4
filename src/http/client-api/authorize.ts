import type { Context } from 'koa'
import type { OperationServices } from '../../operations/services.js'
import { Jid } from '../../protocols/jid.js'
import type { Asked } from '../app.js'
import { readBasic } from '../basic-auth.js'
import { Refused } from '../rest/answer.js'
import type { Resource } from '../rest/resource.js'

/*
 * What the handlers of the client REST API, and its event stream, have in common. spec/rest-client.md §1
 */

const challenge = { 'www-authenticate': 'Basic realm="mongooseim"' }

/**
 * The account, as a bare JID, whose JID and password a request bears. Throws `Refused`: 401 where they are none, 400 for a header that
 * cannot be read, 429 where too many were wrong before. RC-1, RC-5, HR-2
 */
export function authorizeUser({ accounts }: OperationServices): (ctx: Context, asked: Asked) => Promise<Jid> {
  return async (ctx, asked) => {
    const credentials = readBasic(ctx.get('authorization'))
    if (credentials === 'malformed') throw new Refused(400)
    if (credentials === 'absent') throw new Refused(401, '', challenge)
    const jid = Jid.parse(credentials.username)
    if (jid === undefined || jid.local === '' || !accounts.hosts.includes(jid.domain)) {
      throw new Refused(401, '', challenge)
    }
    const attempt = { username: jid.local, host: jid.domain, address: asked.client.address }
    const verdict = await accounts.login(attempt, credentials.password)
    if (verdict === 'throttled') throw new Refused(429)
    if (verdict === 'wrong') throw new Refused(401, '', challenge)
    return jid.bare
  }
}

/** What a web page of another origin needs to read an answer; nothing for a request that comes from none. RC-3 */
export function corsHeaders(ctx: Context, methods: readonly string[]): Record<string, string> {
  const origin = ctx.get('origin')
  if (origin === '') return {}
  return {
    'access-control-allow-origin': origin,
    'access-control-allow-methods': methods.join(', '),
    'access-control-allow-credentials': 'true',
    'access-control-allow-headers': 'authorization, content-type',
    // A cache must not give the answer to another origin.
    vary: 'origin',
  }
}

/** A resource of the client REST API: for users with their passwords, and for web pages. OPTIONS asks for no password. RC-1, RC-3, RC-4 */
export function clientResource(
  services: OperationServices,
  resource: Omit<Resource<Jid>, 'authorize' | 'headers'>,
): Resource<Jid> {
  return { ...resource, authorize: authorizeUser(services), headers: corsHeaders }
}
