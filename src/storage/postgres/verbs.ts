import type { Call } from '../sqlite/protocol.js'
import { accountVerbs } from './accounts.js'
import { archiveVerbs } from './archive.js'
import { lastActivityVerbs } from './last-activity.js'
import { metaVerbs } from './meta.js'
import { mucVerbs } from './muc.js'
import { mucLightVerbs } from './muc-light.js'
import { offlineVerbs } from './offline.js'
import { privacyVerbs } from './privacy.js'
import { privateXmlVerbs } from './private-xml.js'
import { rosterVerbs } from './rosters.js'
import type { PostgresVerbs } from './session.js'
import { vcardVerbs } from './vcards.js'

/*
 * Everything that PostgreSQL can do for the store, by name. A new repository is one line in each list that it has a part in;
 * the compiler names a verb that only SQLite knows.
 */

const reads = {
  ...accountVerbs.reads,
  ...rosterVerbs.reads,
  ...offlineVerbs.reads,
  ...privateXmlVerbs.reads,
  ...vcardVerbs.reads,
  ...lastActivityVerbs.reads,
  ...privacyVerbs.reads,
  ...archiveVerbs.reads,
  ...mucLightVerbs.reads,
  ...mucVerbs.reads,
}
const dialogues = {
  ...accountVerbs.dialogues,
  ...rosterVerbs.dialogues,
  ...privateXmlVerbs.dialogues,
  ...archiveVerbs.dialogues,
  ...mucLightVerbs.dialogues,
  ...mucVerbs.dialogues,
}
export const verbs: PostgresVerbs = {
  ...reads,
  ...dialogues,
  ...accountVerbs.writes,
  ...offlineVerbs.writes,
  ...vcardVerbs.writes,
  ...lastActivityVerbs.writes,
  ...privacyVerbs.writes,
  ...archiveVerbs.writes,
  ...mucLightVerbs.writes,
  ...mucVerbs.writes,
  ...metaVerbs.writes,
}

/** Whether a verb leaves everything as it was. */
export const isRead = (verb: string) => verb in reads

/** Whether a verb goes on asking after an answer, so that the next one has to wait for its end. */
export const isDialogue = (verb: string) => verb in dialogues

/** Whether a verb looks at more than one account or room: it sees every write of any of them that was asked for before. */
export const isWide = (verb: string) => WIDE.has(verb)
const WIDE = new Set<string>([
  'accountList',
  'accountCount',
  'accountRemovals',
  'vcardSearch',
  'archiveExpire',
  'mucList',
  'mucAffiliated',
  'mucRemoveTemporary',
] satisfies (keyof PostgresVerbs)[])

/** What a request is about: those about the same come one after the other. An account, by the first two arguments; else what they name. */
export function subjectOf([verb, ...args]: Call): string {
  // A user's rooms are many, and so are a room's users.
  const names = args.slice(0, verb in mucLight ? 1 : 2).filter(arg => typeof arg === 'string')
  return names.join(' ')
}
const mucLight = { ...mucLightVerbs.reads, ...mucLightVerbs.writes, ...mucLightVerbs.dialogues }
