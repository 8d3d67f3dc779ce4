import { readdirSync, readFileSync } from 'node:fs'
import { extname, join, relative } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createDebugPage } from '../../src/http/debug/page.js'
import { exchange, type Reply, serveApp, testApp } from './raw.js'

/*
 * The page of `meerkat_debug` as files: what is served, what it may do, and whether its colours can be read.
 * What it does in a browser: test/interop/debug-page.test.ts.
 */

const folder = join(import.meta.dirname, '../../assets/debug')
const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter(name => extname(name) !== '')
const read = (name: string) => readFileSync(join(folder, name), 'utf8')

let server: Awaited<ReturnType<typeof serveApp>>
beforeAll(async () => {
  const target = await createDebugPage(folder)
  const routes = [
    { host: '_', path: '/debug/[...]', target },
    { host: '_', path: '/', target },
  ]
  server = await serveApp((await testApp(routes)).app)
})
afterAll(() => server.close(0))

const ask = (target: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Reply> => {
  const lines = Object.entries({ Host: 'localhost', ...headers }).map(([name, value]) => `${name}: ${value}\r\n`)
  return exchange(server.port, `${method} ${target} HTTP/1.1\r\n${lines.join('')}\r\n`)
}

/** The paths that a page at `address` asks for. */
const wanted = (html: string, address: string) =>
  [...html.matchAll(/(?:src|href)="([^"#]+)"/g)]
    .map(([, url = '']) => new URL(url, `http://localhost${address}`))
    .filter(({ protocol }) => protocol !== 'data:')
    .map(({ pathname }) => pathname)

describe('the page', () => {
  it.each(['/debug', '/debug/', '/debug?x=1', '/'])('at %s asks for files that are there', async address => {
    const page = await ask(address)
    expect(page).toMatchObject({ status: 200, headers: { 'content-type': 'text/html; charset=utf-8' } })
    const paths = wanted(page.body, address)
    expect(paths.length).toBeGreaterThan(4)
    for (const path of paths) {
      const mount = address.startsWith('/debug') ? '/debug/assets/' : '/assets/'
      expect(path.startsWith(mount)).toBe(true)
      expect((await ask(path.replace(/^\/assets/, '/debug/assets'))).status).toBe(200)
    }
  })

  it('puts nothing of the address into the markup but what a path may hold', async () => {
    const { body } = await ask('/debug/x/..%22%3E%3Cscript%3E/../..')
    expect(body).not.toContain('<script>')
  })

  it('answers HEAD, and other methods with 405', async () => {
    expect(await ask('/debug', {}, 'HEAD')).toMatchObject({ status: 200, body: '' })
    for (const method of ['POST', 'DELETE', 'OPTIONS']) {
      expect(await ask('/debug', {}, method)).toMatchObject({ status: 405, headers: { allow: 'GET, HEAD' } })
    }
  })
})

describe('what the page may do', () => {
  const directives = (reply: Reply) =>
    Object.fromEntries(
      (reply.headers['content-security-policy'] ?? '').split('; ').map(directive => {
        const [name = '', ...values] = directive.split(' ')
        return [name, values.join(' ')]
      }),
    )

  it('only runs, shows and asks for what comes from here', async () => {
    for (const target of ['/debug', '/debug/assets/scripts/main.js', '/debug/assets/nothing.js']) {
      const reply = await ask(target)
      expect(directives(reply)).toEqual({
        'default-src': "'none'",
        'script-src': "'self'",
        'style-src': "'self'",
        'connect-src': "'self'",
        'img-src': "'self' data:",
        'base-uri': "'none'",
        'form-action': "'none'",
        'frame-ancestors': "'none'",
        'require-trusted-types-for': "'script'",
        'trusted-types': "'none'",
      })
      expect(reply.headers).toMatchObject({ 'x-content-type-options': 'nosniff', 'referrer-policy': 'no-referrer' })
    }
  })

  it('needs nothing that the policy forbids', () => {
    const html = read('index.html').replaceAll(/<!--.*?-->/gs, '')
    expect(html).not.toMatch(/<style|\sstyle=|\son\w+=|javascript:/i)
    for (const [, attributes = '', inside = ''] of html.matchAll(/<script([^>]*)>(.*?)<\/script>/gs)) {
      expect(attributes).toContain('src=')
      expect(inside).toBe('')
    }
    // Where addresses stand in scripts and style sheets of ours, they are names of formats.
    for (const name of files.filter(file => !file.startsWith('vendor') && extname(file) !== '.html')) {
      expect(read(name).replaceAll('http://www.w3.org/2000/svg', '')).not.toMatch(
        /https?:|\burl\(|@import|\beval\(|innerHTML/,
      )
    }
  })
})

describe('the files of the page', () => {
  const types: Record<string, string> = {
    '.html': 'text/html',
    '.css': 'text/css',
    '.js': 'application/javascript',
    '.LICENSE': 'application/octet-stream',
  }

  it.each(files)('%s is served as what it is, and asked for again after a change', async name => {
    const reply = await ask(`/debug/assets/${name}`)
    expect(reply).toMatchObject({
      status: 200,
      headers: {
        'content-type': types[extname(name)],
        'cache-control': 'no-cache',
        'x-content-type-options': 'nosniff',
      },
    })
    const again = await ask(`/debug/assets/${name}`, { 'If-None-Match': reply.headers.etag ?? '' })
    expect(again).toMatchObject({ status: 304, body: '' })
  })

  it('are all that can be had', async () => {
    for (const path of ['../README.md', '..%2fREADME.md', '../cowboy_swagger/swagger/index.html', 'scripts', '']) {
      expect((await ask(`/debug/assets/${path}`)).status).not.toBe(200)
    }
  })

  it('import only one another', () => {
    const scripts = files.filter(name => name.startsWith('scripts'))
    for (const name of scripts) {
      for (const [, from = ''] of read(name).matchAll(/^(?:import|export) [^'\n]*(?:\n[^'\n]*)*? from '([^']+)'/gm)) {
        expect(files).toContain(relative(folder, join(folder, 'scripts', from)))
      }
    }
  })

  it('come with the licences of what others wrote', () => {
    const vendored = files.filter(name => name.startsWith('vendor') && extname(name) === '.js')
    expect(vendored.length).toBeGreaterThan(0)
    for (const name of vendored) expect(read(name.replace('.js', '.LICENSE'))).toMatch(/Permission (?:to|is hereby)/)
  })
})

/* WCAG 2.2 §1.4.3, §1.4.11 */
describe.each(['light', 'dark'] as const)('in the %s', scheme => {
  const colours = new Map(
    [...read('styles/colours.css').matchAll(/(--[\w-]+): light-dark\((#\w+), (#\w+)\)/g)].map(
      ([, name = '', light = '', dark = '']) => [name, scheme === 'light' ? light : dark],
    ),
  )
  const luminance = (name: string) => {
    const hex = colours.get(name)
    if (hex === undefined) throw new Error(`no colour ${name}`)
    const [red = 0, green = 0, blue = 0] = [1, 3, 5].map(at => {
      const part = Number.parseInt(hex.slice(at, at + 2), 16) / 255
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4
    })
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
  }
  const contrast = (one: string, other: string) => {
    const [lighter = 0, darker = 0] = [luminance(one), luminance(other)].sort((a, b) => b - a)
    return (lighter + 0.05) / (darker + 0.05)
  }
  const grounds = ['--ground', '--surface', '--raised']

  it.each(['--text', '--soft'])('text in %s can be read on every ground', name => {
    for (const ground of grounds) expect(contrast(name, ground)).toBeGreaterThanOrEqual(4.5)
  })

  it.each([
    ['--accent', '--surface'],
    ['--accent-text', '--accent'],
    ['--danger', '--surface'],
    ['--danger-text', '--danger'],
    ['--faulted', '--surface'],
  ])('text in %s can be read on %s', (text, ground) => {
    expect(contrast(text, ground)).toBeGreaterThanOrEqual(4.5)
  })

  const marks = [...colours.keys()].filter(name => /branch|spawned|stopped|restarted|hibernated|edge|focus/.test(name))
  it.each(marks)('a mark in %s can be told from the grounds', name => {
    for (const ground of ['--ground', '--surface']) expect(contrast(name, ground)).toBeGreaterThanOrEqual(3)
  })
})
