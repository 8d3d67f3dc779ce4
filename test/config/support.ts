import { z } from 'zod'
import { type LoadOptions, loadConfig } from '../../src/config/load.js'
import { posint, rule } from '../../src/config/primitives.js'
import type { ModuleOptions } from '../../src/config/root.js'
import { bosh } from '../../src/modules/bosh.js'
import { mucLight } from '../../src/modules/muc-light.js'

/** Modules as another folder would declare them, and one that has many options. */
export const fixtureModules: ModuleOptions[] = [
  {
    name: 'mod_ping',
    config: z
      .strictObject({
        send_pings: z.boolean().default(false).meta({ description: 'Whether pings are sent.', example: true }),
        ping_interval: posint().default(60).meta({ description: 'Seconds between pings.', example: 30 }),
      })
      .meta({ description: 'Answers pings.', example: { send_pings: true } }),
  },
  {
    name: 'mod_register',
    shipped: { access: 'all' },
    config: z
      .strictObject({ access: rule().default('all').meta({ description: 'Who may register.', example: 'register' }) })
      .meta({ description: 'Registration.', example: { access: 'register' } }),
  },
  { name: 'mod_version', shipped: false, config: z.strictObject({}).meta({ description: 'Version.', example: {} }) },
  // The one that the handler of the same name needs.
  { name: bosh.name, shipped: false, config: bosh.config },
  mucLight,
]

/** Loads a text as the file `/etc/meerkat/meerkat.toml`. */
export function load(text: string, options: Partial<LoadOptions> = {}) {
  return loadConfig({ file: '/etc/meerkat/meerkat.toml', text }, { modules: fixtureModules, ...options })
}

/** Loads for the grammar alone: what is not built yet is no problem. */
export function grammar(text: string, options: Partial<LoadOptions> = {}) {
  return load(text, { refusesUnbuilt: false, ...options })
}
