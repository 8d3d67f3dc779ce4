import { accounts } from './0001-accounts.js'
import { privateXml } from './0002-private-xml.js'
import { vcards } from './0003-vcards.js'
import { lastActivity } from './0004-last-activity.js'
import { privacyLists } from './0005-privacy-lists.js'
import { archive } from './0006-archive.js'
import { mucLight } from './0007-muc-light.js'
import { muc } from './0008-muc.js'
import { accountRemovals } from './0009-account-removals.js'
import { roomArchives } from './0010-room-archives.js'
import type { Migration } from './migration.js'

/** In order; a database's version is the number of them it has seen. */
export const migrations: readonly Migration[] = [
  accounts,
  privateXml,
  vcards,
  lastActivity,
  privacyLists,
  archive,
  mucLight,
  muc,
  accountRemovals,
  roomArchives,
]
