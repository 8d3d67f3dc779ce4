/*
 * What the server counts about itself. An increment is one property write; whoever shows the numbers reads the object.
 * They only ever grow, except those that say "now".
 */

/** Fresh counters, all zero; one object per server. */
export const createCounters = () => ({
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
  hibernations: 0,
  httpRequests: 0,
  httpFailures: 0,
})

export type Counters = ReturnType<typeof createCounters>
