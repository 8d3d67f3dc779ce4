/*
 * A module: it answers a request of its own to the server, and counts the messages that go by.
 */
import { defineModule, Element, z } from 'meerkat-xmpp'

const NS = 'urn:example:greeter'

export default defineModule({
  name: 'mod_greeter',
  // Service discovery names it.
  features: [NS],
  config: z.strictObject({
    greeting: z.string().default('Hello').meta({ description: 'The first word of the answer.' }),
  }),

  start(server, { greeting }) {
    let messages = 0
    // Undone when the module stops; what is registered by `server.on...` is undone by itself.
    server.onStop(
      server.hooks.sent.observe({ kinds: ['message'] }, () => {
        messages += 1
      }),
    )
    server.onIq('host', 'get', NS, 'query', iq =>
      new Element('query', { xmlns: NS, messages }).t(`${greeting}, ${iq.from?.local}`),
    )
  },
})
