/*
 * A program with actors of its own, of nact, that takes the server into its system. Its counter is a stock actor: who writes to it hears
 * how many messages it has had.
 */
import { type Component, Element, type Server, Stanza } from 'meerkat-xmpp'
import { type ActorSystemRef, dispatch, spawn } from 'nact'

/** Serves `domain` by an actor of the program: stanzas come as its messages, and go by nact's `dispatch` to the component. */
export function countOn(system: ActorSystemRef, server: Server, domain: string): Component {
  const counter = spawn(
    system,
    (count: number | undefined, xml: string) => {
      const { kind, element } = Stanza.parse(xml)
      // What answers an error could go round for ever. RFC 6120 §8.3.1
      if (kind !== 'message' || element.attrs.type === 'error') return count
      const { from, to, type } = element.attrs
      const had = (count ?? 0) + 1
      const reply = new Element('message', { from: to, to: from, ...(type && { type }) })
      reply.c('body').t(String(had))
      dispatch(component.ref, reply.toString())
      return had
    },
    'counter',
  )
  const component = server.component(domain, counter)
  return component
}
