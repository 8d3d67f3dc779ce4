import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { startClientApi } from '../support/rest-servers.js'
import { eventually, PASSWORD, session } from '../support/server.js'
import { missingBrowser, type Page, startedBrowser } from './browser.js'

/*
 * The documentation of the client API in a browser: Swagger UI, served by the listener that it describes. spec/api-docs.md
 */

describe('Swagger UI', () => {
  it('D-15: shows the API, tries it out, and fetches nothing from anywhere else', { timeout: 300_000 }, async ({
    skip,
  }) => {
    const missing = missingBrowser()
    if (process.env.CI === 'true') expect(missing).toBeUndefined()
    skip(missing !== undefined, missing)

    const { server, base } = await startClientApi(['dora', 'hatter'])
    onTestFinished(() => server.stop())
    const hatter = await session(server, 'hatter', { priority: 0 })
    const browser = await startedBrowser()
    const page = await browser.newPage()
    const { urls, complaints } = watched(page)

    // The redirect, then the page.
    await page.goto(`${base}/api-docs`)
    for (const tag of ['One-to-one messages', 'Contacts', 'Rooms']) {
      await page.locator('.opblock-tag', { hasText: tag }).first().waitFor()
    }
    await pictured(page, 'swagger-all')

    await logIn(page)
    await page.locator('#operations-One-to-one_messages-post_api_messages .opblock-summary-control').click()
    await page.locator('.try-out__btn').click()
    await page.locator('textarea.body-param__text').fill('{"to": "hatter@localhost", "body": "from the page"}')
    await page.locator('.execute').click()
    const answer = page.locator('.live-responses-table .response-col_status', { hasText: '200' }).first()
    await answer.waitFor()
    await answer.scrollIntoViewIfNeeded()
    await pictured(page, 'swagger-sent')
    await hatter.receives('<message from="dora@localhost" type="chat"><body>from the page</body></message>')

    // `?url=` is heeded on this origin alone.
    await page.goto(`${base}/api-docs/index.html?url=https://elsewhere.example/swagger.json`)
    await page.locator('.opblock-tag', { hasText: 'Contacts' }).first().waitFor()
    await page.goto(`${base}/api-docs/index.html?url=/nothing-here`)
    await eventually(() => urls.some(url => url === `${base}/nothing-here`))

    expect(urls.filter(url => !url.startsWith(`${base}/`) && !url.startsWith('data:'))).toEqual([])
    expect(complaints.filter(text => !text.includes('404'))).toEqual([])
  })
})

/** What a page fetches, and what it complains of: errors of scripts, and what its policy forbids. */
function watched(page: Page): { urls: string[]; complaints: string[] } {
  const [urls, complaints]: [string[], string[]] = [[], []]
  page.on('request', request => void urls.push(request.url()))
  page.on('pageerror', error => void complaints.push(String(error)))
  page.on('console', message => {
    if (message.type() === 'error') complaints.push(message.text())
  })
  return { urls, complaints }
}

async function logIn(page: Page): Promise<void> {
  await page.locator('.auth-wrapper button.authorize').first().click()
  await page.locator('.modal-ux input[name="username"]').fill('dora@localhost')
  await page.locator('.modal-ux input[name="password"]').fill(PASSWORD)
  await page.locator('.modal-ux button.modal-btn.authorize').click()
  await page.locator('.modal-ux button.btn-done').click()
}

/** For somebody to look at: PICTURES names a folder. */
async function pictured(page: Page, name: string): Promise<void> {
  const folder = process.env.PICTURES
  if (folder !== undefined) await page.screenshot({ path: join(folder, `${name}.png`) })
}
