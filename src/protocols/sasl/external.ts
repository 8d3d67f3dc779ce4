import { Jid } from '../jid.js'
import { namesAccount } from './account.js'
import type { CertificateIdentity, IdentitySource } from './identity.js'
import { decodeText, exchange, failure, type SaslContext, type SaslExchange } from './mechanism.js'

/** EXTERNAL: the certificate of the TLS connection says who it is, the message at most as whom. RFC 4422 appendix A, XEP-0178 §2 */
export function external(context: SaslContext): SaslExchange {
  return exchange(data => {
    const authzid = decodeText(data)
    if (authzid === undefined || authzid.includes('\0')) return failure('malformed-request')
    const { identity } = context
    if (identity === undefined) return failure('not-authorized')
    for (const source of context.identitySources) {
      const username = accountOf(source, authzid, identity, context.host)
      if (username === undefined) continue
      return [
        { type: 'identify', username },
        { verified: isRight => (isRight ? [{ type: 'success', username }] : failure('not-authorized')) },
      ]
    }
    // The certificate names nobody here, or somebody else than the client wants to be.
    return failure(authzid === '' ? 'not-authorized' : 'invalid-authzid')
  })
}

/** The localpart that this source gives, or undefined. spec/listeners.md §3.1.5 */
function accountOf(
  source: IdentitySource,
  authzid: string,
  { addresses, commonName }: CertificateIdentity,
  host: string,
): string | undefined {
  const wanted = authzid === '' ? undefined : accountOn(host, authzid)
  switch (source) {
    case 'standard': {
      const accounts = new Set(addresses.flatMap(address => accountOn(host, address) ?? []))
      if (authzid === '') return accounts.size === 1 ? [...accounts][0] : undefined
      return wanted !== undefined && accounts.has(wanted) ? wanted : undefined
    }
    case 'common_name': {
      const account = commonName === undefined ? undefined : Jid.of(commonName, host)?.local
      if (account === undefined || account === '') return undefined
      return namesAccount(authzid, account, host) ? account : undefined
    }
    case 'auth_id':
      return wanted
  }
}

/** The localpart of a bare JID on the host; undefined for anything else. */
function accountOn(host: string, text: string): string | undefined {
  const jid = Jid.parse(text)
  return jid !== undefined && jid.local !== '' && jid.resource === '' && jid.domain === host ? jid.local : undefined
}
