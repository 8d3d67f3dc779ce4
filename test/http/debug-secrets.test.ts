import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import type { ActorInfo } from '../../src/actors/runtime/index.js'
import { componentOf, servicePort } from '../support/component.js'
import { ask, debugListener, EventReader } from '../support/debug-client.js'
import { freePort } from '../support/programs.js'
import { PASSWORD, session, startedServer } from '../support/server.js'

const certfile = join(import.meta.dirname, '../support/certificates/rsa.pem')
/** Of the private key, as base64. */
const key = /BEGIN (?:RSA )?PRIVATE KEY-----\s+(\S{40})/.exec(readFileSync(certfile, 'utf8'))?.[1] ?? ''

it('no answer about a server holds a password, a secret of a component or of servers, SASL data, or a key', async () => {
  const component = 'hush-of-the-component'
  const dialback = 'hush-of-dialback'
  const server = await startedServer({
    users: ['romeo'],
    listener: { tls: { mode: 'starttls', certfile } },
    config: {
      listen: {
        ...debugListener,
        service: [{ port: 0, ip_address: '127.0.0.1', num_acceptors: 1, password: component }],
        s2s: [{ port: await freePort(), ip_address: '127.0.0.1', num_acceptors: 1 }],
      },
      s2s: {
        use_starttls: 'false',
        shared: dialback,
        address: [{ host: 'b.example', ip_address: '127.0.0.1', port: 9 }],
      },
    },
  })
  const reader = await EventReader.open(server, 'actors/events')
  await reader.until('hello')
  const traced = await EventReader.open(server, 'trace', { bodies: true, seconds: 600 })
  await traced.until('started')
  await componentOf(servicePort(server), 'echo.localhost', { password: component })
  const romeo = await session(server, 'romeo', { tls: 'starttls', tlsOptions: { servername: 'localhost' } })
  await romeo.send(`<message to='x@b.example'/>`)
  await romeo.ask(
    'set',
    `<query xmlns='jabber:iq:register'><username>romeo</username><password>${PASSWORD}</password></query>`,
  )
  await traced.until('stanza', { kind: 'iq' })

  const answers: string[] = []
  const look = async (path: string) => {
    const { status, json } = await ask(server, path)
    expect(status).toBe(200)
    answers.push(JSON.stringify(json))
    return json
  }
  const tree: ActorInfo = await look('actors?depth=10&limit=1000&counts=true')
  await Promise.all(['actors?view=brief&depth=10', 'actors?state=idle,hibernated', 'summary', 'sessions'].map(look))
  const paths: string[] = []
  const visit = ({ path, children }: ActorInfo): void => {
    paths.push(path)
    for (const child of children?.items ?? []) visit(child)
  }
  visit(tree)
  expect(paths.length).toBeGreaterThan(10)
  for (const path of paths) answers.push(JSON.stringify((await ask(server, `actors/detail?path=${path}`)).json))
  answers.push(JSON.stringify(reader.events), JSON.stringify(traced.events))

  const all = answers.join('\n')
  expect(all).toContain('romeo@localhost')
  expect(all).toContain('echo.localhost')
  expect(key).toHaveLength(40)
  const basic = Buffer.from('admin:secret').toString('base64')
  for (const secret of [PASSWORD, component, dialback, key, basic, certfile]) expect(all).not.toContain(secret)
})
