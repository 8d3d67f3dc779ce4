import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  compileHost,
  compilePath,
  createDispatcher,
  matchPattern,
  PatternError,
  splitHost,
  splitPath,
} from '../../src/http/pattern.js'

/** What a path binds under a pattern; undefined when it does not match. */
function bind(pattern: string, path: string) {
  const match = matchPattern(compilePath(pattern), splitPath(path) ?? ['bad path'])
  if (match === undefined) return undefined
  const bindings = Object.fromEntries(match.bindings)
  return match.rest === undefined ? bindings : { ...bindings, '...': match.rest }
}

describe('path patterns', () => {
  it.each([
    ['/api/messages/[:with]', '/api/messages', {}],
    ['/api/messages/[:with]', '/api/messages/', {}],
    ['/api/messages/[:with]', '/api/messages/u@d', { with: 'u@d' }],
    ['/api/messages/[:with]', '/api/messages/u@d/x', undefined],
    ['/api/rooms/[:id]/config', '/api/rooms/r1/config', { id: 'r1' }],
    ['/api/rooms/[:id]/config', '/api/rooms/config', {}],
    ['/api/rooms/[:id]/config', '/api/rooms/config/x', undefined],
    ['/api/rooms/:id/users/[:user]', '/api/rooms/r1/users', { id: 'r1' }],
    ['/api/rooms/:id/users/[:user]', '/api/rooms/r1/users/u@d', { id: 'r1', user: 'u@d' }],
    ['/api/rooms/:id/users/[:user]', '/api/rooms/users', undefined],
    ['/api-docs/[...]', '/api-docs', { '...': [] }],
    ['/api-docs/[...]', '/api-docs/a/b.css', { '...': ['a', 'b.css'] }],
    ['/api-docs/[...]', '/api-docs2', undefined],
    ['/a/[b/[c]]', '/a', {}],
    ['/a/[b/[c]]', '/a/b', {}],
    ['/a/[b/[c]]', '/a/b/c', {}],
    ['/a/[b/[c]]', '/a/c', undefined],
  ])('HP-4: %s on %s gives %j', (pattern, path, expected) => {
    expect(bind(pattern, path)).toEqual(expected)
  })

  it.each([
    ['/', '/', {}],
    ['/', '/a', undefined],
    ['/[...]', '/', { '...': [] }],
    ['/a', '/A', undefined],
    ['/a/', '/a', {}],
    ['/a:b/c', '/a:b/c', {}],
    ['/:a/x', '//x', { a: '' }],
    ['/:a/:a', '/x/x', { a: 'x' }],
    ['/:a/:a', '/x/y', undefined],
    ['/:_/:_', '/x/y', {}],
    ['/[:a]/[:b]', '/x', { a: 'x' }],
    ['/a[/b]/c', '/a/b/c', {}],
    ['/a[/b]/c', '/a/c', {}],
    ['/a/[b/[...]]', '/a/b/c/d', { '...': ['c', 'd'] }],
    ['/a/[b/[...]]', '/a', {}],
    ['/:__proto__', '/x', { ['__proto__']: 'x' }],
  ])('HP-3: %s on %s gives %j', (pattern, path, expected) => {
    expect(bind(pattern, path)).toEqual(expected)
  })

  it.each([
    ['a', 'must start with /'],
    ['', 'must start with /'],
    ['/a/[b', 'never closed'],
    ['/a/[b/[c]', 'never closed'],
    ['/a/b]', 'closes nothing'],
    ['/a]/[b]', 'closes nothing'],
    ['/a[b]', 'middle of a segment'],
    ['/a/:b[c]', 'middle of a segment'],
    ['/a/:', 'without a name'],
    ['/a/[:]', 'without a name'],
    ['/[...]/a', 'last element'],
    ['/a[...]', 'segment of its own'],
    ['/[a]/[b]/[c]/[d]/[e]/[f]/[g]', 'too many'],
  ])('HP-3: %j is refused, saying that it %s', (pattern, message) => {
    expect(() => compilePath(pattern)).toThrow(PatternError)
    expect(() => compilePath(pattern)).toThrow(message)
  })

  it('refuses or compiles any text, and never throws anything but a PatternError', () => {
    const text = fc
      .array(fc.constantFrom('/', 'a', ':', '[', ']', '[...]', '.'), { maxLength: 12 })
      .map(x => x.join(''))
    fc.assert(
      fc.property(text, pattern => {
        for (const compile of [compilePath, compileHost]) {
          try {
            compile(pattern)
          } catch (error) {
            expect(error).toBeInstanceOf(PatternError)
          }
        }
      }),
      { numRuns: 500 },
    )
  })
})

describe('splitting a path', () => {
  it.each([
    ['/', []],
    ['/a/', ['a']],
    ['/a//b', ['a', '', 'b']],
    ['/a//', ['a', '']],
    ['/a/./b', ['a', 'b']],
    ['/zzz/../api/rooms', ['api', 'rooms']],
    ['/a/b/..', ['a']],
    ['/../../a', ['a']],
    ['/a/%2e%2E/b', ['b']],
    ['/a%2Fb/c', ['a/b', 'c']],
    ['/a%2F..%2F..', ['a/../..']],
    ['/bob%40x.org', ['bob@x.org']],
    ['/%C3%B6', ['\u00f6']],
    ['/a+b', ['a+b']],
    ['', undefined],
    ['*', undefined],
    ['a/b', undefined],
    ['/%zz', undefined],
    ['/%2', undefined],
    ['/%ff', undefined],
    ['/\u00f6', undefined],
  ])('HP-1, HP-2: %j gives %j', (path, expected) => {
    expect(splitPath(path)).toEqual(expected)
  })
})

describe('host patterns', () => {
  const isMatch = (pattern: string, host: string) => matchPattern(compileHost(pattern), splitHost(host)) !== undefined
  it.each([
    ['example.org', 'example.org', true],
    ['EXAMPLE.org', 'example.org', true],
    ['.example.org.', 'example.org', true],
    ['example.org', 'example.org.', true],
    ['example.org', 'a.example.org', false],
    ['example.org', 'org', false],
    ['[...].example.org', 'a.b.example.org', true],
    ['[...].example.org', 'example.org', true],
    ['[...].example.org', 'badexample.org', false],
    ['[www.]example.org', 'www.example.org', true],
    ['[www.]example.org', 'example.org', true],
    ['[www.]example.org', 'ftp.example.org', false],
    [':sub.example.org', 'a.example.org', true],
    [':sub.example.org', 'a.b.example.org', false],
    ['127.0.0.1', '127.0.0.1', true],
    ['[::1]', '[::1]', true],
    ['[::1]', 'localhost', false],
    ['[...]', '', true],
  ])('HH-2: %s against %s is %s', (pattern, host, expected) => {
    expect(isMatch(pattern, host)).toBe(expected)
  })

  it.each(['a[b].org', '[a', 'a].org', ':.org', 'a:b.org', 'example.[...]', '[...]x.org'])(
    'HH-2: %s is refused',
    text => {
      expect(() => compileHost(text)).toThrow(PatternError)
    },
  )
})

describe('the dispatcher', () => {
  const ask = (routes: [string, string, string][], host: string, path: string) =>
    createDispatcher(routes.map(([h, p, target]) => ({ host: h, path: p, target })))(host, splitPath(path) ?? [])
      ?.target

  it('HH-3: a host has the paths of "_" after its own, other hosts have those of "_" alone', () => {
    const routes: [string, string, string][] = [
      ['_', '/y', 'any'],
      ['_', '/x', 'any x'],
      ['a.test', '/x', 'own'],
    ]
    expect(ask(routes, 'a.test', '/x')).toBe('own')
    expect(ask(routes, 'a.test', '/y')).toBe('any')
    expect(ask(routes, 'b.test', '/x')).toBe('any x')
    expect(ask(routes, 'b.test', '/y')).toBe('any')
  })

  it('HH-3: the first group whose host matches decides, even when none of its paths does', () => {
    const routes: [string, string, string][] = [
      ['[...].test', '/wide', 'wide'],
      ['a.test', '/narrow', 'narrow'],
    ]
    expect(ask(routes, 'a.test', '/wide')).toBe('wide')
    expect(ask(routes, 'a.test', '/narrow')).toBeUndefined()
    expect(ask(routes.toReversed(), 'a.test', '/narrow')).toBe('narrow')
    expect(ask(routes.toReversed(), 'a.test', '/wide')).toBeUndefined()
  })

  it('HH-4: a foreign host finds nothing', () => {
    expect(ask([['localhost', '/', 'own']], '127.0.0.1', '/')).toBeUndefined()
    expect(ask([], 'localhost', '/')).toBeUndefined()
  })

  it('HH-3: host and path share their bindings', () => {
    const find = createDispatcher([{ host: ':name.test', path: '/:name', target: 1 }])
    expect(find('a.test', ['a'])?.bindings).toEqual(new Map([['name', 'a']]))
    expect(find('a.test', ['b'])).toBeUndefined()
  })

  it('HP-5: candidates are tried in order, those that end in [...] after all others', () => {
    const documented: [string, string, string][] = [
      ['_', '/api-docs/[...]', 'files'],
      ['_', '/api-docs', 'redirect'],
      ['_', '/api-docs/swagger.json', 'json'],
    ]
    for (const routes of [documented, documented.toReversed()]) {
      expect(ask(routes, 'x', '/api-docs')).toBe('redirect')
      expect(ask(routes, 'x', '/api-docs/swagger.json')).toBe('json')
      expect(ask(routes, 'x', '/api-docs/index.html')).toBe('files')
    }
    const rooms: [string, string, string][] = [
      ['_', '/api/rooms/[:id]', 'rooms'],
      ['_', '/api/rooms/[:id]/config', 'config'],
    ]
    expect(ask(rooms, 'x', '/api/rooms/config')).toBe('rooms')
    expect(ask(rooms, 'x', '/api/rooms/r/config')).toBe('config')
    expect(ask(rooms, 'x', '/api//rooms')).toBeUndefined()
  })
})
