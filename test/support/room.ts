import type { Element } from 'ltx'
import { expect } from 'vitest'
import { StanzaError } from '../../src/protocols/errors.js'
import { Jid } from '../../src/protocols/jid.js'
import { defaultConfig, type RoomConfig } from '../../src/protocols/muc/config.js'
import type { Effects } from '../../src/protocols/muc/effects.js'
import type { Affiliation } from '../../src/protocols/muc/privileges.js'
import { Room, type RoomLimits, type RoomOptions } from '../../src/protocols/muc/room.js'
import { Stanza } from '../../src/protocols/stanza/stanza.js'
import { contains, parseXml } from './xml.js'

/*
 * A room for tests of its rules: XML goes in, and what each addressee got comes out as it would go over the wire.
 */

export const service = 'chat.shakespeare.lit'
export const coven = `coven@${service}`

/** The cast of XEP-0045. */
export const crone = 'crone1@shakespeare.lit/desktop'
export const wiccarocks = 'wiccarocks@shakespeare.lit/laptop'
export const hag = 'hag66@shakespeare.lit/pda'
export const hecate = 'hecate@shakespeare.lit/broom'

export const bare = (jid: string): string => Jid.parse(jid)!.bareText

export const NS_USER = 'http://jabber.org/protocol/muc#user'

/** What a room did with one stanza. */
export class Told {
  constructor(readonly effects: Effects) {}

  /** All that was sent, in its order. */
  get all(): { to: string; stanza: Element }[] {
    return this.effects.deliveries.flatMap(({ stanza, to }) =>
      to.map(jid => ({ to: jid.text, stanza: parseXml(stanza.addressed({ to: jid }).toString(), 'jabber:client') })),
    )
  }

  of(jid: string): Element[] {
    return this.all.filter(({ to }) => to === jid).map(({ stanza }) => stanza)
  }

  /** Passes if the addressee gets, in this order and perhaps among others, stanzas that contain these. */
  shows(jid: string, ...patterns: string[]): this {
    const rest = this.of(jid)
    const listing = rest.map(String).join('\n')
    for (const pattern of patterns) {
      const at = rest.findIndex(stanza => contains(stanza, parseXml(pattern, 'jabber:client')))
      expect(at, `${jid} was to get\n${pattern}\nand got\n${listing}`).toBeGreaterThanOrEqual(0)
      rest.splice(0, at + 1)
    }
    return this
  }

  hides(jid: string, pattern: string): this {
    const found = this.of(jid).filter(stanza => contains(stanza, parseXml(pattern, 'jabber:client')))
    expect(found.map(String)).toEqual([])
    return this
  }
}

export interface TestRoomOptions {
  config?: Partial<RoomConfig>
  limits?: Partial<RoomLimits>
  /** By bare or full JID; crone1 is the owner anyway. */
  affiliations?: Record<string, Affiliation>
  /** Nobody made it yet. */
  isNew?: boolean
}

export class TestRoom {
  room: Room
  now = Date.parse('2026-03-01T12:00:00Z')
  readonly serviceAdmins = new Set<string>()
  readonly options: RoomOptions
  private ids = 0

  constructor({ config = {}, limits = {}, affiliations = {}, isNew = false }: TestRoomOptions = {}) {
    this.options = {
      jid: Jid.parse(coven)!,
      limits: {
        historySize: 20,
        maxName: Infinity,
        maxDescription: Infinity,
        maxUsers: 200,
        adminThreshold: 5,
        hasArchive: true,
        ...limits,
      },
      surroundings: {
        now: () => this.now,
        newId: () => `id-${++this.ids}`,
        isServiceAdmin: user => this.serviceAdmins.has(user.text),
        mayPersist: user => user.local !== 'fickle',
      },
    }
    this.room = Room.create(this.options, {
      config: { ...defaultConfig, ...config },
      salt: 'salt',
      affiliations: Object.entries(affiliations).map(([jid, affiliation]) => ({ jid: bare(jid), affiliation })),
      ...(!isNew && { owner: Jid.parse(crone)! }),
    })
  }

  /** Takes a stanza; `from` and `to` (the room, if absent) stand in it. Throws what the room throws. */
  take(xml: string): Told {
    return this.takeStanza(Stanza.parse(xml))
  }

  takeStanza(stanza: Stanza): Told {
    const effects = this.room.take(stanza.isAddressed ? stanza : stanza.addressed({ to: this.room.jid }))
    if (effects === undefined) throw new Error('none of the room’s business')
    return new Told(effects)
  }

  enters(from: string, nick: string, x = ''): Told {
    return this.take(
      `<presence from="${from}" to="${coven}/${nick}"><x xmlns="http://jabber.org/protocol/muc">${x}</x></presence>`,
    )
  }

  /** The three witches: an owner, an admin, and somebody without affiliation. */
  static withWitches(options: TestRoomOptions = {}): TestRoom {
    const test = new TestRoom({ ...options, affiliations: { [wiccarocks]: 'admin', ...options.affiliations } })
    test.enters(crone, 'firstwitch')
    test.enters(wiccarocks, 'secondwitch')
    test.enters(hag, 'thirdwitch')
    return test
  }

  says(from: string, body: string, more = ''): Told {
    return this.take(
      `<message from="${from}" to="${coven}" type="groupchat" id="m1"><body>${body}</body>${more}</message>`,
    )
  }

  /** An IQ to the room. */
  asks(from: string, type: 'get' | 'set', payload: string): Told {
    return this.take(`<iq from="${from}" to="${coven}" id="q1" type="${type}">${payload}</iq>`)
  }

  administers(from: string, ...items: string[]): Told {
    return this.asks(from, 'set', `<query xmlns="http://jabber.org/protocol/muc#admin">${items.join('')}</query>`)
  }

  lists(from: string, item: string): Told {
    return this.asks(from, 'get', `<query xmlns="http://jabber.org/protocol/muc#admin">${item}</query>`)
  }

  /** Submits a form of the owner; several values stand in a list. */
  configures(from: string, fields: Record<string, string | string[]>): Told {
    const xml = Object.entries(fields).map(([name, values]) => {
      const texts = [values].flat().map(value => `<value>${value}</value>`)
      return `<field var="${name}">${texts.join('')}</field>`
    })
    const type = '<field var="FORM_TYPE"><value>http://jabber.org/protocol/muc#roomconfig</value></field>'
    return this.owns(from, `<x xmlns="jabber:x:data" type="submit">${xml.length > 0 ? type : ''}${xml.join('')}</x>`)
  }

  owns(from: string, payload: string): Told {
    return this.asks(from, 'set', `<query xmlns="http://jabber.org/protocol/muc#owner">${payload}</query>`)
  }

  /** What the room is like, for comparisons. */
  get state(): string {
    return JSON.stringify(this.room.snapshot())
  }

  /** The role of a nick; undefined for who is not inside. */
  roleOf(nick: string): string | undefined {
    return this.room.occupants.find(occupant => occupant.nick === nick)?.role
  }

  affiliationOf(jid: string): string {
    return this.room.affiliationOf(Jid.parse(jid)!)
  }

  /** Stops and starts again, by way of JSON. */
  restarts(): void {
    this.room = Room.restore(this.options, JSON.parse(this.state))
  }
}

/** The condition that the room refuses with; it must be as before then. */
export function refusal(test: TestRoom, request: () => unknown): string {
  const before = test.state
  try {
    request()
  } catch (error) {
    if (!(error instanceof StanzaError)) throw error
    expect(test.state).toBe(before)
    return error.condition
  }
  return 'nothing'
}
