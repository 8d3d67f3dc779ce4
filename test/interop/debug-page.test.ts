import { statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type AnyActor, spawn, stopTree } from '../../src/actors/runtime/index.js'
import type { TestServer } from '../../src/testing.js'
import { httpPort } from '../support/bosh.js'
import { Meerkat } from '../support/meerkat.js'
import { freePort } from '../support/programs.js'
import { available, connectionOf, session, startedServer } from '../support/server.js'
import { missingBrowser, type Page, type PageOptions, startedBrowser } from './browser.js'

/*
 * The page of `meerkat_debug` in Chromium, as somebody uses it who looks at a living server.
 */

const SESSIONS = 10_000
const MOST_ROWS = 300
const credentials = { username: 'admin', password: 'sesame' }

const listener = '/root/listeners/c2s-127.0.0.1-0-0'
const row = (id: string) => `.row[data-id="${id}"]`

describe('the debug page', { timeout: 600_000 }, () => {
  it('follows a login, shows the session, and sees it go', async ({ skip }) => {
    need(skip)
    const server = await started()
    const { page, bad } = await opened(server)
    await page.locator(row(listener), { hasText: '0 online' }).waitFor()
    await page.locator('#vital-sessions', { hasText: /^0/ }).waitFor()

    const romeo = await session(server, 'romeo', { resource: 'orchard' })
    await available(romeo)
    await page.locator(row(listener), { hasText: '1 online' }).waitFor()
    await page.locator('#vital-sessions', { hasText: /^1/ }).waitFor()
    await page.locator('#tab-changes').click()
    await page.locator('#panel-changes li', { hasText: 'spawned' }).first().waitFor()

    await page.keyboard.press('/')
    await page.locator('#search-text').fill('ROMEO@')
    await page.locator('[role=option]', { hasText: `${romeo.jid}` }).waitFor()
    await page.keyboard.press('ArrowDown')
    await page.keyboard.press('Enter')
    const { path } = connectionOf(server, romeo)
    await page.locator(`${row(path)}[aria-selected=true]`, { hasText: `${romeo.jid}` }).waitFor()
    await page.locator('#panel-actor .actor-title', { hasText: `${romeo.jid}` }).waitFor()
    await page.locator('#panel-actor .facts dd', { hasText: '127.0.0.1' }).first().waitFor()
    await pictured(page, 'login')

    await romeo.send('</stream:stream>')
    await page.locator(row(path)).waitFor({ state: 'detached' })
    await page.locator('#panel-actor', { hasText: 'is no more' }).waitFor()
    await page.locator(row(listener), { hasText: '0 online' }).waitFor()
    expect(bad()).toEqual([])
  })

  it('shows a fault of a connection with its cause, and a listener that restarts', async ({ skip }) => {
    need(skip)
    const server = await started()
    const { page, bad } = await opened(server, { colorScheme: 'dark' })
    const romeo = await session(server, 'romeo')
    const { path } = connectionOf(server, romeo)
    await page.locator(row(listener), { hasText: '1 online' }).waitFor()

    server.internals.runtime.fault(path, new Error('wherefore <b>art</b> thou'))
    await romeo.streamError('internal-server-error')
    await page.locator('#fault-count', { hasText: '1' }).waitFor()
    // The nearest row above it that can be seen.
    await page.locator('.halo[data-light=faulted]').first().waitFor()
    await page.locator('#tab-faults').click()
    // What a fault says is text, whatever it looks like.
    await page.locator('#panel-faults li', { hasText: 'wherefore <b>art</b> thou' }).waitFor()
    await page.locator('#panel-faults li', { hasText: path }).waitFor()
    await page.locator('#told', { hasText: path }).waitFor()
    await pictured(page, 'fault')

    server.internals.runtime.fault(listener, new Error('of the listener'))
    await page.locator('#panel-faults li', { hasText: 'of the listener' }).waitFor()
    await page.locator('#tab-changes').click()
    await page.locator('#panel-changes li', { hasText: 'restarted, 1 time' }).waitFor()
    await page.locator(`${row(listener)} .hurt`, { hasText: '1 faulted' }).waitFor()
    await session(server, 'romeo')
    await page.locator(row(listener), { hasText: '1 online' }).waitFor()
    await pictured(page, 'restart')
    expect(bad()).toEqual([])
  })

  it('takes orders only with credentials, and asks before it does anything', async ({ skip }) => {
    need(skip)
    const open = await started()
    const { page: helpless } = await opened(open)
    await helpless.locator(row(`${listener}/socket`)).click()
    await helpless.locator('#panel-actor .actor-title', { hasText: 'socket' }).waitFor()
    expect(await helpless.locator('#panel-actor .buttons button').count()).toBe(0)
    await helpless.locator('#tab-tracer').click()
    await helpless.locator('#panel-tracer', { hasText: 'needs credentials' }).waitFor()

    const server = await started({ credentials })
    const { page, bad } = await opened(server, { httpCredentials: credentials })
    const romeo = await session(server, 'romeo', { resource: 'orchard' })
    const { path } = connectionOf(server, romeo)
    await page.locator('#search-text').fill('romeo@')
    await page.locator('[role=option]').first().click()
    const kick = page.locator('#panel-actor .buttons button', { hasText: 'Disconnect' })
    await kick.click()
    await page.locator('#confirm-text').waitFor()
    await page.locator('#confirm-no').click()
    expect(connectionOf(server, romeo).path).toBe(path)
    await kick.click()
    await page.locator('#confirm-yes').click()
    await romeo.closed()
    await page.locator(row(path)).waitFor({ state: 'detached' })

    await page.locator(row(listener)).click()
    await page.locator('#panel-actor .buttons button', { hasText: 'Restart' }).click()
    await page.locator('#confirm-yes').click()
    await page.locator('#panel-actor .said', { hasText: 'Restarted' }).waitFor()
    await page.locator('#tab-changes').click()
    await page.locator('#panel-changes li', { hasText: 'restarted by order' }).waitFor()

    await page.locator('#tab-server').click()
    await page.locator('#panel-server select').selectOption('info')
    await page.locator('#panel-server button', { hasText: 'Set' }).click()
    await page.locator('#confirm-yes').click()
    await page.locator('#panel-server .said', { hasText: 'info, before' }).waitFor()
    await page.locator('#panel-server dd', { hasText: 'info' }).first().waitFor()

    await page.locator('#tab-tracer').click()
    await page.locator('#panel-tracer input[name=jid]').fill('romeo@localhost')
    await page.locator('#panel-tracer button', { hasText: 'Start' }).click()
    await page.locator('#panel-tracer .note', { hasText: 'Traces up to 100 stanzas' }).waitFor()
    const again = await session(server, 'romeo')
    await again.send(`<message to='${again.jid}'><body>secret of the balcony</body></message>`)
    await page.locator('#panel-tracer li', { hasText: 'message' }).first().waitFor()
    expect(await page.locator('.traced').textContent()).not.toContain('secret of the balcony')
    await pictured(page, 'tracer')
    await page.locator('#panel-tracer button', { hasText: 'Stop' }).click()
    await page.locator('#panel-tracer .note', { hasText: /^Stopped after/ }).waitFor()
    expect(bad()).toEqual([])
  })

  it('restarts a module, and finds it again among the others', async ({ skip }) => {
    need(skip)
    const names = 'disco ping time version last private vcard roster carboncopy blocking'.split(' ')
    const modules = Object.fromEntries(names.map(name => [`mod_${name}`, {}]))
    const server = await started({ credentials, modules })
    const { page, bad } = await opened(server, { httpCredentials: credentials })
    const path = '/root/modules/mod_time-localhost'
    await page.locator(row('/root/modules')).click()
    await page.locator(row('/root/modules#module')).click()
    await page.locator(row(path)).click()
    await page.locator('#panel-actor .actor-title', { hasText: 'mod_time' }).waitFor()
    // Nobody would start it again.
    await page.locator('#panel-actor .buttons button', { hasText: 'Restart' }).waitFor()
    expect(await page.locator('#panel-actor .buttons button').count()).toBe(1)
    await page.locator('#panel-actor .buttons button').click()
    await page.locator('#confirm-yes').click()
    await page.locator('#panel-actor .said', { hasText: 'Restarted' }).waitFor()
    await page.locator('#collapse-all').click()
    await page.locator(row(path)).waitFor({ state: 'detached' })
    await page.locator('#tab-changes').click()
    await page.locator('#panel-changes button', { hasText: path }).first().click()
    await page.locator(`${row(path)}[aria-selected=true]`).waitFor()
    await pictured(page, 'module')
    expect(bad()).toEqual([])
  })

  it('has a heap snapshot written into the data folder, once it was asked for twice, and says where', async ({
    skip,
  }) => {
    need(skip)
    const port = await freePort()
    const handler = `[[listen.http.handlers.meerkat_debug]]\nhost = "_"\npath = "/debug"`
    const login = `username = "${credentials.username}"\npassword = "${credentials.password}"`
    const more = `[[listen.http]]\nport = ${port}\nip_address = "127.0.0.1"\n${handler}\n${login}\n`
    const server = await Meerkat.start({ clients: '' }, { more })
    onTestFinished(() => void server.stop())
    const { page, bad } = await shown(port, { httpCredentials: credentials })
    await page.locator('#tab-server').click()
    await page.locator('#panel-server button', { hasText: 'heap snapshot' }).click()
    await page.locator('#confirm-text', { hasText: 'stands still' }).waitFor()
    await page.locator('#confirm-yes').click()
    const said = page.locator('#panel-server .said', { hasText: /\.heapsnapshot, / })
    await said.waitFor()
    await pictured(page, 'heap-snapshot')
    const { mode, size } = statSync((await said.textContent())?.split(', ')[0] ?? '')
    expect(mode & 0o777).toBe(0o600)
    expect(size).toBeGreaterThan(1_000_000)
    await page.locator('#link-state[data-state=live]').waitFor()
    expect(bad()).toEqual([])
  })

  it(`stays small and quick with ${SESSIONS} sessions`, async ({ skip }) => {
    need(skip)
    const server = await started({ acceptors: 20 })
    const stop = peopled(server, SESSIONS)
    const { page, bad } = await opened(server)
    await page.locator('#vital-actors', { hasText: /^10.\d\d\d/ }).waitFor()
    await page.evaluate(watchLongTasks)
    const acceptors = `${listener}#Acceptor`
    await page.locator(row(acceptors)).click()
    for (const number of [3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]) {
      await page.locator(row(`${listener}/acceptor-${number}`)).click()
      const bucket = page.locator(row(`${listener}/acceptor-${number}#Connection`))
      await bucket.click()
      await page.locator(`${row(`${listener}/acceptor-${number}#Connection`)}[aria-expanded=true]`).waitFor()
      expect(await page.locator('.row').count()).toBeLessThanOrEqual(MOST_ROWS)
    }
    await page.locator('.row[data-kind=more]').first().click()
    await pictured(page, '10000')
    // Everybody goes at once.
    stop()
    await page.locator('#vital-actors', { hasText: /^\d\d\d?$/ }).waitFor()
    await page.locator('#tab-changes').click()
    await page.locator('#panel-changes li').first().waitFor()
    expect(await page.evaluate<number>('document.querySelectorAll("*").length')).toBeLessThan(5_000)
    await page.keyboard.press('/')
    expect(await page.evaluate<string>('document.activeElement.id')).toBe('search-text')
    // A task of a second is what people call frozen; this machine may do other things meanwhile.
    expect(await page.evaluate<number>('globalThis.longestTask')).toBeLessThan(3_000)
    expect(bad()).toEqual([])
  })

  it('is walked through by keyboard', async ({ skip }) => {
    need(skip)
    const server = await started()
    const { page, bad } = await opened(server)
    const focused = () => page.evaluate<string>('document.activeElement.dataset.id ?? document.activeElement.id')
    const pressed = async (key: string) => {
      await page.keyboard.press(key)
      return focused()
    }
    await page.locator('#collapse-all').click()
    await page.locator(row('/root/storage')).waitFor()
    await page.evaluate('document.querySelector(".row[tabindex=\'0\']").focus()')
    expect(await page.evaluate<number>('document.querySelectorAll(".row[tabindex=\'0\']").length')).toBe(1)
    expect(await pressed('Home')).toBe('/root')
    expect(await pressed('ArrowDown')).toBe('/root/storage')
    expect(await pressed('End')).toBe('/root/listeners')
    expect(await pressed('ArrowRight')).toBe('/root/listeners')
    await page.locator(`${row('/root/listeners')}[aria-expanded=true]`).waitFor()
    expect(await pressed('ArrowRight')).toBe(listener)
    expect(await pressed('ArrowLeft')).toBe('/root/listeners')
    expect(await pressed('ArrowLeft')).toBe('/root/listeners')
    await page.locator(row(listener)).waitFor({ state: 'detached' })
    expect(await pressed('ArrowLeft')).toBe('/root')
    expect(await pressed('s')).toBe('/root/storage')
    await page.keyboard.press('Enter')
    await page.locator('#panel-actor .actor-title', { hasText: 'storage' }).waitFor()
    expect(await page.evaluate<string>('getComputedStyle(document.activeElement).outlineStyle')).toBe('solid')
    await page.evaluate('document.getElementById("tab-actor").focus()')
    expect(await pressed('ArrowRight')).toBe('tab-faults')
    expect(await pressed('End')).toBe('tab-server')
    expect(await pressed('Tab')).toBe('panel-server')
    expect(bad()).toEqual([])
  })

  it('can be read by who does not see it, at every width, and moves nothing for who wants that', async ({ skip }) => {
    need(skip)
    const server = await started({ credentials })
    const { page, bad } = await opened(server, { httpCredentials: credentials, reducedMotion: 'reduce' })
    await page.locator(row(`${listener}/socket`)).click()
    await page.locator('#panel-actor .buttons button').first().waitFor()
    expect(await page.evaluate<string[]>(unnamed)).toEqual([])
    expect(await page.evaluate<string[]>(brokenReferences)).toEqual([])
    expect(await page.evaluate<string>('document.querySelector("[role=tree]").firstElementChild.ariaLevel')).toBe('1')
    expect(await page.evaluate<string[]>(oddRows)).toEqual([])
    expect(
      await page.evaluate<number>(
        "document.querySelectorAll(\"[tabindex]:not([tabindex='0'], [tabindex='-1'])\").length",
      ),
    ).toBe(0)
    server.internals.runtime.fault(listener, new Error('to see a light'))
    await page.locator('.halo[data-light=faulted]').first().waitFor()
    expect(await page.evaluate<number>('document.getAnimations().length')).toBe(0)
    for (const width of [360, 600, 961, 1600]) {
      await page.setViewportSize({ width, height: 800 })
      await page.locator(row('/root')).waitFor()
      expect(await page.evaluate<number>('document.documentElement.scrollWidth')).toBeLessThanOrEqual(width)
      await pictured(page, `width-${width}`)
    }
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme })
      expect(await page.evaluate<string>('getComputedStyle(document.body.parentElement).backgroundColor')).toBe(
        colorScheme === 'light' ? 'rgb(246, 243, 236)' : 'rgb(16, 20, 25)',
      )
    }
    expect(bad()).toEqual([])
  })

  it('says that the server is away, and goes on when it is back', async ({ skip }) => {
    need(skip)
    const first = await started()
    const port = httpPort(first)
    const { page } = await opened(first)
    await page.locator('#link-state[data-state=live]').waitFor()
    await first.stop()
    await page.locator('#link-state[data-state=lost]').waitFor()
    await pictured(page, 'away')
    const second = await started({ port })
    await page.locator('#link-state[data-state=live]').waitFor()
    await session(second, 'romeo')
    await page.locator(row(listener), { hasText: '1 online' }).waitFor()
  })
})

function need(skip: (is: boolean, note?: string) => void): void {
  const missing = missingBrowser()
  if (process.env.CI === 'true') expect(missing).toBeUndefined()
  skip(missing !== undefined, missing)
}

interface Wanted {
  credentials?: typeof credentials
  acceptors?: number
  port?: number
  modules?: Record<string, object>
}

function started({ credentials: known, acceptors = 10, port = 0, modules = {} }: Wanted = {}): Promise<TestServer> {
  const handlers = { meerkat_debug: [{ host: '_', path: '/debug', ...known }] }
  return startedServer({
    users: ['romeo', 'juliet'],
    listener: { num_acceptors: acceptors },
    modules,
    config: { listen: { http: [{ port, ip_address: '127.0.0.1', handlers }] } },
  })
}

/** The page of the server, shown; `bad()` is what it complained of, and what it asked of anybody else. */
async function opened(server: TestServer, options?: PageOptions): Promise<Shown> {
  const found = await shown(httpPort(server), options)
  await found.page.locator(row(listener)).waitFor()
  return found
}

interface Shown {
  readonly page: Page
  bad(): string[]
}

/** The same, of whatever server has the port. */
async function shown(port: number, options?: PageOptions): Promise<Shown> {
  const browser = await startedBrowser()
  const page = await browser.newPage({ viewport: { width: 1600, height: 1000 }, ...options })
  const bad: string[] = []
  const origin = `http://127.0.0.1:${port}`
  page.on('console', message => {
    // An actor that has stopped is not found, and Chromium says so.
    if (/^Failed to load resource: .* status of 404 /.test(message.text())) return
    if (message.type() === 'error' || message.type() === 'warning') bad.push(message.text())
  })
  page.on('pageerror', error => bad.push(`${error.stack}`))
  page.on('request', request => {
    if (!request.url().startsWith(`${origin}/`) && !request.url().startsWith('data:')) bad.push(request.url())
  })
  await page.goto(`${origin}/debug`)
  await page.locator('#link-state[data-state=live]').waitFor()
  return { page, bad: () => bad }
}

/** So many actors like sessions, without sockets, shared among the acceptors of the listener; what is returned stops them. */
function peopled(server: TestServer, sessions: number): () => void {
  const acceptors: AnyActor[] = []
  for (const { path } of server.tree(listener, { depth: 1, limit: 1_000 })?.children?.items ?? []) {
    // found by a path that ends in an acceptor: it is one of ours
    if (/acceptor-\d+$/.test(path)) acceptors.push(server.internals.runtime.find(path) as AnyActor)
  }
  const refs = Array.from({ length: sessions }, (_, number) =>
    spawn<number, 'work'>(acceptors[number % acceptors.length]!, {
      initial: () => 0,
      receive: seen => seen + 1,
      kind: 'Connection',
    }),
  )
  for (const ref of refs) ref.tell('work')
  return () => {
    for (const ref of refs) void stopTree(ref)
  }
}

const watchLongTasks = `(() => {
  globalThis.longestTask = 0
  new PerformanceObserver(list => {
    for (const { duration } of list.getEntries()) globalThis.longestTask = Math.max(globalThis.longestTask, duration)
  }).observe({ entryTypes: ['longtask'] })
})()`

/** Controls without a name of their own, a label, or text. */
const unnamed = `[...document.querySelectorAll('a, button, input, select, [role=treeitem], [role=tab], [role=tabpanel], [role=tree], section, aside, dialog')]
  .filter(one => {
    const by = one.getAttribute('aria-labelledby')?.split(' ').map(id => document.getElementById(id)?.textContent ?? '').join('')
    const labels = [...(one.labels ?? [])].map(label => label.textContent).join('')
    return [one.getAttribute('aria-label'), by, labels, one.matches('section, aside, dialog') ? one.querySelector('h2, h3')?.textContent : one.textContent].every(text => !text?.trim())
  })
  .map(one => one.outerHTML.slice(0, 120))`

/** Rows of the tree that do not say their level, their place among their siblings, and whether they are open where they can be. */
const oddRows = `[...document.querySelectorAll('[role=tree] > *')]
  .filter(row => {
    const isPlaced = row.role === 'treeitem' && Number(row.ariaLevel) >= 1 && Number(row.ariaPosInSet) <= Number(row.ariaSetSize)
    const mayOpen = row.querySelector('.twist').hidden === false
    return !isPlaced || mayOpen !== ['true', 'false'].includes(row.ariaExpanded) || row.getAttribute('aria-selected') === null
  })
  .map(row => row.outerHTML.slice(0, 200))`

/** What refers to an id that is not there, and ids that are there twice. */
const brokenReferences = `(() => {
  const ids = [...document.querySelectorAll('[id]')].map(one => one.id)
  const twice = ids.filter((id, index) => ids.indexOf(id) !== index)
  const referring = ['aria-labelledby', 'aria-describedby', 'aria-controls', 'for'].flatMap(name =>
    [...document.querySelectorAll('[' + name + ']')].flatMap(one => one.getAttribute(name).split(' ')),
  )
  return [...twice, ...referring.filter(id => !ids.includes(id))]
})()`

/** For somebody to look at: PICTURES names a folder. */
async function pictured(page: Page, name: string): Promise<void> {
  const folder = process.env.PICTURES
  if (folder !== undefined) await page.screenshot({ path: join(folder, `${name}.png`) })
}
