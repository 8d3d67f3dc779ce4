import { z } from 'zod'
import { type CommandModule, commandModules } from '../../modules/commands.js'
import type { OperationServices } from '../services.js'
import { type Command, command } from './command.js'
import { contactCommands } from './contact-commands.js'
import { messageCommands } from './message-commands.js'
import { mucCommands } from './muc-commands.js'
import { mucLightCommands } from './muc-light-commands.js'
import { sessionCommands } from './session-commands.js'
import { userCommands } from './user-commands.js'

const commandEntry = z
  .object({
    name: z.string().meta({ description: 'What it is called.', example: 'list_users' }),
    category: z.string().meta({ description: 'What it is about.', example: 'users' }),
    action: z.enum(['read', 'create', 'update', 'delete']).meta({ description: 'What it does.' }),
    desc: z.string().meta({ description: 'One line for people.' }),
  })
  .meta({ id: 'commandEntry', description: 'A command.' })

const listCommands = command({
  name: 'list_methods',
  category: 'commands',
  action: 'read',
  description: 'Shows all commands.',
  arguments: {},
  result: z.array(commandEntry),
  run: async services =>
    commandsOf(services).map(({ name, category, action, description }) => ({
      name,
      category,
      action,
      desc: description,
    })),
})

/** What each module enables. */
const tables: Readonly<Record<CommandModule, readonly Command[]>> = {
  mod_commands: [listCommands, ...userCommands, ...sessionCommands, ...messageCommands, ...contactCommands],
  mod_muc_light_commands: mucLightCommands,
  mod_muc_commands: mucCommands,
}

/** All commands that there can be. */
export const allCommands: readonly Command[] = Object.values(tables).flat()

/** The commands that there are now: those of the modules that run, on whatever host. HP-6 */
export function commandsOf({ accounts, offered }: Pick<OperationServices, 'accounts' | 'offered'>): readonly Command[] {
  const isEnabled = (name: CommandModule) =>
    accounts.hosts.some(host => offered(host, commandModules[name]) !== undefined)
  const names = Object.keys(tables) as CommandModule[] // Object.keys forgets the literal type
  return names.filter(isEnabled).flatMap(name => tables[name])
}
