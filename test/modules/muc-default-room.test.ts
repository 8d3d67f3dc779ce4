import { expect, it } from 'vitest'
import { session, startedServer } from '../support/server.js'

/*
 * `default_room` of `mod_muc`: how a new room is set up. What each of it means for a room stands in test/protocols/muc.
 */

const service = 'conference.localhost'
const NS = 'http://jabber.org/protocol/muc'
const prefix = 'muc#roomconfig_'

/** The option, a value that is not its default, the field of the owner's form (XEP-0045 §10.2) and what stands there. */
const options: readonly (readonly [option: string, value: unknown, field: string, shown: string[]])[] = [
  ['title', 'Tea', `${prefix}roomname`, ['Tea']],
  ['description', 'Of all sorts', `${prefix}roomdesc`, ['Of all sorts']],
  ['allow_change_subj', false, `${prefix}changesubject`, ['0']],
  ['allow_query_users', false, 'allow_query_users', ['0']],
  ['allow_private_messages', false, `${prefix}allowpm`, ['none']],
  ['allow_visitor_status', false, `${prefix}allowvisitorstatus`, ['0']],
  ['allow_visitor_nickchange', false, `${prefix}allowvisitornickchange`, ['0']],
  ['public', false, `${prefix}publicroom`, ['0']],
  ['public_list', false, 'public_list', ['0']],
  ['persistent', true, `${prefix}persistentroom`, ['1']],
  ['moderated', false, `${prefix}moderatedroom`, ['0']],
  ['members_by_default', false, 'members_by_default', ['0']],
  ['members_only', true, `${prefix}membersonly`, ['1']],
  ['allow_user_invites', true, `${prefix}allowinvites`, ['1']],
  ['allow_multiple_sessions', false, `${prefix}allowmultisessions`, ['0']],
  ['anonymous', false, `${prefix}whois`, ['anyone']],
  ['max_users', 50, `${prefix}maxusers`, ['50']],
  ['maygetmemberlist', ['moderator'], `${prefix}getmemberlist`, ['moderator']],
]

/** The fields of the owner's form of a room that somebody has just made. */
async function formOf(defaultRoom: object): Promise<Map<string, string[]>> {
  const server = await startedServer({ users: ['romeo'], modules: { mod_muc: { default_room: defaultRoom } } })
  const romeo = await session(server, 'romeo')
  const room = `tea@${service}`
  await romeo.send(`<presence to='${room}/Romeo'><x xmlns='${NS}'/></presence>`)
  await romeo.receives(`<presence from='${room}/Romeo'><x xmlns='${NS}#user'><status code='110'/></x></presence>`)
  const answer = await romeo.ask('get', `<query xmlns='${NS}#owner'/>`, { to: room })
  const form = answer.getChild('query', `${NS}#owner`)?.getChild('x', 'jabber:x:data')
  const fields = form?.getChildren('field') ?? []
  return new Map(fields.map(field => [field.attrs.var, field.getChildren('value').map(value => value.text())]))
}

it.each(options)('default_room.%s = %j is what a new room has', async (option, value, field, shown) => {
  const usual = (await formOf({})).get(field)
  expect(usual, `${field} by default`).toBeDefined()
  expect(usual).not.toEqual(shown)
  expect((await formOf({ [option]: value })).get(field)).toEqual(shown)
})

it('default_room.password_protected and default_room.password: a new room asks for the password', async () => {
  const form = await formOf({ password_protected: true, password: 'darjeeling' })
  expect(form.get(`${prefix}passwordprotectedroom`)).toEqual(['1'])
  expect(form.get(`${prefix}roomsecret`)).toEqual(['darjeeling'])
})
