import { clone, Element } from 'ltx'
import { z } from 'zod'
import { StanzaError } from '../protocols/errors.js'
import type { Jid } from '../protocols/jid.js'
import { NS } from '../protocols/namespaces.js'
import { blockElement, readBlockItems, withBlocked, withoutBlocked } from '../protocols/privacy.js'
import { iqResult, Stanza } from '../protocols/stanza/stanza.js'
import { answered, type IqAnswer } from '../routing/iq.js'
import { type Privacy, sharePrivacy } from '../routing/privacy.js'
import type { PrivacyView } from '../sessions/privacy-lists.js'
import type { Session } from '../sessions/session.js'
import type { PrivacyChange } from '../storage/store.js'
import { privacyOptions, unsupportedPrivacy } from './backend.js'
import { defineModule, type ModuleServer } from './module.js'

/** The list that is made for an account which blocks somebody and has no default list. */
const listName = 'blocking'

export const blocking = defineModule({
  name: 'mod_blocking',
  implements: ['XEP-0191'],
  features: [NS.blocking],
  shipped: {},
  config: z.strictObject(privacyOptions()).meta({ description: 'A list of blocked addresses.', example: {} }),
  unsupported: unsupportedPrivacy,

  start(server) {
    const { privacy, release } = sharePrivacy(server.routing, server.host, server.store.privacy)
    server.onStop(release)
    const list = new BlockList(server, privacy)
    server.onIq('account', 'get', NS.blocking, 'blocklist', iq => list.get(iq))
    server.onIq('account', 'set', NS.blocking, 'block', iq => list.block(iq))
    server.onIq('account', 'set', NS.blocking, 'unblock', iq => list.unblock(iq))
  },
})

class BlockList {
  readonly #server: ModuleServer
  readonly #privacy: Privacy
  /** Sessions that asked for the list: they are told of changes. */
  readonly #interested: WeakSet<Session>
  #pushes = 0

  constructor(server: ModuleServer, privacy: Privacy) {
    this.#server = server
    this.#privacy = privacy
    this.#interested = server.kept('interested', () => new WeakSet<Session>())
  }

  /** XEP-0191 §3.2 */
  async get(iq: Stanza): Promise<IqAnswer> {
    const account = ownerOf(iq)
    const session = this.#server.routing.sessions.byFull(iq.from!.text)
    if (session !== undefined) this.#interested.add(session)
    const view = await this.#privacy.lists.get(account)
    const rules = view.defaultName === undefined ? undefined : view.lists.get(view.defaultName)
    return blockElement('blocklist', rules?.blocked ?? [])
  }

  /** XEP-0191 §3.3 */
  block(iq: Stanza): Promise<IqAnswer> {
    const account = ownerOf(iq)
    const jids = readBlockItems(iq.element.getChild('block', NS.blocking)!)
    if (jids.length === 0) throw new StanzaError('bad-request', 'block whom?')
    return this.#change(iq, account, blockElement('block', jids), view => {
      const list = defaultList(view)
      return { put: [withBlocked(list, jids)], defaultName: list.name }
    })
  }

  /** XEP-0191 §3.4, §3.5 */
  unblock(iq: Stanza): Promise<IqAnswer> {
    const account = ownerOf(iq)
    const jids = readBlockItems(iq.element.getChild('unblock', NS.blocking)!)
    return this.#change(iq, account, blockElement('unblock', jids), view => {
      if (view.defaultName === undefined) return undefined
      const list = withoutBlocked(defaultList(view), jids.length === 0 ? undefined : jids)
      // A list that says nothing any more would only be in the way.
      return list.items.length === 0 ? { remove: [list.name] } : { put: [list] }
    })
  }

  async #change(
    iq: Stanza,
    account: Jid,
    push: Element,
    decide: (view: PrivacyView) => PrivacyChange | undefined,
  ): Promise<IqAnswer> {
    await this.#privacy.lists.change(account, view => {
      const change = decide(view)
      return {
        ...(change !== undefined && { change }),
        committed: (after, before) => {
          this.#server.routing.send(iqResult(iq))
          this.#push(account, push)
          return this.#privacy.tellChange(account, before, after)
        },
      }
    })
    return answered
  }

  #push(account: Jid, content: Element): void {
    const { routing } = this.#server
    for (const session of routing.sessions.resources(account.bareText)) {
      if (!this.#interested.has(session)) continue
      this.#pushes += 1
      const { text } = session.jid
      const push = new Element('iq', { type: 'set', id: `blocking${this.#pushes}`, from: account.text, to: text })
      push.cnode(clone(content))
      routing.send(Stanza.fromElement(push))
    }
  }
}

function ownerOf(iq: Stanza): Jid {
  if (iq.from!.bareText !== iq.to!.bareText) throw new StanzaError('forbidden', 'this is not your block list')
  return iq.to!
}

/** The default list, or the one that is to become it. */
function defaultList(view: PrivacyView) {
  if (view.defaultName !== undefined) return view.lists.get(view.defaultName)!.list
  return view.lists.get(listName)?.list ?? { name: listName, items: [] }
}
