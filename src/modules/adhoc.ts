import { Element } from 'ltx'
import { z } from 'zod'
import { StanzaError } from '../protocols/errors.js'
import { NS } from '../protocols/namespaces.js'
import type { Stanza } from '../protocols/stanza/stanza.js'
import { iqdisc, unsupportedIqdisc } from './iqdisc.js'
import { defineModule, type ModuleServer } from './module.js'

interface Command {
  readonly node: string
  readonly name: string
  /** Carries it out and says what came of it. */
  run(): string
}

const commands: readonly Command[] = [{ node: 'ping', name: 'Ping', run: () => 'Pong' }]

const actions = ['execute', 'cancel', 'prev', 'next', 'complete']

export const adhoc = defineModule({
  name: 'mod_adhoc',
  implements: ['XEP-0050'],
  features: [NS.commands],
  shipped: {},
  config: z
    .strictObject({
      iqdisc: iqdisc(),
      report_commands_node: z
        .boolean()
        .default(false)
        .meta({ description: 'Names the commands in service discovery.', example: true }),
    })
    .meta({ description: 'Commands that users run on the server: `ping`.', example: {} }),
  unsupported: unsupportedIqdisc,

  start(server, { report_commands_node }) {
    offer(server, report_commands_node)
    server.onIq('host', 'set', NS.commands, 'command', iq => execute(iq))
  },
})

/** XEP-0050 §2.1, §2.2 */
function offer(server: ModuleServer, isReported: boolean): void {
  const { host } = server.discovery
  const identity = (type: string, name: string) => ({ category: 'automation', type, name })
  const items = commands.map(({ node, name }) => ({ jid: server.host, node, name }))
  const list = { identities: [identity('command-list', 'Commands')], features: [NS.commands], forms: [] }
  server.onStop(host.addNode(NS.commands, { info: list, items }))
  for (const { node, name } of commands) {
    const info = { identities: [identity('command-node', name)], features: [NS.commands], forms: [] }
    server.onStop(host.addNode(node, { info, items: [] }))
  }
  if (isReported) server.onStop(host.addItem({ jid: server.host, node: NS.commands, name: 'Commands' }))
}

/** Every command is done in one step, so no session is ever open. XEP-0050 §2.4, §4.2 */
function execute(iq: Stanza): Element {
  const { node, action = 'execute', sessionid } = iq.element.getChild('command', NS.commands)!.attrs
  const command = commands.find(one => one.node === node)
  if (command === undefined) throw new StanzaError('item-not-found', 'there is no such command')
  if (!actions.includes(action)) throw refusal('malformed-action')
  if (sessionid !== undefined) throw refusal('bad-sessionid')
  if (action !== 'execute' && action !== 'complete') throw refusal('bad-action')
  const answer = new Element('command', { xmlns: NS.commands, node, sessionid: iq.id, status: 'completed' })
  answer.c('note', { type: 'info' }).t(command.run())
  return answer
}

const refusal = (name: string) =>
  new StanzaError('bad-request', undefined, undefined, new Element(name, { xmlns: NS.commands }))
