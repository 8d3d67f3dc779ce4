/*
 * What the server counts about itself. An increment is one property write; whoever shows the numbers reads the object.
 * They only ever grow, except those that say "now".
 */

/** What one server counts. */
export interface Counters {
  /** Connections of clients, servers and components, whatever became of them. */
  connectionsAccepted: number
  /** Such connections that are open now. */
  connectionsNow: number
  /** Connections closed because no PROXY header came that is accepted. */
  proxyHeadersRefused: number
  /** UDP datagrams, none of which is XMPP. */
  datagramsDropped: number
  /** Sessions that were bound. */
  sessionsOpened: number
  /** Sessions that ended because a newer one has their JID. */
  sessionsReplaced: number
  /** Sessions that an access rule refused. */
  sessionsRefused: number
  /** Sessions that are there now, connected or detached. */
  sessionsNow: number
  /** How often a session lost its client and waited for it. XEP-0198 §5 */
  sessionsDetached: number
  /** Sessions that wait for their clients now. */
  sessionsDetachedNow: number
  /** How often a client came back to its session. */
  sessionsResumed: number
  /** Sessions whose client did not come back in time. */
  sessionsLost: number
  /** Components that connected. XEP-0114 */
  componentsRegistered: number
  /** Components that were turned away. */
  componentsRefused: number
  /** Components that are connected now. */
  componentsNow: number
  /** Logins that succeeded. */
  loginsSucceeded: number
  /** Logins that failed. */
  loginsFailed: number
  /** Logins refused because too many had failed before. */
  loginsThrottled: number
  /** Domains that other servers have proven to speak for. */
  serversAuthenticated: number
  /** Domains that other servers have not proven to speak for. */
  serversRefused: number
  /** Streams from other servers that are proven now. */
  serversInNow: number
  /** Streams to other servers that take stanzas now. */
  serversOutNow: number
  /** Bytes that came on streams, after decryption. */
  bytesIn: number
  /** Bytes that went on streams, before encryption. */
  bytesOut: number
  /** Stanzas that came on streams. */
  stanzasIn: number
  /** Stanzas that went on streams. */
  stanzasOut: number
  /** Streams that ended with an error. RFC 6120 §4.9 */
  streamErrors: number
  /** Faults of actors. */
  actorFaults: number
  /** Actors that were replaced after a fault. */
  actorRestarts: number
  /** HTTP requests. */
  httpRequests: number
  /** HTTP requests answered with 500 because something here failed. */
  httpFailures: number
}

/** Fresh counters, all zero; one object per server. */
export const createCounters = (): Counters => ({
  connectionsAccepted: 0,
  connectionsNow: 0,
  proxyHeadersRefused: 0,
  datagramsDropped: 0,
  sessionsOpened: 0,
  sessionsReplaced: 0,
  sessionsRefused: 0,
  sessionsNow: 0,
  sessionsDetached: 0,
  sessionsDetachedNow: 0,
  sessionsResumed: 0,
  sessionsLost: 0,
  componentsRegistered: 0,
  componentsRefused: 0,
  componentsNow: 0,
  loginsSucceeded: 0,
  loginsFailed: 0,
  loginsThrottled: 0,
  serversAuthenticated: 0,
  serversRefused: 0,
  serversInNow: 0,
  serversOutNow: 0,
  bytesIn: 0,
  bytesOut: 0,
  stanzasIn: 0,
  stanzasOut: 0,
  streamErrors: 0,
  actorFaults: 0,
  actorRestarts: 0,
  httpRequests: 0,
  httpFailures: 0,
})
