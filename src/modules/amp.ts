import { z } from 'zod'
import {
  type AmpRule,
  ampFeatures,
  ampReply,
  expiryRules,
  type Fate,
  isMet,
  readAmpRules,
  refuseAmpRules,
} from '../protocols/amp.js'
import { StanzaError } from '../protocols/errors.js'
import type { Jid } from '../protocols/jid.js'
import { NS } from '../protocols/namespaces.js'
import { offlineFate } from '../protocols/offline.js'
import type { Stanza } from '../protocols/stanza/stanza.js'
import { interest } from '../protocols/xml/frame.js'
import { drop, type Transformed } from '../routing/hooks.js'
import { isSession, type Sender, takesMessages } from '../sessions/session.js'
import { defineModule, type ModuleServer } from './module.js'

/** Of a message with a child in AMP's namespace. */
const hasRules = interest(NS.amp)
/** Of one that has waited somewhere. */
const isDelayed = interest(NS.delay)

export const amp = defineModule({
  name: 'mod_amp',
  implements: ['XEP-0079'],
  features: [NS.amp],
  shipped: false,
  config: z
    .strictObject({})
    .meta({ description: 'Rules that messages bring along for what is to become of them.', example: {} }),

  start(server) {
    const { host } = server.discovery
    const identity = { category: 'server', type: 'im', name: 'Advanced message processing' }
    server.onStop(
      host.addNode(NS.amp, { info: { identities: [identity], features: ampFeatures, forms: [] }, items: [] }),
    )
    server.offerStreamFeature(() => `<amp xmlns="${NS.ampFeature}"/>`)
    server.onStop(
      server.hooks.sent.transform({ kinds: ['message'] }, (stanza, sender) =>
        (stanza.mask & hasRules) === 0 || stanza.type === 'error' ? stanza : process(server, stanza, sender),
      ),
    )
    server.onStop(
      server.hooks.received.transform({ kinds: ['message'] }, stanza =>
        (stanza.mask & hasRules) === 0 || (stanza.mask & isDelayed) === 0 || stanza.type === 'error'
          ? stanza
          : expire(server, stanza),
      ),
    )
  },
})

/** A message that has waited in our store is about to be delivered after all: is it too late? XEP-0079 §3.3.2, §3.5.2 */
function expire({ clock, hooks, host, routing }: ModuleServer, message: Stanza): Transformed {
  const hasWaitedHere = message.element.getChildren('delay', NS.delay).some(({ attrs }) => attrs.from === host)
  if (!hasWaitedHere) return message
  const fate: Fate = { deliver: 'direct', resource: 'other', at: clock.wall() }
  // Our own clients were asked before their message was stored; of others nobody knows what they may learn. XEP-0079 §9
  const mayBeTold = message.from !== undefined && routing.routes.isHost(message.from.domain)
  for (const rule of expiryRules(message)) {
    if (!isMet(rule, fate)) continue
    if (rule.action !== 'drop' && mayBeTold) routing.send(ampReply(host, message, rule))
    if (rule.action === 'notify') continue
    hooks.counters.xmppStanzaDropped++
    return drop
  }
  return message
}

/** XEP-0079 §2.2 */
async function process(server: ModuleServer, stanza: Stanza, sender: Sender): Promise<Transformed> {
  const message = stanza.isAddressed ? stanza : stanza.addressed({ to: sender.jid.bare })
  const { to } = message
  if (to === undefined) return stanza
  const tell = (content: AmpRule | StanzaError) => {
    const reply = ampReply(server.host, message, content)
    if (isSession(sender)) server.routing.deliverAnyway(sender, reply)
    else server.routing.send(reply)
  }
  try {
    const element = message.element.getChild('amp', NS.amp)
    if (element === undefined) return stanza
    const rules = readAmpRules(element)
    if (!(await mayLearn(server, to, sender.jid))) refuseAmpRules(element)
    const fate = await fateOf(server, message, to)
    for (const rule of rules) {
      if (!isMet(rule, fate)) continue
      if (rule.action !== 'drop') tell(rule)
      if (rule.action === 'notify') continue
      server.hooks.counters.xmppStanzaDropped++
      return drop
    }
    return stanza
  } catch (error) {
    if (!(error instanceof StanzaError)) throw error
    tell(error)
    return drop
  }
}

/** Rules tell who is there: only those who see that anyway may have them. XEP-0079 §9 */
async function mayLearn({ routing }: ModuleServer, to: Jid, sender: Jid): Promise<boolean> {
  if (to.bareText === sender.bareText || to.local === '' || !routing.routes.isHost(to.domain)) return true
  const { subscription } = (await routing.rosters.get(to)).stateOf(sender.bareText)
  return subscription === 'from' || subscription === 'both'
}

/** What routing would do; RFC 6121 §8.5 */
async function fateOf(server: ModuleServer, message: Stanza, to: Jid): Promise<Fate> {
  const { routing } = server
  const at = server.clock.wall()
  if (!routing.routes.isHost(to.domain)) {
    // No other server is known to follow rules. XEP-0079 §2.2.4
    if (routing.routes.get(to.domain) === undefined) throw new StanzaError('service-unavailable')
    return { deliver: 'direct', resource: 'exact', at }
  }
  if (to.resource !== '' && routing.sessions.byFull(to.text) !== undefined)
    return { deliver: 'direct', resource: 'exact', at }
  const isForAccount = message.type !== 'groupchat' && (to.resource === '' || message.type === 'chat')
  if (to.local === '' || !isForAccount) return nothing
  if (routing.sessions.resources(to.bareText).some(takesMessages)) return { deliver: 'direct', resource: 'other', at }
  if (!(await isStored(server, message, to))) return nothing
  // Offline storage is a destination without a resource. XEP-0079 §3.3.3. When it leaves that, `expire` looks at its time.
  return { deliver: 'stored', resource: to.resource === '' ? 'exact' : 'other', at: undefined }
}

const nothing: Fate = { deliver: 'none', resource: 'none', at: undefined }

/** The host says of itself whether it keeps messages. XEP-0160 §2 */
async function isStored({ discovery, routing }: ModuleServer, message: Stanza, to: Jid): Promise<boolean> {
  if (!discovery.host.info.features.includes('msgoffline') || offlineFate(message) !== 'store') return false
  return routing.accounts.exists(to.local, to.domain)
}
