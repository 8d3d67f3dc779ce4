import type { Counters } from '../../observability/counters.js'

/*
 * What Prometheus calls the numbers of `observability/counters.ts`: help, and what is read.
 */

type Read = (counters: Counters) => [Readonly<Record<string, string>>, number][]
export type Family = readonly [help: string, read: Read]

const one =
  (name: keyof Counters): Read =>
  counters => [[{}, counters[name]]]

/** The same thing in several ways, by a label. */
const by =
  (label: string, names: Readonly<Record<string, keyof Counters>>): Read =>
  counters =>
    Object.entries(names).map(([value, name]) => [{ [label]: value }, counters[name]])

const directions = (received: keyof Counters, sent: keyof Counters) => by('direction', { received, sent })

/** They only ever grow. */
export const serverCounters: Readonly<Record<string, Family>> = {
  xmpp_connections_accepted_total: ['Connections of clients, servers and components.', one('connectionsAccepted')],
  xmpp_proxy_headers_refused_total: ['Connections without a PROXY header.', one('proxyHeadersRefused')],
  xmpp_datagrams_dropped_total: ['Datagrams, which are not XMPP.', one('datagramsDropped')],
  xmpp_sessions_total: [
    'Sessions by what became of them.',
    by('event', {
      opened: 'sessionsOpened',
      replaced: 'sessionsReplaced',
      refused: 'sessionsRefused',
      detached: 'sessionsDetached',
      resumed: 'sessionsResumed',
      lost: 'sessionsLost',
    }),
  ],
  xmpp_components_total: [
    'Components that came.',
    by('result', { registered: 'componentsRegistered', refused: 'componentsRefused' }),
  ],
  xmpp_authentications_total: [
    'Logins on streams of clients, of all hosts.',
    by('result', { success: 'loginsSucceeded', failure: 'loginsFailed', throttled: 'loginsThrottled' }),
  ],
  xmpp_servers_total: [
    'Streams of other servers by what became of them.',
    by('result', { authenticated: 'serversAuthenticated', refused: 'serversRefused' }),
  ],
  xmpp_stream_bytes_total: ['Bytes on streams of all kinds.', directions('bytesIn', 'bytesOut')],
  xmpp_stream_stanzas_total: [
    'Stanzas on streams of clients, servers and components.',
    directions('stanzasIn', 'stanzasOut'),
  ],
  xmpp_stream_errors_total: ['Streams that ended with an error.', one('streamErrors')],
  xmpp_actor_faults_total: ['Actors that failed.', one('actorFaults')],
  xmpp_actor_restarts_total: ['Actors that were started again.', one('actorRestarts')],
  xmpp_http_requests_total: ['HTTP requests.', one('httpRequests')],
  xmpp_http_failures_total: ['HTTP requests that failed here.', one('httpFailures')],
}

/** They say how it is now. */
export const serverGauges: Readonly<Record<string, Family>> = {
  xmpp_connections: ['Open connections of clients, servers and components.', one('connectionsNow')],
  xmpp_client_sessions: [
    'Sessions of clients.',
    counters => [
      [{ state: 'connected' }, counters.sessionsNow - counters.sessionsDetachedNow],
      [{ state: 'detached' }, counters.sessionsDetachedNow],
    ],
  ],
  xmpp_components: ['Components that are connected.', one('componentsNow')],
  xmpp_server_streams: [
    'Streams with other servers.',
    by('direction', { received: 'serversInNow', sent: 'serversOutNow' }),
  ],
}
