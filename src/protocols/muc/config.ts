/*
 * How a room is set up. XEP-0045 §10.1.3
 */

/** Who hears of presences, may see member lists or may send private messages: roles of the room. */
export type ConfigRole = 'moderator' | 'participant' | 'visitor'

/** Who may send private messages. XEP-0045 §15.5.3 `muc#roomconfig_allowpm` */
export type PrivateMessages = 'anyone' | 'participants' | 'moderators' | 'none'

export interface RoomConfig {
  /** `muc#roomconfig_roomname`; '' for none. */
  readonly name: string
  /** `muc#roomconfig_roomdesc` */
  readonly description: string
  /** `muc#roomconfig_lang` */
  readonly lang: string
  /** Listed by the service. `muc#roomconfig_publicroom` */
  readonly isPublic: boolean
  /** The list of occupants is for everybody. `public_list` */
  readonly isListPublic: boolean
  /** Stays when the last occupant leaves. `muc#roomconfig_persistentroom` */
  readonly isPersistent: boolean
  /** `muc#roomconfig_moderatedroom` */
  readonly isModerated: boolean
  /** In a moderated room too, who enters has voice. `members_by_default` */
  readonly hasVoiceByDefault: boolean
  /** `muc#roomconfig_membersonly` */
  readonly isMembersOnly: boolean
  /** `muc#roomconfig_passwordprotectedroom` */
  readonly isPasswordProtected: boolean
  /** `muc#roomconfig_roomsecret` */
  readonly password: string
  /** Who sees real JIDs: only moderators (semi-anonymous), or anyone. `muc#roomconfig_whois` */
  readonly whois: 'moderators' | 'anyone'
  /** Infinity for any number. `muc#roomconfig_maxusers` */
  readonly maxUsers: number
  /** Participants change the subject. `muc#roomconfig_changesubject` */
  readonly mayChangeSubject: boolean
  /** Occupants who are no admins invite. `muc#roomconfig_allowinvites` */
  readonly mayInvite: boolean
  /** `muc#roomconfig_allowpm` */
  readonly privateMessages: PrivateMessages
  /** IQs between occupants. `allow_query_users` */
  readonly mayQueryUsers: boolean
  /** Visitors' presence is passed on with its status. `muc#roomconfig_allowvisitorstatus` */
  readonly mayVisitorsShowStatus: boolean
  /** `muc#roomconfig_allowvisitornickchange` */
  readonly mayVisitorsChangeNick: boolean
  /** Visitors ask for voice. `muc#roomconfig_allowvoicerequests` */
  readonly mayRequestVoice: boolean
  /** One user may be in the room with several sessions of one nick. `muc#roomconfig_allowmultisessions` */
  readonly mayShareNick: boolean
  /** Who has a registered nick is seen under no other. XEP-0045 §7.10 */
  readonly hasLockedNicks: boolean
  /** Roles whose presence is broadcast. `muc#roomconfig_presencebroadcast` */
  readonly presenceBroadcast: readonly ConfigRole[]
  /** Roles that may get the lists of affiliations besides admins. `muc#roomconfig_getmemberlist` */
  readonly memberListFor: readonly ConfigRole[]
  /** Public logs. `muc#roomconfig_enablelogging` */
  readonly isLogged: boolean
  /** Messages go to the room's archive. `muc#roomconfig_enablearchiving` */
  readonly isArchived: boolean
  /** Messages of history that who enters gets at most. `muc#maxhistoryfetch` */
  readonly maxHistory: number
}

/** MongooseIM's `default_room`, where it says something. */
export const defaultConfig: RoomConfig = {
  name: '',
  description: '',
  lang: '',
  isPublic: true,
  isListPublic: true,
  isPersistent: false,
  isModerated: true,
  hasVoiceByDefault: true,
  isMembersOnly: false,
  isPasswordProtected: false,
  password: '',
  whois: 'moderators',
  maxUsers: 200,
  mayChangeSubject: true,
  mayInvite: false,
  privateMessages: 'anyone',
  mayQueryUsers: true,
  mayVisitorsShowStatus: true,
  mayVisitorsChangeNick: true,
  mayRequestVoice: true,
  mayShareNick: true,
  hasLockedNicks: false,
  presenceBroadcast: ['moderator', 'participant', 'visitor'],
  memberListFor: [],
  isLogged: false,
  isArchived: true,
  maxHistory: 20,
}
