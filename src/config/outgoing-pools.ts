import { z } from 'zod'
import { domain, ipAddress, nestring, nonneg, path, port, posint, posintOrInfinity, secret } from './primitives.js'
import { TLS_VERSIONS } from './tls-names.js'

/*
 * `[outgoing_pools.TYPE.TAG]`: connections to other services. spec/listeners.md §2.8
 */

const tls = <More extends z.ZodRawShape>(more: More) =>
  z
    .strictObject({
      ...more,
      verify_peer: z
        .boolean()
        .default(false)
        .meta({ description: 'Verifies the certificate of the service.', example: true }),
      cacertfile: path()
        .optional()
        .meta({ unset: 'the store of OpenSSL', description: 'Authorities that are trusted.', example: 'ca.pem' }),
      certfile: path().optional().meta({ unset: 'none', description: 'Our certificate.', example: 'cert.pem' }),
      keyfile: path().optional().meta({ unset: 'none', description: 'Our private key.', example: 'key.pem' }),
      password: secret().optional().meta({ unset: 'none', description: 'Passphrase of the key.', example: 'secret' }),
      ciphers: nestring().optional().meta({ unset: 'all', description: 'OpenSSL cipher list.', example: 'HIGH' }),
      versions: z
        .array(z.enum(TLS_VERSIONS))
        .optional()
        .meta({ unset: 'TLS 1.2 and 1.3', description: 'Versions.', example: ['tlsv1.3'] }),
    })
    .optional()
    .meta({ description: 'Encryption of the connections.', example: { verify_peer: true } })

const tlsRequired = {
  required: z.boolean().default(false).meta({
    description: 'Refuses to connect without TLS; otherwise it is used where the service offers it.',
    example: true,
  }),
}

const host = (value: string) => nestring().default(value).meta({ description: 'Host name or address.', example: value })
const service = (value: number) => port().default(value).meta({ description: 'Port.', example: value })
const password = secret().optional().meta({ unset: 'none', description: 'Password.', example: 'secret' })

/** The pools of one type, by tag. */
function pools<T extends z.ZodType>(connection: T, description: string) {
  return z
    .record(
      nestring(),
      z.strictObject({
        scope: z.enum(['global', 'host', 'single_host']).default('global').meta({
          description: 'One pool, one for each host, or one for the host that `host` names.',
          example: 'host',
        }),
        host: domain()
          .optional()
          .meta({ unset: 'none', description: 'Host of scope single_host.', example: 'localhost' }),
        workers: posint().default(100).meta({ description: 'Accepted without effect.', example: 10 }),
        strategy: z
          .enum(['best_worker', 'random_worker', 'next_worker', 'available_worker', 'next_available_worker'])
          .default('best_worker')
          .meta({ description: 'Accepted without effect.', example: 'best_worker' }),
        call_timeout: posint().default(5000).meta({ description: 'Milliseconds that a call may take.', example: 5000 }),
        connection,
      }),
    )
    .optional()
    .meta({ description })
}

const optionalConnection = <T extends z.ZodRawShape>(shape: T) =>
  z.strictObject(shape).optional().meta({ description: 'How it connects.', example: {} })

/** The `[outgoing_pools]` table. */
export const outgoingPools = z
  .strictObject({
    rdbms: pools(
      z
        .strictObject({
          driver: z
            .enum(['pgsql', 'mysql', 'odbc'])
            .meta({ description: 'Kind of database; only "pgsql" is served.', example: 'pgsql' }),
          host: nestring().default('localhost').meta({
            description: 'Host name or address, or the folder of a Unix socket.',
            example: 'localhost',
          }),
          port: port().default(5432).meta({ description: 'Port.', example: 5432 }),
          database: nestring().optional().meta({
            unset: '"meerkat"',
            description: 'Name of the database; its encoding has to be UTF8.',
            example: 'meerkat',
          }),
          username: nestring().optional().meta({ unset: '"meerkat"', description: 'User name.', example: 'admin' }),
          password,
          settings: secret()
            .optional()
            .meta({ unset: 'none', description: 'Connection string of driver odbc.', example: 'DSN=x' }),
          keepalive_interval: posint()
            .optional()
            .meta({ unset: 'none', description: 'Seconds between queries on a resting connection.', example: 30 }),
          tls: tls(tlsRequired),
        })
        .meta({ description: 'How it connects.', example: { driver: 'pgsql', database: 'meerkat' } }),
      'Relational databases. `default` is the store of the server.',
    ),
    http: pools(
      z
        .strictObject({
          host: nestring().meta({ description: 'URL of scheme, host and port.', example: 'https://localhost:8000' }),
          path_prefix: nestring()
            .default('/')
            .meta({ description: 'Path that all requests begin with.', example: '/api/' }),
          request_timeout: posint()
            .default(2000)
            .meta({ description: 'Milliseconds that a request may take.', example: 2000 }),
          tls: tls({}),
        })
        .meta({ description: 'How it connects.', example: { host: 'https://localhost:8000' } }),
      'HTTP services.',
    ),
    redis: pools(
      optionalConnection({
        host: host('127.0.0.1'),
        port: service(6379),
        database: nonneg().default(0).meta({ description: 'Number of the database.', example: 0 }),
        password,
      }),
      'Redis.',
    ),
    ldap: pools(
      optionalConnection({
        servers: z
          .array(nestring())
          .min(1)
          .default(['localhost'])
          .meta({ description: 'Servers.', example: ['ldap.example.org'] }),
        port: service(389),
        rootdn: z
          .string()
          .default('')
          .meta({ description: 'Name to log in with.', example: 'cn=admin,dc=example,dc=org' }),
        password,
        encrypt: z
          .enum(['none', 'tls'])
          .default('none')
          .meta({ description: 'Whether it is encrypted.', example: 'tls' }),
        tls: tls({}),
      }),
      'LDAP directories.',
    ),
    rabbit: pools(
      optionalConnection({
        amqp_host: host('localhost'),
        amqp_port: service(5672),
        amqp_username: nestring().default('guest').meta({ description: 'User name.', example: 'guest' }),
        amqp_password: secret().default('guest').meta({ description: 'Password.', example: 'guest' }),
        confirms_enabled: z.boolean().default(false).meta({ description: 'Waits for confirmations.', example: true }),
        max_worker_queue_len: posintOrInfinity()
          .default(1000)
          .meta({ description: 'Waiting messages.', example: 1000 }),
      }),
      'RabbitMQ.',
    ),
    elastic: pools(optionalConnection({ host: host('localhost'), port: service(9200) }), 'ElasticSearch.'),
    cassandra: pools(
      optionalConnection({
        servers: z
          .array(
            z.strictObject({
              ip_address: nestring().meta({ description: 'Address.', example: '127.0.0.1' }),
              port: service(9042),
            }),
          )
          .min(1)
          .default([{ ip_address: 'localhost', port: 9042 }])
          .meta({ description: 'Servers.', example: [{ ip_address: '127.0.0.1' }] }),
        keyspace: nestring().default('mongooseim').meta({ description: 'Keyspace.', example: 'mongooseim' }),
        auth: z
          .strictObject({
            plain: z
              .strictObject({
                username: nestring().meta({ description: 'User name.', example: 'admin' }),
                password: secret().meta({ description: 'Password.', example: 'secret' }),
              })
              .meta({ description: 'Log in by name.', example: { username: 'admin', password: 'secret' } }),
          })
          .optional()
          .meta({ description: 'How it logs in.', example: { plain: { username: 'admin', password: 'secret' } } }),
        tls: tls({}),
      }),
      'Cassandra.',
    ),
    riak: pools(
      z
        .strictObject({
          address: nestring().meta({ description: 'Host name or address.', example: '127.0.0.1' }),
          port: port().meta({ description: 'Port.', example: 8087 }),
          credentials: z
            .strictObject({
              user: nestring().meta({ description: 'User name.', example: 'admin' }),
              password: secret().meta({ description: 'Password.', example: 'secret' }),
            })
            .optional()
            .meta({ description: 'How it logs in.', example: { user: 'admin', password: 'secret' } }),
          tls: tls({}),
        })
        .meta({ description: 'How it connects.', example: { address: '127.0.0.1', port: 8087 } }),
      'Riak.',
    ),
    generic: pools(
      optionalConnection({
        ip_address: ipAddress().optional().meta({ unset: 'none', description: 'Address.', example: '127.0.0.1' }),
      }),
      'Pools of workers without connections.',
    ),
  })
  .meta({ description: 'Connections to other services: `[outgoing_pools.TYPE.TAG]`.', example: {} })
export type OutgoingPoolsConfig = z.infer<typeof outgoingPools>
