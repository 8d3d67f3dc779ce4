import { z } from 'zod'
import { access } from './access.js'
import { acl } from './acl.js'
import { auth } from './auth.js'
import { cluster } from './cluster.js'
import { general } from './general.js'
import { hostConfig } from './host-config.js'
import { foreignModules, laterModules } from './later-modules.js'
import { listen } from './listen.js'
import { outgoingPools } from './outgoing-pools.js'
import { s2s } from './s2s.js'
import { services } from './services.js'
import { shaper } from './shaper.js'

/** What a module tells the configuration: its TOML name and the schema of its options. */
export interface ModuleOptions {
  name: string
  config: z.ZodType
  /** Options that it gets in a file without `[modules]` (`{}` when not given); false: it is off there. */
  shipped?: unknown
  /** Of valid options, those that have no effect here; `path` is within them. */
  unsupported?(options: unknown): readonly UnsupportedOption[]
}

export interface UnsupportedOption {
  readonly path: readonly (string | number)[]
  readonly code: 'not_supported' | 'not_supported_yet'
  readonly message: string
}

/** Stands in for a missing `[general]`, so that the message is about the `hosts` it lacks. */
const NOTHING = {} as z.input<typeof general> // Not a valid value: that is its purpose.

/** Building a schema takes some milliseconds; there is one per list of modules. */
const schemas = new WeakMap<readonly ModuleOptions[], ReturnType<typeof newSchema>>()

/** The schema of the whole file, given the modules that are built. */
export function configSchema(modules: readonly ModuleOptions[]): ReturnType<typeof newSchema> {
  const schema = schemas.get(modules) ?? newSchema(modules)
  schemas.set(modules, schema)
  return schema
}

function newSchema(modules: readonly ModuleOptions[]) {
  const modulesTable = modulesSchema(modules)
  return z
    .strictObject({
      general: general.prefault(NOTHING),
      listen: listen.prefault({}),
      auth: auth.prefault({}),
      modules: modulesTable.optional(),
      acl: acl.default({}),
      access: access.default({}),
      shaper: shaper.default({}),
      s2s: s2s.prefault({}),
      host_config: z.array(hostConfig(modulesTable)).default([]),
      outgoing_pools: outgoingPools.prefault({}),
      services: services.prefault({}),
      cluster: cluster.optional(),
    })
    .meta({ description: 'The configuration of the server.' })
}

/** The configuration as the schema gives it out, before the loader completes it. */
export type FileConfig = z.infer<ReturnType<typeof configSchema>>

/** The configuration as the server reads it: valid, complete, frozen; paths absolute, domains prepared, every rule and shaper there. */
export type Config = Omit<FileConfig, 'modules'> & {
  /** Options of each module that is on, by name. */
  modules: Record<string, unknown>
}

/** The `[modules]` table. */
function modulesSchema(modules: readonly ModuleOptions[]) {
  const built = Object.fromEntries(modules.map(module => [module.name, module.config.optional()]))
  const others = Object.entries({ ...laterModules, ...foreignModules }).filter(([name]) => !Object.hasOwn(built, name))
  const unbuilt = Object.fromEntries(others.map(([name, options]) => [name, options.optional()]))
  const shape: Record<string, z.ZodOptional<z.ZodType>> = { ...built, ...unbuilt }
  return z.strictObject(shape).meta({
    description: 'Modules that are on, each with its options. Without this table all shipped ones are.',
    example: {},
  })
}
