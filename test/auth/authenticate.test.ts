import { randomBytes } from 'node:crypto'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { anonymousNames } from '../../src/auth/anonymous.js'
import { createAuthenticator, type HostAuth, serverSecret } from '../../src/auth/authenticate.js'
import { boundedDerivations } from '../../src/auth/derivations.js'
import { auth } from '../../src/config/auth.js'
import { prepareLocal } from '../../src/protocols/jid.js'
import { openSqliteStore } from '../../src/storage/sqlite/index.js'

const host = 'montague.example'

/** An authenticator over an empty store; `settings` is the host's `[auth]`. */
async function authenticator(settings: object = {}, online: string[] = []) {
  const store = await openSqliteStore({ file: ':memory:' })
  onTestFinished(() => store.close())
  const config: HostAuth = auth.parse({ methods: ['internal'], scram_iterations: 16, ...settings })
  const secret = await serverSecret(store)
  const hosts = new Map([[host, config]])
  const made = createAuthenticator({ store, hosts, secret, isOnline: user => online.includes(user) })
  return { store, auth: made, config, secret }
}

describe('accounts of the store', () => {
  it('lets in who has the password, and nobody else', async () => {
    const { auth } = await authenticator()
    expect(await auth.create('romeo', host, 'wherefore')).toBe('created')
    expect(await auth.verify('romeo', host, 'wherefore')).toBe(true)
    for (const [user, domain, password] of [
      ['romeo', host, 'Wherefore'],
      ['romeo', host, ''],
      ['juliet', host, 'wherefore'],
      ['romeo', 'capulet.example', 'wherefore'],
      ['', host, 'wherefore'],
      ['a@b', host, 'wherefore'],
    ] as const) {
      expect(await auth.verify(user, domain, password)).toBe(false)
    }
  })

  it('takes the username as the client writes it and prepares it (RFC 7622 §3.3)', async () => {
    const { auth } = await authenticator()
    await auth.create('żółć', host, 'secret')
    expect(prepareLocal('ŻÓŁĆ')).toBe('żółć')
    expect(await auth.verify('ŻÓŁĆ', host, 'secret')).toBe(true)
    expect((await auth.credentials('ŻÓŁĆ', host))?.scram.sha256).toBeDefined()
    expect(await auth.credentials('a@b', host)).toBeUndefined()
    expect(await auth.credentials('', host)).toBeUndefined()
  })

  it('compares passwords after SASLprep (RFC 4013)', async () => {
    const { auth } = await authenticator()
    await auth.create('romeo', host, 'I\u00adX \u2168')
    expect(await auth.verify('romeo', host, 'IX IX')).toBe(true)
    expect(await auth.verify('romeo', host, 'ix ix')).toBe(false)
  })

  it.each([
    ['an empty one', ''],
    ['one of which SASLprep leaves nothing', '\u00ad'],
    ['one with a control character', 'a\u0007b'],
    ['one of 1 024 bytes', 'ż'.repeat(512)],
  ])('refuses a password that cannot be one: %s', async (_, password) => {
    const { auth } = await authenticator()
    const refused = { name: 'UnusablePassword' }
    await expect(auth.create('romeo', host, password)).rejects.toMatchObject(refused)
    expect(await auth.exists('romeo', host)).toBe(false)
    await auth.create('romeo', host, 'good')
    await expect(auth.setPassword('romeo', host, password)).rejects.toMatchObject(refused)
    expect(await auth.verify('romeo', host, password)).toBe(false)
    expect(await auth.verify('romeo', host, 'good')).toBe(true)
  })

  it('takes the longest password that it allows', async () => {
    const { auth } = await authenticator()
    expect(await auth.create('romeo', host, 'x'.repeat(1_023))).toBe('created')
    expect(await auth.verify('romeo', host, 'x'.repeat(1_023))).toBe(true)
  })

  it('changes a password, so that the old one is worth nothing', async () => {
    const { auth } = await authenticator()
    await auth.create('romeo', host, 'old')
    expect(await auth.setPassword('romeo', host, 'new')).toBe('changed')
    expect(await auth.verify('romeo', host, 'old')).toBe(false)
    expect(await auth.verify('romeo', host, 'new')).toBe(true)
    expect(await auth.setPassword('juliet', host, 'new')).toBe('not-found')
  })

  it('refuses a second account of one name, also when both are asked for at once, and the first password stays', async () => {
    const { auth } = await authenticator()
    const results = await Promise.all([auth.create('romeo', host, 'first'), auth.create('romeo', host, 'second')])
    expect([...results].sort()).toEqual(['created', 'exists'])
    const winner = results[0] === 'created' ? 'first' : 'second'
    expect(await auth.create('romeo', host, 'third')).toBe('exists')
    expect(await auth.verify('romeo', host, winner)).toBe(true)
  })

  it('removes an account, so that its password is worth nothing', async () => {
    const { auth } = await authenticator()
    await auth.create('romeo', host, 'wherefore')
    expect(await auth.remove('romeo', host)).toBe(true)
    expect(await auth.remove('romeo', host)).toBe(false)
    expect(await auth.verify('romeo', host, 'wherefore')).toBe(false)
    expect(await auth.exists('romeo', host)).toBe(false)
  })

  it('lists and counts the accounts of a host', async () => {
    const { auth } = await authenticator()
    for (const user of ['c', 'a', 'b']) await auth.create(user, host, 'x')
    expect(await auth.list(host, { limit: 2 })).toEqual(['a', 'b'])
    expect(await auth.list(host, { after: 'b', limit: 2 })).toEqual(['c'])
    expect(await auth.count(host)).toBe(3)
    expect(await auth.list('capulet.example', { limit: 2 })).toEqual([])
    expect(await auth.count('capulet.example')).toBe(0)
  })
})

describe('what is stored of a password', () => {
  it('is keys for every hash with a salt of 16 bytes each, and not the password', async () => {
    const { auth, store } = await authenticator({ scram_iterations: 20 })
    await auth.create('romeo', host, 'wherefore')
    const stored = await store.accounts.credentials('romeo', host)
    expect(Object.keys(stored?.scram ?? {}).sort()).toEqual(['sha', 'sha224', 'sha256', 'sha384', 'sha512'])
    const keys = Object.values(stored?.scram ?? {})
    expect(keys.map(({ salt, iterations }) => [salt.length, iterations])).toEqual(keys.map(() => [16, 20]))
    expect(new Set(keys.map(({ salt }) => salt.toString('hex'))).size).toBe(5)
    expect(stored).not.toHaveProperty('password')
  })

  it('is keys for the hashes of auth.password.hash only, which are also those on offer', async () => {
    const { auth, store } = await authenticator({ password: { hash: ['sha256'] } })
    await auth.create('romeo', host, 'wherefore')
    expect(Object.keys((await store.accounts.credentials('romeo', host))?.scram ?? {})).toEqual(['sha256'])
    expect(auth.sasl(host).hashes).toEqual(['sha256'])
  })

  it('is the password too with auth.password.format = "plain", unless auth.password.hash is there', async () => {
    const plain = await authenticator({ password: { format: 'plain' } })
    await plain.auth.create('romeo', host, 'wherefore')
    expect(await plain.store.accounts.credentials('romeo', host)).toHaveProperty('password', 'wherefore')
    await plain.auth.setPassword('romeo', host, 'changed')
    expect(await plain.store.accounts.credentials('romeo', host)).toHaveProperty('password', 'changed')
    const hashed = await authenticator({ password: { format: 'plain', hash: ['sha512'] } })
    await hashed.auth.create('romeo', host, 'wherefore')
    expect(await hashed.store.accounts.credentials('romeo', host)).not.toHaveProperty('password')
  })
})

describe('the check of a password', () => {
  it('derives one key for a name that exists and one for a name that does not', async () => {
    let derived = 0
    const { store, config, secret } = await authenticator()
    const auth = createAuthenticator({
      store,
      hosts: new Map([[host, config]]),
      secret,
      derivations: work => {
        derived += 1
        return work()
      },
    })
    await auth.create('romeo', host, 'wherefore')
    derived = 0
    await auth.verify('romeo', host, 'wrong')
    expect(derived).toBe(1)
    await auth.verify('nobody', host, 'wrong')
    expect(derived).toBe(2)
  })

  it('derives keys once for a password that is right again and again, until something is stored anew', async () => {
    const { store, config, secret } = await authenticator()
    let derived = 0
    const auth = createAuthenticator({
      store,
      hosts: new Map([[host, config]]),
      secret,
      derivations: work => {
        derived += 1
        return work()
      },
    })
    const cost = async (password: string) => {
      const before = derived
      return [await auth.verify('romeo', host, password), derived - before]
    }
    await auth.create('romeo', host, 'wherefore')
    expect(await cost('wherefore')).toEqual([true, 1])
    expect(await cost('wherefore')).toEqual([true, 0])
    expect(await cost('wrong')).toEqual([false, 1])
    expect(await cost('wherefore')).toEqual([true, 0])
    await auth.setPassword('romeo', host, 'wherefore')
    expect(await cost('wherefore')).toEqual([true, 1])
    // By another process, past this one.
    const other = createAuthenticator({ store, hosts: new Map([[host, config]]), secret })
    await other.setPassword('romeo', host, 'new')
    expect(await cost('wherefore')).toEqual([false, 1])
    expect(await cost('new')).toEqual([true, 1])
    await other.remove('romeo', host)
    expect(await cost('new')).toEqual([false, 1])
  })

  it('takes the time of a derivation where there is no such account', async () => {
    const { auth } = await authenticator({ scram_iterations: 500_000 })
    const begun = performance.now()
    expect(await auth.verify('nobody', host, 'guess')).toBe(false)
    // Half a million rounds of HMAC; without them it would be a fraction of a millisecond.
    expect(performance.now() - begun).toBeGreaterThan(15)
  })

  it('rejects with StoreUnavailable, and lets nobody in, while the store is down', async () => {
    const { auth, store } = await authenticator()
    await auth.create('romeo', host, 'wherefore')
    await store.kill()
    for (const request of [
      auth.verify('romeo', host, 'wherefore'),
      auth.credentials('romeo', host),
      auth.create('juliet', host, 'x'),
      auth.remove('romeo', host),
    ]) {
      await expect(request).rejects.toMatchObject({ name: 'StoreUnavailable' })
    }
  })
})

describe('derivations of keys', () => {
  it('run so many at once, wait up to a limit in order, and are refused beyond it without being begun', async () => {
    const derivations = boundedDerivations(2, 3)
    const begun: number[] = []
    const ends: (() => void)[] = []
    const results = Array.from({ length: 6 }, (_, index) =>
      derivations(() => {
        begun.push(index)
        return new Promise<number>(resolve => ends.push(() => resolve(index)))
      }),
    )
    await expect(results[5]).rejects.toMatchObject({ name: 'StoreUnavailable' })
    expect(begun).toEqual([0, 1])
    for (const index of [0, 1, 2, 3, 4]) {
      await vi.waitFor(() => expect(begun.length).toBeGreaterThan(index))
      ends[index]?.()
      await expect(results[index]).resolves.toBe(index)
    }
    expect(begun).toEqual([0, 1, 2, 3, 4])
    await expect(derivations(async () => 'again')).resolves.toBe('again')
  })

  it('hand their place on when they fail', async () => {
    const derivations = boundedDerivations(1, 9)
    const results = await Promise.allSettled([
      derivations(() => Promise.reject(new Error('broken'))),
      derivations(async () => 'fine'),
      derivations(async () => 'fine'),
    ])
    expect(results.map(result => result.status)).toEqual(['rejected', 'fulfilled', 'fulfilled'])
  })
})

describe('whether an account exists', () => {
  it('is known at once after it was asked, for names that exist and names that do not', async () => {
    const { auth, store } = await authenticator()
    await auth.create('romeo', host, 'x')
    const asked = vi.spyOn(store.accounts, 'exists')
    expect(await auth.exists('romeo', host)).toBe(true)
    expect(await auth.exists('nobody', host)).toBe(false)
    expect(auth.exists('romeo', host)).toBe(true)
    expect(auth.exists('nobody', host)).toBe(false)
    expect(auth.exists('romeo', 'capulet.example')).toBe(false)
    expect(asked).toHaveBeenCalledTimes(2)
  })

  it('changes with the creation and the removal of an account', async () => {
    const { auth } = await authenticator()
    expect(await auth.exists('romeo', host)).toBe(false)
    await auth.create('romeo', host, 'x')
    expect(await auth.exists('romeo', host)).toBe(true)
    expect(auth.exists('romeo', host)).toBe(true)
    await auth.remove('romeo', host)
    expect(await auth.exists('romeo', host)).toBe(false)
  })

  it('is not remembered from before a change that overtook the answer', async () => {
    const { auth, store } = await authenticator()
    // A store whose answer to the first question stays on its way until the account was made.
    const answer = store.accounts.exists('romeo', host)
    let release: (() => void) | undefined
    const held = new Promise<void>(resolve => {
      release = resolve
    })
    vi.spyOn(store.accounts, 'exists').mockImplementationOnce(() => held.then(() => answer))
    const early = auth.exists('romeo', host)
    await auth.create('romeo', host, 'x')
    release?.()
    expect(await early).toBe(false)
    expect(await auth.exists('romeo', host)).toBe(true)
  })

  it('is remembered for a bounded number of names', async () => {
    const { auth, store } = await authenticator()
    expect(await auth.exists('first', host)).toBe(false)
    const asked = vi.spyOn(store.accounts, 'exists').mockResolvedValue(false)
    for (let index = 0; index < 10_000; index += 1) await auth.exists(`name${index}`, host)
    expect(auth.exists('name9999', host)).toBe(false)
    asked.mockClear()
    await auth.exists('first', host)
    expect(asked).toHaveBeenCalledTimes(1)
  })
})

describe('mechanisms that a host can offer (spec/listeners.md §2.6)', () => {
  const capabilities = async (settings: object) =>
    [...(await authenticator(settings)).auth.sasl(host).capabilities].sort()

  it.each([
    [{ methods: ['internal'] }, ['plain', 'scram']],
    [{ methods: ['rdbms'] }, ['plain', 'scram']],
    [{ methods: [] }, []],
    [{ methods: ['anonymous'] }, ['anonymous']],
    [{ methods: ['anonymous'], anonymous: { protocol: 'login_anon' } }, ['plain']],
    [{ methods: ['anonymous'], anonymous: { protocol: 'both' } }, ['anonymous', 'plain']],
    [{ methods: ['internal', 'anonymous'] }, ['anonymous', 'plain', 'scram']],
  ])('with %j are %j', async (settings, expected) => {
    expect(await capabilities(settings)).toEqual(expected)
  })

  it('keep the order of the configuration, without those that are not spoken', async () => {
    const { auth } = await authenticator({ sasl_mechanisms: ['plain', 'oauth', 'scram_sha1', 'digest', 'external'] })
    expect(auth.sasl(host).configured).toEqual(['plain', 'scram_sha1', 'digest', 'external'])
    expect(auth.sasl(host).iterations).toEqual([16])
  })

  it('are none on a host that is not served', async () => {
    const { auth } = await authenticator()
    expect(auth.sasl('capulet.example')).toMatchObject({ configured: [], hashes: [] })
    expect(auth.sasl('capulet.example').capabilities.size).toBe(0)
    expect(auth.hosts).toEqual([host])
  })
})

describe('anonymous users', () => {
  it('get 16 hex digits and a counter as their name (§3.1.5)', async () => {
    const { auth } = await authenticator({ methods: ['anonymous'] })
    const names = Array.from({ length: 50 }, () => auth.anonymousName())
    for (const [index, name] of names.entries()) {
      expect(name).toMatch(/^[0-9a-f]{16}\d+$/)
      expect(name.slice(16)).toBe(String(index + 1))
      expect(prepareLocal(name)).toBe(name)
    }
    expect(new Set(names.map(name => name.slice(0, 16))).size).toBe(50)
  })

  it('get no name twice even where the random numbers repeat', () => {
    const name = anonymousNames(size => Buffer.alloc(size, 0xab))
    expect([name(), name()]).toEqual(['abababababababab1', 'abababababababab2'])
  })

  it('log in under any name with any password where login_anon is on, and not with sasl_anon', async () => {
    for (const protocol of ['login_anon', 'both']) {
      const { auth } = await authenticator({ methods: ['anonymous'], anonymous: { protocol } })
      expect(await auth.verify('anybody', host, 'anything')).toBe(true)
      expect(await auth.verify('a@b', host, 'anything')).toBe(false)
      expect(await auth.verify('', host, 'anything')).toBe(false)
    }
    const { auth } = await authenticator({ methods: ['anonymous'] })
    expect(await auth.verify('anybody', host, 'anything')).toBe(false)
  })

  it.each([[['internal', 'anonymous']], [['anonymous', 'internal']]])(
    'never get in under the name of an account, with the methods %j',
    async methods => {
      const { auth } = await authenticator({
        methods,
        anonymous: { protocol: 'both', allow_multiple_connections: true },
      })
      await auth.create('romeo', host, 'wherefore')
      expect(await auth.verify('romeo', host, 'guess')).toBe(false)
      expect(await auth.verify('ROMEO', host, 'guess')).toBe(false)
      expect(await auth.verify('romeo', host, 'wherefore')).toBe(true)
      expect(await auth.verify('tourist', host, 'guess')).toBe(true)
    },
  )

  it('share a name that is online only where allow_multiple_connections is on', async () => {
    const settings = (allowed: boolean) => ({
      methods: ['anonymous'],
      anonymous: { protocol: 'login_anon', allow_multiple_connections: allowed },
    })
    const strict = await authenticator(settings(false), ['taken'])
    expect(await strict.auth.verify('taken', host, 'x')).toBe(false)
    expect(await strict.auth.verify('free', host, 'x')).toBe(true)
    const open = await authenticator(settings(true), ['taken'])
    expect(await open.auth.verify('taken', host, 'x')).toBe(true)
  })

  it('exist while they are online', async () => {
    const { auth } = await authenticator({ methods: ['anonymous'] }, ['here'])
    expect(auth.exists('here', host)).toBe(true)
    expect(auth.exists('gone', host)).toBe(false)
  })

  it('cannot register where no method keeps accounts', async () => {
    const { auth } = await authenticator({ methods: ['anonymous'] })
    expect(await auth.create('romeo', host, 'x')).toBe('not-allowed')
    expect(await auth.setPassword('romeo', host, 'x')).toBe('not-allowed')
    expect(await auth.remove('romeo', host)).toBe(false)
    expect(await auth.list(host, { limit: 9 })).toEqual([])
    expect(await auth.credentials('romeo', host)).toBeUndefined()
  })
})

describe('the secret of the installation', () => {
  it('is made once and the same afterwards', async () => {
    const { store, secret } = await authenticator()
    expect(secret).toHaveLength(32)
    expect(await serverSecret(store)).toEqual(secret)
    expect(await serverSecret(store, () => randomBytes(32))).toEqual(secret)
    expect((await authenticator()).secret).not.toEqual(secret)
  })
})
