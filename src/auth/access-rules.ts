import type { AccessConfig } from '../config/access.js'
import type { AclConfig } from '../config/acl.js'
import { Jid, prepareLocal, prepareResource } from '../protocols/jid.js'

/*
 * `[acl]` and `[access]`: which value a rule gives to a JID. spec/listeners.md §2.2, §2.3
 */

type Pattern = AclConfig[string][number]
type Test = (jid: Jid, isOfHost: boolean) => boolean
type Clause = { readonly acl: string; readonly value: string | number }

export interface AccessTables {
  readonly acl: AclConfig
  readonly access: AccessConfig
}

export class AccessRules {
  private readonly global: Compiled
  private readonly byHost: ReadonlyMap<string, Compiled>
  private readonly hosts: ReadonlySet<string>

  /** `perHost` holds what `[[host_config]]` adds, by served domain. */
  constructor(hosts: readonly string[], global: AccessTables, perHost: ReadonlyMap<string, AccessTables> = new Map()) {
    this.hosts = new Set(hosts)
    this.global = compile(global)
    this.byHost = new Map([...perHost].map(([host, tables]) => [host, compile(tables)]))
  }

  /** The value of the first clause whose class the JID is in; undefined when there is none. Without a host only global clauses count. */
  value(rule: string, jid: Jid, host?: string): string | number | undefined {
    if (rule === 'all') return 'allow'
    if (rule === 'none') return 'deny'
    const own = host === undefined ? undefined : this.byHost.get(host)
    for (const clause of merged(this.global.access[rule] ?? [], own?.access[rule] ?? [])) {
      if (this.isIn(clause.acl, jid, host, own)) return clause.value
    }
    return undefined
  }

  /** True when the rule says `allow`; whatever else it says, and where it says nothing, the answer is no. */
  allows(rule: string, jid: Jid, host?: string): boolean {
    return this.value(rule, jid, host) === 'allow'
  }

  private isIn(name: string, jid: Jid, host: string | undefined, own: Compiled | undefined): boolean {
    if (name === 'all') return true
    if (name === 'none') return false
    const isOfHost = host === undefined ? this.hosts.has(jid.domain) : jid.domain === host
    const tests = [...(this.global.acl.get(name) ?? []), ...(own?.acl.get(name) ?? [])]
    return tests.some(test => test(jid, isOfHost))
  }
}

interface Compiled {
  readonly acl: ReadonlyMap<string, readonly Test[]>
  readonly access: AccessConfig
}

function compile({ acl, access }: AccessTables): Compiled {
  return { acl: new Map(Object.entries(acl).map(([name, patterns]) => [name, patterns.map(testOf)])), access }
}

/** Global clauses come first; a last global `all allow` goes behind the host's own. */
function merged(global: readonly Clause[], own: readonly Clause[]): readonly Clause[] {
  const last = global.at(-1)
  if (own.length === 0 || last === undefined || last.acl !== 'all' || last.value !== 'allow') return [...global, ...own]
  return [...global.slice(0, -1), ...own, last]
}

function testOf(pattern: Pattern): Test {
  if (pattern.match !== undefined) return () => pattern.match === 'all'
  const tests: Test[] = []
  if (pattern.user !== undefined) {
    const user = prepareLocal(pattern.user)
    tests.push(jid => jid.local === user)
  }
  if (pattern.server !== undefined) {
    const server = Jid.of('', pattern.server)?.domain
    tests.push(jid => jid.domain === server)
  }
  if (pattern.resource !== undefined) {
    const resource = prepareResource(pattern.resource)
    tests.push(jid => jid.resource === resource)
  }
  const expressions = [
    ['local', pattern.user_regexp, pattern.user_glob, 'i'],
    ['domain', pattern.server_regexp, pattern.server_glob, 'i'],
    ['resource', pattern.resource_regexp, pattern.resource_glob, ''],
  ] as const
  for (const [part, regexp, glob, flags] of expressions) {
    const source = regexp ?? (glob === undefined ? undefined : globSource(glob))
    if (source === undefined) continue
    const expression = new RegExp(source, flags)
    tests.push(jid => expression.test(jid[part]))
  }
  // A user alone is one of the host that the rule is asked for.
  const isLocal = pattern.user ?? pattern.user_regexp ?? pattern.user_glob
  const namesServer = pattern.server ?? pattern.server_regexp ?? pattern.server_glob
  if (isLocal !== undefined && namesServer === undefined) tests.push((_jid, isOfHost) => isOfHost)
  return (jid, isOfHost) => tests.every(test => test(jid, isOfHost))
}

/** A shell pattern as the source of an anchored regular expression. */
function globSource(glob: string): string {
  const source = glob.replace(
    /\[(!?)([^\]]*)\]|[*?]|[^*?[]|\[/g,
    (text, negated: string | undefined, set: string | undefined) => {
      if (text === '*') return '.*'
      if (text === '?') return '.'
      if (set !== undefined) return `[${negated ? '^' : ''}${set.replace(/[\\^]/g, '\\$&')}]`
      return text.replace(/[\\^$.|+(){}[\]]/g, '\\$&')
    },
  )
  return `^(?:${source})$`
}
