import type { X509Certificate } from 'node:crypto'
import { join } from 'node:path'
import type { SecureContext, SecureContextOptions, TLSSocket, TlsOptions } from 'node:tls'
import { domainToASCII } from 'node:url'
import type { C2sTlsConfig, HttpTlsConfig } from '../config/listen-tls.js'
import { justTlsSettings, type TlsSettings, tlsSettings } from '../config/tls-settings.js'
import type { HttpServerTls } from '../http/http-server.js'
import { StartupError } from '../observability/startup-error.js'
import { ensureDevelopmentCertificate } from '../tls/certificates.js'
import { sends } from '../tls/channel-binding.js'
import { ClientVerifier } from '../tls/client-certificate.js'
import { type ServerSecureContext, type ServerTlsOptions, serverSecureContext } from '../tls/context.js'
import type { TcpTransport } from '../transports/tcp.js'
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

/** TLS of a client listener, with the certificates of the domains that have their own. */
export interface C2sTls {
  /** Of the listener, whichever domain a client means. */
  readonly certificate: X509Certificate
  /** Runs the handshake for the host that the client's stream is for; before there is a stream, for the one that TLS names. */
  secure(transport: TcpTransport, host: string | undefined, onSecured: () => void): void
}

/**
 * TLS of a client listener; undefined where there is none. `s2s.domain_certfile` goes before the listener's certificate.
 * spec/listeners.md §2.5, §3.1.4
 * @throws StartupError
 */
export async function c2sTls(
  base: Base,
  listener: string,
  tls: C2sTlsConfig | undefined,
  alpn: (offered: string[]) => string,
): Promise<C2sTls | undefined> {
  if (tls?.mode === undefined || tls.certfile === undefined) return undefined
  const { certfile, mode, verify_peer } = tls
  const { domain_certfile = [] } = base.config.s2s
  const own = new Map<string, ListenerTls>()
  const choose = (name: string | undefined): ListenerTls =>
    (name === undefined ? undefined : own.get(domainToASCII(name))) ?? common
  // With STARTTLS the stream has said already which host it is for.
  const hasNames = mode === 'tls' && domain_certfile.length > 0
  const serverName = hasNames ? byName(choose) : undefined
  const settings = tlsSettings(tls)
  const read = async (file: string, files: typeof tls) => {
    await makeMissing(base, file)
    return reloadableTls(base, listener, { ...files, certfile: file }, settings, made => {
      const asking = { ...made.settings, ...(serverName && { SNICallback: serverName }) }
      return { tls: made, secure: verify_peer ? new ClientVerifier(asking, tls, alpn) : made.context }
    })
  }
  const common: ListenerTls = await read(certfile, tls)
  for (const entry of domain_certfile) {
    const { keyfile: _, password: __, ...files } = tls
    own.set(domainToASCII(entry.domain), await read(entry.certfile, files))
  }
  return {
    certificate: common.present.tls.certificates[0],
    secure(transport, host, onSecured) {
      const { present } = choose(host)
      transport.secure(present.secure, {
        alpn,
        certificate: present.tls.certificates[0],
        ...(serverName && { serverName }),
        onSecured() {
          if (hasNames && transport.tls !== undefined) {
            const { servername } = transport.tls as NamedSocket
            sends(transport.tls, choose(servername || undefined).present.tls.certificates[0])
          }
          onSecured()
        },
      })
    },
  }
}

/** What Node's declaration does not say: the name that the client asked for, false or '' when it named none. */
type NamedSocket = TLSSocket & { servername?: string | false | null }

function byName(choose: (name: string) => ListenerTls): NonNullable<TlsOptions['SNICallback']> {
  return (name, answer) => answer(null, choose(name).present.tls.context)
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
