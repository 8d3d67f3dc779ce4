import { Element } from 'ltx'
import { Jid } from '../protocols/jid.js'
import { claimsId, stanzaIdXml, withoutIds } from '../protocols/mam.js'
import { NS } from '../protocols/namespaces.js'
import { Act } from '../protocols/stanza/act.js'
import { Stanza } from '../protocols/stanza/stanza.js'
import type { RoomArchive } from '../routing/room-archive.js'
import type { Routing } from '../routing/services.js'
import { StoreUnavailable } from '../storage/store.js'

/** What the rooms of one service say, to occupants and to the archive. */
export class Notices {
  constructor(
    private readonly routing: Routing,
    /** The domain of the rooms. */
    private readonly service: string,
  ) {}

  get archive(): RoomArchive | undefined {
    return this.routing.rooms.archiveOf(this.service)
  }

  /** A message as occupants get it, once it is in the archive. Who speaks while others do so is written together with them. ML-35 */
  async keepMessage(room: Jid, given: Stanza, sender: Jid): Promise<Stanza> {
    // Only the room says under which id it keeps something. XEP-0359 §5
    const message = claimsId(given, room.text) ? Stanza.fromElement(withoutIds(given, room.text)) : given
    const archive = this.archive
    if (archive?.wants(message) !== true) return message
    const id = archive.newId()
    await archive.append({ room, id, message, sender: sender.bareText })
    return archive.givesIds ? message.withChild(stanzaIdXml(room.text, id), NS.stanzaIds) : message
  }

  /** The same for a notice; resolves with its id, where occupants are told that. */
  async keep(room: Jid, notice: Element): Promise<string | undefined> {
    const archive = this.archive
    if (archive === undefined) return undefined
    const id = archive.newId()
    const message = Stanza.fromElement(notice).addressed({ from: room })
    try {
      await archive.append({ room, id, message, sender: undefined })
    } catch (error) {
      // The room has changed: that is told, though the store failed since.
      if (error instanceof StoreUnavailable) return undefined
      throw error
    }
    return archive.givesIds ? id : undefined
  }

  /** What the notices belong to that say the same thing to different people. */
  newAct(): Act {
    return new Act(this.routing.routes.isHost)
  }

  tell(act: Act, room: Jid, jid: string, notice: Element, kept?: string): void {
    this.tellAll(act, room, [jid], notice, kept)
  }

  /** One text for all of them, with the id under which the archive has what happened. */
  tellAll(act: Act, room: Jid, jids: readonly string[], notice: Element, kept?: string): void {
    const bare = Stanza.fromElement(notice).addressed({ from: room })
    const stanza = kept === undefined ? bare : bare.withChild(stanzaIdXml(room.text, kept), NS.stanzaIds)
    const addressees = jids.flatMap(jid => Jid.parse(jid) ?? [])
    this.send(stanza, addressees, act)
  }

  /** The same stanza for each of them. */
  send(stanza: Stanza, addressees: readonly Jid[], act = this.newAct()): void {
    for (const to of addressees) this.routing.send(stanza.addressed({ to, follows: act.follows(to) }))
  }
}

/** The same message with an id. */
export function withId(stanza: Stanza, id: string): Stanza {
  const { element } = stanza
  const copy = new Element(element.name, { ...element.attrs, id })
  copy.children = element.children
  return Stanza.fromElement(copy)
}
