import { describe, expect, it } from 'vitest'
import { configFor } from '../../src/config/for-host.js'
import { grammar } from './support.js'

const GENERAL = '[general]\nhosts = ["a.example", "b.example"]\n'
const B = '[[host_config]]\nhost = "b.example"\n'

/** What holds on both domains, for a text with a [[host_config]] for the second. */
function views(text: string) {
  const { config, problems } = grammar(GENERAL + text)
  expect(problems).toEqual([])
  return { a: configFor(config!, 'a.example'), b: configFor(config!, 'b.example') }
}

describe('configFor (§2.7)', () => {
  it('gives the global tables to a host without a table of its own', () => {
    const { a, b } = views('[auth]\nmethods = ["internal"]')
    expect(a).toEqual(b)
    expect(a).toMatchObject({ auth: { methods: ['internal'] } })
  })

  it('lays the four keys of general over the global ones', () => {
    const { a, b } = views(`${B}general.hide_service_name = true`)
    expect([a.general.hide_service_name, b.general.hide_service_name]).toEqual([false, true])
    expect(b.general.replaced_wait_timeout).toBe(2000)
  })

  it('overrides methods, sasl_mechanisms, external.instances and anonymous.* one by one', () => {
    const { a, b } = views(`[auth]
methods = ["internal"]
scram_iterations = 4096
password.hash = ["sha256"]
anonymous.allow_multiple_connections = true
external = {program = "x", instances = 2}
${B}[host_config.auth]
methods = ["anonymous"]
sasl_mechanisms = ["anonymous"]
anonymous.protocol = "both"
external.instances = 5
`)
    expect(a.auth.methods).toEqual(['internal'])
    expect(b.auth).toMatchObject({
      methods: ['anonymous'],
      sasl_mechanisms: ['anonymous'],
      scram_iterations: 4096,
      password: { hash: ['sha256'] },
      anonymous: { protocol: 'both', allow_multiple_connections: true },
      external: { program: 'x', instances: 5 },
    })
  })

  it('lets any other key of auth replace all others of the host, with their defaults', () => {
    const { b } = views(`[auth]
methods = ["internal"]
sasl_mechanisms = ["plain"]
scram_iterations = 4096
password.hash = ["sha256"]
external.program = "x"
${B}auth.scram_iterations = 5000
`)
    expect(b.auth).toMatchObject({ methods: ['internal'], sasl_mechanisms: ['plain'], scram_iterations: 5000 })
    expect(b.auth.password).toEqual({ format: 'scram' })
    expect(b.auth.external).toEqual({ instances: 1 })
    expect(b.auth.max_failed_logins).toBe(10)
  })

  it('replaces the list of modules as a whole, and expands @HOST@', () => {
    const { a, b } = views(`[modules.mod_muc_light]\nhost = "muc.@HOST@"\n${B}modules.mod_ping = {}`)
    expect(a.modules).toMatchObject({ mod_muc_light: { host: 'muc.a.example' } })
    expect(b.modules).toEqual({ mod_ping: { send_pings: false, ping_interval: 60 } })
  })

  it('merges policies of s2s domain by domain (§2.5)', () => {
    const { b } = views(`[s2s]
default_policy = "allow"
host_policy = [{host = "x.example", policy = "deny"}, {host = "y.example", policy = "deny"}]
${B}s2s = {default_policy = "deny", host_policy = [{host = "Y.example", policy = "allow"}]}
`)
    expect(b.s2s).toMatchObject({
      default_policy: 'deny',
      host_policy: [
        { host: 'x.example', policy: 'deny' },
        { host: 'y.example', policy: 'allow' },
      ],
    })
  })
})
