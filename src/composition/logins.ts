import type { Authenticator } from '../auth/authenticate.js'
import type { LoginOptions } from '../auth/login.js'
import { configFor } from '../config/for-host.js'
import type { C2sListenerConfig } from '../config/listen-xmpp.js'
import { offerMechanisms } from '../protocols/sasl/mechanisms.js'
import type { Base } from './base.js'

/** What reads certificates takes memory, which only a server with EXTERNAL needs. */
export async function identityReader(
  { config }: Base,
  authenticator: Authenticator,
): Promise<LoginOptions['identityOf']> {
  const hasExternal = config.general.hosts.some(host => authenticator.sasl(host).configured.includes('external'))
  if (!hasExternal) return () => ({ addresses: [], commonName: undefined })
  return (await import('../auth/certificate-identity.js')).certificateIdentity
}

/** Trap 41: a listener on which nobody can ever log in to a host says so when it starts. */
export function warnWhereNobodyLogsIn(
  { config, emit }: Base,
  name: string,
  listener: C2sListenerConfig,
  authenticator: Authenticator,
) {
  const { tls } = listener
  const isEncrypted = tls?.mode !== undefined
  for (const host of config.general.hosts) {
    const { mechanisms } = offerMechanisms({
      ...authenticator.sasl(host),
      isEncrypted,
      mayPlainInClear: tls?.mode === undefined || tls.mode === 'starttls',
      channelBindings: isEncrypted ? ['tls-exporter'] : [],
      hasCertificate: tls?.verify_peer === true,
    })
    if (mechanisms.length > 0) continue
    const text = `nobody can log in to ${host}: none of sasl_mechanisms works here with the methods ${JSON.stringify(configFor(config, host).auth.methods)}`
    emit('config.warning', { path: `listener ${name}`, text })
  }
}
