import { Jid, prepareLocal } from '../jid.js'

/**
 * Whether an authorization identity names the account that is logging in: its bare JID (RFC 6120 §6.3.8), or only its
 * localpart, as some clients write it. '' means "derive it" and always does.
 */
export function namesAccount(authzid: string, username: string, host: string): boolean {
  if (authzid === '') return true
  const local = prepareLocal(username)
  if (local === undefined) return false
  if (!authzid.includes('@')) return prepareLocal(authzid) === local
  return Jid.parse(authzid)?.text === Jid.of(local, host)?.text
}
