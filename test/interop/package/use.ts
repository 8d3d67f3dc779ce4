/*
 * Not run: compiled in a folder where the package is installed, under both ways in which programs find its types.
 */
import { defineModule, Element, startServer, z } from 'meerkat-xmpp'
import { Actor, createRuntime, spawnActor } from 'meerkat-xmpp/actors'
import { createClient } from 'meerkat-xmpp/client'
import { startTestServer } from 'meerkat-xmpp/testing'

const greeter = defineModule({
  name: 'mod_greeter',
  config: z.strictObject({ greeting: z.string().default('hello') }),
  start(server, options) {
    const greeting: string = options.greeting
    server.onIq('host', 'get', 'urn:example', 'query', iq => {
      const local: string | undefined = iq.from?.local
      return new Element('query').t(`${greeting} ${local}`)
    })
  },
})
const server = await startTestServer({ ownModules: [greeter] })
const port: number = server.port

class Greeter extends Actor<string> {
  protected override receive(name: string) {
    console.log(name, port)
  }
}
const actor: Greeter = spawnActor(createRuntime({ onFault: console.error }).root, init => new Greeter(init))
// @ts-expect-error its messages are strings
actor.tell(3)
// @ts-expect-error an element has no such method
new Element('a').nothing()
// @ts-expect-error a port is no string
const wrong: string = port

export { createClient, startServer, wrong }
