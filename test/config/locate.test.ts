import fc from 'fast-check'
import { parse } from 'smol-toml'
import { describe, expect, it } from 'vitest'
import { tomlOf } from '../../src/config/document.js'
import { KeyIndex } from '../../src/config/locate.js'
import { parseToml } from '../../src/config/read-data.js'
import { isTable, type Path } from '../../src/config/schema.js'

/** `@` in a text marks a place; what is behind it is where the path should be found. */
function marked(text: string): { text: string; line: number; column: number } {
  const before = text.slice(0, text.indexOf('@'))
  const lines = before.split('\n')
  return { text: text.replace('@', ''), line: lines.length, column: lines.at(-1)!.length + 1 }
}

const CASES: [what: string, text: string, path: Path][] = [
  ['a key', 'a = 1\n@b = 2', ['b']],
  ['an indented key', '[t]\n  \t@a = 1', ['t', 'a']],
  ['a table header', 'a = 1\n\n@[t]\nb = 1', ['t']],
  ['a missing key: its table header', '[x]\n@[t]\nb = 1', ['t', 'nothing', 'deeper']],
  ['a key missing at the top: the start', '@a = 1', ['nothing']],
  ['the part of a dotted key', '[t]\na.@b.c = 1', ['t', 'a', 'b']],
  ['the last part of a dotted key', '[t]\na . b . @c = 1', ['t', 'a', 'b', 'c']],
  ['a key of an inline table', 't = { a = 1, @b = 2 }', ['t', 'b']],
  ['a key of a nested inline table', 't = { a = { x = "}" }, b = {@c = 2} }', ['t', 'b', 'c']],
  ['an array element', 'a = [1, @2, 3]', ['a', 1]],
  ['an array element after strings and comments', 'a = [\n "]", # ]\n \'"\',\n @3 ]', ['a', 2]],
  ['a key in an inline table in an array', 'a = [{x = 1}, {@x = 2}]', ['a', 1, 'x']],
  ['a header of an array of tables', '[[l]]\n[[l]]\na = 1\n@[[l]]\na = 2', ['l', 2]],
  ['an array of tables as a whole: its first header', '@[[l]]\n[[l]]', ['l']],
  ['a key of the last of an array of tables', '[[l]]\na = 1\n[[l]]\n@a = 2', ['l', 1, 'a']],
  ['a subtable of an array of tables', '[[l]]\n[l.t]\na = 1\n[[l]]\n[l.t]\n@a = 2', ['l', 1, 't', 'a']],
  ['an array of tables in one', '[[l]]\n[[l.m]]\n[[l]]\n[[l.m]]\n[[l.m]]\n@a = 1', ['l', 1, 'm', 1, 'a']],
  ['a key missing in an array of tables: its header', '[[l]]\na = 1\n@[[l]]\nb = 1', ['l', 1, 'a']],
  ['a table that a deeper header implied: its own header', '[a.b]\n@[a]\nc = 1', ['a']],
  ['a table that is only implied: the deeper header', '@[a.b]\nc = 1', ['a']],
  ['a quoted key', '[t]\n@"a b" = 1', ['t', 'a b']],
  ['a literal key', "[t]\n@'a.b' = 1", ['t', 'a.b']],
  ['a quoted key with escapes', '"x" = 1\n@"a\\"\\u0041" = 1', ['a"A']],
  ['a quoted key with an equals sign', '@"a = [" = 1', ['a = [']],
  ['a quoted part of a header', 'a = 1\n@[t."x.y"]\nb = 1', ['t', 'x.y']],
  ['an empty key', '@"" = 1', ['']],
  ['a key after a multi-line string', 'a = """\nb = 1\n[t]\n\\""" x"""\n@b = 2', ['b']],
  ['a key after a multi-line literal string', "a = '''\nb = 1\n'' '''\n@b = 2", ['b']],
  ['a key after a multi-line string that ends in quotes', 'a = """x"""""\n@b = 2', ['b']],
  ['a key after an empty string', 'a = ""\n@b = 2', ['b']],
  ['a key after a string with a hash', 'a = "#"\n@b = 2', ['b']],
  ['a key after a comment', '# a = 1\n@a = 2', ['a']],
  ['a key after a date', 'a = 1979-05-27 07:32:00Z\n@b = 1', ['b']],
  ['a key named __proto__', 'a = 1\n@__proto__ = 2', ['__proto__']],
  ['a header with blanks', '@[ a . b ]\nc = 1', ['a', 'b']],
  ['a key after Windows line ends', 'a = 1\r\n\r\n[t]\r\n@b = 2\r\n', ['t', 'b']],
  ['a key after astral characters: in UTF-16 units', 't = { "😀" = 1, @b = 2 }', ['t', 'b']],
]

describe('KeyIndex', () => {
  it.each(CASES)('finds %s', (_, source, path) => {
    const { text, line, column } = marked(source)
    expect(parseToml(text)).toHaveProperty('data')
    expect(new KeyIndex(text).placeOf(path)).toEqual({ line, column })
  })

  it('knows every key and element that smol-toml finds in a text made at random', () => {
    const key = fc
      .oneof(fc.stringMatching(/^[\w-]{1,6}$/), fc.string({ maxLength: 5 }))
      .filter(name => name !== '__proto__')
    const scalar = fc.oneof(
      fc.integer(),
      fc.boolean(),
      fc.string(),
      fc.integer({ min: -9999, max: 9999 }).map(eighths => eighths / 8),
    )
    const { value } = fc.letrec(tie => ({
      value: fc.oneof({ maxDepth: 4, withCrossShrink: true }, scalar, tie('table'), tie('array')),
      table: fc.dictionary(key, tie('value'), { maxKeys: 4 }),
      array: fc.array(tie('value'), { maxLength: 4 }),
    }))
    const table = fc.dictionary(key, value, { maxKeys: 5 })
    fc.assert(
      fc.property(table, fc.boolean(), (data, areHeaders) => {
        const text = areHeaders ? documentOf(data, []) : lines(data)
        const parsed = parse(text)
        expect(plain(parsedByUs(text))).toEqual(plain(parsed))
        const index = new KeyIndex(text)
        for (const path of pathsIn(parsed)) {
          expect(index.has(path), JSON.stringify(path)).toBe(true)
          expect(textAt(text, index, path), JSON.stringify(path)).toMatch(/\S/)
        }
      }),
      { numRuns: 150 },
    )
  })

  it('ends for any text, TOML or not, and gives places inside it', () => {
    const pieces = fc.constantFrom(
      '[',
      ']',
      '[[',
      ']]',
      '{',
      '}',
      '=',
      '.',
      ',',
      '"',
      "'",
      '"""',
      "'''",
      '\\',
      '\n',
      '#',
      'a',
      '1',
      ' ',
    )
    fc.assert(
      fc.property(
        fc.oneof(
          fc.array(pieces, { maxLength: 60 }).map(all => all.join('')),
          fc.string(),
        ),
        text => {
          const { line, column } = new KeyIndex(text).placeOf(['a', 0, 'a'])
          expect(line).toBeLessThanOrEqual(text.split('\n').length)
          expect(column).toBeGreaterThan(0)
        },
      ),
      { numRuns: 500 },
    )
  })

  it('is not troubled by arrays or dotted keys of any depth', () => {
    const deep = `a = ${'['.repeat(100_000)}${']'.repeat(100_000)}\nb = 1`
    expect(new KeyIndex(deep).placeOf(['b'])).toEqual({ line: 2, column: 1 })
    expect(new KeyIndex(`${'a.'.repeat(100_000)}a = 1\nb = 1`).placeOf(['b'])).toEqual({ line: 2, column: 1 })
    expect(new KeyIndex(`a = "${'x'.repeat(2_000_000)}"\nb = 1`).placeOf(['b'])).toEqual({ line: 2, column: 1 })
  })
})

const quoted = (key: string) => (/^[\w-]+$/.test(key) ? key : JSON.stringify(key))

/** Each top-level value on its own line, everything below it inline. */
function lines(data: Record<string, unknown>): string {
  return Object.entries(data)
    .map(([key, item]) => `${quoted(key)} = ${tomlOf(item)}\n`)
    .join('')
}

/** The same with a header for every table. */
function documentOf(data: Record<string, unknown>, path: string[]): string {
  const entries = Object.entries(data)
  const values = entries.filter(([, item]) => !isTable(item) && !isListOfTables(item))
  const header = path.length === 0 ? '' : `[${path.map(quoted).join('.')}]\n`
  const rest = entries.map(([key, item]) => {
    const at = [...path, key]
    if (isTable(item)) return documentOf(item, at)
    return isListOfTables(item) ? item.map(one => `[[${at.map(quoted).join('.')}]]\n${lines(one)}`).join('') : ''
  })
  return header + lines(Object.fromEntries(values)) + rest.join('')
}

function isListOfTables(value: unknown): value is Record<string, unknown>[] {
  return Array.isArray(value) && value.length > 0 && value.every(isTable)
}

function parsedByUs(text: string): unknown {
  const result = parseToml(text)
  return 'data' in result ? result.data : result.fault
}

/** Without the classes of the two parsers. */
function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value, (_, item) => (typeof item === 'bigint' ? String(item) : item)))
}

function* pathsIn(value: unknown, path: Path = []): Generator<Path> {
  if (path.length > 0) yield path
  if (Array.isArray(value)) for (const [at, item] of value.entries()) yield* pathsIn(item, [...path, at])
  else if (isTable(value)) for (const [key, item] of Object.entries(value)) yield* pathsIn(item, [...path, key])
}

function textAt(text: string, index: KeyIndex, path: Path): string {
  const { line, column } = index.placeOf(path)
  return text.split('\n')[line - 1]!.slice(column - 1)
}
