import type { z } from 'zod'
import type { RuleFinding } from './problem.js'
import { formatPath } from './problem.js'
import { isTable, mapLeaves, type OptionMeta, type Path, valueAt } from './schema.js'
import { closest } from './suggest.js'

/*
 * Every rule, shaper and acl class that is named must exist somewhere. spec/listeners.md §1.1, traps 6, 7, 22
 */

type Kind = NonNullable<OptionMeta['refers']>

const TABLE: Record<Kind, 'access' | 'shaper' | 'acl'> = {
  access: 'access',
  'shaper-rule': 'access',
  shaper: 'shaper',
  acl: 'acl',
}
const WORD = { access: 'access rule', shaper: 'shaper', acl: 'acl class' } as const
const BUILT_IN = { access: ['all', 'none'], shaper: ['none'], acl: ['all', 'none'] } as const

/** Names that are defined nowhere, in the raw data of a file. */
export function referenceFindings(schema: z.ZodType, data: unknown): RuleFinding[] {
  const findings: RuleFinding[] = []
  const names = { access: namesIn(data, 'access'), shaper: namesIn(data, 'shaper'), acl: namesIn(data, 'acl') }
  const shaperRules = new Map<string, Path>()
  mapLeaves(schema, data, (name, meta, path) => {
    if (meta.refers === undefined || typeof name !== 'string' || name === '') return name
    const table = TABLE[meta.refers]
    if (!isReadable(data, table)) return name
    if (!names[table].has(name)) findings.push(undefinedName(meta.refers, name, path, names))
    else if (meta.refers === 'shaper-rule' && !shaperRules.has(name)) shaperRules.set(name, path)
    return name
  })
  return isReadable(data, 'shaper') ? [...findings, ...shaperRuleFindings(data, shaperRules, names.shaper)] : findings
}

/** Names defined in `[table]` of the file or of any host, and those that always exist. */
function namesIn(data: unknown, table: 'access' | 'shaper' | 'acl'): Set<string> {
  const hosts = valueAt(data, ['host_config'])
  const tables = [data, ...(Array.isArray(hosts) ? hosts : [])].map(of => valueAt(of, [table]))
  return new Set([...BUILT_IN[table], ...tables.flatMap(of => (isTable(of) ? Object.keys(of) : []))])
}

/** False when something else stands where the table should: then nobody knows what was to be in it. */
function isReadable(data: unknown, table: string): boolean {
  const value = valueAt(data, [table])
  return value === undefined || isTable(value)
}

function undefinedName(
  kind: Kind,
  name: string,
  path: Path,
  names: Record<'access' | 'shaper' | 'acl', Set<string>>,
): RuleFinding {
  const table = TABLE[kind]
  const suggestion = closest(name, names[table])
  return {
    path,
    code: 'undefined_reference',
    message: `no ${WORD[table]} "${name}" in [${table}]${hint(kind, name, names, suggestion)}`,
    value: name,
    ...(suggestion === undefined ? {} : { suggestion }),
  }
}

/** Trap 6: `shaper` wants a rule and `shaper_rule` a shaper. */
function hint(kind: Kind, name: string, names: Record<string, Set<string>>, suggestion: string | undefined): string {
  if (kind === 'shaper-rule' && names.shaper?.has(name)) {
    return `; [shaper.${name}] exists, but this option names an access rule whose value is a shaper`
  }
  if (kind === 'shaper' && names.access?.has(name)) {
    return `; access rule "${name}" exists, but this option names a shaper directly`
  }
  return suggestion === undefined ? '' : `; did you mean "${suggestion}"?`
}

/** Values of rules that are used as shaper rules must be shapers, "none" or "deny" (no limit). */
function shaperRuleFindings(data: unknown, rules: Map<string, Path>, shapers: Set<string>): RuleFinding[] {
  const hosts = valueAt(data, ['host_config'])
  const bases: Path[] = [[], ...(Array.isArray(hosts) ? hosts.map((_, index) => ['host_config', index]) : [])]
  return [...rules].flatMap(([rule, user]) =>
    bases.flatMap(base => {
      const clauses = BUILT_IN.access.some(name => name === rule) ? undefined : valueAt(data, [...base, 'access', rule])
      if (!Array.isArray(clauses)) return []
      return clauses.flatMap((clause, index): RuleFinding[] => {
        const value = valueAt(clause, ['value'])
        if (value === undefined || value === 'deny' || shapers.has(String(value))) return []
        const suggestion = closest(String(value), shapers)
        const path = [...base, 'access', rule, index, 'value']
        return [
          {
            path,
            code: 'undefined_reference',
            message: `no shaper ${JSON.stringify(value)} in [shaper]; ${formatPath(user)} takes the values of this rule as shapers`,
            value,
            ...(suggestion === undefined ? {} : { suggestion }),
            because: [path, user],
          },
        ]
      })
    }),
  )
}
