import { z } from 'zod'
import { nestring, path, posint, secret, uniqueArray } from './primitives.js'

const METHODS = ['internal', 'rdbms', 'external', 'anonymous', 'ldap', 'jwt', 'riak', 'http', 'pki', 'dummy'] as const

/** Mechanisms in the default order. spec/listeners.md §2.6 */
export const DEFAULT_MECHANISMS = [
  'scram_sha512_plus',
  'scram_sha512',
  'scram_sha384_plus',
  'scram_sha384',
  'scram_sha256_plus',
  'scram_sha256',
  'scram_sha224_plus',
  'scram_sha224',
  'scram_sha1_plus',
  'scram_sha1',
  'plain',
  'anonymous',
  'oauth',
] as const

const ldapFilter = z.strictObject({
  filter: nestring().meta({ description: 'Filter.', example: '(objectClass=*)' }),
  attributes: z
    .array(nestring())
    .optional()
    .meta({ unset: 'all', description: 'Attributes.', example: ['uid'] }),
})

/** The `[auth]` table: who may log in, and how it is proven. spec/listeners.md §2.6 */
export const auth = z
  .strictObject({
    methods: uniqueArray(z.enum(METHODS))
      .default([])
      .meta({
        syntax: `an array of different members of ${METHODS.map(name => `"${name}"`).join(', ')}`,
        description:
          'Where accounts are looked up, in this order, until one says yes. "internal" and "rdbms" are the same store.',
        example: ['internal'],
      }),
    sasl_mechanisms: uniqueArray(z.enum([...DEFAULT_MECHANISMS, 'external', 'digest']))
      .default([...DEFAULT_MECHANISMS])
      .meta({
        description: 'Mechanisms, in the order in which they are offered. One is offered when a method supports it.',
        example: ['scram_sha256', 'plain'],
      }),
    sasl_external: uniqueArray(z.enum(['standard', 'common_name', 'auth_id']))
      .default(['standard'])
      .meta({
        description:
          'Where SASL EXTERNAL finds the identity: the xmppAddr of the certificate, its common name, or what the client asks for.',
        example: ['common_name'],
      }),
    password: z
      .strictObject({
        format: z
          .enum(['plain', 'scram'])
          .default('scram')
          .meta({ description: 'Form in which passwords are stored. Means nothing with `hash`.', example: 'scram' }),
        hash: uniqueArray(z.enum(['sha', 'sha224', 'sha256', 'sha384', 'sha512']))
          .min(1)
          .optional()
          .meta({ unset: 'all', description: 'Hashes that are stored, and offered for SCRAM.', example: ['sha256'] }),
      })
      .prefault({})
      .meta({
        description: 'How passwords are stored. An account that is there follows at its next login by PLAIN.',
        example: { format: 'scram' },
      }),
    scram_iterations: posint().default(10_000).meta({
      description: 'Iteration count of new passwords. An account that is there gets it at its next login by PLAIN.',
      example: 20_000,
    }),
    max_failed_logins: posint().default(10).meta({
      description:
        'Failed logins in the window after which an account cannot be tried from an address any more; ten times as many shut out the address.',
      example: 5,
    }),
    failed_login_window: posint().default(300).meta({ description: 'Seconds of that window.', example: 60 }),
    anonymous: z
      .strictObject({
        protocol: z.enum(['sasl_anon', 'login_anon', 'both']).default('sasl_anon').meta({
          description: 'SASL ANONYMOUS, any user name with any password, or both.',
          example: 'both',
        }),
        allow_multiple_connections: z
          .boolean()
          .default(false)
          .meta({ description: 'Lets one user name log in more than once.', example: true }),
      })
      .prefault({})
      .meta({ description: 'Method anonymous.', example: { protocol: 'sasl_anon' } }),
    external: z
      .strictObject({
        program: nestring().optional().meta({
          unset: 'none',
          description: 'Command that is asked, split at white space; method external needs it.',
          example: '/usr/bin/auth',
        }),
        instances: posint().default(1).meta({ description: 'How many of it run.', example: 2 }),
      })
      .prefault({})
      .meta({ description: 'Method external.', example: { program: '/usr/bin/auth' } }),
    http: z
      .strictObject({
        basic_auth: secret()
          .optional()
          .meta({ unset: 'none', description: 'Credentials as `name:password`.', example: 'admin:secret' }),
      })
      .prefault({})
      .meta({
        description: 'Method http, over the pool `[outgoing_pools.http.auth]`.',
        example: { basic_auth: 'admin:secret' },
      }),
    jwt: z
      .strictObject({
        secret: z
          .strictObject({
            file: path()
              .optional()
              .meta({ unset: 'none', description: 'File that holds the key.', example: 'jwt.key' }),
            env: nestring().optional().meta({
              unset: 'none',
              description: 'Variable of the environment that holds the key.',
              example: 'JWT_KEY',
            }),
            value: secret().optional().meta({ unset: 'none', description: 'The key itself.', example: 'secret' }),
          })
          .refine(key => Object.values(key).filter(value => value !== undefined).length === 1, {
            error: 'exactly one of file, env and value',
          })
          .meta({
            secret: true,
            description: 'The key: exactly one of `file`, `env` and `value`.',
            example: { value: 'secret' },
          }),
        algorithm: z
          .enum([
            'HS256',
            'RS256',
            'ES256',
            'HS384',
            'RS384',
            'ES384',
            'HS512',
            'RS512',
            'ES512',
            'HS386',
            'RS386',
            'ES386',
          ])
          .meta({ description: 'Algorithm of the signature; 386 is another spelling of 384.', example: 'HS256' }),
        username_key: nestring().meta({ description: 'Claim that holds the user name.', example: 'sub' }),
      })
      .optional()
      .meta({
        unset: 'none',
        description: 'Method jwt: the password is a token.',
        example: { secret: { value: 'secret' }, algorithm: 'HS256', username_key: 'sub' },
      }),
    ldap: z
      .strictObject({
        pool_tag: nestring().default('default').meta({ description: 'Pool for searches.', example: 'default' }),
        bind_pool_tag: nestring()
          .default('bind')
          .meta({ description: 'Pool for checking passwords.', example: 'bind' }),
        base: nestring().optional().meta({
          unset: 'none',
          description: 'Base of searches; method ldap needs it.',
          example: 'ou=Users,dc=example,dc=org',
        }),
        uids: z
          .array(
            z.strictObject({
              attr: nestring().meta({ description: 'Attribute that holds the user name.', example: 'uid' }),
              format: nestring()
                .default('%u')
                .meta({ description: 'Its form; %u is the user name.', example: '%u@example.org' }),
            }),
          )
          .default([{ attr: 'uid', format: '%u' }])
          .meta({ description: 'Attributes that hold the user name.', example: [{ attr: 'uid' }] }),
        filter: nestring()
          .optional()
          .meta({ unset: 'none', description: 'Filter of searches.', example: '(objectClass=person)' }),
        dn_filter: ldapFilter
          .optional()
          .meta({ unset: 'none', description: 'Filter of the entries found.', example: { filter: '(member=%D)' } }),
        local_filter: z
          .strictObject({
            operation: z.enum(['equal', 'notequal']).meta({ description: 'How it compares.', example: 'equal' }),
            attribute: nestring().meta({ description: 'What it compares.', example: 'accountStatus' }),
            values: z
              .array(nestring())
              .min(1)
              .meta({ description: 'With what.', example: ['enabled'] }),
          })
          .optional()
          .meta({
            unset: 'none',
            description: 'Filter that runs here.',
            example: { operation: 'equal', attribute: 'accountStatus', values: ['enabled'] },
          }),
        deref: z
          .enum(['never', 'always', 'finding', 'searching'])
          .default('never')
          .meta({ description: 'When aliases are followed.', example: 'always' }),
      })
      .prefault({})
      .meta({ description: 'Method ldap.', example: { base: 'ou=Users,dc=example,dc=org' } }),
  })
  .meta({ description: 'Who may log in, and how it is proven.', example: { methods: ['internal'] } })
export type AuthConfig = z.infer<typeof auth>
