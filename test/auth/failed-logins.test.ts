import { describe, expect, it } from 'vitest'
import { FailedLogins, network } from '../../src/auth/failed-logins.js'
import { ManualClock } from '../support/clock.js'

function failedLogins(max = 3, seconds = 60) {
  const clock = new ManualClock()
  const failures = new FailedLogins({ max_failed_logins: max, failed_login_window: seconds }, clock)
  const fail = (address: string, user: string, times = 1) => {
    for (let time = 0; time < times; time += 1) failures.failed(address, user)
  }
  return { clock, failures, fail }
}

describe('auth.max_failed_logins (§2.6)', () => {
  it('shuts an account out from the address that failed so often, however its name is written, and from no other', () => {
    const { failures, fail } = failedLogins()
    fail('192.0.2.1', 'romeo', 2)
    expect(failures.isBlocked('192.0.2.1', 'romeo')).toBe(false)
    expect(failures.failed('192.0.2.1', 'ROMEO').isLast).toBe(true)
    expect(failures.isBlocked('192.0.2.1', 'romeo')).toBe(true)
    expect(failures.isBlocked('192.0.2.1', 'Romeo')).toBe(true)
    expect(failures.isBlocked('192.0.2.1', 'juliet')).toBe(false)
    expect(failures.isBlocked('192.0.2.2', 'romeo')).toBe(false)
  })

  it('shuts an address out after ten times as many failures, whatever the accounts', () => {
    const { failures, fail } = failedLogins()
    for (let index = 0; index < 29; index += 1) fail('192.0.2.1', `user${index}`)
    expect(failures.isBlocked('192.0.2.1', 'romeo')).toBe(false)
    expect(failures.failed('192.0.2.1', 'user29').isLast).toBe(true)
    expect(failures.isBlocked('192.0.2.1', 'romeo')).toBe(true)
    expect(failures.isBlocked('192.0.2.2', 'romeo')).toBe(false)
  })

  it('starts the pair afresh with a success, and the address not', () => {
    const { failures, fail } = failedLogins()
    for (let round = 0; round < 14; round += 1) {
      fail('192.0.2.1', 'own', 2)
      failures.succeeded('192.0.2.1', 'own')
      expect(failures.isBlocked('192.0.2.1', 'own')).toBe(false)
    }
    fail('192.0.2.1', 'own', 2)
    expect(failures.isBlocked('192.0.2.1', 'own')).toBe(true)
  })

  it('forgets them when auth.failed_login_window has passed', () => {
    const { clock, failures, fail } = failedLogins(3, 60)
    fail('192.0.2.1', 'romeo', 3)
    clock.advance(59_999)
    expect(failures.isBlocked('192.0.2.1', 'romeo')).toBe(true)
    clock.advance(1)
    expect(failures.isBlocked('192.0.2.1', 'romeo')).toBe(false)
    expect(failures.failed('192.0.2.1', 'romeo')).toEqual({ delayMs: 100, isLast: false })
  })

  it('lets each failure take longer, up to three seconds, also where the accounts differ', () => {
    const { failures } = failedLogins(20)
    const delays = Array.from({ length: 8 }, () => failures.failed('192.0.2.1', 'romeo').delayMs)
    expect(delays).toEqual([100, 200, 400, 800, 1600, 3000, 3000, 3000])
    for (let index = 0; index < 40; index += 1) failures.failed('192.0.2.2', `user${index}`)
    expect(failures.failed('192.0.2.2', 'another').delayMs).toBe(400)
  })

  it('remembers a bounded number of addresses and accounts', () => {
    const { failures } = failedLogins()
    for (let index = 0; index < 60_000; index += 1) failures.failed(`${index}`, 'x'.repeat(1000))
    expect(failures.size).toBe(70_000)
  })
})

describe('the network of an address', () => {
  it.each([
    ['192.0.2.1', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['2001:db8:0:1:2:3:4:5', '2001:db8:0:1::/64'],
    ['2001:db8:0:1::5', '2001:db8:0:1::/64'],
    ['2001:0db8::1:2:3:4:5', '2001:db8:0:1::/64'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
  ])('of %s is %s', (address, expected) => {
    expect(network(address)).toBe(expected)
  })
})
