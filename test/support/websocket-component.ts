import { once } from 'node:events'
import { onTestFinished } from 'vitest'
import WebSocket from 'ws'
import type { TestServer } from '../../src/testing.js'
import { httpPort } from './bosh.js'
import { componentHeader, digest } from './component.js'
import { eventually } from './server.js'

/*
 * A component over WebSocket: one XML stream, cut into messages. spec/websockets.md §6
 */

/** The text of all messages so far, and each message by itself. */
export class WebSocketComponent {
  readonly messages: string[] = []
  isClosed = false
  code = 0

  constructor(readonly socket: WebSocket) {
    socket.on('message', data => this.messages.push(String(data)))
    socket.on('error', () => undefined)
    socket.on('close', code => {
      this.isClosed = true
      this.code = code
    })
  }

  get text(): string {
    return this.messages.join('')
  }

  send(text: string): void {
    this.socket.send(text)
  }

  until(wanted: RegExp | string): Promise<string> {
    return eventually(() => {
      const isThere = typeof wanted === 'string' ? this.text.includes(wanted) : wanted.test(this.text)
      if (!isThere && this.isClosed) throw new Error(`closed before ${wanted}: ${this.text}`)
      return isThere && this.text
    })
  }

  closed(): Promise<string> {
    return eventually(() => this.isClosed && this.text)
  }
}

/** A component that has sent its handshake. */
export async function knock(
  server: TestServer,
  name: string,
  attributes = '',
  key = digest,
): Promise<WebSocketComponent> {
  const socket = new WebSocket(`ws://127.0.0.1:${httpPort(server)}/ws-xmpp`, ['xmpp'])
  onTestFinished(() => socket.terminate())
  const component = new WebSocketComponent(socket)
  await once(socket, 'open')
  component.send(componentHeader(name, attributes))
  const id = / id='([^']*)'/.exec(await component.until(/<stream:stream [^>]*>/))?.[1] ?? ''
  component.send(`<handshake>${key(id)}</handshake>`)
  return component
}

/** A component that is let in. */
export async function enter(server: TestServer, name: string, attributes = ''): Promise<WebSocketComponent> {
  const component = await knock(server, name, attributes)
  await component.until('<handshake/>')
  return component
}
