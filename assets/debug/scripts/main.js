/*
 * Puts the page together: the tree is asked for again and again, changes come by themselves, and every part is told of both.
 */
import { get } from './api.js'
import { Detail } from './detail.js'
import { byId, setText } from './dom.js'
import { makeFeed } from './feed.js'
import { Forest } from './forest.js'
import { bytes, compact, count, counted, duration, measured } from './format.js'
import { listenToChanges } from './live.js'
import { Rounds } from './rounds.js'
import { startSearch } from './search.js'
import { startServerPanel } from './server-panel.js'
import * as source from './source.js'
import { onTab, showTab, startTabs } from './tabs.js'
import { startTheme } from './theme.js'
import { startTelling, tell } from './told.js'
import { startTracer } from './tracer.js'
import { TreeController } from './tree-controller.js'
import { startVitals } from './vitals.js'

startTelling(byId('told'))
startTabs(byId('tabs'))

const tree = new TreeController(new Forest(source), { chosen: path => choose(path), changed: () => rounds.soon() })
const detail = new Detail(byId('panel-actor'), {
  mayAct: () => summary?.mayAct === true,
  show: path => tree.show(path),
  gone: path => tell(`${path} is no more`),
})
const show = path => tree.show(path)
const faults = makeFeed(byId('panel-faults'), {
  title: 'Faults, the newest first',
  nothing: 'No actor has failed.',
  show,
})
const changes = makeFeed(byId('panel-changes'), {
  title: 'Changes, the newest first',
  nothing: 'Nothing has changed yet.',
  show,
})
const tracer = startTracer(byId('panel-tracer'))
const serverPanel = startServerPanel(byId('panel-server'), show)
const vitals = startVitals(byId('vitals'), [
  { name: 'actors', title: 'Actors', show: compact },
  { name: 'sessions', title: 'Sessions', show: compact },
  { name: 'messages', title: 'Messages', unit: '/s', show: measured },
  { name: 'stanzas', title: 'Stanzas in', unit: '/s', show: measured },
  { name: 'loop', title: 'Loop delay, p99', unit: 'ms', show: measured },
  { name: 'memory', title: 'Memory', show: bytes },
])

let summary
/** Faults that came since the tab of faults was looked at. */
let unseen = 0

async function choose(path) {
  showTab('tab-actor')
  await rounds.guarded(() => detail.choose(path))
}

async function look() {
  const [now] = await Promise.all([get('summary'), tree.refresh(), detail.refresh()])
  if (summary !== undefined && now.pid !== summary.pid) tell('The server has started again')
  summary = now
  tree.note(now.listeners)
  tree.draw()
  showSummary(now)
}

function showSummary({ at, version, state, uptimeMs, hosts, sessions, runtime, rates, loop, memory, mayAct }) {
  const standing = state === 'running' ? `up ${duration(uptimeMs)}` : state
  setText(byId('about'), `${hosts.join(', ')}, ${standing}, version ${version}`)
  vitals.update(at, {
    actors: runtime.actors,
    sessions,
    messages: rates['actors.messages'],
    stanzas: rates.stanzasIn,
    loop: loop.p99Ms,
    memory: memory.rss,
  })
  tracer.allow(mayAct)
  serverPanel.update(summary)
}

const lights = {
  spawned: () => 'spawned',
  stopped: ({ reason }) => `stopped: ${reason}`,
  faulted: ({ during, action }) => `failed in ${during}, ${deeds[action] ?? action}`,
  restarted: ({ restarts }) => (restarts > 0 ? `restarted, ${counted(restarts, 'time')} so far` : 'restarted by order'),
  hibernated: () => 'at rest',
  overflowed: ({ waiting, limit }) => `its mailbox is full: ${count(waiting)} of ${count(limit)}`,
}
const deeds = {
  stop: 'ended',
  resume: 'goes on',
  escalate: 'its supervisor fails',
  restart: 'restarts',
  none: 'goes on',
}

function changed(type, data) {
  const { at, path } = data
  if (path !== null) tree.light(path, type)
  const entry = { at, path: path ?? '', what: lights[type](data), light: type, cause: data.cause }
  // Rest comes and goes with every message: the tree shows it, a list of it tells nothing.
  if (type !== 'hibernated') changes.add(entry)
  if (type === 'faulted' || type === 'overflowed') fault(entry)
  if (type === 'restarted') tell(`${path} restarted`)
  if (type !== 'hibernated') rounds.soon()
}

function fault(entry) {
  faults.add(entry)
  tell(`${entry.path} ${entry.what}`)
  if (byId('tab-faults').getAttribute('aria-selected') !== 'true') unseen++
  showUnseen()
}

function showUnseen() {
  const badge = byId('fault-count')
  badge.hidden = unseen === 0
  setText(badge, compact(unseen))
}

/** Those of before the page was opened. */
async function earlierFaults() {
  const { items } = await source.list({ faults: 1 }, 0, 20)
  for (const { path, lastFault, faults: number, startedAt } of items) {
    faults.add({
      at: startedAt,
      path,
      what: `${counted(number, 'fault')} before this page was opened`,
      light: 'faulted',
      cause: lastFault,
    })
  }
}

function leftOut({ at, counts, total }) {
  const kinds = Object.entries(counts).map(([type, number]) => `${type} ${count(number)}`)
  changes.add({ at, path: '', what: `${count(total)} more, too many to list: ${kinds.join(', ')}`, light: 'stopped' })
  rounds.soon()
}

const states = { waiting: 'Connecting', live: 'Live', lost: 'The server is away, trying again' }

function showState(state) {
  const place = byId('link-state')
  if (place.dataset.state === state) return
  place.dataset.state = state
  setText(place, states[state])
  document.body.dataset.link = state
  if (state === 'live') rounds.soon()
}

const rounds = new Rounds(look, { failed: () => showState('lost') })

onTab(id => {
  if (id === 'tab-actor') void rounds.guarded(() => detail.refresh())
  if (id !== 'tab-faults') return
  unseen = 0
  showUnseen()
})
startTheme(byId('theme'), () => tree.draw())
startSearch(show)
await rounds.guarded(() => tree.start())
rounds.start()
listenToChanges({ changed, leftOut, state: showState })
void rounds.guarded(earlierFaults)
