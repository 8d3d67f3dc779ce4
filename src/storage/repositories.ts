import { accountRepository } from './sqlite/accounts.js'
import { archiveRepository } from './sqlite/archive.js'
import { lastActivityRepository } from './sqlite/last-activity.js'
import { metaRepository } from './sqlite/meta.js'
import { mucRepository } from './sqlite/muc.js'
import { mucLightRepository } from './sqlite/muc-light.js'
import { offlineRepository } from './sqlite/offline.js'
import { privacyRepository } from './sqlite/privacy.js'
import { privateXmlRepository } from './sqlite/private-xml.js'
import type { Request } from './sqlite/protocol.js'
import { rosterRepository } from './sqlite/rosters.js'
import { vcardRepository } from './sqlite/vcards.js'
import type { Store } from './store.js'

/** The repositories of a store, by whichever implementation carries their verbs out. A new one is a line here. */
export function repositories(request: Request): Omit<Store, 'close'> {
  return {
    accounts: accountRepository(request),
    rosters: rosterRepository(request),
    offline: offlineRepository(request),
    privateXml: privateXmlRepository(request),
    vcards: vcardRepository(request),
    lastActivity: lastActivityRepository(request),
    privacy: privacyRepository(request),
    archive: archiveRepository(request),
    mucLight: mucLightRepository(request),
    muc: mucRepository(request),
    meta: metaRepository(request),
  }
}
