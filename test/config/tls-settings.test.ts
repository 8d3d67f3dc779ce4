import { constants } from 'node:crypto'
import type { ConnectionOptions } from 'node:tls'
import { getCiphers } from 'node:tls'
import { describe, expect, it } from 'vitest'
import { CIPHER_SUITES, HISTORIC_PROTOCOL_OPTIONS, PROTOCOL_OPTIONS } from '../../src/config/tls-names.js'
import { fastTlsSettings, justTlsSettings, NoVersionError, type TlsSettings } from '../../src/config/tls-settings.js'
import { serverSecureContext } from '../../src/tls/context.js'
import { fixture, withTls } from '../tls/sockets.js'

/** What a client and a server with these settings agree on. */
async function agreed(settings: TlsSettings, client: ConnectionOptions = {}, certificate = 'rsa') {
  const tls = await serverSecureContext({ certfile: fixture(certificate) }, settings)
  return withTls(tls, client, ({ client: socket }) => `${socket.getProtocol()} ${socket.getCipher().name}`)
}

const everything = 'ALL:eNULL:@SECLEVEL=0'

describe('protocol_options (§1.6.1)', () => {
  it('default to TLS 1.2 and 1.3 in the order of the client', () => {
    expect(fastTlsSettings(undefined)).toMatchObject({
      minVersion: 'TLSv1.2',
      maxVersion: 'TLSv1.3',
      honorCipherOrder: false,
      ciphers: 'TLSv1.2:!aNULL:!eNULL',
    })
  })

  it.each([
    [['no_tlsv1', 'no_tlsv1_1', 'no_tlsv1_3'], 'TLSv1.2', 'TLSv1.2'],
    [['no_tlsv1', 'no_tlsv1_1', 'no_tlsv1_2'], 'TLSv1.3', 'TLSv1.3'],
    [['no_tlsv1'], 'TLSv1.1', 'TLSv1.3'],
    [[], 'TLSv1', 'TLSv1.3'],
    [['no_tlsv1_1', 'no_tlsv1_2', 'no_tlsv1_3'], 'TLSv1', 'TLSv1'],
    [['no_sslv2', 'no_sslv3', 'single_dh_use'], 'TLSv1', 'TLSv1.3'],
  ] as const)('%j is from %s to %s', (options, minVersion, maxVersion) => {
    expect(fastTlsSettings(undefined, options)).toMatchObject({ minVersion, maxVersion })
  })

  it('take a version out of the middle', () => {
    const { minVersion, maxVersion, secureOptions } = fastTlsSettings(undefined, ['no_tlsv1', 'no_tlsv1_2'])
    expect([minVersion, maxVersion]).toEqual(['TLSv1.1', 'TLSv1.3'])
    expect(secureOptions & constants.SSL_OP_NO_TLSv1_2).toBe(constants.SSL_OP_NO_TLSv1_2)
    expect(secureOptions & constants.SSL_OP_NO_TLSv1_1).toBe(0)
  })

  it('set the flag of OpenSSL that they are named after', () => {
    const before = fastTlsSettings(undefined, []).secureOptions
    const known: Readonly<Record<string, unknown>> = constants
    for (const option of PROTOCOL_OPTIONS.filter(name => name !== 'cipher_server_preference')) {
      const name = `SSL_OP_${option.toUpperCase().replace(/(SSL|TLS)V/g, '$1v')}`
      const flag = Number(known[name])
      expect(fastTlsSettings(undefined, [option]).secureOptions, name).toBe(before | flag)
      expect(flag, name).toBeTypeOf('number')
    }
    for (const option of HISTORIC_PROTOCOL_OPTIONS) {
      expect(fastTlsSettings(undefined, [option]).secureOptions).toBe(before)
    }
    expect(fastTlsSettings(undefined, ['cipher_server_preference']).honorCipherOrder).toBe(true)
  })

  it('let OpenSSL serve TLS 1.0 and 1.1, which it does not above security level 0', async () => {
    const old = (version: 'TLSv1' | 'TLSv1.1') =>
      ({ minVersion: version, maxVersion: version, ciphers: everything }) as const
    expect(await agreed(fastTlsSettings(undefined, ['no_tlsv1']), old('TLSv1.1'))).toMatch(/^TLSv1.1 /)
    expect(await agreed(fastTlsSettings(undefined, []), old('TLSv1'))).toMatch(/^TLSv1 /)
    await expect(agreed(fastTlsSettings(undefined, ['no_tlsv1']), old('TLSv1'))).rejects.toThrow(/protocol/)
  })

  it.each([['aNULL'], ['eNULL']])('never let in suites without a key or a certificate (%s)', async suites => {
    const client = { maxVersion: 'TLSv1.2', ciphers: `${suites}:@SECLEVEL=0` } as const
    await expect(agreed(fastTlsSettings(undefined, []), client)).rejects.toThrow(/no shared cipher|handshake failure/)
    await expect(agreed(fastTlsSettings('TLSv1.2:@SECLEVEL=0'), client)).rejects.toThrow(
      /no shared cipher|handshake failure/,
    )
  })

  it('may leave nothing', () => {
    expect(() => fastTlsSettings(undefined, ['no_tlsv1', 'no_tlsv1_1', 'no_tlsv1_2', 'no_tlsv1_3'])).toThrow(
      NoVersionError,
    )
    expect(() => fastTlsSettings('TLSv1.3', ['no_tlsv1_3'])).toThrow(NoVersionError)
  })
})

describe('ciphers of fast_tls (§1.6.2)', () => {
  const on12 = { maxVersion: 'TLSv1.2' } as const

  it.each([
    ['TLSv1.2:TLSv1.3', {}, /^TLSv1.3 TLS_AES_256_GCM_SHA384$/],
    ['TLSv1.2:TLSv1.3', on12, /^TLSv1.2 /],
    ['TLSv1.3', {}, /^TLSv1.3 /],
    ['ECDHE-RSA-AES128-GCM-SHA256', {}, /^TLSv1.3 /],
    ['ECDHE-RSA-AES128-GCM-SHA256', on12, /^TLSv1.2 ECDHE-RSA-AES128-GCM-SHA256$/],
    ['ECDHE-RSA-AES128-GCM-SHA256,TLSv1.3 AES128-SHA', { ...on12, ciphers: 'AES128-SHA' }, / AES128-SHA$/],
    ['TLS_AES_128_GCM_SHA256', {}, /^TLSv1.3 TLS_AES_128_GCM_SHA256$/],
    ['TLS_AES_128_GCM_SHA256:ECDHE-RSA-AES256-GCM-SHA384', on12, / ECDHE-RSA-AES256-GCM-SHA384$/],
  ] as const)('%j', async (ciphers, client, found) => {
    expect(await agreed(fastTlsSettings(ciphers), client)).toMatch(found)
  })

  it.each(['TLSv1.3', 'TLS_AES_128_GCM_SHA256'])('%j alone is TLS 1.3 alone', async ciphers => {
    await expect(agreed(fastTlsSettings(ciphers), on12)).rejects.toThrow(/protocol/)
  })
})

describe('ciphers and versions of just_tls (§1.6.3)', () => {
  const served = new Set(getCiphers().map(name => name.toUpperCase()))

  it.each(CIPHER_SUITES.filter(({ openssl }) => served.has(openssl)).map(suite => [suite.openssl, suite] as const))(
    '%s is what its table, its name and its IANA name negotiate',
    async (name, { openssl, iana, ...table }) => {
      const certificate = name.includes('ECDSA') ? 'ecdsa' : 'rsa'
      const client = { ciphers: `${everything}:${[...served].filter(suite => suite.startsWith('TLS_')).join(':')}` }
      for (const member of [table, openssl, iana]) {
        expect(await agreed(justTlsSettings([member]), client, certificate)).toBe(
          `${name.startsWith('TLS_') ? 'TLSv1.3' : 'TLSv1.2'} ${name}`,
        )
      }
    },
  )

  it('are exactly what is listed: without a suite of TLS 1.3 there is no TLS 1.3, and the other way round', () => {
    expect(justTlsSettings(['AES128-SHA'])).toMatchObject({ minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' })
    expect(justTlsSettings(['TLS_AES_128_GCM_SHA256'])).toMatchObject({ minVersion: 'TLSv1.3', maxVersion: 'TLSv1.3' })
    expect(justTlsSettings(['AES128-SHA', 'TLS_AES_128_GCM_SHA256'])).toMatchObject({
      minVersion: 'TLSv1.2',
      maxVersion: 'TLSv1.3',
    })
  })

  it('are in the order of the server', async () => {
    const client = {
      maxVersion: 'TLSv1.2',
      ciphers: 'ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-GCM-SHA256',
    } as const
    const settings = justTlsSettings(['ECDHE-RSA-AES128-GCM-SHA256', 'ECDHE-RSA-AES256-GCM-SHA384'])
    expect(await agreed(settings, client)).toBe('TLSv1.2 ECDHE-RSA-AES128-GCM-SHA256')
  })

  it('may have a hole', async () => {
    const settings = justTlsSettings(undefined, ['tlsv1.3', 'tlsv1.1'])
    expect(await agreed(settings)).toMatch(/^TLSv1.3 /)
    expect(await agreed(settings, { minVersion: 'TLSv1', maxVersion: 'TLSv1.2', ciphers: everything })).toMatch(
      /^TLSv1.1 /,
    )
    await expect(agreed(settings, { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' })).rejects.toThrow(/protocol/)
  })

  it('may leave nothing', () => {
    expect(() => justTlsSettings(['TLS_AES_128_GCM_SHA256'], ['tlsv1.2'])).toThrow(NoVersionError)
    expect(() => justTlsSettings(['AES128-SHA'], ['tlsv1.3'])).toThrow(NoVersionError)
  })
})
