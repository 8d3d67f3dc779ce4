import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PassThrough, Writable } from 'node:stream'
import fc from 'fast-check'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createAuthenticator, serverSecret } from '../../src/auth/authenticate.js'
import { runExport } from '../../src/cli/user-export.js'
import { runImport } from '../../src/cli/user-import.js'
import { auth } from '../../src/config/auth.js'
import { accountRequests } from '../../src/control/account-requests.js'
import { serveControl } from '../../src/control/socket.js'
import { archiveId } from '../../src/protocols/archive-id.js'
import { lockDataDir } from '../../src/storage/data-dir.js'
import { openSqliteStore } from '../../src/storage/sqlite/index.js'
import type { PrivacyItem, RosterItem, Store } from '../../src/storage/store.js'
import { temporaryFolder } from '../storage/folder.js'
import { parseXml } from '../support/xml.js'

/*
 * `meerkat user export` and `import`: accounts as documents of XEP-0227.
 */

const host = 'montague.example'
const romeo = `romeo@${host}`
const configuration = `
[general]
  hosts = ["${host}", "capulet.example"]
  data_dir = "data"
[auth]
  methods = ["internal"]
  scram_iterations = 16
`

/** A folder with a configuration, and the verbs in it. */
function installation() {
  const folder = temporaryFolder()
  const file = join(folder, 'meerkat.toml')
  writeFileSync(file, configuration)
  const dataDir = join(folder, 'data')
  const lines: string[] = []
  const output = { out: (line: string) => void lines.push(line), error: (line: string) => void lines.push(line) }
  return {
    folder,
    dataDir,
    /** What the store of the installation says, while no server runs. */
    async inStore<T>(look: (store: Store) => Promise<T>): Promise<T> {
      const lock = lockDataDir(dataDir)
      const store = await openSqliteStore({ file: lock.database })
      try {
        return await look(store)
      } finally {
        await store.close()
        lock.release()
      }
    },
    async export(jid: string): Promise<string> {
      const chunks: string[] = []
      const stdout = new Writable({
        write(chunk, _encoding, done) {
          chunks.push(String(chunk))
          done()
        },
      })
      expect(await runExport({ jid, out: undefined, file, env: {}, json: false }, output, stdout)).toBe(0)
      return chunks.join('')
    },
    exportTo: (jid: string, out: string, json = false) => runExport({ jid, out, file, env: {}, json }, output),
    async import(document: string, options: { json?: boolean; stderr?: PassThrough & { isTTY?: boolean } } = {}) {
      const path = join(folder, 'import.xml')
      writeFileSync(path, document)
      return this.importFile(path, options)
    },
    async importFile(
      path: string,
      { json = false, stderr = new PassThrough() }: { json?: boolean; stderr?: PassThrough } = {},
    ) {
      lines.length = 0
      const code = await runImport({ document: path, file, env: {}, json }, output, stderr)
      return { code, lines: [...lines] }
    },
    lines,
  }
}

const key = (length: number, fill: number) => Buffer.alloc(length, fill)
const credentials = {
  scram: {
    sha: { salt: key(16, 1), iterations: 4096, storedKey: key(20, 2), serverKey: key(20, 3) },
    sha256: { salt: key(16, 4), iterations: 10_000, storedKey: key(32, 5), serverKey: key(32, 6) },
  },
}

/** One of everything. */
async function fill(store: Store, messages = 3): Promise<void> {
  await store.accounts.create('romeo', host, credentials)
  await store.rosters.update('romeo', host, {
    put: [
      {
        jid: 'juliet@capulet.example',
        name: 'Juliet & <co>',
        subscription: 'both',
        ask: false,
        approved: false,
        groups: ['A', 'B'],
      },
      { jid: 'nurse@capulet.example', name: '', subscription: 'none', ask: true, approved: true, groups: [] },
    ],
    putRequests: [
      {
        jid: 'paris@x.example',
        xml: `<presence type="subscribe" from="paris@x.example" to="${romeo}"><status>hi</status></presence>`,
      },
    ],
  })
  const delay = `<delay xmlns="urn:xmpp:delay" from="${host}" stamp="2026-01-02T03:04:05.678Z">Offline storage</delay>`
  for (let number = 0; number < messages; number += 1) {
    await store.offline.add(
      'romeo',
      host,
      `<message from="juliet@capulet.example/b" to="${romeo}" id="${number}"><body>wait</body>${delay}</message>`,
      1,
      Infinity,
    )
  }
  await store.privateXml.put(
    'romeo',
    host,
    [{ ns: 'exodus:prefs', name: 'exodus', xml: '<exodus xmlns="exodus:prefs"><nick>R</nick></exodus>' }],
    10,
  )
  await store.vcards.put('romeo', host, '<vCard xmlns="vcard-temp"><FN>Romeo Montague</FN></vCard>', [
    { field: 'user', value: 'romeo' },
    { field: 'fn', value: 'Romeo Montague' },
  ])
  await store.privacy.update('romeo', host, {
    put: [
      { name: 'public', items: [{ type: 'jid', value: 'tybalt@x.example', action: 'deny', stanzas: [], order: 1 }] },
    ],
    defaultName: 'public',
  })
  await store.archive.setPreferences('romeo', host, { standard: 'roster', always: ['a@b'], never: [] })
  await store.lastActivity.put('romeo', host, { at: 1_700_000_000_123, status: 'gone & away' })
  await Promise.all(
    Array.from({ length: messages }, (_, number) => {
      const isSent = number % 2 === 1
      const [from, to] = isSent ? [`${romeo}/x`, 'juliet@capulet.example'] : ['juliet@capulet.example/balcony', romeo]
      const xml = Buffer.from(
        `<message from="${from}" to="${to}" type="chat" id="m${number}"><body>${number} &lt;</body></message>`,
      )
      const id = archiveId(1_700_000_000_000_000 + number * 7, '0123abcd')
      return store.archive.append({
        user: 'romeo',
        host,
        id,
        contact: 'juliet@capulet.example',
        resource: isSent ? '' : 'balcony',
        xml,
      })
    }),
  )
}

describe('an account as a document (XEP-0227)', () => {
  it('holds everything that is stored of it, each part as the format has it', async () => {
    const { inStore, export: exported } = installation()
    await inStore(store => fill(store))
    const text = await exported(romeo)
    expect(text.startsWith('<?xml version="1.0" encoding="UTF-8"?>\n<server-data xmlns="urn:xmpp:pie:0">')).toBe(true)
    const user = parseXml(text.slice(text.indexOf('<server-data')), '')
      .getChild('host')!
      .getChild('user')!
    expect(user.attrs).toEqual({ name: 'romeo' })
    const keys = user.getChildren('scram-credentials', 'urn:xmpp:pie:0#scram')
    expect(keys.map(({ attrs }) => attrs.mechanism)).toEqual(['SCRAM-SHA-1', 'SCRAM-SHA-256'])
    expect(keys[0]!.getChildText('iter-count')).toBe('4096')
    expect(keys[0]!.getChildText('stored-key')).toBe(key(20, 2).toString('base64'))
    const roster = user.getChild('query', 'jabber:iq:roster')!
    expect(
      roster.getChildren('item').map(({ attrs }) => [attrs.jid, attrs.subscription, attrs.ask, attrs.approved]),
    ).toEqual([
      ['juliet@capulet.example', 'both', undefined, undefined],
      ['nurse@capulet.example', 'none', 'subscribe', 'true'],
    ])
    expect(user.getChild('presence', 'jabber:client')!.attrs.from).toBe('paris@x.example')
    expect(user.getChild('offline-messages')!.getChildren('message', 'jabber:client')).toHaveLength(3)
    expect(user.getChild('vCard', 'vcard-temp')!.getChildText('FN')).toBe('Romeo Montague')
    expect(user.getChild('query', 'jabber:iq:private')!.getChild('exodus', 'exodus:prefs')).toBeDefined()
    const privacy = user.getChild('query', 'jabber:iq:privacy')!
    expect(privacy.getChild('default')!.attrs.name).toBe('public')
    expect(privacy.getChild('list')!.attrs.name).toBe('public')
    const results = user.getChild('archive', 'urn:xmpp:pie:0#mam')!.getChildren('result', 'urn:xmpp:mam:2')
    expect(results).toHaveLength(3)
    const forwarded = results[0]!.getChild('forwarded', 'urn:xmpp:forward:0')!
    expect(forwarded.getChild('delay')!.attrs.stamp).toBe('2023-11-14T22:13:20.000Z')
    expect(forwarded.getChild('message', 'jabber:client')!.getChildText('body')).toBe('0 <')
  })

  it('is the same after export, removal, import and export, page after page', async () => {
    const it = installation()
    await it.inStore(store => fill(store, 250))
    const before = await it.export(romeo)
    const what = await it.inStore(everything)
    await it.inStore(store => store.accounts.remove('romeo', host))
    const { code, lines } = await it.import(before)
    expect(code).toBe(0)
    expect(lines).toEqual([
      `imported ${romeo}: a new account with its password; 250 offline messages, 2 roster items, 1 subscription requests, ` +
        '1 vCards, 1 privacy lists, 1 archiving preferences, 1 last activities, 1 private fragments, 250 archived messages',
    ])
    expect(await it.export(romeo)).toBe(before)
    expect(await it.inStore(everything)).toEqual(what)
  })

  it('is imported again without anything twice, and without touching the password', async () => {
    const it = installation()
    await it.inStore(store => fill(store))
    const before = await it.export(romeo)
    const changed = before.replace(key(20, 2).toString('base64'), key(20, 9).toString('base64'))
    const { lines } = await it.import(changed, { json: true })
    expect(JSON.parse(lines[0]!)).toMatchObject({
      ok: true,
      accounts: [
        {
          account: romeo,
          isNew: false,
          credentials: 'kept',
          counts: { offline: { added: 0, known: 3 }, archived: { added: 0, known: 3 } },
        },
      ],
      ignored: {},
    })
    expect(await it.export(romeo)).toBe(before)
  })

  const text = fc.string({
    unit: fc.oneof(
      fc.constantFrom('<', '&', '"', "'", '\t', '\n', '\r', ']', '>', 'ż', '🐱'),
      fc.string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 1 }),
    ),
    maxLength: 12,
  })
  const escaped = (value: string) => value.replace(/[&<>"'\t\n\r]/g, char => `&#${char.charCodeAt(0)};`)
  it('is the same for whatever texts stand in it', async () => {
    const it = installation()
    await fc.assert(
      fc.asyncProperty(
        text,
        text,
        text,
        fc.integer({ min: 0, max: 2_000_000_000_000 }),
        async (name, body, status, at) => {
          await it.inStore(async store => {
            await store.accounts.remove('romeo', host)
            await store.accounts.create('romeo', host, credentials)
            await store.rosters.update('romeo', host, {
              put: [
                {
                  jid: 'x@y',
                  name,
                  subscription: 'to',
                  ask: false,
                  approved: false,
                  groups: body === '' ? [] : [body],
                },
              ],
            })
            await store.lastActivity.put('romeo', host, { at, status })
            const xml = `<a xmlns="urn:a" b="${escaped(name)}">${escaped(body)}<c xmlns="urn:c">${escaped(status)}</c></a>`
            await store.privateXml.put('romeo', host, [{ ns: 'urn:a', name: 'a', xml }], 10)
            const message = `<message from="x@y/${'r'}" to="${romeo}" xml:lang="${escaped(name)}"><body>${escaped(body)}</body>${xml}</message>`
            await store.offline.add('romeo', host, message, at, Infinity)
            const id = archiveId(at * 1000 + 7, 'abcdef01')
            await store.archive.append({
              user: 'romeo',
              host,
              id,
              contact: 'x@y',
              resource: 'r',
              xml: Buffer.from(message),
            })
          })
          const [before, what] = [await it.export(romeo), await it.inStore(everything)]
          await it.inStore(store => store.accounts.remove('romeo', host))
          await it.import(before)
          expect(await it.export(romeo)).toBe(before)
          const { roster, last } = await it.inStore(everything)
          expect({ roster, last }).toEqual({ roster: what.roster, last: what.last })
        },
      ),
      { numRuns: 15 },
    )
  }, 120_000)
})

/** What of an account says everything. */
async function everything(store: Store) {
  const { items, requests } = await store.rosters.load('romeo', host)
  return {
    credentials: await store.accounts.credentials('romeo', host),
    roster: items satisfies RosterItem[],
    requests: requests.map(({ jid }) => jid),
    privacy: (await store.privacy.load('romeo', host)).lists.flatMap(({ items }) => items satisfies PrivacyItem[]),
    preferences: await store.archive.preferences('romeo', host),
    last: await store.lastActivity.get('romeo', host),
    archive: ((await store.archive.page('romeo', host, { limit: 1_000 })) ?? []).map(({ id, xml, contact }) => [
      id,
      contact,
      Buffer.from(xml).toString(),
    ]),
    found: await store.vcards.search(host, [{ field: 'fn', value: 'romeo', isPrefix: true }], 9),
  }
}

const document = (inside: string, user = '<user name="romeo">') =>
  `<?xml version='1.0' encoding='UTF-8'?>\n<server-data xmlns='urn:xmpp:pie:0'>\n<host jid='${host}'>\n${user}\n${inside}\n</user>\n</host>\n</server-data>\n`

describe('meerkat user import', () => {
  it('takes the examples of XEP-0227, with ids of another server, always the same', async () => {
    const it = installation()
    const result = (id: string, at: string, from: string, to: string) =>
      `<result xmlns='urn:xmpp:mam:2' id='${id}'><forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' stamp='${at}'/>` +
      `<message xmlns='jabber:client' from='${from}' to='${to}' type='chat'><body>x</body></message></forwarded></result>`
    const archive =
      `<archive xmlns='urn:xmpp:pie:0#mam'>${result('28482-98726-73623', '2010-07-10T23:08:25Z', 'juliet@capulet.example/b', `${romeo}/o`)}` +
      `${result('5d398', '2010-07-10T23:08:25Z', `${romeo}/o`, 'juliet@capulet.example/b')}</archive>`
    const pubsub = "<pubsub xmlns='http://jabber.org/protocol/pubsub#owner'/>"
    const text = document(`${archive}${pubsub}`, '<user name="Romeo" password="wherefore">')
    const { lines } = await it.import(text)
    expect(lines).toEqual([
      `imported ${romeo}: a new account with its password; 2 archived messages`,
      'ignored {http://jabber.org/protocol/pubsub#owner}pubsub, 1 times: this server keeps nothing of the kind',
    ])
    const stored = await it.inStore(everything)
    expect(stored.archive.map(([, contact]) => contact)).toEqual(['juliet@capulet.example', 'juliet@capulet.example'])
    await it.import(text)
    expect(await it.inStore(everything)).toEqual(stored)
    await it.inStore(async store => {
      const users = createAuthenticator({
        store,
        hosts: new Map([[host, auth.parse({ methods: ['internal'], scram_iterations: 16 })]]),
        secret: await serverSecret(store),
      })
      expect(await users.verify('romeo', host, 'wherefore')).toBe(true)
    })
  })

  it('includes files beside the document, and nothing from elsewhere (§5)', async () => {
    const it = installation()
    const folder = join(it.folder, 'in')
    mkdirSync(join(folder, host), { recursive: true })
    const xi = "xmlns:xi='http://www.w3.org/2001/XInclude'"
    const main = join(folder, 'main.xml')
    writeFileSync(main, `<server-data xmlns='urn:xmpp:pie:0' ${xi}><xi:include href='${host}.xml'/></server-data>`)
    writeFileSync(
      join(folder, `${host}.xml`),
      `<host xmlns='urn:xmpp:pie:0' ${xi} jid='${host}'><xi:include href='${host}/romeo.xml'/></host>`,
    )
    const user = (inside: string) => `<user xmlns='urn:xmpp:pie:0' ${xi} name='romeo'>${inside}</user>`
    const userFile = join(folder, host, 'romeo.xml')
    writeFileSync(
      userFile,
      user("<xi:include href='card.xml'/><query xmlns='jabber:iq:private'><xi:include href='/etc/passwd'/></query>"),
    )
    writeFileSync(join(folder, host, 'card.xml'), "<vCard xmlns='vcard-temp'><FN>R</FN></vCard>")
    await it.importFile(main)
    const text = await it.export(romeo)
    expect(text).toContain('<FN>R</FN>')
    // Below a user's own data it is data. §5
    expect(text).toContain('href="/etc/passwd"')
    writeFileSync(join(it.folder, 'secret.xml'), "<vCard xmlns='vcard-temp'/>")
    for (const href of ['../../secret.xml', '/etc/passwd', 'file:///etc/passwd', 'http://x.example/', 'no-such.xml']) {
      writeFileSync(userFile, user(`<xi:include href='${href}'/>`))
      await expect(it.importFile(main)).rejects.toMatchObject({
        name: 'UserError',
        message: expect.stringMatching(/romeo\.xml:1|no-such\.xml/),
      })
    }
  })

  const two =
    '<scram-credentials xmlns="urn:xmpp:pie:0#scram" mechanism="SCRAM-SHA-1"><iter-count>1</iter-count><salt>YQ==</salt><server-key>AAAAAAAAAAAAAAAAAAAAAAAAAAA=</server-key><stored-key>AAAAAAAAAAAAAAAAAAAAAAAAAAA=</stored-key></scram-credentials>'
  it.each([
    [
      'a document type',
      '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><server-data xmlns="urn:xmpp:pie:0"/>',
      ':1: restricted-xml',
    ],
    ['an entity', document('<vCard xmlns="vcard-temp"><FN>&e;</FN></vCard>'), ':5: restricted-xml'],
    ['a comment', document("<!-- don't -->"), ':5: restricted-xml'],
    ['another document', '<html/>', ':1: not-well-formed: the root is <html/>'],
    ['a document that ends early', document('').slice(0, -20), ':7: not-well-formed'],
    ['text', document('hello'), ':5: not-well-formed: text between elements'],
    ['crossed tags', document('<a></b>'), ':5: not-well-formed'],
    [
      'another encoding',
      '<?xml version="1.0" encoding="ISO-8859-1"?><server-data xmlns="urn:xmpp:pie:0"/>',
      ':1: unsupported-encoding',
    ],
    [
      'an element without end',
      document(`<vCard xmlns="vcard-temp"><FN>${'x'.repeat(4_200_000)}</FN></vCard>`),
      ':5: policy-violation',
    ],
    ['no name', document('', '<user>'), ':4: "" is no name of a user'],
    ['a bad name', document('', '<user name="a b">'), ':4: "a b" is no name of a user'],
    [
      'a bad JID',
      document('<query xmlns="jabber:iq:roster">\n<item jid="a b@c"/></query>'),
      `:6: ${romeo}: the jid of the item is not valid`,
    ],
    [
      'a bad subscription',
      document('<query xmlns="jabber:iq:roster"><item jid="a@c" subscription="maybe"/></query>'),
      'there is no subscription "maybe"',
    ],
    ['keys of the wrong length', document(two.replace('AAAA', '')), '<server-key/> of SCRAM-SHA-1'],
    ['keys twice', document(two + two), 'two credentials for one mechanism'],
    ['no iterations', document(two.replace('>1<', '>0<')), '<iter-count/> of SCRAM-SHA-1'],
    [
      'a default that is none',
      document('<query xmlns="jabber:iq:privacy"><default name="x"/></query>'),
      'no privacy list "x"',
    ],
    [
      'a bad time',
      document('<last-activity xmlns="urn:meerkat:last-activity:0" stamp="yesterday"/>'),
      '"yesterday" is no DateTime',
    ],
    [
      'a message to nobody',
      document(
        '<archive xmlns="urn:xmpp:pie:0#mam"><result xmlns="urn:xmpp:mam:2" id="1"><forwarded xmlns="urn:xmpp:forward:0"><delay xmlns="urn:xmpp:delay" stamp="2010-07-10T23:08:25Z"/><message xmlns="jabber:client"/></forwarded></result></archive>',
      ),
      'from whom or to whom',
    ],
    ['a host that is not served', document('').replace(host, 'verona.example'), 'not served here: verona.example'],
  ])('refuses %s with the place, and imports nothing', async (_, text, message) => {
    const it = installation()
    await expect(it.import(text)).rejects.toMatchObject({
      name: 'UserError',
      message: expect.stringContaining(message),
    })
    expect(await it.inStore(store => store.accounts.list(host, { limit: 9 }))).toEqual([])
  })

  it('imports none of a document whose last account is wrong', async () => {
    const it = installation()
    const wrong = document('</user><user name="juliet"><query xmlns="jabber:iq:roster"><item/></query>')
    await expect(it.import(wrong)).rejects.toMatchObject({
      message: expect.stringContaining(`juliet@${host}: the item has no jid`),
    })
    expect(await it.inStore(store => store.accounts.list(host, { limit: 9 }))).toEqual([])
  })

  it('says what was done when the server fails in the middle, and goes on when it is asked again', async () => {
    const it = installation()
    await it.inStore(store => fill(store))
    const text = (await it.export(romeo)).replace(
      '</host>',
      '<user name="benvolio"><vCard xmlns="vcard-temp"/></user></host>',
    )
    await it.inStore(store => store.accounts.remove('romeo', host))
    const lock = lockDataDir(it.dataDir)
    const store = await openSqliteStore({ file: lock.database })
    const users = createAuthenticator({
      store,
      hosts: new Map([[host, auth.parse({ methods: ['internal'] })]]),
      secret: await serverSecret(store),
    })
    const changed: string[] = []
    const imported: string[] = []
    const handlers = accountRequests({
      store,
      users,
      changed: account => void changed.push(account.text),
      imported: account => void imported.push(account.text),
    })
    let isFailing = true
    const server = await serveControl(
      it.dataDir,
      {
        ...handlers,
        'user.import.add': async request => {
          const result = await handlers['user.import.add']!(request)
          if (isFailing && request.place === 'archive') await store.kill()
          return result
        },
      },
      () => undefined,
    )
    onTestFinished(async () => {
      await server.close()
      await store.close()
      lock.release()
    })
    await expect(it.import(text)).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringMatching(
        /import\.xml:\d+: .*imported so far: no account, and a part of romeo@montague\.example \(3 offline messages, .*3 archived messages\)\. To go on, import/s,
      ),
    })
    expect(imported).toEqual([])
    await store.restart()
    // Nobody can log in to what is half there.
    expect(await store.accounts.credentials('romeo', host)).toEqual({ scram: {} })
    isFailing = false
    const { lines } = await it.import(text)
    expect(lines[0]).toMatch(
      /^imported romeo@montague\.example: the account was there with its password; 0 offline messages \(and 3/,
    )
    expect(await store.accounts.credentials('romeo', host)).toEqual(credentials)
    expect(imported).toEqual([romeo, `benvolio@${host}`])
    expect(changed).toContain(romeo)
  })

  it('shows how far it is on a terminal, and nothing elsewhere', async () => {
    const it = installation()
    await it.inStore(store => fill(store, 120))
    const text = await it.export(romeo)
    const terminal = Object.assign(new PassThrough(), { isTTY: true })
    await it.import(text, { stderr: terminal })
    const shown = String(terminal.read())
    expect(shown).toMatch(/checking \[[#.]{30}\] +\d+ % /)
    expect(shown).toMatch(/importing \[/)
    expect(shown.endsWith('\r\u001b[K')).toBe(true)
    const pipe = new PassThrough()
    await it.import(text, { stderr: pipe })
    expect(pipe.read()).toBeNull()
  })
})

describe('meerkat user export', () => {
  it('writes a file that only its owner can read, or none, and never over another', async () => {
    const it = installation()
    await it.inStore(store => fill(store))
    const out = join(it.folder, 'romeo.xml')
    await it.exportTo(romeo, out, true)
    expect(JSON.parse(it.lines.at(-1)!)).toEqual({ ok: true, account: romeo, file: out, messages: 6 })
    expect(statSync(out).mode & 0o777).toBe(0o600)
    expect(readFileSync(out, 'utf8')).toBe(await it.export(romeo))
    await expect(it.exportTo(romeo, out)).rejects.toMatchObject({ code: 'file-exists' })
    const other = join(it.folder, 'nobody.xml')
    await expect(it.exportTo(`nobody@${host}`, other)).rejects.toMatchObject({ code: 'not-found' })
    await expect(it.exportTo('romeo@verona.example', other)).rejects.toMatchObject({ code: 'not-found' })
    await expect(it.exportTo('verona.example', other)).rejects.toMatchObject({ code: 'bad-jid' })
    expect(existsSync(other)).toBe(false)
    expect(readdirSync(it.folder).filter(name => name.endsWith('.part'))).toEqual([])
  })
})
