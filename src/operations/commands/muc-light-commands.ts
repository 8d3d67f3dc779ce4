import { z } from 'zod'
import type { MucLightDomain } from '../../modules/muc-light-domain.js'
import { type StanzaCondition, StanzaError } from '../../protocols/errors.js'
import type { Jid } from '../../protocols/jid.js'
import {
  addToLightRoom,
  configureLightRoom,
  createLightRoom,
  destroyLightRoom,
  lightRoomJid,
  lightRoomsAt,
  lightRoomsOf,
  lightRoomsOfUser,
  sayInLightRoom,
} from '../light-rooms.js'
import type { OperationServices } from '../services.js'
import { type Command, CommandError, command, domain, invalidJid, jid, text } from './command.js'

const category = 'muc-lights'
const host = domain('Host whose rooms they are.', 'wonder.test')
const service = domain('Domain of the rooms, or their host.', 'muclight.wonder.test')
const id = text('Id of the room: the part of its JID before the @.', 'croquet')
const name = text('What the room is called: the first of that name that the user is in.', 'Lawn')
const newName = text('What the room is called.', 'Lawn')
const subject = text('What is talked about.', 'flamingos')

const notThere = 'room does not exist'
const notInAny = 'given user does not occupy any room'

/** Rooms of light group chat. spec/rest-admin.md */
export const mucLightCommands: readonly Command[] = [
  command({
    name: 'create_muc_light_room',
    category,
    action: 'create',
    description: 'Makes a room; the server chooses its id.',
    arguments: { domain: host, name: newName, owner: user('Who owns it.'), subject },
    identifiers: ['domain'],
    result: z.string(),
    refusals: { not_found: 'The host has no rooms.' },
    run: async (services, { domain, ...room }) => (await createLightRoom(roomsOf(services, domain), room)).text,
  }),
  command({
    name: 'create_identifiable_muc_light_room',
    category,
    action: 'update',
    description: 'Makes a room of a given id.',
    arguments: { domain: host, id, name: newName, owner: user('Who owns it.'), subject },
    identifiers: ['domain'],
    result: z.string(),
    refusals: { denied: 'There is a room of this id.', not_found: 'The host has no rooms.' },
    async run(services, { domain, id, ...texts }) {
      const rooms = roomsOf(services, domain)
      const wanted = { ...texts, room: roomCalled(rooms, id) }
      const refusals = { conflict: new CommandError('denied', 'Room already exists') }
      return (await refused(createLightRoom(rooms, wanted), refusals)).text
    },
  }),
  command({
    name: 'change_muc_light_room_configuration',
    category,
    subcategory: 'config',
    action: 'update',
    description: 'Changes what a room is called and what it is about, as somebody in it.',
    arguments: { domain: host, id, name: newName, user: user('Who changes it.', 'queen@wonder.test'), subject },
    identifiers: ['domain'],
    refusals: { denied: 'The user may not.', not_found: 'There is no such room.' },
    async run(services, { domain, id, user, ...texts }) {
      const rooms = roomsOf(services, domain)
      const room = roomCalled(rooms, id)
      const found = await rooms.find(room.local)
      if (found === undefined) throw new CommandError('not_found', notThere)
      // Who is in the room at all is nothing that the operator must not know.
      await refused(configureLightRoom(rooms, room, user, texts), {
        'not-allowed': notAllowed(),
        'item-not-found': notAllowed(),
      })
    },
  }),
  command({
    name: 'invite_to_room',
    category,
    subcategory: 'participants',
    action: 'create',
    description: 'Makes somebody a member of a room, as somebody in it.',
    arguments: {
      domain: service,
      name,
      sender: user('Who adds the other.', 'queen@wonder.test'),
      recipient: user('Who comes.'),
    },
    identifiers: ['domain', 'name'],
    refusals: { denied: 'The sender is in no room, or may not.', not_found: 'The sender is in no room of that name.' },
    async run(services, { domain, name, sender, recipient }) {
      const { rooms, room } = await roomOfUser(services, { domain, name, user: sender, notInAny })
      const refusals = { 'not-allowed': notAllowed() }
      await refused(addToLightRoom(rooms, room, { by: sender, user: recipient }), refusals)
    },
  }),
  command({
    name: 'send_message_to_muc_light_room',
    category,
    subcategory: 'messages',
    action: 'create',
    description: 'Sends a message to everybody in a room, as somebody in it.',
    arguments: {
      domain: service,
      name,
      from: user('Who says it.', 'queen@wonder.test'),
      body: text('The text.', 'play!'),
    },
    identifiers: ['domain', 'name'],
    refusals: { denied: 'The sender is in no room.', not_found: 'The sender is in no room of that name.' },
    async run(services, { domain, name, from, body }) {
      const { room } = await roomOfUser(services, { domain, name, user: from, notInAny })
      await sayInLightRoom(services, { room, from, body })
    },
  }),
  command({
    name: 'delete_room',
    category,
    subcategory: 'management',
    action: 'delete',
    description: 'Ends a room, and tells everybody in it.',
    arguments: { domain: service, name, owner: user('Who owns it.', 'queen@wonder.test') },
    refusals: { denied: 'The user does not own it.', not_found: 'The user is in no room of that name.' },
    async run(services, { domain, name, owner }) {
      const refusal = 'given user does not occupy this room'
      const { rooms, room } = await roomOfUser(services, { domain, name, user: owner, notInAny: refusal })
      const refusals = { 'not-allowed': new CommandError('denied', 'you can not delete this room') }
      await refused(destroyLightRoom(rooms, room, owner), refusals)
    },
  }),
]

/** A JID of somebody. */
function user(description: string, example = 'alice@wonder.test') {
  return jid(description, example)
    .refine(({ local }) => local !== '', { error: ({ input }) => invalidJid((input as Jid).text) })
    .transform(({ bare }) => bare)
}

const notAllowed = () => new CommandError('denied', 'not_allowed')

function roomsOf(services: OperationServices, host: string): MucLightDomain {
  const rooms = lightRoomsOf(services, host)
  if (rooms === undefined) throw new CommandError('not_found', 'there are no rooms here')
  return rooms
}

function roomCalled(rooms: MucLightDomain, id: string): Jid {
  const room = lightRoomJid(rooms, id)
  if (room === undefined) throw new CommandError('bad_request', 'invalid_room_id')
  return room
}

/** The first room of a name that the user is in. A-17 */
async function roomOfUser(
  services: OperationServices,
  { domain, name, user, notInAny }: { domain: string; name: string; user: Jid; notInAny: string },
): Promise<{ rooms: MucLightDomain; room: Jid }> {
  const rooms = lightRoomsAt(services, domain)
  if (rooms === undefined) throw new CommandError('not_found', notThere)
  const all = await lightRoomsOfUser(rooms, user)
  if (all.length === 0) throw new CommandError('denied', notInAny)
  const found = all.find(room => room.name === name)
  if (found === undefined) throw new CommandError('not_found', notThere)
  return { rooms, room: found.jid }
}

/** Says what is refused in the words of these commands. */
async function refused<Result>(
  work: Promise<Result>,
  refusals: Partial<Record<StanzaCondition, CommandError>>,
): Promise<Result> {
  try {
    return await work
  } catch (error) {
    throw (error instanceof StanzaError && refusals[error.condition]) || error
  }
}
