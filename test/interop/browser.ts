import { once } from 'node:events'
import { createReadStream, existsSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { extname, join, normalize } from 'node:path'
import { pathToFileURL } from 'node:url'
import { onTestFinished } from 'vitest'

/*
 * Chromium without a window, and the page that it shows: Converse.js as its package has it, from a web server of ours.
 */

const chromium = '/usr/bin/chromium'
const packages = join(import.meta.dirname, 'node_modules')
const driver = join(packages, 'playwright-core/index.mjs')
const converse = join(packages, 'converse.js/dist')

/** How long a page may take for one step, in milliseconds: a browser is the first to starve on a machine that has much to do. */
const slow = 90_000

/** What is missing to run it, if something is. */
export function missingBrowser(): string | undefined {
  if (!existsSync(chromium)) return `${chromium} is missing: run scripts/install-peers.sh`
  const folder = [driver, converse].find(path => !existsSync(path))
  return folder && `${folder} is missing: run npm ci --prefix test/interop`
}

/* What is used of playwright-core, whose own types are there only once it is installed. */

export interface Locator {
  click(): Promise<void>
  fill(text: string): Promise<void>
  press(key: string): Promise<void>
  first(): Locator
  scrollIntoViewIfNeeded(): Promise<void>
  waitFor(options?: { state: 'visible' | 'detached' }): Promise<void>
  count(): Promise<number>
  selectOption(value: string): Promise<unknown>
  textContent(): Promise<string | null>
}

interface WebSocketFrame {
  readonly payload: string | Buffer
}

interface BrowserWebSocket {
  on(event: 'framesent' | 'framereceived', listener: (frame: WebSocketFrame) => void): void
}

interface HttpRequest {
  url(): string
  postData(): string | null
}

interface ConsoleMessage {
  type(): string
  text(): string
}

export interface PageOptions {
  readonly viewport?: { readonly width: number; readonly height: number }
  readonly colorScheme?: 'light' | 'dark'
  readonly reducedMotion?: 'reduce' | 'no-preference'
  /** For HTTP Basic. */
  readonly httpCredentials?: { readonly username: string; readonly password: string }
}

export interface Page {
  on(event: 'websocket', listener: (webSocket: BrowserWebSocket) => void): void
  on(event: 'request', listener: (request: HttpRequest) => void): void
  on(event: 'pageerror', listener: (error: Error) => void): void
  on(event: 'console', listener: (message: ConsoleMessage) => void): void
  /** Of an expression in the page. */
  evaluate<T>(expression: string): Promise<T>
  setViewportSize(size: { width: number; height: number }): Promise<void>
  emulateMedia(media: { colorScheme: 'light' | 'dark' }): Promise<void>
  readonly keyboard: { press(key: string): Promise<void> }
  goto(url: string): Promise<unknown>
  reload(): Promise<unknown>
  locator(selector: string, options?: { hasText: string | RegExp }): Locator
  screenshot(options: { path: string }): Promise<unknown>
  setDefaultTimeout(ms: number): void
}

interface Browser {
  newContext(options: PageOptions): Promise<{ newPage(): Promise<Page> }>
  close(): Promise<void>
}

interface Driver {
  readonly chromium: {
    launch(options: { executablePath: string; headless: boolean; args: string[] }): Promise<Browser>
  }
}

/** A browser that closes when the running test ends; each page that it gives has cookies and storage of its own. */
export async function startedBrowser(): Promise<{ newPage(options?: PageOptions): Promise<Page> }> {
  const { chromium: browsers }: Driver = await import(pathToFileURL(driver).href)
  const args = ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu']
  const browser = await browsers.launch({ executablePath: chromium, headless: true, args })
  onTestFinished(() => browser.close())
  return {
    async newPage(options = {}) {
      const context = await browser.newContext({ viewport: { width: 1100, height: 700 }, ...options })
      const page = await context.newPage()
      page.setDefaultTimeout(slow)
      return page
    },
  }
}

const types: Readonly<Record<string, string>> = {
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.json': 'application/json',
  '.wasm': 'application/wasm',
  '.svg': 'image/svg+xml',
}

/** Serves `/dist` of Converse.js and, at `/?NAME`, a page that starts it with the settings of that name; gives the address. */
export async function startedWebSite(settings: Readonly<Record<string, object>>): Promise<string> {
  const server = createServer((request, response) => {
    const { pathname, search } = new URL(request.url ?? '/', 'http://localhost')
    const own = settings[search.slice(1)]
    if (pathname === '/' && own !== undefined) {
      response.setHeader('content-type', 'text/html').end(pageWith(own))
      return
    }
    const file = join(converse, normalize(pathname.replace(/^\/dist\//, '/')))
    response.setHeader('content-type', types[extname(file)] ?? 'application/octet-stream')
    createReadStream(file)
      .on('error', () => response.writeHead(404).end())
      .pipe(response)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.close()
    server.closeAllConnections()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}` // bound to an address, not to a path
}

const pageWith = (settings: object) => `<!doctype html>
<html><head><meta charset='utf-8'><title>Converse.js</title>
<link rel='stylesheet' href='/dist/converse.min.css'>
</head><body class='converse-fullscreen'><script type='module'>
import converse from '/dist/converse.min.js'
converse.initialize(${JSON.stringify(settings)})
</script></body></html>
`
