/*
 * Changes as they happen, over SSE; and whether the server is there at all.
 */
import { address } from './api.js'

const types = ['spawned', 'stopped', 'faulted', 'restarted', 'hibernated', 'overflowed']
/** How long to wait before the server is tried again, in ms, the longer the more often. */
const AGAIN = [1000, 2000, 4000, 8000]

/**
 * Listens until the page is left.
 * @param {{ changed(type: string, data: object): void, leftOut(data: object): void, state(state: 'waiting' | 'live' | 'lost'): void }} tell
 */
export function listenToChanges(tell) {
  let tries = 0
  let source
  const connect = () => {
    source = new EventSource(address('actors/events'))
    source.addEventListener('hello', () => {
      tries = 0
      tell.state('live')
    })
    for (const type of types) source.addEventListener(type, event => tell.changed(type, JSON.parse(event.data)))
    source.addEventListener('left-out', event => tell.leftOut(JSON.parse(event.data)))
    source.addEventListener('error', () => {
      source.close()
      tell.state('lost')
      setTimeout(connect, AGAIN[Math.min(tries++, AGAIN.length - 1)])
    })
  }
  tell.state('waiting')
  connect()
  addEventListener('pagehide', () => source.close())
  // Back from the browser's cache, where the stream had ended.
  addEventListener('pageshow', event => event.persisted && connect())
}

/** Reads SSE from a response that EventSource cannot ask for. Calls `got` for each event; resolves at the end. */
export async function readEvents(response, got) {
  let rest = ''
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return
    const events = (rest + value).replaceAll('\r\n', '\n').split('\n\n')
    rest = events.pop()
    for (const text of events) {
      const event = parse(text)
      if (event !== undefined) got(event.type, event.data)
    }
  }
}

function parse(text) {
  let type = 'message'
  const data = []
  for (const line of text.split('\n')) {
    if (line.startsWith('event:')) type = line.slice(6).trim()
    else if (line.startsWith('data:')) data.push(line.slice(5).trimStart())
  }
  return data.length === 0 ? undefined : { type, data: JSON.parse(data.join('\n')) }
}
