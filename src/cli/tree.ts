import type { ActorInfo } from '../actors/runtime/inspect.js'
import { askServer, exitCode, type Output, UserError } from './args.js'

export interface TreeOptions {
  dataDir: string
  /** As the tree prints it, such as `/root/listeners`; the whole tree when absent. */
  path?: string | undefined
  depth: number
  limit: number
  json: boolean
}

/** `meerkat tree`: the actors of the running server. Resolves with the exit code. */
export async function runTree(options: TreeOptions, output: Output): Promise<number> {
  const { dataDir, path, depth, limit } = options
  const answer = await askServer(dataDir, { verb: 'tree', path, depth, limit })
  if (answer === null) throw new UserError('not-found', `no actor at ${path ?? 'the root'}`)
  const top = answer as ActorInfo // our own server's
  if (options.json) output.out(JSON.stringify({ ok: true, tree: top }))
  else for (const line of draw(top)) output.out(line)
  return exitCode.good
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
