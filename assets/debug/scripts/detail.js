/*
 * One actor: what it is, what waits for it, what it did last; looked at again while it is shown.
 */

import { actorButtons } from './actions.js'
import { find } from './api.js'
import { element, setText } from './dom.js'
import { bytes, count, duration, measured, timeOfDay, words } from './format.js'
import { History, sparkline } from './sparkline.js'
import { isShown } from './tabs.js'

/** The panel of the actor that is chosen. */
export class Detail {
  #path
  #asked = 0
  #charts
  #last

  /** `mayAct`: whether the server takes orders; `gone(path)`: the actor is no more. */
  constructor(panel, { mayAct, show, gone }) {
    this.panel = panel
    this.mayAct = mayAct
    this.goTo = show
    this.gone = gone
    this.#empty('Choose an actor in the tree.')
  }

  get path() {
    return this.#path
  }

  async choose(path) {
    if (path === this.#path) return this.refresh()
    this.#path = path
    this.#charts?.remove()
    this.#charts = undefined
    this.#last = undefined
    await this.refresh()
  }

  /** Looks again, when anybody can see it. */
  async refresh() {
    if (this.#path === undefined || !isShown('tab-actor')) return
    const path = this.#path
    const number = ++this.#asked
    const found = await find('actors/detail', { path })
    if (number !== this.#asked) return
    if (found === undefined) this.#end(path)
    else this.#draw(found)
  }

  #end(path) {
    this.#charts?.remove()
    this.#charts = undefined
    this.#path = undefined
    this.#empty(`${path} is no more.`)
    this.gone(path)
  }

  #empty(text) {
    this.panel.replaceChildren(element('p', { class: 'note' }, text))
  }

  #draw(found) {
    const { actor } = found
    if (this.#charts === undefined) this.#build(actor)
    this.#measure(actor)
    setText(this.title, actor.details.jid ?? actor.name)
    this.tags.replaceChildren(
      ...tagsOf(actor).map(([text, tone]) => element('span', { class: 'tag', 'data-tone': tone }, text)),
    )
    this.facts.replaceChildren(...this.#parts(found))
    const key = JSON.stringify([this.mayAct(), found.supervision.mayRestart, actor.details.jid])
    if (this.buttonsFor !== key) {
      this.buttonsFor = key
      this.buttons.replaceChildren(...(this.mayAct() ? actorButtons(found) : []))
    }
  }

  #build({ path }) {
    this.title = element('h2', { class: 'actor-title' })
    this.tags = element('div', { class: 'tags' })
    this.buttons = element('div', { class: 'buttons' })
    this.buttonsFor = undefined
    this.facts = element('div')
    this.rate = chart('Messages a second')
    this.mailbox = chart('Waiting in its mailbox')
    this.panel.replaceChildren(
      this.title,
      element('p', { class: 'actor-path mono' }, path),
      this.tags,
      element('div', { class: 'charts' }, this.rate.element, this.mailbox.element),
      this.buttons,
      this.facts,
    )
    const lines = [this.rate, this.mailbox].map(one => one.start())
    this.#charts = {
      remove: () => lines.forEach(line => void line.remove()),
      update: () => lines.forEach(line => void line.update()),
    }
  }

  #measure({ messages, mailbox, waitingStanzas }) {
    const at = Date.now()
    const before = this.#last
    const seconds = before === undefined ? 0 : (at - before.at) / 1000
    if (before === undefined || seconds > 0.2) this.#last = { at, messages }
    if (seconds > 0.2) {
      const rate = Math.max(0, messages - before.messages) / seconds
      this.rate.push(at, rate, measured(rate))
    }
    const waiting = Math.max(mailbox, waitingStanzas)
    this.mailbox.push(at, waiting, count(waiting))
    this.#charts.update()
  }

  #parts({ actor, parent, supervision, waiting, recent, sections }) {
    const list = (title, values) => (Object.keys(values).length === 0 ? [] : [part(title), facts(values)])
    const queued = [...waiting.control, ...waiting.stanzas]
    return [
      ...list('Counters', countersOf(actor)),
      ...(actor.lastFault === undefined ? [] : [part('Last fault'), element('p', { class: 'mono' }, actor.lastFault)]),
      ...Object.entries(sections).flatMap(([name, values]) => list(capital(words(name)), values)),
      ...(Object.keys(sections).length === 0 ? list('State', actor.details) : []),
      part('Supervision'),
      facts({
        'when it fails': policyText(supervision.policy),
        'mailbox limit': supervision.mailboxLimit ?? 'none',
        'rests after': supervision.hibernateAfterMs === null ? 'never' : duration(supervision.hibernateAfterMs),
      }),
      parent === null ? undefined : this.#link('Supervised by', parent),
      ...(queued.length === 0 ? [] : [part('Waiting'), element('p', { class: 'mono' }, queued.join(', '))]),
      part('Last messages'),
      recentList(recent),
    ].filter(Boolean)
  }

  #link(text, path) {
    const button = element(
      'button',
      { type: 'button', class: 'where-link mono', on: { click: () => this.goTo(path) } },
      path,
    )
    return element('p', { class: 'supervised' }, `${text} `, button)
  }
}

function chart(title) {
  const output = element('output', { 'aria-live': 'off' }, '\u2013')
  const spark = element('div', { class: 'spark' })
  const history = new History()
  return {
    element: element('section', { class: 'chart' }, element('h3', {}, title), output, spark),
    start: () => sparkline(spark, history),
    push(at, value, text) {
      history.push(at, value)
      setText(output, text)
    },
  }
}

const part = title => element('h3', { class: 'part' }, title)

const facts = values =>
  element(
    'dl',
    { class: 'facts' },
    Object.entries(values)
      .filter(([, value]) => value !== '')
      .flatMap(([name, value]) => [element('dt', {}, words(name)), element('dd', {}, valueText(name, value))]),
  )

function valueText(name, value) {
  if (typeof value === 'boolean') return value ? 'yes' : 'no'
  if (typeof value !== 'number') return value
  if (/^bytes|Bytes$/.test(name)) return bytes(value)
  if (/(?:At|Until|Since)$/.test(name) && value > 1e12) return new Date(value).toLocaleString('en-GB')
  if (/Ms$/.test(name)) return duration(value)
  // A port is a name that happens to be a number.
  return /^port$|Port$/.test(name) ? String(value) : count(value)
}

const capital = text => text.charAt(0).toUpperCase() + text.slice(1)

const countersOf = ({ messages, turns, mailboxPeak, faults, restarts, hibernations, startedAt, childCount }) => ({
  messages,
  turns,
  'longest mailbox': mailboxPeak,
  ...(childCount > 0 && { children: childCount }),
  ...(faults > 0 && { faults }),
  ...(restarts > 0 && { restarts }),
  ...(hibernations > 0 && { 'times at rest': hibernations }),
  ...(startedAt > 0 && { started: `${duration(Date.now() - startedAt)} ago` }),
})

const tagsOf = ({ kind, state, faults, restarts }) => [
  [kind],
  [state === 'hibernated' ? 'at rest' : state],
  ...(faults > 0 ? [[faults === 1 ? '1 fault' : `${count(faults)} faults`, 'bad']] : []),
  ...(restarts > 0 ? [[restarts === 1 ? 'restarted once' : `restarted ${count(restarts)} times`]] : []),
]

function policyText(policy) {
  switch (policy) {
    case 'stop':
      return 'it ends'
    case 'resume':
      return 'it goes on with the next message'
    case 'escalate':
      return 'its supervisor fails'
    default:
      return `it restarts, at most ${policy.restarts} times in ${duration(policy.withinMs)}`
  }
}

const MOST_RECENT = 15

function recentList({ types }) {
  if (types.length === 0) return element('p', { class: 'note' }, 'None since you began to look.')
  const newest = types.slice(-MOST_RECENT).reverse()
  return element(
    'ol',
    { class: 'recent', 'aria-label': 'Last messages, the newest first' },
    newest.map(({ at, type }) => element('li', {}, element('time', { class: 'when' }, timeOfDay(at)), ' ', type)),
  )
}
