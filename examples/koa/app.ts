/*
 * A server inside a koa application: one process, one start, one stop. The page shows who wrote how much, and announces.
 */
import Koa from 'koa'
import { Element, type Server, Stanza } from 'meerkat-xmpp'

/** The application around a server that runs. */
export function application(server: Server): Koa {
  /** Messages by bare JID. */
  const written = new Map<string, number>()
  server.onStanza(xml => {
    const { kind, from } = Stanza.parse(xml)
    if (kind !== 'message' || from === undefined) return
    const account = from.bareText
    written.set(account, (written.get(account) ?? 0) + 1)
  })

  return new Koa().use(context => {
    const { method, path, query } = context
    if (method === 'GET' && path === '/') {
      const { state, sessions } = server.status()
      context.body = { state, sessions, written: Object.fromEntries(written) }
    }
    if (method === 'POST' && path === '/announce') {
      const message = new Element('message', { from: 'localhost', to: String(query.to), type: 'headline' })
      message.c('body').t(String(query.text))
      server.route(message.toString())
      context.status = 204
    }
  })
}
