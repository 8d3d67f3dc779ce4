import { existsSync, readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { z } from 'zod'
import type { ObjectSource } from '../config/load.js'
import type { Finding } from '../config/problem.js'
import { type Environment, parseToml, readDocument } from '../config/read-data.js'
import { isTable, type Path } from '../config/schema.js'
import { StartupError } from '../observability/startup-error.js'
import { modules as builtIn } from './index.js'
import { isModule, type Module } from './module.js'

/*
 * Modules that are not ours: those of the program that embeds the server, and those that `[modules.NAME] package = "..."` names.
 */

/** What the configuration is read with. */
export interface AvailableModules {
  readonly modules: readonly Module[]
  /** What was wrong with packages; it stands among all other problems of the configuration. */
  readonly findings: readonly Finding[]
}

interface Named {
  readonly name: string
  readonly specifier: string
  /** Of the option. */
  readonly path: Path
}

/**
 * The built modules, those that are handed in, and those of packages, which are imported here. Packages are looked for from the
 * folder of the configuration, as `import` in a file of that folder would. Never rejects.
 */
export async function availableModules(
  source: { readonly file: string } | ObjectSource,
  env: Environment,
  own: readonly Module[] = [],
): Promise<AvailableModules> {
  const known = own.length === 0 ? builtIn : [...builtIn, ...own.map(module => tellingStart(module))]
  const named = namedPackages('file' in source ? await dataOf(source.file, env) : source.object)
  // A name that is taken is not loaded: to its module `package` is an unknown option.
  const wanted = named.filter(({ name }) => !known.some(module => module.name === name))
  const folder = resolve('file' in source ? dirname(source.file) : source.folder)
  const loaded: Module[] = []
  const findings: Finding[] = []
  const seen = new Map<string, string>()
  for (const one of wanted) {
    const before = seen.get(one.name)
    seen.set(one.name, one.specifier)
    if (before === one.specifier) continue
    const result =
      before === undefined ? await load(one, folder) : `it is another package elsewhere: ${JSON.stringify(before)}`
    if (typeof result === 'string') {
      findings.push({ path: one.path, code: 'incorrect_value', message: result, value: one.specifier })
    } else loaded.push(result)
  }
  return { modules: loaded.length === 0 ? known : [...known, ...loaded], findings }
}

/** What the file says, as far as it says anything; what is wrong with it is for the loader of the configuration to tell. */
async function dataOf(file: string, env: Environment): Promise<unknown> {
  const text = await readFile(file, 'utf8').catch(() => '')
  // Most files name no package, and the loader parses the file anyway.
  if (!/\bpackage\b/.test(text)) return {}
  const parsed = parseToml(text.replace(/^\uFEFF/, ''))
  return 'data' in parsed ? readDocument(parsed.data, env).data : {}
}

function namedPackages(data: unknown): Named[] {
  if (!isTable(data)) return []
  const perHost = Array.isArray(data.host_config) ? data.host_config : []
  return [
    ...namedIn(data.modules, ['modules']),
    ...perHost.flatMap((host: unknown, index) =>
      isTable(host) ? namedIn(host.modules, ['host_config', index, 'modules']) : [],
    ),
  ]
}

function namedIn(table: unknown, at: Path): Named[] {
  if (!isTable(table)) return []
  return Object.entries(table).flatMap(([name, options]) =>
    isTable(options) && typeof options.package === 'string'
      ? [{ name, specifier: options.package, path: [...at, name, 'package'] }]
      : [],
  )
}

/** The module of a package, or what is wrong with it. */
async function load({ name, specifier }: Named, folder: string): Promise<Module | string> {
  let exported: Readonly<Record<string, unknown>>
  try {
    exported = await import(resolved(specifier, folder))
  } catch (error) {
    return `the package cannot be loaded: ${lineOf(error)}`
  }
  const module = [exported.default, exported.module].find(isModule)
  if (module === undefined) return 'the package exports nothing that defineModule made, as its default or as "module"'
  if (module.name !== name) return `the module of the package is named ${JSON.stringify(module.name)}`
  if (!(module.config instanceof z.ZodObject)) return 'the "config" of the module is no z.strictObject'
  return withPackageOption(module, module.config)
}

/** What `import` takes for a path, or for a name as a file in the folder of the configuration would mean it. */
function resolved(specifier: string, folder: string): string {
  // Resolving needs the name of a file there, not the file.
  const { resolve: find } = createRequire(join(folder, 'meerkat.js'))
  try {
    return pathToFileURL(find(specifier)).href
  } catch (error) {
    // `require` knows no package that is for `import` alone, and nothing in Node.js 20 resolves as `import` from elsewhere.
    const parents = Object(error).code === 'ERR_PACKAGE_PATH_NOT_EXPORTED' ? (find.paths(specifier) ?? []) : []
    const root = parents.map(parent => join(parent, specifier)).find(path => existsSync(join(path, 'package.json')))
    const file = root && importTarget(JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).exports)
    if (root === undefined || file === undefined) throw error
    return pathToFileURL(join(root, file)).href
  }
}

/** What `exports` of a package gives to `import` of its name. */
function importTarget(exported: unknown): string | undefined {
  if (typeof exported === 'string') return exported
  if (!isTable(exported)) return undefined
  const chosen = Object.keys(exported).find(key => ['.', 'node', 'import', 'module-sync', 'default'].includes(key))
  return chosen === undefined ? undefined : importTarget(exported[chosen])
}

/** The first line of an error; what comes after it names files of ours. */
const lineOf = (error: unknown): string => (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? ''

/** The module as the configuration names it: `package` is one of the options, and the module does not see it. */
function withPackageOption(module: Module, config: z.ZodObject): Module {
  const option = z
    .string()
    .optional()
    .meta({ description: 'Where the module is loaded from.', example: './greeter.js' })
  const telling = tellingStart(module)
  return {
    ...telling,
    config: config.safeExtend({ package: option }),
    start(server, options) {
      // A table has passed the schema above.
      const { package: _, ...own } = options as Record<string, unknown>
      telling.start(server, own)
    },
  }
}

/** The module with what its start throws told as what it is: something that the user, not we, can mend. */
function tellingStart(module: Module): Module {
  return {
    ...module,
    start(server, options) {
      try {
        module.start(server, options)
      } catch (error) {
        const message = `the module ${module.name} did not start for ${server.host}: ${lineOf(error)}`
        throw new StartupError('module', message, { cause: error })
      }
    },
  }
}
