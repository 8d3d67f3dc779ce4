/*
 * The server as a whole: its listeners, its process, and what can be done to it.
 */
import { heapSnapshotButton, logLevelButton } from './actions.js'
import { choice, element, field } from './dom.js'
import { bytes, count, duration, measured } from './format.js'

const levels = ['none', 'emergency', 'alert', 'critical', 'error', 'warning', 'notice', 'info', 'debug', 'all']

/** @param {(path: string) => void} show goes to a listener's actor */
export function startServerPanel(panel, show) {
  const facts = element('dl', { class: 'facts' })
  const listeners = element('div')
  const deeds = element('div', { class: 'deeds' })
  panel.append(part('Process'), facts, part('Listeners'), listeners, deeds)
  let isBuilt = false
  return {
    update(summary) {
      facts.replaceChildren(
        ...factsOf(summary).flatMap(([name, value]) => [element('dt', {}, name), element('dd', {}, value)]),
      )
      listeners.replaceChildren(table(summary.listeners, show))
      if (summary.mayAct === isBuilt) return
      isBuilt = summary.mayAct
      deeds.replaceChildren(...(isBuilt ? deedsOf(summary) : []))
    },
  }
}

const part = title => element('h3', { class: 'part' }, title)

const factsOf = ({ version, node, pid, state, uptimeMs, hosts, logLevel, memory, loop, cpu, runtime }) => [
  ['state', state],
  ['serves', hosts.join(', ')],
  ['up', duration(uptimeMs)],
  ['version', `${version}, Node ${String(node).replace(/^v/, '')}, process ${pid}`],
  ['memory', `${bytes(memory.rss)}, of it JavaScript ${bytes(memory.heapUsed)}`],
  ['processor', `${measured((cpu.user + cpu.system) * 100)} % of a core`],
  ['loop delay', `${measured(loop.p50Ms)} ms, p99 ${measured(loop.p99Ms)} ms, most ${measured(loop.maxMs)} ms`],
  ['actors', `${count(runtime.actors)}, spawned ${count(runtime.spawned)}, stopped ${count(runtime.stopped)}`],
  ['faults', `${count(runtime.faults)}, full mailboxes ${count(runtime.overflows)}`],
  ['log level', logLevel],
]

function table(listeners, show) {
  const head = ['Listener', 'Connections', 'Sessions'].map(text => element('th', { scope: 'col' }, text))
  const rows = listeners.map(({ name, path, connections, sessions }) =>
    element(
      'tr',
      {},
      element(
        'th',
        { scope: 'row' },
        element('button', { type: 'button', class: 'where-link mono', on: { click: () => show(path) } }, name),
      ),
      element('td', {}, count(connections)),
      element('td', {}, count(sessions)),
    ),
  )
  return element(
    'table',
    { class: 'listeners' },
    element('thead', {}, element('tr', {}, head)),
    element('tbody', {}, rows),
  )
}

function deedsOf({ logLevel }) {
  const level = choice('level', levels, logLevel)
  const [set, said] = logLevelButton(
    () => level.value,
    value => {
      level.value = value
    },
  )
  return [
    part('Log'),
    element('div', { class: 'deed' }, field('Level', level), set, said),
    part('Memory'),
    element('div', { class: 'buttons' }, heapSnapshotButton()),
  ]
}
