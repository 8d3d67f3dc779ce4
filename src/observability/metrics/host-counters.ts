/*
 * What is counted for each virtual host, where it happens. An increment is one property write, and the numbers only ever grow; what
 * happened in the last minute is found by looking at them once a second (`minute.ts`). The names are those of spec/metrics-api.md §3.
 * Sent and received are meant as the clients see it. Q-11
 */

/** Fresh counters, all zero. A literal, so that an increment stays a plain write; those of what is not here stay zero. */
export const createHostCounters = () => ({
  sessionSuccessfulLogins: 0,
  sessionAuthAnonymous: 0,
  sessionAuthFails: 0,
  sessionLogouts: 0,

  xmppMessageSent: 0,
  xmppPresenceSent: 0,
  xmppIqSent: 0,
  xmppMessageReceived: 0,
  xmppPresenceReceived: 0,
  xmppIqReceived: 0,
  xmppErrorMessage: 0,
  xmppErrorPresence: 0,
  xmppErrorIq: 0,
  xmppMessageBounced: 0,
  xmppStanzaDropped: 0,

  modRosterGets: 0,
  modRosterSets: 0,
  modRosterPush: 0,
  modPresenceSubscriptions: 0,
  modPresenceUnsubscriptions: 0,
  modRegisterCount: 0,
  modUnregisterCount: 0,
  modPrivacyGets: 0,
  modPrivacySets: 0,
  modPrivacySetsActive: 0,
  modPrivacySetsDefault: 0,
  modPrivacyPush: 0,
  modPrivacyStanzaDenied: 0,
  modPrivacyStanzaBlocked: 0,
  modPrivacyStanzaAll: 0,
  modMamPrefsSets: 0,
  modMamPrefsGets: 0,
  modMamArchiveRemoved: 0,
  modMamLookups: 0,
  modMamForwarded: 0,
  modMamArchived: 0,
  modMamFlushed: 0,
  modMamDropped: 0,
  modMamDropped2: 0,
  modMamDroppedIQ: 0,
  modMamSinglePurges: 0,
  modMamMultiplePurges: 0,
  modMucMamPrefsSets: 0,
  modMucMamPrefsGets: 0,
  modMucMamArchiveRemoved: 0,
  modMucMamLookups: 0,
  modMucMamForwarded: 0,
  modMucMamArchived: 0,
  modMucMamSinglePurges: 0,
  modMucMamMultiplePurges: 0,
  modCSIInactive: 0,
  modCSIActive: 0,
})

export type HostCounters = ReturnType<typeof createHostCounters>
export type HostCounter = keyof HostCounters

/** What has its own counter, in the order above. */
export const hostCounters = Object.keys(createHostCounters()) as readonly HostCounter[] // the keys of the literal

/** What is a sum of others, so that nobody counts it a second time. */
export const hostSums = {
  xmppStanzaSent: ['xmppMessageSent', 'xmppPresenceSent', 'xmppIqSent'],
  xmppStanzaReceived: ['xmppMessageReceived', 'xmppPresenceReceived', 'xmppIqReceived'],
  /** Stanzas on their way to clients. */
  xmppStanzaCount: ['xmppMessageReceived', 'xmppPresenceReceived', 'xmppIqReceived'],
  xmppErrorTotal: ['xmppErrorMessage', 'xmppErrorPresence', 'xmppErrorIq'],
} as const satisfies Record<string, readonly HostCounter[]>

type Kind = 'message' | 'presence' | 'iq'

/** A client sent a stanza. */
export function countSent(counters: HostCounters, kind: Kind): void {
  if (kind === 'message') counters.xmppMessageSent++
  else if (kind === 'presence') counters.xmppPresenceSent++
  else counters.xmppIqSent++
}

/** A stanza was handed to a client; an error counts as one too. */
export function countReceived(counters: HostCounters, kind: Kind, isError: boolean): void {
  if (kind === 'message') {
    counters.xmppMessageReceived++
    if (isError) counters.xmppErrorMessage++
  } else if (kind === 'presence') {
    counters.xmppPresenceReceived++
    if (isError) counters.xmppErrorPresence++
  } else {
    counters.xmppIqReceived++
    if (isError) counters.xmppErrorIq++
  }
}
