import { isIP } from 'node:net'
import { z } from 'zod'
import { domain, ipAddress, nestring, path, port, posint, posintOrInfinity, secret } from './primitives.js'

const policy = z.enum(['allow', 'deny'])

/** The `[s2s]` table: what holds for connections with other servers, in both directions. spec/listeners.md §2.5 */
export const s2s = z
  .strictObject({
    use_starttls: z
      .enum(['false', 'optional', 'required', 'required_trusted'])
      .default('false')
      .meta({ description: 'Encryption of server connections. All but "false" need `certfile`.', example: 'optional' }),
    certfile: path().optional().meta({
      unset: 'none',
      description: 'PEM file with certificate, chain and private key, for both directions.',
      example: 'server.pem',
    }),
    domain_certfile: z
      .array(
        z.strictObject({
          domain: domain().meta({ description: 'A served domain.', example: 'localhost' }),
          certfile: path().meta({ description: 'Its PEM file.', example: 'localhost.pem' }),
        }),
      )
      .optional()
      .meta({
        unset: 'none',
        description: 'Certificates for single domains, for clients (STARTTLS, and direct TLS by SNI) and servers.',
        example: [{ domain: 'localhost', certfile: 'localhost.pem' }],
      }),
    default_policy: policy
      .default('allow')
      .meta({ description: 'Whether other domains may be talked to.', example: 'deny' }),
    host_policy: z
      .array(
        z.strictObject({
          host: domain().meta({ description: 'Another domain.', example: 'example.org' }),
          policy: policy.meta({ description: 'Whether it may be talked to.', example: 'allow' }),
        }),
      )
      .optional()
      .meta({
        unset: 'none',
        description: 'Exceptions from `default_policy`.',
        example: [{ host: 'example.org', policy: 'allow' }],
      }),
    shared: secret().optional().meta({
      unset: 'random, new at each start',
      description: 'Secret of server dialback (XEP-0220).',
      example: 'shared-secret',
    }),
    address: z
      .array(
        z.strictObject({
          host: domain().meta({ description: 'Another domain.', example: 'example.org' }),
          ip_address: ipAddress().meta({ description: 'Its address.', example: '192.0.2.1' }),
          port: port().optional().meta({ unset: '`outgoing.port`', description: 'Its port.', example: 5269 }),
        }),
      )
      .optional()
      .meta({
        unset: 'none',
        description: 'Addresses of other domains that are not asked from DNS.',
        example: [{ host: 'example.org', ip_address: '192.0.2.1' }],
      }),
    ciphers: nestring().default('TLSv1.2:TLSv1.3').meta({
      syntax: 'an OpenSSL cipher list (non-empty string)',
      description: 'Suites of outgoing connections.',
      example: 'TLSv1.2',
    }),
    max_retry_delay: posint()
      .default(300)
      .meta({ description: 'Seconds that the delay between attempts to connect grows to.', example: 60 }),
    outgoing: z
      .strictObject({
        port: port().default(5269).meta({ description: 'Port of domains that have no SRV record.', example: 5269 }),
        ip_versions: z
          .array(z.literal([4, 6]))
          .min(1)
          .default([4, 6])
          .meta({ description: 'Families in the order in which they are tried.', example: [6, 4] }),
        connection_timeout: posintOrInfinity()
          .default(10_000)
          .meta({ description: 'Milliseconds that one attempt to connect may take.', example: 5000 }),
      })
      .prefault({})
      .meta({ description: 'Outgoing connections.', example: { port: 5269 } }),
    dns: z
      .strictObject({
        timeout: posint().default(10).meta({ description: 'Seconds that one query may take.', example: 30 }),
        retries: posint().default(2).meta({ description: 'Attempts per query.', example: 1 }),
        servers: z
          .array(
            z
              .string()
              .refine(isServer, { error: 'an address with or without a port' })
              .meta({ syntax: 'an IP address, or address:port' }),
          )
          .optional()
          .meta({ unset: "the system's", description: 'Servers that are asked.', example: ['127.0.0.1:5353'] }),
      })
      .prefault({})
      .meta({ description: 'Name lookup.', example: { timeout: 30 } }),
  })
  .meta({ description: 'Connections with other servers.', example: { default_policy: 'deny' } })
export type S2sConfig = z.infer<typeof s2s>

/** The keys of `[s2s]` that `[host_config.s2s]` may set. */
export const HOST_S2S_KEYS = { default_policy: true, host_policy: true, shared: true, max_retry_delay: true } as const

function isServer(text: string): boolean {
  if (isIP(text) !== 0) return true
  const [, v6, v4, digits] = /^(?:\[(.+)\]|([^:]+)):(\d{1,5})$/.exec(text) ?? []
  const number = Number(digits)
  return (isIP(v6 ?? '') === 6 || isIP(v4 ?? '') === 4) && number >= 1 && number <= 65_535
}
