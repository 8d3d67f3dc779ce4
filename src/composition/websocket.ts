import { TLSSocket } from 'node:tls'
import { ComponentConnection, type ComponentServices } from '../actors/component-connection.js'
import type { C2sServices } from '../actors/connection.js'
import { Connection } from '../actors/connection.js'
import type { HttpKeepers } from '../actors/http-acceptor.js'
import type { HttpHandler } from '../http/app.js'
import { acceptedCertificate, type CertificateRules } from '../http/client-certificate.js'
import { createWebSocketHandler } from '../http/websocket.js'
import type { OpenTransport } from '../transports/transport.js'
import { WebSocketTransport } from '../transports/websocket.js'
import type { Base } from './base.js'
import type { ComponentOptions } from './component.js'
import { numberOf, STATE_MS, type WebSocketConfig } from './http-entrance.js'

/** The components that come over the WebSockets of a handler; undefined where there are none. spec/websockets.md §6 */
export function webSocketComponents({ service, max_stanza_size }: WebSocketConfig): ComponentOptions | undefined {
  return service && { ...service, max_stanza_size: numberOf(max_stanza_size), state_timeout: STATE_MS }
}

/** What the connections of a handler need of the server. */
export interface WebSocketServices {
  readonly clients: C2sServices
  readonly components: ComponentServices | undefined
}

/** `mod_websockets`: each WebSocket becomes a connection actor below the acceptor that has its TCP connection. */
export function webSocketHandler(
  { config }: Base,
  options: WebSocketConfig,
  { clients, components }: WebSocketServices,
  keepers: HttpKeepers,
  certificates: CertificateRules,
): HttpHandler {
  const { general } = config
  const times = { timeout: numberOf(options.timeout), pingRate: numberOf(options.ping_rate) }
  return createWebSocketHandler({
    serverName: general.http_server_name,
    opened(webSocket, { stream, connection }, { client }) {
      const from = {
        peer: client,
        isEncrypted: stream instanceof TLSSocket,
        clientCertificate: acceptedCertificate(stream, certificates),
      }
      const refuse = () => webSocket.terminate()
      const beginComponent =
        components &&
        ((open: OpenTransport) =>
          keepers.begin(connection, {
            type: 'stream',
            mailboxLimit: options.service?.max_fsm_queue ?? general.max_fsm_queue,
            make: init => new ComponentConnection(init, open, components),
            refuse,
          }))
      const settings = { ...times, beginComponent }
      const open: OpenTransport = (owner, context) =>
        new WebSocketTransport({ webSocket, socket: stream }, from, settings, owner, context)
      keepers.release(connection)
      keepers.begin(connection, {
        type: 'stream',
        mailboxLimit: general.max_fsm_queue,
        make: init => new Connection(init, open, clients),
        refuse,
      })
    },
  })
}
