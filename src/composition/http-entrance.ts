import type { HttpListenerConfig } from '../config/listen-http.js'
import type { ClientEntrance } from './c2s.js'

export type WebSocketConfig = NonNullable<HttpListenerConfig['handlers']['mod_websockets']>[number]

/** The number of an option that may say instead that there is none. */
export const numberOf = (value: number | 'infinity' | 'none') => (typeof value === 'number' ? value : undefined)

/** In each state before the session, in milliseconds. */
export const STATE_MS = 60_000

/** Clients that come over HTTP, by WebSocket or BOSH: the options of c2s listeners mean nothing to them. spec/listeners.md §3.1.9 */
export function httpEntrance(
  name: string,
  listener: HttpListenerConfig,
  options: Pick<WebSocketConfig, 'max_stanza_size'>,
): ClientEntrance {
  const isEncrypted = listener.tls !== undefined
  return {
    name,
    mayBeEncrypted: isEncrypted,
    mayPlainInClear: !isEncrypted,
    bindsChannels: false,
    asksForCertificate: listener.tls?.verify_peer === true,
    certificate: undefined,
    maxStanzaSize: numberOf(options.max_stanza_size),
    startTls: 'none',
    isDirectTls: false,
    inflatedBytes: undefined,
    stateTimeout: STATE_MS,
    secure() {
      throw new Error('TLS is the business of the HTTP server')
    },
    rateOf: () => undefined,
    mayOpen: () => true,
  }
}
