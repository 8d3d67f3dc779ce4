import type { FeedEvent } from '../observability/feed.js'
import { exitCode, followServer, type Output } from './args.js'

export interface TraceOptions {
  dataDir: string
  jid?: string | undefined
  kind?: string | undefined
  namespace?: string | undefined
  direction?: string | undefined
  via?: string | undefined
  count: number
  seconds: number
  /** Show texts. */
  bodies: boolean
  /** One JSON object per line. */
  json: boolean
}

/** `meerkat trace`: stanzas of clients, components and other servers as they pass, until there were enough or the time is over. Resolves with the exit code. */
export async function runTrace({ dataDir, json, ...filters }: TraceOptions, output: Output): Promise<number> {
  for await (const event of followServer(dataDir, { verb: 'trace', ...filters })) {
    if (json) output.out(JSON.stringify(event))
    else for (const line of show(event)) output.out(line)
  }
  return exitCode.good
}

/** A stanza as a line about it and one with it; anything else as a remark. */
export function* show({ event, data }: FeedEvent): Generator<string> {
  const fields = data as Record<string, unknown> // our own server's
  switch (event) {
    case 'stanza': {
      const { at, direction, via, peer, kind, type, bytes, xml } = fields
      const arrow = direction === 'sent' ? '→' : '←'
      const who = via === 'client' ? peer : `${via} ${peer}`
      const what = type === null ? kind : `${kind} ${type}`
      yield `${new Date(Number(at)).toISOString()} ${arrow} ${printable(who)}  ${printable(what)}, ${bytes} bytes`
      yield `  ${printable(xml)}${fields.isCut === true ? ' (cut)' : ''}`
      return
    }
    case 'started':
      yield `# ${fields.count} stanzas or ${fields.seconds} s${fields.bodies === true ? ', with their texts' : ''}`
      return
    case 'left-out':
      yield `# ${fields.total} left out`
      return
    case 'ended':
      yield `# ended: ${fields.why === 'count' ? 'enough' : 'the time is over'}; ${fields.seen} seen, ${fields.leftOut} left out`
  }
}

/** What a terminal would take for an order is shown as what it is. */
const printable = (value: unknown) =>
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are meant
  String(value).replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, one => JSON.stringify(one).slice(1, -1))
