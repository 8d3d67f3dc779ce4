import { z } from 'zod'
import { c2sTls, s2sTls } from './listen-tls.js'
import { ipAddress, nonneg, port, posint, rule, secret, shaperName, shaperRule } from './primitives.js'

/*
 * `[[listen.c2s]]`, `[[listen.s2s]]` and `[[listen.service]]`. spec/listeners.md §1.2 to §1.4, §1.12, §1.13
 */

/** What every listener has. */
export const socketOptions = {
  port: port().meta({ description: 'Port to bind; 0 picks a free one.', example: 5222 }),
  ip_address: ipAddress().optional().meta({
    unset: '"0.0.0.0", or "::" with ip_version 6',
    description: 'Address to bind; it decides the family.',
    example: '127.0.0.1',
  }),
  ip_version: z
    .union([z.literal(4), z.literal(6)])
    .optional()
    .meta({ unset: '4', description: 'Family to bind when `ip_address` is not set.', example: 6 }),
  proto: z
    .enum(['tcp', 'udp'])
    .default('tcp')
    .meta({ description: 'Protocol of the port. There is no XMPP over UDP: datagrams are dropped.', example: 'tcp' }),
}

const maxFsmQueue = posint().optional().meta({
  unset: '`general.max_fsm_queue`',
  description: 'Stanzas that may wait for one connection; one more ends it.',
  example: 1000,
})

const xmppOptions = {
  ...socketOptions,
  backlog: posint().default(100).meta({ description: "Length of the kernel's accept queue.", example: 1000 }),
  num_acceptors: posint().default(100).meta({
    description:
      'Acceptor actors of the listener, which share its connections; with `proxy_protocol` each reads one header at a time.',
    example: 200,
  }),
  proxy_protocol: z.boolean().default(false).meta({
    description:
      'Each connection has to begin with a PROXY header, version 1 or 2, within a second. Whoever reaches the port may claim any address: bind it to the network of the balancer.',
    example: true,
  }),
  hibernate_after: nonneg().default(0).meta({
    description: 'Milliseconds of rest after which a connection gives back what memory it can; 0 means at once.',
    example: 10,
  }),
  max_stanza_size: posint().optional().meta({
    unset: '8 000 000',
    description: 'Bytes that one stanza may have, from `<` to `>`.',
    example: 65_536,
  }),
  state_timeout: posint().default(60_000).meta({
    description: 'Milliseconds that each state before the session may last.',
    example: 30_000,
  }),
}

export const c2sListener = z
  .strictObject({
    ...xmppOptions,
    max_fsm_queue: maxFsmQueue,
    access: rule()
      .default('all')
      .meta({ description: 'Access rule that decides who may open a session.', example: 'c2s' }),
    shaper: shaperRule().default('none').meta({
      description: 'Access rule (not a shaper) whose value names the shaper of the connection.',
      example: 'c2s_shaper',
    }),
    zlib: posint().optional().meta({
      unset: 'no compression',
      description: 'Offers stream compression; bytes that one read may inflate to.',
      example: 100_000,
    }),
    tls: c2sTls.optional(),
  })
  .meta({ description: 'Accepts XMPP clients over TCP.', example: { port: 5222 } })
export type C2sListenerConfig = z.infer<typeof c2sListener>

export const s2sListener = z
  .strictObject({
    ...xmppOptions,
    shaper: shaperRule().default('none').meta({
      description: 'Access rule (not a shaper) whose value names the shaper of the connection.',
      example: 's2s_shaper',
    }),
    tls: s2sTls.optional(),
  })
  .meta({ description: 'Accepts other XMPP servers over TCP.', example: { port: 5269 } })
export type S2sListenerConfig = z.infer<typeof s2sListener>

/** What a component is told by, over TCP and over WebSocket alike. spec/websockets.md §1 */
export const serviceOptions = {
  password: secret().meta({ description: 'Secret shared with the components.', example: 'secret' }),
  access: rule().default('all').meta({
    description: 'Access rule that decides who may send to the components, and which may register.',
    example: 'all',
  }),
  shaper_rule: shaperName()
    .default('none')
    .meta({ description: 'Shaper (not a rule, despite its name) of the connection.', example: 'fast' }),
  check_from: z.boolean().default(true).meta({
    description: 'Refuses stanzas whose `from` is not of the domain that the component registered.',
    example: false,
  }),
  hidden_components: z
    .boolean()
    .default(false)
    .meta({ description: 'Leaves the components out of service discovery.', example: true }),
  conflict_behaviour: z.enum(['disconnect', 'kick_old']).default('disconnect').meta({
    description: 'Who ends when a name is taken: the newcomer or the old component.',
    example: 'kick_old',
  }),
  max_fsm_queue: maxFsmQueue,
}

export const serviceListener = z.strictObject({ ...xmppOptions, ...serviceOptions }).meta({
  description: 'Accepts external components (XEP-0114) over TCP.',
  example: { port: 8888, password: 'secret' },
})
export type ServiceListenerConfig = z.infer<typeof serviceListener>
