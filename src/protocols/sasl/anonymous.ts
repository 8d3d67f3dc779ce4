import { decodeText, exchange, failure, type SaslContext, type SaslExchange } from './mechanism.js'

/** Characters of trace information. RFC 4505 §2 */
const maxTraceLength = 255

/** ANONYMOUS: the server picks the name; the client's trace information is checked and dropped. RFC 4505, XEP-0175 */
export function anonymous(context: SaslContext): SaslExchange {
  return exchange(data => {
    const trace = decodeText(data)
    if (trace === undefined || [...trace].length > maxTraceLength) return failure('malformed-request')
    return [{ type: 'success', username: context.anonymousName }]
  }, true)
}
