import { Element } from 'ltx'
import { z } from 'zod'
import { StanzaError } from '../protocols/errors.js'
import type { Jid } from '../protocols/jid.js'
import { NS } from '../protocols/namespaces.js'
import {
  listElement,
  listsElement,
  type PrivacyList,
  privacyLimits,
  readPrivacyGet,
  readPrivacySet,
} from '../protocols/privacy.js'
import { Stanza } from '../protocols/stanza/stanza.js'
import type { IqAnswer } from '../routing/iq.js'
import { type Privacy, sharePrivacy } from '../routing/privacy.js'
import type { PrivacyView } from '../sessions/privacy-lists.js'
import type { RosterView } from '../sessions/rosters.js'
import type { Session } from '../sessions/session.js'
import { privacyOptions, unsupportedPrivacy } from './backend.js'
import { defineModule, type ModuleServer } from './module.js'

export const privacy = defineModule({
  name: 'mod_privacy',
  implements: ['XEP-0016'],
  features: [NS.privacy],
  shipped: {},
  config: z.strictObject(privacyOptions()).meta({ description: 'Lists of whom an account lets through.', example: {} }),
  unsupported: unsupportedPrivacy,

  start(server) {
    const { privacy, release } = sharePrivacy(server.routing, server.host, server.store.privacy)
    server.onStop(release)
    const lists = new PrivacyCommands(server, privacy)
    server.onIq('account', 'get', NS.privacy, 'query', iq => lists.get(iq))
    server.onIq('account', 'set', NS.privacy, 'query', iq => lists.set(iq))
  },
})

class PrivacyCommands {
  readonly #server: ModuleServer
  readonly #privacy: Privacy
  #pushes = 0

  constructor(server: ModuleServer, privacy: Privacy) {
    this.#server = server
    this.#privacy = privacy
  }

  /** XEP-0016 §2.3 */
  async get(iq: Stanza): Promise<IqAnswer> {
    const account = ownerOf(iq)
    this.#server.hooks.counters.modPrivacyGets++
    const name = readPrivacyGet(queryOf(iq))
    const view = await this.#privacy.lists.get(account)
    if (name !== undefined) return listElement(existing(view, name).list)
    const session = this.#sessionOf(iq)
    return listsElement(view.lists.keys(), session && this.#privacy.activeOf(session), view.defaultName)
  }

  async set(iq: Stanza): Promise<IqAnswer> {
    const account = ownerOf(iq)
    const wanted = readPrivacySet(queryOf(iq))
    const { counters } = this.#server.hooks
    counters.modPrivacySets++
    switch (wanted.action) {
      case 'active':
        counters.modPrivacySetsActive++
        return this.#activate(iq, account, wanted.name)
      case 'default':
        counters.modPrivacySetsDefault++
        return this.#setDefault(iq, account, wanted.name)
      case 'put':
        return this.#put(account, wanted.list)
      case 'remove':
        return this.#remove(iq, account, wanted.name)
    }
  }

  /** XEP-0016 §2.4 */
  async #activate(iq: Stanza, account: Jid, name: string | undefined): Promise<IqAnswer> {
    const session = this.#sessionOf(iq)
    if (session === undefined) throw new StanzaError('not-allowed', 'only a connected client has an active list')
    const view = await this.#privacy.lists.get(account)
    if (name !== undefined) existing(view, name)
    await this.#privacy.setActive(session, name, view)
    return undefined
  }

  /** XEP-0016 §2.5 */
  #setDefault(iq: Stanza, account: Jid, name: string | undefined): Promise<IqAnswer> {
    return this.#change(account, view => {
      if (name !== undefined) existing(view, name)
      const { defaultName } = view
      if (name === defaultName) return undefined
      if (defaultName !== undefined) this.#refuseUsed(iq, account, defaultName, view)
      return { defaultName: name ?? null }
    })
  }

  /** XEP-0016 §2.6, §2.7 */
  async #put(account: Jid, list: PrivacyList): Promise<IqAnswer> {
    checkGroups(list, await this.#server.routing.rosters.get(account))
    await this.#change(account, view => {
      if (!view.lists.has(list.name) && view.lists.size >= privacyLimits.lists) {
        throw new StanzaError('resource-constraint', 'there are too many lists')
      }
      return { put: [list] }
    })
    this.#push(account, list.name)
    return undefined
  }

  /** XEP-0016 §2.8 */
  async #remove(iq: Stanza, account: Jid, name: string): Promise<IqAnswer> {
    await this.#change(account, view => {
      existing(view, name)
      this.#refuseUsed(iq, account, name, view)
      return { remove: [name] }
    })
    this.#push(account, name)
    return undefined
  }

  async #change(
    account: Jid,
    decide: (view: PrivacyView) => { put?: PrivacyList[]; remove?: string[]; defaultName?: string | null } | undefined,
  ): Promise<undefined> {
    await this.#privacy.lists.change(account, view => {
      const change = decide(view)
      return {
        ...(change !== undefined && { change }),
        committed: (after, before) => this.#privacy.tellChange(account, before, after),
      }
    })
    return undefined
  }

  #refuseUsed(iq: Stanza, account: Jid, name: string, view: PrivacyView): void {
    if (this.#privacy.isInUse(account, name, view, this.#sessionOf(iq))) {
      throw new StanzaError('conflict', 'another resource uses the list')
    }
  }

  #sessionOf(iq: Stanza): Session | undefined {
    return this.#server.routing.sessions.byFull(iq.from!.text)
  }

  /** Tells every connected resource that a list is not what it was. XEP-0016 §2.2 */
  #push(account: Jid, name: string): void {
    const { routing } = this.#server
    for (const { jid } of routing.sessions.resources(account.bareText)) {
      this.#pushes += 1
      this.#server.hooks.counters.modPrivacyPush++
      const push = new Element('iq', { type: 'set', id: `privacy${this.#pushes}`, from: account.text, to: jid.text })
      push.c('query', { xmlns: NS.privacy }).c('list', { name })
      routing.send(Stanza.fromElement(push))
    }
  }
}

function ownerOf(iq: Stanza): Jid {
  if (iq.from!.bareText !== iq.to!.bareText) throw new StanzaError('forbidden', 'these are not your lists')
  return iq.to!
}

const queryOf = (iq: Stanza): Element => iq.element.getChild('query', NS.privacy)! // the payload that this handler is for

function existing(view: PrivacyView, name: string) {
  const found = view.lists.get(name)
  if (found === undefined) throw new StanzaError('item-not-found', 'there is no such list')
  return found
}

/** XEP-0016 §2.1: a group that the roster does not have is refused. */
function checkGroups(list: PrivacyList, roster: RosterView): void {
  const wanted = new Set(list.items.filter(({ type }) => type === 'group').map(({ value }) => value))
  for (const { groups } of roster.items.values()) for (const group of groups) wanted.delete(group)
  if (wanted.size > 0) throw new StanzaError('item-not-found', 'the roster has no such group')
}
