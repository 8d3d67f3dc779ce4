import { z } from 'zod'
import { StanzaError } from '../protocols/errors.js'
import type { Jid } from '../protocols/jid.js'
import { NS } from '../protocols/namespaces.js'
import { itemElement, readRosterSet, rosterQuery } from '../protocols/roster.js'
import { iqResult, type Stanza } from '../protocols/stanza/stanza.js'
import { answered, type IqAnswer } from '../routing/iq.js'
import type { RosterView } from '../sessions/rosters.js'
import { backend, riak, unsupportedBackend } from './backend.js'
import { iqdisc, unsupportedIqdisc } from './iqdisc.js'
import { defineModule, type ModuleServer } from './module.js'

export const roster = defineModule({
  name: 'mod_roster',
  implements: ['RFC 6121', 'XEP-0237'],
  features: [NS.roster],
  shipped: {},
  config: z
    .strictObject({
      versioning: z
        .boolean()
        .default(false)
        .meta({ description: 'Clients that know the current version get no roster again.', example: true }),
      store_current_id: z
        .boolean()
        .default(false)
        .meta({ description: 'The version is always stored; both values mean the same.', example: true }),
      backend: backend(),
      riak: riak('bucket_type', 'version_bucket_type'),
      iqdisc: iqdisc(),
    })
    .meta({ description: 'Contact lists.' }),
  unsupported: options => [...unsupportedBackend(options), ...unsupportedIqdisc(options)],

  start(server, { versioning }) {
    const versions = server.routing.rosterVersioning
    if (versioning) {
      versions.add(server.host)
      server.onStop(() => versions.delete(server.host))
      server.offerStreamFeature(after(`<ver xmlns="${NS.rosterVersioning}"/>`))
    }
    server.offerStreamFeature(after(`<sub xmlns="${NS.preApproval}"/>`))
    server.onIq('account', 'get', NS.roster, 'query', iq => get(server, iq, versioning))
    server.onIq('account', 'set', NS.roster, 'query', iq => set(server, iq))
  },
})

const after =
  (xml: string) =>
  ({ isAuthenticated }: { isAuthenticated: boolean }) =>
    isAuthenticated ? xml : undefined

/** RFC 6121 §2.1.4, §2.2, §2.6 */
function get(server: ModuleServer, iq: Stanza, versioning: boolean): IqAnswer | Promise<IqAnswer> {
  checkOwner(iq)
  server.hooks.counters.modRosterGets++
  const { sessions, rosters } = server.routing
  const session = sessions.byFull(iq.from!.text)
  // From here on it gets pushes, also while the roster is being read: a push that comes first tells nothing older.
  if (session) session.isInterested = true
  const known: unknown = iq.element.getChild('query', NS.roster)?.attrs.ver
  const hook = server.hooks.rosterRead
  const answer = (view: RosterView) => {
    const current = versioning ? String(view.version) : undefined
    if (!hook.isEmpty) return withAdded(hook, iq.to!, view, current)
    return versioning && known === current ? undefined : rosterQuery(itemElements(view), current)
  }
  const found = rosters.get(iq.to!)
  return found instanceof Promise ? found.then(answer) : answer(found)
}

/** Always the whole roster: what modules add to it has no version. */
async function withAdded(
  hook: ModuleServer['hooks']['rosterRead'],
  account: Jid,
  view: RosterView,
  version: string | undefined,
): Promise<IqAnswer> {
  const items = [...itemElements(view)]
  await hook.emit({ account, items })
  return rosterQuery(items, version)
}

function* itemElements(view: RosterView) {
  for (const item of view.items.values()) yield itemElement(item)
}

/** RFC 6121 §2.3 to §2.5: the result after commit, then the pushes. */
async function set(server: ModuleServer, iq: Stanza): Promise<IqAnswer> {
  checkOwner(iq)
  server.hooks.counters.modRosterSets++
  const wanted = readRosterSet(iq.element.getChild('query', NS.roster)!)
  const account = iq.to!
  const { subscriptions, route } = server.routing
  const confirm = () => void route(iqResult(iq))
  if (wanted.action === 'remove') await subscriptions.remove(account, wanted.jid, confirm)
  else await subscriptions.put(account, wanted, confirm)
  return answered
}

/** Nobody reads or changes somebody else's roster. RFC 6121 §2.3.3 */
function checkOwner(iq: Stanza): void {
  if (iq.from!.bareText !== iq.to!.bareText) throw new StanzaError('forbidden', 'this is not your roster')
}
