import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createAuthenticator, serverSecret } from '../../src/auth/authenticate.js'
import { type PasswordInput, runUser, type UserOptions } from '../../src/cli/user.js'
import { auth } from '../../src/config/auth.js'
import { serveControl } from '../../src/control/socket.js'
import { userRequests } from '../../src/control/user-requests.js'
import { lockDataDir } from '../../src/storage/data-dir.js'
import { openSqliteStore } from '../../src/storage/sqlite/index.js'
import { temporaryFolder } from '../storage/folder.js'

const configuration = `
[general]
  hosts = ["montague.example", "capulet.example", "anonymous.example"]
  data_dir = "data"
[auth]
  methods = ["internal"]
  scram_iterations = 16
[[host_config]]
  host = "anonymous.example"
  [host_config.auth]
    methods = ["anonymous"]
`

/** A folder with a configuration; `run` is `meerkat user` in it. */
function installation() {
  const folder = temporaryFolder()
  const file = join(folder, 'meerkat.toml')
  writeFileSync(file, configuration)
  const lines: string[] = []
  const errors: string[] = []
  const output = { out: (line: string) => void lines.push(line), error: (line: string) => void errors.push(line) }
  const run = async (
    action: UserOptions['action'],
    jid?: string,
    options: Partial<UserOptions> = {},
    input?: PasswordInput,
  ) => {
    lines.length = 0
    const all = { action, jid, password: undefined, passwordStdin: false, file, env: {}, json: false, ...options }
    return { code: await runUser(all, output, input ?? Readable.from([])), lines: [...lines] }
  }
  return { folder, dataDir: join(folder, 'data'), run, errors }
}

/** What stands for a running server: the lock, the store, and the control socket with the handlers of `user`. */
async function running(dataDir: string) {
  const lock = lockDataDir(dataDir)
  const store = await openSqliteStore({ file: lock.database })
  const config = auth.parse({ methods: ['internal'], scram_iterations: 16 })
  const hosts = new Map([['montague.example', config]])
  const authenticator = createAuthenticator({ store, hosts, secret: await serverSecret(store) })
  const removed: string[] = []
  const users = {
    ...authenticator,
    remove(user: string, host: string) {
      removed.push(`${user}@${host}`)
      return authenticator.remove(user, host)
    },
  }
  const server = await serveControl(dataDir, userRequests(users), () => undefined)
  onTestFinished(async () => {
    await server.close()
    await store.close()
    lock.release()
  })
  return { authenticator, store, removed }
}

/** The accounts' credentials as the store holds them. */
async function stored<T>(
  dataDir: string,
  look: (users: ReturnType<typeof createAuthenticator>) => Promise<T>,
): Promise<T> {
  const store = await openSqliteStore({ file: join(dataDir, 'meerkat.db') })
  const hosts = new Map([['montague.example', auth.parse({ methods: ['internal'] })]])
  try {
    return await look(createAuthenticator({ store, hosts, secret: await serverSecret(store) }))
  } finally {
    await store.close()
  }
}

const romeo = 'romeo@montague.example'

describe('meerkat user without a running server', () => {
  it('makes, changes, lists and removes accounts in the store of the configuration', async () => {
    const { run, dataDir } = installation()
    expect(await run('add', romeo, { password: 'one' })).toEqual({ code: 0, lines: [`added ${romeo}`] })
    expect(await stored(dataDir, users => users.verify('romeo', 'montague.example', 'one'))).toBe(true)
    expect(await run('passwd', romeo, { password: 'two' })).toEqual({
      code: 0,
      lines: [`changed the password of ${romeo}`],
    })
    expect(await stored(dataDir, users => users.verify('romeo', 'montague.example', 'two'))).toBe(true)
    expect(await run('list')).toEqual({ code: 0, lines: [romeo] })
    expect(await run('list', 'capulet.example')).toEqual({ code: 0, lines: [] })
    expect(await run('remove', romeo)).toEqual({ code: 0, lines: [`removed ${romeo}`] })
    expect(await run('list', 'MONTAGUE.example')).toEqual({ code: 0, lines: [] })
  })

  it('asks no other method for an account of the store, be it down or without its program', async () => {
    const { run, folder } = installation()
    const methods = 'methods = ["http", "external", "jwt", "internal"]'
    const others = `${methods}
  external.program = "/nowhere"
  jwt = {secret.file = "nowhere", algorithm = "RS256", username_key = "sub"}`
    const pool = '[outgoing_pools.http.auth.connection]\n  host = "http://127.0.0.1:1"\n'
    writeFileSync(join(folder, 'meerkat.toml'), configuration.replace('methods = ["internal"]', others) + pool)
    expect((await run('add', 'romeo@montague.example', { password: 'x' })).code).toBe(0)
    expect((await run('list')).lines).toEqual(['romeo@montague.example'])
  })

  it('gives the folder back, also when it fails', async () => {
    const { run, dataDir } = installation()
    await expect(run('remove', romeo)).rejects.toMatchObject({ code: 'not-found' })
    lockDataDir(dataDir).release()
    expect(readdirSync(dataDir).sort()).toEqual(['meerkat.db', 'meerkat.lock'])
  })

  it('writes one JSON object with --json', async () => {
    const { run } = installation()
    expect((await run('add', romeo, { password: 'one', json: true })).lines).toEqual([
      `{"ok":true,"account":"${romeo}"}`,
    ])
    expect((await run('list', undefined, { json: true })).lines).toEqual([`{"ok":true,"accounts":["${romeo}"]}`])
  })

  it('prepares the JID (RFC 7622)', async () => {
    const { run } = installation()
    expect((await run('add', 'ŻÓŁĆ@Montague.EXAMPLE', { password: 'one' })).lines).toEqual([
      'added żółć@montague.example',
    ])
    await expect(run('add', 'żółć@montague.example', { password: 'one' })).rejects.toMatchObject({ code: 'conflict' })
  })

  it.each([
    ['add', undefined, 'bad-jid', 'romeo@example.org'],
    ['add', 'montague.example', 'bad-jid', 'montague.example'],
    ['add', `${romeo}/orchard`, 'bad-jid', 'orchard'],
    ['remove', 'a b@montague.example', 'bad-jid', 'a b'],
    [
      'add',
      'romeo@verona.example',
      'not-found',
      'verona.example is not served here; served are montague.example, capulet.example',
    ],
    ['list', 'verona.example', 'not-found', 'verona.example is not served here'],
    ['add', 'romeo@anonymous.example', 'bad-request', 'anonymous.example keeps no accounts'],
    ['passwd', 'romeo@anonymous.example', 'bad-request', 'anonymous.example keeps no accounts'],
    ['passwd', romeo, 'not-found', `there is no account ${romeo}`],
    ['remove', romeo, 'not-found', `there is no account ${romeo}`],
  ] as const)('says what is wrong with %s %s', async (action, jid, code, message) => {
    const { run } = installation()
    const failed = run(action, jid, { password: 'one' })
    await expect(failed).rejects.toMatchObject({ code, message: expect.stringContaining(message) })
  })

  it('refuses a second account of one name and a password that cannot be one', async () => {
    const { run } = installation()
    await expect(run('add', romeo, { password: '' })).rejects.toMatchObject({ code: 'bad-request' })
    await expect(run('add', romeo, { password: 'a\u0007' })).rejects.toMatchObject({ code: 'bad-request' })
    await run('add', romeo, { password: 'one' })
    await expect(run('add', romeo, { password: 'one' })).rejects.toMatchObject({ code: 'conflict' })
  })

  it('stops at a data_dir in which a process works that does not answer', async () => {
    const { run, dataDir } = installation()
    const held = lockDataDir(dataDir)
    await expect(run('add', romeo, { password: 'one' })).rejects.toMatchObject({
      problem: 'data-dir-in-use',
      message: expect.stringContaining(String(process.pid)),
    })
    held.release()
  })
})

describe('meerkat user with a running server', () => {
  it('asks the server, so that its sessions and caches follow', async () => {
    const { run, dataDir } = installation()
    const { authenticator, removed } = await running(dataDir)
    expect(await authenticator.exists('romeo', 'montague.example')).toBe(false)
    expect((await run('add', romeo, { password: 'one' })).lines).toEqual([`added ${romeo}`])
    expect(await authenticator.exists('romeo', 'montague.example')).toBe(true)
    await run('passwd', romeo, { password: 'two' })
    expect(await authenticator.verify('romeo', 'montague.example', 'two')).toBe(true)
    expect((await run('list')).lines).toEqual([romeo])
    await run('remove', romeo)
    expect(removed).toEqual([romeo])
    expect(await authenticator.exists('romeo', 'montague.example')).toBe(false)
  })

  it('reports what the server refuses as it does without one', async () => {
    const { run, dataDir } = installation()
    await running(dataDir)
    await expect(run('remove', romeo)).rejects.toMatchObject({
      code: 'not-found',
      message: `there is no account ${romeo}`,
    })
    await expect(run('add', romeo, { password: '' })).rejects.toMatchObject({ code: 'bad-request' })
    // The server was started before this host was configured.
    await expect(run('add', 'romeo@capulet.example', { password: 'x' })).rejects.toMatchObject({ code: 'not-found' })
  })

  it('reports a store that is down as unavailable', async () => {
    const { run, dataDir } = installation()
    const { store } = await running(dataDir)
    await store.kill()
    await expect(run('add', romeo, { password: 'one' })).rejects.toMatchObject({ code: 'unavailable' })
  })

  it('lists more accounts than fit into one answer', async () => {
    const { run, dataDir } = installation()
    const { store } = await running(dataDir)
    const users = Array.from({ length: 2_500 }, (_, index) => `user${String(index).padStart(4, '0')}`)
    await Promise.all(users.map(user => store.accounts.create(user, 'montague.example', { scram: {}, password: 'x' })))
    expect((await run('list')).lines).toEqual(users.map(user => `${user}@montague.example`))
  })
})

describe('where the password comes from', () => {
  it.each([
    ['secret\nnext line\n', 'secret'],
    ['secret\r\n', 'secret'],
    [' spaces count ', ' spaces count '],
    ['żółć', 'żółć'],
  ])('takes the first line of stdin with --password-stdin: %j', async (text, password) => {
    const { run, dataDir } = installation()
    await run('add', romeo, { passwordStdin: true }, Readable.from([Buffer.from(text)]))
    expect(await stored(dataDir, users => users.verify('romeo', 'montague.example', password))).toBe(true)
  })

  it('refuses an empty stdin, and a missing password where there is no terminal to ask', async () => {
    const { run } = installation()
    await expect(run('add', romeo, { passwordStdin: true })).rejects.toMatchObject({ code: 'no-password' })
    await expect(run('add', romeo)).rejects.toMatchObject({ code: 'no-password' })
  })

  it('asks a terminal twice and shows nothing of what is typed', async () => {
    const { run, dataDir, errors } = installation()
    const terminal = Object.assign(new PassThrough(), { isTTY: true })
    terminal.write('secret\rsecret\r')
    const { lines } = await run('add', romeo, {}, terminal)
    expect(errors).toEqual([`Password for ${romeo}:`, 'Once more:'])
    expect([...lines, ...errors].join()).not.toContain('secret')
    expect(await stored(dataDir, users => users.verify('romeo', 'montague.example', 'secret'))).toBe(true)
  })

  it('takes nothing from a terminal when the two differ, or when it is left with Ctrl-C or Ctrl-D', async () => {
    const { run } = installation()
    for (const typed of ['secret\rsecrte\r', 'secret\r\u0003', '\u0004']) {
      const terminal = Object.assign(new PassThrough(), { isTTY: true })
      terminal.write(typed)
      await expect(run('add', romeo, {}, terminal)).rejects.toMatchObject({ code: 'no-password' })
    }
    expect((await run('list')).lines).toEqual([])
  })
})
