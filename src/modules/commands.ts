import { z } from 'zod'
import { defineModule, OfferKey } from './module.js'

/*
 * Modules that do nothing but say which commands there are: `operations/commands` has them. On any host is for the whole server, as
 * a command names the host that it is about.
 */

/** Whether the commands of a module are there. */
export const commandModules = {
  mod_commands: new OfferKey<true>('mod_commands'),
  mod_muc_light_commands: new OfferKey<true>('mod_muc_light_commands'),
  mod_muc_commands: new OfferKey<true>('mod_muc_commands'),
}
export type CommandModule = keyof typeof commandModules

const enabling = (name: CommandModule, about: string) =>
  defineModule({
    name,
    implements: [],
    features: [],
    shipped: {},
    config: z
      .strictObject({})
      .meta({ description: `Commands of the REST API for administration: ${about}.`, example: {} }),
    start: server => server.offer(commandModules[name], true),
  })

export const commands = enabling('mod_commands', 'accounts, sessions, messages, contacts')
export const mucLightCommands = enabling('mod_muc_light_commands', 'rooms of `mod_muc_light`')
export const mucCommands = enabling('mod_muc_commands', 'rooms of `mod_muc`')
