/*
 * Stanzas as they pass, when the server may be asked for them: a filter, a limit, a bounded list.
 */
import { address } from './api.js'
import { choice, element, field } from './dom.js'
import { bytes, counted, timeOfDay } from './format.js'
import { readEvents } from './live.js'
import { tell } from './told.js'

const MOST = 300

/** Builds the tracer in the panel; `allow` says whether the server takes orders. */
export function startTracer(panel) {
  const why = element(
    'p',
    { class: 'note' },
    'The tracer needs credentials: set username and password of meerkat_debug in the configuration.',
  )
  const form = traceForm()
  const note = element('p', { class: 'note', role: 'status' })
  const list = element('ol', { class: 'traced', 'aria-label': 'Traced stanzas, the newest first' })
  panel.append(why, form.element, note, list)
  let running

  async function start() {
    running = new AbortController()
    list.replaceChildren()
    form.run(true)
    note.textContent = 'Waiting for stanzas'
    try {
      const response = await ask(form.values(), running.signal)
      await readEvents(response, (type, data) => got[type]?.(data))
      if (!running.signal.aborted && note.dataset.ended === undefined) note.textContent = 'The server ended the trace.'
    } catch (error) {
      note.textContent = running.signal.aborted
        ? `Stopped after ${counted(list.childElementCount, 'stanza')}.`
        : error.message
    } finally {
      running = undefined
      form.run(false)
    }
  }

  const got = {
    started: ({ count, seconds }) => {
      delete note.dataset.ended
      note.textContent = `Traces up to ${counted(count, 'stanza')} for ${counted(seconds, 'second')}`
    },
    stanza(stanza) {
      list.prepend(tracedLine(stanza))
      if (list.childElementCount > MOST) list.lastElementChild.remove()
    },
    'left-out': ({ total }) => {
      note.textContent = `${counted(total, 'stanza')} came too fast for this page and were left out`
    },
    ended({ why, seen, leftOut }) {
      note.dataset.ended = why
      const reason = {
        count: 'the number asked for was reached',
        time: 'the time was over',
        stopped: 'it was stopped',
      }[why]
      note.textContent = `${counted(seen, 'stanza')}${leftOut > 0 ? `, ${leftOut} left out` : ''}: ${reason}.`
      tell(note.textContent)
    },
  }

  form.element.addEventListener('submit', event => {
    event.preventDefault()
    if (running === undefined) void start()
  })
  form.stop.addEventListener('click', () => running?.abort())
  form.clear.addEventListener('click', () => {
    list.replaceChildren()
    note.textContent = ''
  })
  return {
    allow(mayAct) {
      why.hidden = mayAct
      form.element.hidden = !mayAct
    },
  }
}

async function ask(body, signal) {
  const headers = { 'content-type': 'application/json' }
  const response = await fetch(address('trace'), { method: 'POST', headers, body: JSON.stringify(body), signal })
  if (response.ok) return response
  const answer = await response.json().catch(() => ({}))
  throw new Error(answer.error ?? `${response.status} ${response.statusText}`)
}

function traceForm() {
  const input = (name, attributes) =>
    element('input', { name, autocomplete: 'off', spellcheck: 'false', ...attributes })
  const number = (name, value, max) => input(name, { type: 'number', value, min: 1, max, required: true })
  const all = one => {
    one.classList.add('all')
    return one
  }
  const bodies = input('bodies', { type: 'checkbox', id: 'trace-bodies' })
  const start = element('button', { type: 'submit', class: 'main-action' }, 'Start')
  const stop = element('button', { type: 'button', disabled: true }, 'Stop')
  const clear = element('button', { type: 'button', class: 'quiet' }, 'Clear')
  const form = element(
    'form',
    { class: 'form', autocomplete: 'off', 'aria-label': 'What to trace' },
    all(field('From, to or of the JID', input('jid', { placeholder: 'romeo@localhost, or a domain' }))),
    field('Kind', choice('kind', [['', 'any'], 'message', 'presence', 'iq'], '')),
    field(
      'Direction',
      choice(
        'direction',
        [
          ['', 'both'],
          ['sent', 'sent to us'],
          ['received', 'sent by us'],
        ],
        '',
      ),
    ),
    field(
      'Other end',
      choice(
        'via',
        [
          ['', 'any'],
          ['client', 'clients'],
          ['component', 'components'],
          ['server', 'other servers'],
        ],
        '',
      ),
    ),
    field('Namespace of the payload', input('namespace', { placeholder: 'jabber:iq:roster' })),
    field('At most, stanzas', number('count', 100, 1000)),
    field('For, seconds', number('seconds', 60, 600)),
    element('div', { class: 'check' }, bodies, element('label', { for: 'trace-bodies' }, 'Show what people write')),
    element('div', { class: 'buttons' }, start, stop, clear),
  )
  return {
    element: form,
    stop,
    clear,
    run(isRunning) {
      start.disabled = isRunning
      stop.disabled = !isRunning
    },
    /** What is empty is not asked for. */
    values() {
      const given = Object.fromEntries(
        [...new FormData(form)].filter(([name, value]) => value !== '' && name !== 'bodies'),
      )
      return { ...given, count: Number(given.count), seconds: Number(given.seconds), bodies: bodies.checked }
    },
  }
}

function tracedLine({ at, direction, via, peer, kind, type, namespace, bytes: size, xml, isCut }) {
  const who = via === 'client' ? peer : `${via} ${peer}`
  const way = direction === 'sent' ? `${who} sent` : `${who} received`
  return element(
    'li',
    {},
    element(
      'div',
      { class: 'line' },
      element('time', { class: 'when' }, timeOfDay(at)),
      element('span', { class: 'kind' }, type === null ? kind : `${kind} ${type}`),
      element('span', { class: 'way' }, way),
      element(
        'span',
        { class: 'note' },
        [namespace === 'jabber:client' ? null : namespace, bytes(size)].filter(Boolean).join(', '),
      ),
    ),
    typeof xml === 'string' ? element('pre', { tabindex: '0' }, isCut ? `${xml} \u2026` : xml) : undefined,
  )
}
