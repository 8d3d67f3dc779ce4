/*
 * A bot that says again what it is told. It has a domain of its own, and no connection: it runs in the server's process.
 */
import { type Component, Element, type Server, Stanza } from 'meerkat-xmpp'

/** Serves `domain`. The handler gets one stanza at a time; should it throw, the sender gets an error and the server goes on. */
export const echo = (server: Server, domain: string): Component =>
  server.component(domain, (xml, component) => {
    const { kind, element } = Stanza.parse(xml)
    const body = element.getChildText('body')
    // What answers an error could go round for ever. RFC 6120 §8.3.1
    if (kind !== 'message' || element.attrs.type === 'error' || body === null) return
    const { from, to, type } = element.attrs
    const reply = new Element('message', { from: to, to: from, ...(type && { type }) })
    reply.c('body').t(body)
    component.send(reply.toString())
  })
