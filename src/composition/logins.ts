import type { Authenticator } from '../auth/authenticate.js'
import type { LoginOptions } from '../auth/login.js'
import { configFor } from '../config/for-host.js'
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

/** How clients of a listener may come to log in. */
export interface LoginWays {
  /** Some connections are encrypted. */
  readonly mayBeEncrypted: boolean
  readonly mayPlainInClear: boolean
  /** Channel binding is to be had. */
  readonly bindsChannels: boolean
  readonly asksForCertificate: boolean
}

/** Trap 41: a listener on which nobody can ever log in to a host says so when it starts. */
export function warnWhereNobodyLogsIn(
  { config, emit }: Base,
  name: string,
  ways: LoginWays,
  authenticator: Authenticator,
) {
  for (const host of config.general.hosts) {
    const { mechanisms } = offerMechanisms({
      ...authenticator.sasl(host),
      isEncrypted: ways.mayBeEncrypted,
      mayPlainInClear: ways.mayPlainInClear,
      channelBindings: ways.bindsChannels ? ['tls-exporter'] : [],
      hasCertificate: ways.asksForCertificate,
    })
    if (mechanisms.length > 0) continue
    const text = `nobody can log in to ${host}: none of sasl_mechanisms works here with the methods ${JSON.stringify(configFor(config, host).auth.methods)}`
    emit('config.warning', { path: `listener ${name}`, text })
  }
}
