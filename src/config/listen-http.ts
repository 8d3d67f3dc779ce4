import { z } from 'zod'
import { httpTls } from './listen-tls.js'
import { serviceOptions, socketOptions } from './listen-xmpp.js'
import { cidr, nestring, nonneg, posint, posintOrInfinity, secret } from './primitives.js'

/*
 * `[[listen.http]]`. spec/http-listener.md §1, §6; spec/listeners.md §1.14
 */

const host = nestring().meta({
  description: 'Host that the handler answers for, as a pattern; "_" means any.',
  example: '_',
})

/** A path pattern of spec/http-listener.md HP-3. */
const pattern = (example: string) =>
  nestring()
    .refine(text => patternFault(text) === undefined, { error: issue => patternFault(String(issue.input)) ?? '' })
    .meta({
      syntax: 'a path pattern such as "/api/rooms/[:id]"',
      description:
        'Path that the handler answers for: `:name` is one segment, `[x]` is optional, a last `[...]` the rest.',
      example,
    })

const handler = (example: string, description: string) =>
  z.strictObject({ host, path: pattern(example) }).meta({ description, example: { host: '_', path: example } })

/** Where the client API is mounted usually; the documents have it there. spec/rest-client.md */
export const clientApiPaths = {
  mongoose_client_api_messages: '/api/messages/[:with]',
  mongoose_client_api_contacts: '/api/contacts/[:jid]',
  mongoose_client_api_rooms: '/api/rooms/[:id]',
  mongoose_client_api_rooms_config: '/api/rooms/[:id]/config',
  mongoose_client_api_rooms_users: '/api/rooms/:id/users/[:user]',
  mongoose_client_api_rooms_messages: '/api/rooms/[:id]/messages',
} as const

/** One of the handlers of the client API. */
const clientApi = (type: keyof typeof clientApiPaths, about: string) =>
  handler(clientApiPaths[type], `REST API for clients: ${about}.`)

const username = nestring()
  .optional()
  .meta({ unset: 'none', description: 'User name that is asked for; needs `password`.', example: 'admin' })
const password = secret()
  .optional()
  .meta({ unset: 'none', description: 'Password that is asked for; needs `username`.', example: 'secret' })

const websocketService = z
  .strictObject(serviceOptions)
  .meta({ description: 'Serves components (XEP-0114) over WebSocket.', example: { password: 'secret' } })

const handlerTypes = {
  mod_bosh: handler('/http-bind', 'XMPP over BOSH (XEP-0124, XEP-0206). Needs `[modules.mod_bosh]`.'),
  mod_websockets: z
    .strictObject({
      host,
      path: pattern('/ws-xmpp'),
      timeout: posintOrInfinity()
        .default('infinity')
        .meta({ description: 'Milliseconds without a frame after which a connection ends.', example: 60_000 }),
      ping_rate: z
        .union([posint(), z.literal('none')])
        .default('none')
        .meta({ description: 'Milliseconds between pings of the server.', example: 10_000 }),
      max_stanza_size: posintOrInfinity()
        .default('infinity')
        .meta({ description: 'Bytes that one stanza may have; "infinity" means 8 000 000.', example: 65_536 }),
      service: websocketService.optional(),
    })
    .meta({ description: 'XMPP over WebSocket (RFC 7395).', example: { host: '_', path: '/ws-xmpp' } }),
  mongoose_api_admin: z.strictObject({ host, path: pattern('/api'), username, password }).meta({
    description: 'REST API for administration. Without credentials on a loopback address only.',
    example: { host: 'localhost', path: '/api' },
  }),
  mongoose_client_api_messages: clientApi('mongoose_client_api_messages', 'messages'),
  mongoose_client_api_contacts: clientApi('mongoose_client_api_contacts', 'the roster'),
  mongoose_client_api_rooms: clientApi('mongoose_client_api_rooms', 'rooms'),
  mongoose_client_api_rooms_config: clientApi('mongoose_client_api_rooms_config', 'configuration of a room'),
  mongoose_client_api_rooms_users: clientApi('mongoose_client_api_rooms_users', 'members of a room'),
  mongoose_client_api_rooms_messages: clientApi('mongoose_client_api_rooms_messages', 'messages of a room'),
  mongoose_api_client: handler('/api', 'An older user API of the reference server; not supported.'),
  lasse_handler: z
    .strictObject({
      host,
      path: pattern('/api/sse'),
      module: z
        .enum(['mongoose_client_api_sse'])
        .meta({ description: 'Source of the events.', example: 'mongoose_client_api_sse' }),
    })
    .meta({
      description: 'REST API for clients: server-sent events.',
      example: { host: '_', path: '/api/sse', module: 'mongoose_client_api_sse' },
    }),
  mongoose_api: z
    .strictObject({
      host,
      path: pattern('/api'),
      handlers: z
        .array(z.enum(['mongoose_api_metrics', 'mongoose_api_users']))
        .meta({ description: 'APIs that are mounted.', example: ['mongoose_api_metrics'] }),
    })
    .meta({
      description: 'Metrics and accounts as JSON or XML, for whoever reaches the port.',
      example: { host: 'localhost', path: '/api', handlers: ['mongoose_api_metrics'] },
    }),
  mongoose_prometheus_handler: handler('/metrics/[...]', 'Metrics in the format of Prometheus.'),
  cowboy_swagger_redirect_handler: handler('/api-docs', 'Leads to the documentation of the client REST API.'),
  cowboy_swagger_json_handler: handler('/api-docs/swagger.json', 'Describes the client REST API.'),
  cowboy_static: z
    .strictObject({
      host,
      path: pattern('/api-docs/[...]').refine(text => text.endsWith('[...]'), { error: 'a path that ends in [...]' }),
      type: z
        .enum(['priv_dir'])
        .meta({ description: 'Where the files are: in a bundled package.', example: 'priv_dir' }),
      app: z.enum(['cowboy_swagger']).meta({ description: 'The bundled package.', example: 'cowboy_swagger' }),
      content_path: z.enum(['swagger']).meta({ description: 'Folder in the package.', example: 'swagger' }),
    })
    .meta({
      description: 'Serves the pages of the API documentation.',
      example: { host: '_', path: '/api-docs/[...]', type: 'priv_dir', app: 'cowboy_swagger', content_path: 'swagger' },
    }),
  meerkat_debug: z.strictObject({ host, path: pattern('/debug').default('/debug'), username, password }).meta({
    description: 'The tree of actors, as a page and as JSON. Without credentials on a loopback address only.',
    example: { host: '_' },
  }),
  meerkat_health: z.strictObject({ host, path: pattern('/').default('/') }).meta({
    description: 'Health of the server, for balancers and supervisors; below its path `metrics`, for Prometheus.',
    example: { host: '_' },
  }),
}

const arrayOf = <T extends z.ZodType>(member: T) => z.array(member).optional()

export const httpListener = z
  .strictObject({
    ...socketOptions,
    transport: z
      .strictObject({
        num_acceptors: posint()
          .default(100)
          .meta({ description: 'Acceptor actors of the listener, which share its connections.', example: 10 }),
        max_connections: z
          .union([nonneg(), z.literal('infinity')])
          .default(1024)
          .meta({ description: 'Open connections; further ones wait until one ends.', example: 'infinity' }),
      })
      .prefault({})
      .meta({ description: 'The sockets.', example: { num_acceptors: 10 } }),
    protocol: z
      .strictObject({
        compress: z
          .boolean()
          .default(false)
          .meta({ description: 'Compresses answers for clients that accept it.', example: true }),
      })
      .prefault({})
      .meta({ description: 'The HTTP protocol.', example: { compress: true } }),
    trusted_proxies: z
      .array(cidr())
      .default([])
      .meta({ description: 'Peers whose forwarding headers are believed.', example: ['10.0.0.0/8'] }),
    tls: httpTls.optional(),
    handlers: z
      .strictObject({
        mod_bosh: arrayOf(handlerTypes.mod_bosh),
        mod_websockets: arrayOf(handlerTypes.mod_websockets),
        mongoose_api_admin: arrayOf(handlerTypes.mongoose_api_admin),
        mongoose_client_api_messages: arrayOf(handlerTypes.mongoose_client_api_messages),
        mongoose_client_api_contacts: arrayOf(handlerTypes.mongoose_client_api_contacts),
        mongoose_client_api_rooms: arrayOf(handlerTypes.mongoose_client_api_rooms),
        mongoose_client_api_rooms_config: arrayOf(handlerTypes.mongoose_client_api_rooms_config),
        mongoose_client_api_rooms_users: arrayOf(handlerTypes.mongoose_client_api_rooms_users),
        mongoose_client_api_rooms_messages: arrayOf(handlerTypes.mongoose_client_api_rooms_messages),
        mongoose_api_client: arrayOf(handlerTypes.mongoose_api_client),
        lasse_handler: arrayOf(handlerTypes.lasse_handler),
        mongoose_api: arrayOf(handlerTypes.mongoose_api),
        mongoose_prometheus_handler: arrayOf(handlerTypes.mongoose_prometheus_handler),
        cowboy_swagger_redirect_handler: arrayOf(handlerTypes.cowboy_swagger_redirect_handler),
        cowboy_swagger_json_handler: arrayOf(handlerTypes.cowboy_swagger_json_handler),
        cowboy_static: arrayOf(handlerTypes.cowboy_static),
        meerkat_debug: arrayOf(handlerTypes.meerkat_debug),
        meerkat_health: arrayOf(handlerTypes.meerkat_health),
      })
      .prefault({})
      .meta({
        description: 'What answers: one array of tables per handler type.',
        example: { meerkat_health: [{ host: '_' }] },
      }),
  })
  .meta({ description: 'Accepts HTTP, and XMPP over HTTP.', example: { port: 5280 } })
export type HttpListenerConfig = z.infer<typeof httpListener>
export type HandlerType = keyof HttpListenerConfig['handlers']

/** What is wrong with a path pattern, or undefined. HP-3 */
export function patternFault(text: string): string | undefined {
  if (!text.startsWith('/')) return 'a path pattern that starts with "/"'
  let depth = 0
  for (let at = 0; at < text.length; at++) {
    const before = text[at - 1]
    if (text.startsWith('[...]', at)) {
      if (!/^\]*$/.test(text.slice(at + 5))) return 'a path pattern with nothing behind "[...]"'
      if (before !== '/' && before !== '[') return 'a path pattern whose brackets start a segment'
      at += 4
    } else if (text[at] === '[') {
      if (before !== '/' && before !== '[') return 'a path pattern whose brackets start a segment'
      depth++
    } else if (text[at] === ']') {
      if (--depth < 0) return 'a path pattern whose brackets are balanced'
    } else if (text[at] === ':' && (before === '/' || before === '[') && !/^[\w-]/.test(text.slice(at + 1))) {
      return 'a path pattern with a name behind each ":"'
    }
  }
  return depth === 0 ? undefined : 'a path pattern whose brackets are balanced'
}
