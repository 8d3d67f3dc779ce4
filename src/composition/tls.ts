import { join } from 'node:path'
import type { SecureContext, SecureContextOptions } from 'node:tls'
import type { C2sTlsConfig, HttpTlsConfig } from '../config/listen-tls.js'
import { justTlsSettings, type TlsSettings, tlsSettings } from '../config/tls-settings.js'
import type { HttpServerTls } from '../http/http-server.js'
import { StartupError } from '../observability/startup-error.js'
import { ensureDevelopmentCertificate } from '../tls/certificates.js'
import { ClientVerifier } from '../tls/client-certificate.js'
import { type ServerSecureContext, type ServerTlsOptions, serverSecureContext } from '../tls/context.js'
import type { Base } from './base.js'

/*
 * TLS of listeners: made at the start, and made anew from the same files when they are read again.
 */

/** What a listener's handshakes need; the present one, so ask for it each time. */
export interface ListenerTls {
  readonly present: {
    readonly tls: ServerSecureContext
    /** With client certificates a verifier, without them only a context. */
    readonly secure: SecureContext | ClientVerifier
  }
}

/**
 * TLS of a client listener; undefined where there is none.
 * @throws StartupError
 */
export async function c2sTls(
  base: Base,
  listener: string,
  tls: C2sTlsConfig | undefined,
  alpn: (offered: string[]) => string,
): Promise<ListenerTls | undefined> {
  if (tls?.mode === undefined || tls.certfile === undefined) return undefined
  await makeMissing(base, tls.certfile)
  const { certfile } = tls
  const settings = tlsSettings(tls)
  return reloadableTls(base, listener, { ...tls, certfile }, settings, made => ({
    tls: made,
    secure: tls.verify_peer ? new ClientVerifier(made.settings, tls, alpn) : made.context,
  }))
}

/**
 * TLS of an HTTP listener; undefined where there is none. spec/http-listener.md §2
 * @throws StartupError
 */
export async function httpTls(
  base: Base,
  listener: string,
  tls: HttpTlsConfig | undefined,
): Promise<HttpServerTls | undefined> {
  if (tls === undefined) return undefined
  await makeMissing(base, tls.certfile)
  const watching = new Set<(settings: SecureContextOptions) => void>()
  const { verify_peer, verify_mode } = tls
  const settings = justTlsSettings(tls.ciphers, tls.versions)
  const holder = await reloadableTls(base, listener, tls, settings, made => {
    for (const changed of watching) changed(made.settings)
    return { tls: made, secure: made.context }
  })
  return {
    get settings() {
      return holder.present.tls.settings
    },
    certificates: { verify_peer, verify_mode },
    watch(changed) {
      watching.add(changed)
      return () => watching.delete(changed)
    },
  }
}

/**
 * Reads the files now, and whenever the server is asked to; what is no good then changes nothing. `made` is given what was read
 * each time, and throws when there is something wrong with it.
 * @throws StartupError
 */
export async function reloadableTls(
  { onReload, emit }: Base,
  listener: string,
  files: ServerTlsOptions,
  settings: TlsSettings & SecureContextOptions,
  made: (tls: ServerSecureContext) => ListenerTls['present'],
): Promise<ListenerTls> {
  const read = async () => made(await serverSecureContext(files, settings))
  const holder = { present: await read().catch(refused) }
  onReload(async () => {
    try {
      holder.present = await read()
      const [certificate] = holder.present.tls.certificates
      emit('certificate.reloaded', { listener, file: files.certfile, until: certificate.validTo })
    } catch (error) {
      emit('certificate.refused', { listener, error: error instanceof Error ? error.message : String(error) })
    }
  })
  return holder
}

function refused(error: unknown): never {
  throw new StartupError('certificate', error instanceof Error ? error.message : String(error), { cause: error })
}

/** With `--dev`, a certificate for all hosts where the file is missing. */
export async function makeMissing({ config, options, emit }: Base, certfile: string): Promise<void> {
  if (options.dev !== true) return
  const { data_dir, hosts } = config.general
  const made = await ensureDevelopmentCertificate(certfile, [...hosts], join(data_dir, 'dev-ca.pem'))
  for (const file of made) emit('certificate.created', { file, names: hosts.join(', ') })
}
