import type { ActorInfo } from '../actors/runtime/inspect.js'
import { askServer, exitCode, type Output, UserError } from './args.js'

export interface TreeOptions {
  dataDir: string
  /** As the tree prints it, such as `/root/listeners`; the whole tree when absent. */
  path?: string | undefined
  depth: number
  limit: number
  json: boolean
  /** What is shown is a list of the actors that pass, wherever they are. */
  filters: TreeFilters
}

/** As src/http/debug/README.md has them; what is absent passes all. */
export interface TreeFilters {
  listener?: string | undefined
  jid?: string | undefined
  states?: string[] | undefined
  kind?: string | undefined
  mailbox?: number | undefined
  faults?: number | undefined
}

interface ActorList {
  readonly items: readonly ActorInfo[]
  readonly looked: number
  readonly isWhole: boolean
}

/** `meerkat tree`: the actors of the running server. Resolves with the exit code. */
export async function runTree(options: TreeOptions, output: Output): Promise<number> {
  const { dataDir, path, depth, limit, filters } = options
  if (Object.values(filters).some(value => value !== undefined)) return listActors(options, output)
  const answer = await askServer(dataDir, { verb: 'tree', path, depth, limit })
  if (answer === null) throw new UserError('not-found', `no actor at ${path ?? 'the root'}`)
  const top = answer as ActorInfo // our own server's
  if (options.json) output.out(JSON.stringify({ ok: true, tree: top }))
  else for (const line of draw(top)) output.out(line)
  return exitCode.good
}

async function listActors({ dataDir, path, limit, filters, json }: TreeOptions, output: Output): Promise<number> {
  const answer = await askServer(dataDir, { verb: 'actors', path, limit, ...filters })
  if (answer === null) throw new UserError('not-found', `no actor at ${filters.listener ?? path ?? 'the root'}`)
  const found = answer as ActorList // our own server's
  if (json) output.out(JSON.stringify({ ok: true, ...found }))
  else for (const line of list(found)) output.out(line)
  return exitCode.good
}

/** One line per actor, and how many there are. */
export function* list({ items, looked, isWhole }: ActorList): Generator<string> {
  for (const actor of items) yield `${actor.path}  ${summary(actor)}`
  yield `${items.length}${isWhole ? '' : ' and more'} of ${looked} actors${isWhole ? '' : ' looked at'}`
}

/** One line per actor, children below their parent; what a page left out is counted. */
export function* draw(actor: ActorInfo, first = '', rest = ''): Generator<string> {
  yield `${first}${actor.name}  ${summary(actor)}`
  const { children } = actor
  const left = children === undefined ? 0 : children.total - children.offset - children.items.length
  for (const [index, child] of (children?.items ?? []).entries()) {
    const isLast = left === 0 && index === (children?.items.length ?? 0) - 1
    yield* draw(child, `${rest}${isLast ? '└─ ' : '├─ '}`, `${rest}${isLast ? '   ' : '│  '}`)
  }
  if (left > 0) yield `${rest}└─ … ${left} more`
}

/** What is zero is left out, so that what is wrong stands out. */
function summary(actor: ActorInfo): string {
  const numbers: [string, number][] = [
    ['messages', actor.messages],
    ['mailbox', actor.mailbox],
    ['peak', actor.mailboxPeak],
    ['waiting stanzas', actor.waitingStanzas],
    ['faults', actor.faults],
    ['restarts', actor.restarts],
    ['hibernations', actor.hibernations],
  ]
  const parts = numbers.filter(([, value]) => value > 0).map(([name, value]) => `${name} ${value}`)
  if (actor.children === undefined && actor.childCount > 0) parts.push(`children ${actor.childCount}`)
  for (const [name, value] of Object.entries(actor.details)) parts.push(`${name} ${value}`)
  if (actor.lastFault !== undefined) parts.push(`last fault ${JSON.stringify(actor.lastFault)}`)
  return [actor.state, ...parts].join(', ')
}
