/*
 * What can be done to the server, where it has credentials configured: never without being asked once more.
 */
import { post } from './api.js'
import { confirmed } from './confirm.js'
import { element } from './dom.js'
import { bytes, duration } from './format.js'
import { tell } from './told.js'

/** A button that asks, does, and says beside it how it went. */
function actionButton(label, { question, text, path, body, done, tone, timeout }) {
  const said = element('span', { class: 'said', role: 'status' })
  const button = element('button', { type: 'button', class: tone }, label)
  button.addEventListener('click', async () => {
    if (!(await confirmed(question, text, label))) return
    button.disabled = true
    said.textContent = ''
    try {
      said.textContent = done(await post(path, body(), timeout))
      tell(said.textContent)
    } catch (error) {
      said.textContent = error.message
    } finally {
      button.disabled = false
    }
  })
  return [button, said]
}

/** What can be done to an actor, as `actors/detail` describes it. */
export function actorButtons({ actor, supervision }) {
  const { path, name, childCount, details } = actor
  const body = () => ({ path })
  const below = childCount > 0 ? ' Everything below it ends first.' : ''
  const buttons = []
  if (typeof details.jid === 'string' && details.jid.includes('/')) {
    buttons.push(
      ...actionButton('Disconnect', {
        question: `Disconnect ${details.jid}?`,
        text: 'The client is told and its connection closes. Most clients connect again by themselves.',
        path: 'sessions/kick',
        body: () => ({ jid: details.jid }),
        done: () => 'Disconnected.',
        tone: 'danger',
      }),
    )
  }
  if (supervision.mayRestart) {
    buttons.push(
      ...actionButton('Restart', {
        question: `Restart ${name}?`,
        text: `A new actor takes its place under the same name.${below}`,
        path: 'actors/restart',
        body,
        done: () => 'Restarted.',
      }),
    )
  }
  // Root and its branches are the server, and what would be missed is only restarted: the server answers 409.
  if (path.split('/').length > 3 && !supervision.mayRestart) {
    buttons.push(
      ...actionButton('Stop', {
        question: `Stop ${name}?`,
        text: `It ends, and nothing starts it again while the server runs.${below}`,
        path: 'actors/stop',
        body,
        done: () => 'Stopped.',
        tone: 'danger',
      }),
    )
  }
  return buttons
}

/** What can be done to the whole server. */
export function heapSnapshotButton() {
  return actionButton('Write a heap snapshot', {
    question: 'Write a heap snapshot?',
    text: 'The server stands still while it writes: seconds, and longer with much memory. The file holds everything that the server knows, secrets too.',
    path: 'heap-snapshot',
    body: () => ({}),
    // Large heaps take minutes.
    timeout: 600_000,
    done: ({ file, bytes: size, ms }) => `${file}, ${bytes(size)}, in ${ms < 1000 ? `${ms} ms` : duration(ms)}`,
  })
}

/** A button that sets the log level that `level()` gives. */
export function logLevelButton(level, changed) {
  return actionButton('Set', {
    question: 'Change the log level?',
    text: 'It holds until it is changed again or the server restarts.',
    path: 'log-level',
    body: () => ({ level: level() }),
    done(answer) {
      changed(answer.level)
      return `${answer.level}, before ${answer.before}`
    },
  })
}
