import { namesAccount } from './account.js'
import { decodeText, exchange, failure, type SaslContext, type SaslExchange, type Turn } from './mechanism.js'

/** PLAIN: `[authzid] NUL authcid NUL passwd`. RFC 4616; a domain behind the authcid is ignored. */
export function plain(context: SaslContext): SaslExchange {
  return exchange(data => {
    const fields = decodeText(data)?.split('\0')
    if (fields?.length !== 3) return failure('malformed-request', 'PLAIN takes three fields.')
    const [authzid = '', authcid = '', password = ''] = fields
    const username = authcid.split('@', 1)[0] ?? ''
    // RFC 4616 §2: an empty name or password fails the verification. How long one may be is for the method to say: a token is long.
    if (username === '' || password === '') return failure('not-authorized')
    if (!namesAccount(authzid, username, context.host)) return failure('invalid-authzid')
    const verified = (isRight: boolean): Turn => (isRight ? [{ type: 'success', username }] : failure('not-authorized'))
    return [{ type: 'verify', username, password }, { verified }]
  })
}
