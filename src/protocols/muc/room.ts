import { Element } from 'ltx'
import { StanzaError } from '../errors.js'
import type { Jid } from '../jid.js'
import { NS } from '../namespaces.js'
import { Stanza } from '../stanza/stanza.js'
import { administer, checkOwned, sendList } from './admin.js'
import { type Affiliated, Affiliations } from './affiliations.js'
import { applyChanges, type Change } from './changes.js'
import type { RoomConfig } from './config.js'
import { discover } from './discovery.js'
import { type Effects, Outcome } from './effects.js'
import { appear, enterAsAccount } from './enter.js'
import { admit, invitation, isInvitation, mediate } from './invitations.js'
import { destroy, leave, removeSession, saysUnreachable, shutDown } from './leave.js'
import { groupchat, say } from './messages.js'
import { isModeration, moderate } from './moderation.js'
import { sessionJids } from './occupants.js'
import { checkConfig, configure, own, sendForm } from './owner.js'
import type { Announcement } from './presence.js'
import { privateError, privateMessage, privateRequest, privateResponse } from './private.js'
import { type Affiliation, isAtLeast, type Role } from './privileges.js'
import { register, sendRequirements } from './registration.js'
import type { RoomSnapshot } from './snapshot.js'
import { type RoomOptions, RoomState } from './state.js'
import { subjectText } from './subject.js'
import { sendVcard, takeVcard } from './vcard.js'
import { isVoiceForm, takeVoiceForm } from './voice.js'

export type { RoomLimits, RoomOptions, Surroundings } from './state.js'

/*
 * A room of XEP-0045 as pure rules: a stanza goes in, effects come out, and what was refused is a thrown `StanzaError` that leaves the
 * room as it was.
 */

/** What a new room begins with. */
export interface Beginning {
  readonly config: RoomConfig
  /** Of occupant ids: a secret that is never told. */
  readonly salt: string
  readonly affiliations?: readonly Affiliated[]
  readonly subject?: RoomSnapshot['subject']
  /** Made for this user by somebody else (the operator): open at once, and stays. Without him, who enters first makes the room. */
  readonly owner?: Jid
}

/** Who is in a room. */
export interface OccupantView {
  readonly nick: string
  readonly jids: readonly Jid[]
  readonly role: Role
  readonly affiliation: Affiliation
}

type Handler = (state: RoomState, stanza: Stanza, outcome: Outcome) => void

/** Requests to the room itself, by type and namespace. */
const requests: Readonly<Record<string, Handler>> = {
  [`get ${NS.discoInfo}`]: discover,
  [`get ${NS.discoItems}`]: discover,
  [`get ${NS.mucAdmin}`]: sendList,
  [`set ${NS.mucAdmin}`]: administer,
  [`get ${NS.mucOwner}`]: sendForm,
  [`set ${NS.mucOwner}`]: own,
  [`get ${NS.register}`]: sendRequirements,
  [`set ${NS.register}`]: register,
  [`get ${NS.vcard}`]: sendVcard,
  [`set ${NS.vcard}`]: takeVcard,
}

export class Room {
  private constructor(private readonly state: RoomState) {}

  static create(options: RoomOptions, { config, salt, affiliations = [], subject, owner }: Beginning): Room {
    const state = new RoomState(options, {
      config,
      isLocked: false,
      affiliations,
      subject,
      history: [],
      occupants: [],
      salt,
      vcard: undefined,
    })
    if (owner === undefined) state.isNew = true
    else state.affiliations.set(owner.bareText, 'owner')
    return new Room(state)
  }

  /** The room as it was, with everybody inside. A snapshot that went through JSON is understood too. */
  static restore(options: RoomOptions, snapshot: RoomSnapshot): Room {
    return new Room(new RoomState(options, snapshot))
  }

  snapshot(): RoomSnapshot {
    return this.state.snapshot()
  }

  /**
   * Takes a stanza for the room (or an occupant of it) whose `from` and `to` are set. Undefined: an IQ request to the room itself that
   * is none of its business (an archive query, say). Throws `StanzaError` for the sender; the room is as before then.
   */
  take(stanza: Stanza): Effects | undefined {
    const outcome = new Outcome()
    if (stanza.kind === 'presence') this.presence(stanza, outcome)
    else if (this.state.isNew) throw new StanzaError('item-not-found', 'there is no such room')
    else if (stanza.kind === 'message') this.message(stanza, outcome)
    else if (!this.iq(stanza, outcome)) return undefined
    return outcome
  }

  private presence(stanza: Stanza, outcome: Outcome): void {
    if (stanza.type === '') appear(this.state, stanza, outcome)
    else if (stanza.type === 'unavailable') leave(this.state, stanza, outcome)
    else if (stanza.type === 'error') this.returned(stanza, outcome)
  }

  private message(stanza: Stanza, outcome: Outcome): void {
    if (stanza.type === 'error') this.returned(stanza, outcome)
    else if (stanza.to!.isFull) privateMessage(this.state, stanza, outcome)
    else if (stanza.type === 'groupchat') groupchat(this.state, stanza, outcome)
    else if (isInvitation(stanza)) mediate(this.state, stanza, outcome)
    else if (isVoiceForm(stanza)) takeVoiceForm(this.state, stanza, outcome)
    else throw new StanzaError('bad-request', 'a room takes group chat')
  }

  /** An occupant whom nothing reaches is out. XEP-0045 §14.1 */
  private returned(stanza: Stanza, outcome: Outcome): void {
    if (saysUnreachable(stanza)) removeSession(this.state, outcome, stanza.from!, { statuses: [333] })
    else if (stanza.kind === 'message' && stanza.to!.isFull) privateError(this.state, stanza, outcome)
  }

  /** False for what is not for the room. */
  private iq(stanza: Stanza, outcome: Outcome): boolean {
    const isRequest = stanza.type === 'get' || stanza.type === 'set'
    if (stanza.to!.isFull) (isRequest ? privateRequest : privateResponse)(this.state, stanza, outcome)
    if (stanza.to!.isFull || !isRequest) return true
    const { payload } = stanza
    if (payload === undefined) throw new StanzaError('bad-request', 'nothing is asked')
    const isModerating = stanza.type === 'set' && isModeration(payload)
    const handler = isModerating ? moderate : requests[`${stanza.type} ${payload.ns}`]
    if (handler === undefined) return false
    if (this.state.isLocked && this.state.affiliationOf(stanza.from!) !== 'owner') {
      throw new StanzaError('item-not-found', 'the room is not open yet')
    }
    const name = payload.ns === NS.vcard ? 'vCard' : 'query'
    if (!isModerating && payload.name !== name) throw new StanzaError('bad-request', `a ${name} is wanted`)
    handler(this.state, stanza, outcome)
    return true
  }

  // ---- what it is

  get jid(): Jid {
    return this.state.jid
  }

  /** Nobody entered yet, nor was it made for anybody: as good as none. */
  get isNew(): boolean {
    return this.state.isNew
  }

  get isLocked(): boolean {
    return this.state.isLocked
  }

  get isEmpty(): boolean {
    return this.state.occupants.size === 0
  }

  get config(): RoomConfig {
    return this.state.config
  }

  /** '' for none. */
  get subject(): string {
    return subjectText(this.state)
  }

  get occupants(): readonly OccupantView[] {
    return this.state.occupants.all().map(occupant => ({
      nick: occupant.nick,
      jids: sessionJids(occupant),
      role: occupant.role,
      affiliation: this.state.affiliationOf(occupant.user),
    }))
  }

  get occupantCount(): number {
    return this.state.occupants.size
  }

  /** By bare JID; that of somebody's server counts where he has none himself. */
  affiliationOf(user: Jid): Affiliation {
    return this.state.affiliationOf(user)
  }

  affiliations(): readonly Affiliated[] {
    return this.state.affiliations.all()
  }

  /** The nick of the session; undefined for who is not inside. */
  nickOf(session: Jid): string | undefined {
    return this.state.occupants.withSession(session)?.nick
  }

  occupantId(user: Jid): string {
    return this.state.occupantId(user)
  }

  /** True where messages go to the room's archive. */
  get isArchived(): boolean {
    return this.state.isArchived
  }

  /** Who could enter without more ado, may read what was said. XEP-0313 §5.1.2 */
  mayReadArchive(user: Jid): boolean {
    const affiliation = this.state.affiliationOf(user)
    if (affiliation === 'outcast' || this.state.isNew) return false
    const { isMembersOnly, isPasswordProtected } = this.state.config
    const isInside = this.state.occupants.ofUser(user.bareText).length > 0
    return isInside || isAtLeast(affiliation, 'member') || !(isMembersOnly || isPasswordProtected)
  }

  // ---- what happens to it

  /** Everybody out: the service stops, or the room starts after a crash and its occupants have to enter again. Statuses 110 and 332. */
  shutDown(reason?: string): Effects {
    return this.effects(outcome => shutDown(this.state, outcome, reason))
  }

  /** The session is gone without having left, or its server cannot be reached. Status 333. */
  drop(session: Jid, reason?: string): Effects {
    return this.effects(outcome => removeSession(this.state, outcome, session, { statuses: [333], reason }))
  }

  // ---- for the operator, past all privileges

  /** Throws `not-acceptable` for what no room may be. */
  configure(changes: Partial<RoomConfig>): Effects {
    checkConfig(this.state, undefined, changes)
    return this.effects(outcome => tell(configure(this.state, outcome, changes), outcome))
  }

  /** `jid` is bare. Throws `conflict` where no owner would be left. */
  setAffiliation(jid: Jid, affiliation: Affiliation, reason?: string): Effects {
    return this.change({ kind: 'affiliation', jid: jid.bareText, affiliation, reason })
  }

  /** Throws `item-not-found`. `by`: the nick of who is said to do it. */
  setRole(nick: string, role: Role, reason?: string, by?: string): Effects {
    const occupant = this.state.occupants.withNick(nick)
    if (occupant === undefined) throw new StanzaError('item-not-found', 'nobody here has this nick')
    return this.change({ kind: 'role', occupant, role, reason }, by)
  }

  /** Throws `item-not-found`. */
  kick(nick: string, reason?: string, by?: string): Effects {
    return this.setRole(nick, 'none', reason, by)
  }

  /**
   * Lets an account in that has no client here; all that it is told goes to its bare JID. A new room is its own then, and open. Throws
   * what would keep a client out.
   */
  seat(account: Jid, nick: string): Effects {
    const place = nick.trim() === '' ? undefined : this.jid.withResource(nick)
    if (place === undefined) throw new StanzaError('jid-malformed', 'this is no nick')
    const presence = new Element('presence', { from: account.bareText, to: place.text })
    presence.c('x', { xmlns: NS.muc })
    return this.effects(outcome => {
      enterAsAccount(this.state, Stanza.fromElement(presence), outcome)
      if (this.state.isLocked) tell(configure(this.state, outcome, {}), outcome)
    })
  }

  destroy(details: { alternate?: Jid; reason?: string; password?: string } = {}): Effects {
    return this.effects(outcome => destroy(this.state, outcome, details))
  }

  /** Whoever is inside as this user is who says it; otherwise the room. */
  say(sender: Jid, body: string, id: string): Effects {
    return this.effects(outcome => {
      const occupant = this.state.occupants.ofUser(sender.bareText)[0]
      const message = new Element('message', { from: (occupant?.jid ?? this.jid).text, type: 'groupchat', id })
      message.c('body').t(body)
      if (occupant !== undefined) message.c('occupant-id', { xmlns: NS.occupantId, id: occupant.id })
      say(this.state, Stanza.fromElement(message), sender.bare, outcome)
    })
  }

  /** An invitation by somebody who need not be inside. */
  invite({ from, to, reason }: { from: Jid; to: Jid; reason?: string }): Effects {
    return this.effects(outcome => {
      const invite = new Element('invite')
      if (reason) invite.c('reason').t(reason)
      admit(this.state, to, outcome)
      outcome.send(invitation(this.state, from, invite), to)
    })
  }

  private change(change: Change, by?: string): Effects {
    if (change.kind === 'affiliation') {
      const draft = new Affiliations(this.state.affiliations.all())
      draft.set(change.jid, change.affiliation)
      checkOwned(this.state, draft)
    }
    return this.effects(outcome => tell(applyChanges(this.state, outcome, [change], by), outcome))
  }

  private effects(work: (outcome: Outcome) => void): Effects {
    const outcome = new Outcome()
    work(outcome)
    return outcome
  }
}

function tell(announcements: readonly Announcement[], outcome: Outcome): void {
  for (const { own } of announcements) own(outcome)
  for (const { others } of announcements) others(outcome)
}
