import { spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, expect, it, onTestFinished } from 'vitest'
import { connect, dropClients } from '../support/client.js'
import { type Account, domain, type Meerkat, register } from '../support/meerkat.js'
import { freePort } from '../support/programs.js'
import { missingBrowser, type Page, startedBrowser, startedWebSite } from './browser.js'
import { askInRooms, type Encryption, slixmpp, startMeerkat } from './support.js'

/*
 * One room, and in it what people use: slixmpp, Converse.js in a browser, and Profanity in a terminal. Sections are those of XEP-0045.
 */

const service = `conference.${domain}`
const room = `balcony@${service}`
const accounts = {
  romeo: { user: 'romeo', password: 'secret' },
  juliet: { user: 'juliet', password: 'secret' },
  nurse: { user: 'nurse', password: 'secret' },
} satisfies Record<string, Account>

const tables = (httpPort: number) => `
[modules.mod_roster]
[modules.mod_disco]
[modules.mod_caps]
[modules.mod_ping]
[modules.mod_register]
[modules.mod_private]
[modules.mod_blocking]
[modules.mod_carboncopy]
[modules.mod_vcard]
[modules.mod_muc]
[modules.mod_mam_meta]
  muc.host = "conference.@HOST@"

[[listen.http]]
  port = ${httpPort}
  ip_address = "127.0.0.1"
  [[listen.http.handlers.mod_websockets]]
    host = "_"
    path = "/ws-xmpp"
`

afterEach(() => dropClients())

it('slixmpp, Converse.js and Profanity join a room, talk, change the subject, kick, ban, and page the archive (§7 to §9)', {
  timeout: 600_000,
}, async ({ skip }) => {
  const missing = slixmpp.missing() ?? missingBrowser() ?? missingTerminal()
  if (process.env.CI === 'true') expect(missing).toBeUndefined()
  skip(missing !== undefined, missing)

  const httpPort = await freePort()
  const server = await startMeerkat({ more: tables(httpPort), auth: '  scram_iterations = 4096' })
  onTestFinished(() => void server.stop())
  for (const account of Object.values(accounts)) await registered(server, account)

  const romeo = askInRooms({ account: accounts.romeo, server, encryption: 'starttls' }, 'interop')
  onTestFinished(() => void romeo.stop())
  await romeo.isOnline()
  await romeo.ask('join', { room, nick: 'Romeo' })
  await romeo.ask('configure', { room, values: {} })
  await romeo.ask('affiliate', { room, jid: `juliet@${domain}`, affiliation: 'admin' })
  await romeo.ask('say', { room, body: 'But soft!' })

  const juliet = await browsing(httpPort)
  const nurse = inTerminal(server)
  await romeo.event({ event: 'presence', nick: 'Juliet', role: 'moderator' })
  await nurse.types(`/join ${room} nick Nurse`)
  await romeo.event({ event: 'presence', nick: 'Nurse', role: 'participant' })

  // All hear all of them, and what was said before they came.
  await sees(juliet, 'But soft!')
  await nurse.shows('But soft!')
  await saysInBrowser(juliet, 'Ay me <&> 朱丽叶')
  await nurse.types('Madam!')
  for (const [nick, body] of [
    ['Juliet', 'Ay me <&> 朱丽叶'],
    ['Nurse', 'Madam!'],
  ]) {
    await romeo.event({ event: 'message', from: `${room}/${nick}`, type: 'groupchat', body })
  }
  await sees(juliet, 'Madam!')
  await nurse.shows('Ay me <&>')

  await romeo.ask('set_subject', { room, subject: 'Balconies at night' })
  await nurse.shows('Balconies at night')
  await juliet.locator('.chat-head__desc', { hasText: 'Balconies at night' }).first().waitFor()
  await nurse.types('/subject set "Beds"')
  await romeo.event({ event: 'subject', from: `${room}/Nurse`, subject: 'Beds' })
  await juliet.locator('.chat-head__desc', { hasText: 'Beds' }).first().waitFor()
  await pictured(juliet, 'juliet-in-the-room')

  // The browser kicks, the terminal is told, and comes again.
  await saysInBrowser(juliet, '/kick Nurse Go to bed')
  await romeo.event({ event: 'presence', nick: 'Nurse', type: 'unavailable', codes: [307] })
  await nurse.shows('Kicked')
  await nurse.types(`/join ${room} nick Nurse`)
  await romeo.event({ event: 'presence', nick: 'Nurse', role: 'participant' })
  await romeo.ask('affiliate', { room, jid: `nurse@${domain}`, affiliation: 'outcast' })
  await nurse.shows('Banned')
  await juliet.locator('.chat-info', { hasText: 'banned' }).first().waitFor()
  await pictured(juliet, 'nurse-is-banned')

  expect(await romeo.ask('page', { room, max: 2 })).toEqual(['But soft!', 'Ay me <&> 朱丽叶', 'Madam!'])
  // Without a cache of its own what it shows is from the archive. XEP-0313
  await juliet.reload()
  for (const body of ['But soft!', 'Ay me <&>', 'Madam!']) await sees(juliet, body)
})

async function registered(server: Meerkat<Encryption>, account: Account): Promise<void> {
  const client = await connect({ port: server.ports.starttls, tls: 'starttls' })
  await client.open()
  await client.startTls()
  await client.open()
  await register(client, account)
  client.drop()
}

// ---- Converse.js

async function browsing(httpPort: number): Promise<Page> {
  const site = await startedWebSite({
    juliet: {
      assets_path: '/dist/',
      authentication: 'login',
      auto_login: true,
      jid: `juliet@${domain}/converse`,
      password: accounts.juliet.password,
      websocket_url: `ws://127.0.0.1:${httpPort}/ws-xmpp`,
      auto_join_rooms: [{ jid: room, nick: 'Juliet' }],
      auto_register_muc_nickname: false,
      discover_connection_methods: false,
      persistent_store: 'sessionStorage',
      clear_messages_on_reconnection: true,
      i18n: 'en',
      loglevel: 'warn',
      play_sounds: false,
      show_desktop_notifications: false,
      view_mode: 'fullscreen',
    },
  })
  const browser = await startedBrowser()
  const page = await browser.newPage()
  await page.goto(`${site}/?juliet`)
  return page
}

async function saysInBrowser(page: Page, text: string): Promise<void> {
  const input = page.locator(`converse-muc[jid="${room}"] textarea.chat-textarea`)
  await input.fill(text)
  await input.press('Enter')
}

const sees = (page: Page, body: string) =>
  page.locator(`converse-muc[jid="${room}"] .chat-msg__text`, { hasText: body }).first().waitFor()

/** For somebody to look at: PICTURES names a folder. */
async function pictured(page: Page, name: string): Promise<void> {
  const folder = process.env.PICTURES
  if (folder !== undefined) await page.screenshot({ path: join(folder, `${name}.png`) })
}

// ---- Profanity

/** What is missing to run it, if something is. */
const missingTerminal = () =>
  ['/usr/bin/profanity', '/usr/bin/tmux', '/usr/bin/openssl']
    .filter(program => !existsSync(program))
    .map(program => `${program} is missing: run scripts/install-peers.sh`)[0]

/** A window in which somebody types, and that somebody reads. */
interface Terminal {
  types(line: string): Promise<void>
  shows(text: string): Promise<void>
}

/** Profanity, logged in as the nurse. */
function inTerminal(server: Meerkat<Encryption>): Terminal {
  const folder = mkdtempSync(join(tmpdir(), 'profanity-'))
  const socket = join(folder, 'tmux')
  const tmux = (...args: string[]) =>
    spawnSync('tmux', ['-S', socket, '-f', '/dev/null', ...args], { encoding: 'utf8' })
  copyFileSync(server.caFile, join(folder, 'ca.pem'))
  spawnSync('openssl', ['rehash', folder])
  const command = `env HOME=${folder} XDG_CONFIG_HOME=${folder} XDG_DATA_HOME=${folder} LC_ALL=C.UTF-8 profanity`
  const { status, stderr } = tmux('new-session', '-d', '-s', 'nurse', '-x', '110', '-y', '40', command)
  expect(stderr + status).toBe('0')
  onTestFinished(() => {
    tmux('kill-server')
    rmSync(folder, { recursive: true, force: true })
  })
  const screen = () => tmux('capture-pane', '-p', '-t', 'nurse').stdout
  const shows = async (text: string) => {
    for (let attempt = 0; !screen().includes(text); attempt += 1) {
      if (attempt === 150) throw new Error(`Profanity does not show ${text}:\n${screen()}`)
      await sleep(200)
    }
  }
  const enter = (line: string) => {
    tmux('send-keys', '-t', 'nurse', '-l', line)
    tmux('send-keys', '-t', 'nurse', 'Enter')
  }
  const ready = (async () => {
    await shows('Profanity')
    enter(`/tls certpath set ${folder}`)
    await shows('Certificate path set')
    enter(`/connect nurse@${domain} server ${domain} port ${server.ports.starttls} tls force`)
    await shows('Enter password')
    enter(accounts.nurse.password)
    await shows('logged in successfully')
  })()
  return {
    async types(line) {
      await ready
      enter(line)
    },
    async shows(text) {
      await ready
      await shows(text)
    },
  }
}
