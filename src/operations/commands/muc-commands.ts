import { z } from 'zod'
import type { MucService } from '../../modules/muc-service.js'
import { type StanzaCondition, StanzaError } from '../../protocols/errors.js'
import type { Jid } from '../../protocols/jid.js'
import { inviteToRoom, kickFromRoom, makeRoom, roomJid, roomsOf, sayInRoom } from '../rooms.js'
import type { OperationServices } from '../services.js'
import { type Command, CommandError, command, domain, invalidJid, jid, text } from './command.js'

const category = 'mucs'
const host = domain('Host whose rooms they are.', 'wonder.test')
const name = text('Name of the room: the part of its JID before the @.', 'lawn')
const nick = text('Name of the occupant in the room.', 'Queen')
const notThere = () => new CommandError('not_found', 'room does not exist')

/** Rooms of multi-user chat. spec/rest-admin.md */
export const mucCommands: readonly Command[] = [
  command({
    name: 'create_muc_room',
    category,
    action: 'create',
    description: 'Makes a room, and has its owner enter it.',
    arguments: { host, name, owner: jid('Who owns it.', 'queen@wonder.test'), nick },
    identifiers: ['host'],
    result: z.string(),
    refusals: {
      denied: 'The owner may not make it, or not enter it.',
      not_found: 'The host has no rooms.',
      internal: 'There is a room of this name, which its owner has not opened yet.',
    },
    async run(services, { host, name, owner, nick }) {
      const service = roomsOf(services, host)
      if (service === undefined) throw new CommandError('not_found', 'there are no rooms here')
      const room = roomJid(service, name)
      if (room === undefined) throw new CommandError('bad_request', invalidJid(`${name}@${service.jid.text}`))
      if (owner.local === '') throw new CommandError('bad_request', invalidJid(owner.text))
      const made = await makeRoom(services, service, { room, owner: owner.bare, nick }).catch(keptOut)
      if (made === 'locked') throw new CommandError('internal', 'room is locked')
      return name
    },
  }),
  command({
    name: 'invite_to_muc_room',
    category,
    subcategory: 'participants',
    action: 'create',
    description: 'Invites somebody to a room.',
    arguments: {
      host,
      name,
      sender: jid('Who invites.', 'queen@wonder.test'),
      recipient: jid('Who is invited.', 'alice@wonder.test'),
      reason: text('Why.', 'croquet'),
    },
    identifiers: ['host', 'name'],
    refusals: { not_found: 'There is no such room.' },
    async run(services, { host, name, sender, recipient, reason }) {
      const { service, room } = roomAt(services, host, name)
      await inviteToRoom(services, service, { room, from: sender, to: recipient, reason }).catch(missing)
    },
  }),
  command({
    name: 'send_message_to_room',
    category,
    subcategory: 'messages',
    action: 'create',
    description: 'Sends a message to everybody in a room, as somebody in it.',
    arguments: { host, name, from: jid('Who says it.', 'queen@wonder.test'), body: text('The text.', 'off!') },
    identifiers: ['host', 'name'],
    refusals: { not_found: 'The host has no rooms.' },
    async run(services, { host, name, from, body }) {
      const { service, room } = roomAt(services, host, name)
      await sayInRoom(services, service, { room, from, body })
    },
  }),
  command({
    name: 'kick_user_from_room',
    category,
    action: 'delete',
    description: 'Puts an occupant out of a room.',
    arguments: { host, name, nick },
    refusals: { not_found: 'There is no such room.' },
    async run(services, { host, name, nick }) {
      const { service, room } = roomAt(services, host, name)
      const reason = 'Kicked through HTTP Administration API.'
      await kickFromRoom(service, { room, nick, reason }).catch(missing)
    },
  }),
]

function roomAt(services: OperationServices, host: string, name: string): { service: MucService; room: Jid } {
  const service = roomsOf(services, host)
  const room = service && roomJid(service, name)
  if (service === undefined || room === undefined) throw notThere()
  return { service, room }
}

function missing(error: unknown): never {
  if (error instanceof StanzaError && error.condition === 'item-not-found') throw notThere()
  throw error
}

const fullness: readonly StanzaCondition[] = ['service-unavailable', 'resource-constraint']

/** A room that is full, or one too many, is one that the owner may not enter. */
function keptOut(error: unknown): never {
  if (error instanceof StanzaError && fullness.includes(error.condition)) {
    throw new CommandError('denied', error.text)
  }
  throw error
}
