import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { TestServer } from '../../src/testing.js'
import { httpPort } from '../support/bosh.js'
import { available, eventually, PASSWORD, session, startedServer } from '../support/server.js'
import { missingBrowser, type Page, startedBrowser, startedWebSite } from './browser.js'

/*
 * Converse.js in a browser, as two people use it: one over WebSocket, the other over BOSH.
 */

describe('Converse.js', () => {
  it('logs two users in, shows their presence, carries their talk, and goes on after a reload', {
    timeout: 600_000,
  }, async ({ skip }) => {
    const missing = missingBrowser()
    if (process.env.CI === 'true') expect(missing).toBeUndefined()
    skip(missing !== undefined, missing)

    const server = await started()
    await befriended(server)
    const port = httpPort(server)
    const site = await startedWebSite({
      // Told no resource, Converse.js makes a new one up at each load, and the stream that it resumes has the old one.
      romeo: { ...common, jid: 'romeo@localhost/converse', websocket_url: `ws://127.0.0.1:${port}/ws-xmpp` },
      juliet: { ...common, jid: 'juliet@localhost', bosh_service_url: `http://127.0.0.1:${port}/http-bind` },
    })
    const browser = await startedBrowser()
    const romeo = await browser.newPage()
    const juliet = await browser.newPage()
    const frames = framesOf(romeo)
    const requests = requestsOf(juliet)

    await romeo.goto(`${site}/?romeo`)
    await logIn(romeo)
    await shows(romeo, 'juliet', 'offline')
    await juliet.goto(`${site}/?juliet`)
    await logIn(juliet)
    await shows(romeo, 'juliet', 'online')
    await shows(juliet, 'romeo', 'online')
    await pictured(romeo, 'romeo-online')

    await chat(romeo, 'juliet', 'Wherefore art thou? <&> 朱丽叶 🌹')
    await sees(juliet, 'romeo', 'Wherefore art thou? <&> 朱丽叶 🌹')
    await chat(juliet, 'romeo', 'Here I am.')
    await sees(romeo, 'juliet', 'Here I am.')
    await pictured(romeo, 'romeo-talks')
    await pictured(juliet, 'juliet-talks')

    // XEP-0198 §5: nobody sees him go.
    const before = frames.length
    await romeo.reload()
    // Converse.js takes no messages before it has its roster.
    await shows(romeo, 'juliet', 'online')
    expect(frames.slice(before).filter(frame => frame.includes('<resumed '))).toHaveLength(1)
    await chat(juliet, 'romeo', 'Still there?')
    await sees(romeo, 'juliet', 'Still there?')

    // XEP-0124 §14: the page that comes back knows `sid` and `rid`.
    const creations = () => requests.filter(body => body.startsWith('<body ') && !/ sid=/.test(body)).length
    expect(creations()).toBe(1)
    await juliet.reload()
    await shows(juliet, 'romeo', 'online')
    await chat(romeo, 'juliet', 'Always.')
    await sees(juliet, 'romeo', 'Always.')
    expect(creations()).toBe(1)
    await chat(juliet, 'romeo', 'Good night.')
    await sees(romeo, 'juliet', 'Good night.')
    await pictured(romeo, 'romeo-after')
    await pictured(juliet, 'juliet-after')
  })
})

const common = {
  assets_path: '/dist/',
  authentication: 'login',
  auto_away: 0,
  auto_register_muc_nickname: false,
  discover_connection_methods: false,
  i18n: 'en',
  loglevel: 'warn',
  play_sounds: false,
  show_desktop_notifications: false,
  theme: 'classic',
  view_mode: 'fullscreen',
}

function started(): Promise<TestServer> {
  const handlers = {
    mod_websockets: [{ host: '_', path: '/ws-xmpp' }],
    mod_bosh: [{ host: '_', path: '/http-bind' }],
  }
  const names = [
    'mod_bosh',
    'mod_roster',
    'mod_disco',
    'mod_caps',
    'mod_ping',
    'mod_vcard',
    'mod_private',
    'mod_blocking',
    'mod_carboncopy',
    'mod_offline',
    'mod_stream_management',
  ]
  return startedServer({
    users: ['romeo', 'juliet'],
    modules: Object.fromEntries(names.map(name => [name, {}])),
    config: { listen: { http: [{ port: 0, ip_address: '127.0.0.1', handlers }] } },
  })
}

/** Both have the other on their roster, and may see when it is there. */
async function befriended(server: TestServer): Promise<void> {
  const clients = await Promise.all(['romeo', 'juliet'].map(user => session(server, user)))
  await Promise.all(clients.map(client => available(client)))
  const [romeo, juliet] = clients
  if (romeo === undefined || juliet === undefined) return
  await romeo.send("<presence to='juliet@localhost' type='subscribe'/>")
  await juliet.receives("<presence type='subscribe'/>")
  await juliet.send(
    "<presence to='romeo@localhost' type='subscribed'/><presence to='romeo@localhost' type='subscribe'/>",
  )
  await romeo.receives("<presence type='subscribe'/>")
  await romeo.send("<presence to='juliet@localhost' type='subscribed'/>")
  await juliet.receives(`<presence from='${romeo.jid}'/>`)
  for (const client of clients) client.drop()
  await eventually(() => server.status().connections === 0)
}

async function logIn(page: Page): Promise<void> {
  await page.locator('#converse-login-password').fill(PASSWORD)
  await page.locator('#converse-login button[type=submit]').click()
}

/** The roster shows the contact with this presence. */
const shows = (page: Page, user: string, presence: 'online' | 'offline') =>
  page.locator(`converse-roster a[data-jid="${user}@localhost"] .contact-name--${presence}`).first().waitFor()

async function opened(page: Page, user: string): Promise<string> {
  const chatBox = `converse-chat[jid="${user}@localhost"]`
  // Who has something unread stands there twice.
  await page.locator(`converse-roster a.open-chat[data-jid="${user}@localhost"]`).first().click()
  return chatBox
}

async function chat(page: Page, user: string, body: string): Promise<void> {
  const input = page.locator(`${await opened(page, user)} textarea.chat-textarea`)
  await input.fill(body)
  await input.press('Enter')
}

/** The body stands in the talk with the user. */
async function sees(page: Page, user: string, body: string): Promise<void> {
  await page
    .locator(`${await opened(page, user)} .chat-msg__text`, { hasText: body })
    .first()
    .waitFor()
}

/** Everything that a page's WebSockets carry. */
function framesOf(page: Page): string[] {
  const frames: string[] = []
  page.on('websocket', webSocket => {
    for (const event of ['framesent', 'framereceived'] as const) {
      webSocket.on(event, ({ payload }) => void frames.push(String(payload)))
    }
  })
  return frames
}

/** The bodies of a page's requests. */
function requestsOf(page: Page): string[] {
  const bodies: string[] = []
  page.on('request', request => void bodies.push(request.postData() ?? ''))
  return bodies
}

/** For somebody to look at: PICTURES names a folder. */
async function pictured(page: Page, name: string): Promise<void> {
  const folder = process.env.PICTURES
  if (folder !== undefined) await page.screenshot({ path: join(folder, `${name}.png`) })
}
