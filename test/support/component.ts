import { createHash } from 'node:crypto'
import { onTestFinished } from 'vitest'
import type { Server } from '../../src/server.js'
import type { Client } from './client.js'
import { connect } from './client.js'
import { eventually } from './server.js'

/*
 * The tests' component (XEP-0114): the raw client on a stream of the other namespace.
 */

export const COMPONENT_NS = 'jabber:component:accept'
export const SECRET = 'secret'

export interface ComponentOptions {
  password?: string
  /** More of the stream header, such as `is_subdomain='true'`. */
  attributes?: string
}

/** Where the server's nth service listener listens. */
export const servicePort = (server: Pick<Server, 'addresses'>, index = 0): number =>
  server.addresses.filter(({ protocol }) => protocol === 'service')[index]?.port ?? 0

export const componentHeader = (to: string, attributes = '') =>
  `<?xml version='1.0'?><stream:stream xmlns='${COMPONENT_NS}' xmlns:stream='http://etherx.jabber.org/streams' to='${to}' ${attributes}>`

export const digest = (id: string, password = SECRET) => createHash('sha1').update(`${id}${password}`).digest('hex')

/** A connection that has opened its stream and sent its handshake; dropped when the running test ends. */
export async function knock(port: number, name: string, options: ComponentOptions = {}): Promise<Client> {
  const component = await connect({ port, domain: name, namespace: COMPONENT_NS })
  onTestFinished(() => component.drop())
  await component.send(componentHeader(name, options.attributes))
  const header = await eventually(() => component.header)
  await component.send(`<handshake>${digest(header.attrs.id, options.password)}</handshake>`)
  return component
}

/** A component that is let in. */
export async function componentOf(port: number, name: string, options: ComponentOptions = {}): Promise<Client> {
  const component = await knock(port, name, options)
  await component.receives('<handshake/>')
  return component
}

let asked = 0

/** An IQ request of a component and its answer. */
export async function ask(component: Client, from: string, to: string, payload: string, type = 'get') {
  asked++
  const id = `c${asked}`
  await component.send(`<iq type='${type}' id='${id}' from='${from}' to='${to}'>${payload}</iq>`)
  return component.receives(`<iq id='${id}' from='${to}'/>`)
}

/** Resolves when the server has handled everything that this component sent. */
export async function settled(component: Client, from = component.domain, host = 'localhost'): Promise<void> {
  await ask(component, from, host, `<ping xmlns='urn:xmpp:ping'/>`)
}
