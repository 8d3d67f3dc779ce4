import type { Command } from '../../operations/commands/command.js'
import { describeCommands } from '../admin-api/description.js'
import { openApiDocument } from './openapi.js'
import { tooManyGuesses } from './operations.js'
import type { JsonSchema } from './schemas.js'

/** The document of the admin API, at the paths where it is mounted usually; of all commands unless others are given. */
export function adminApiDocument(commands?: readonly Command[]): JsonSchema {
  return openApiDocument(describeCommands(commands), {
    title: 'Admin API of Meerkat',
    description: 'What an operator may do by HTTP.',
    user: 'The name and the password that the configuration has for it, if it has some.',
    more: tooManyGuesses,
  })
}
